//! The table of symbols of one request, and references into it.

use thiserror::Error;

use crate::remote_write::wire::{Value, VarintError, WireError, read_varint};

/// What an entry of the table takes.
const ENTRY_BYTES: usize = size_of::<(u32, u32)>();

/// Where the symbols stand in the request. Used again from request to request.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    spans: Vec<(u32, u32)>,
}

/// Why references are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidReferences {
    /// One name has no value.
    #[error("{count} references are no pairs of names and values")]
    Odd {
        /// How many there are.
        count: usize,
    },
    /// One is not an index of the table.
    #[error("reference {reference} is outside the table of {symbols} symbols")]
    OutOfRange {
        /// The reference.
        reference: u64,
        /// How many symbols there are.
        symbols: usize,
    },
}

impl Symbols {
    pub(super) fn clear(&mut self) {
        self.spans.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The memory that the table may take if it grows by one: a vector doubles.
    pub(super) fn next_size_bytes(&self) -> usize {
        2 * (self.spans.len() + 1) * ENTRY_BYTES
    }

    /// The memory that is held on to.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.spans.capacity() * ENTRY_BYTES
    }

    /// Adds the symbol of `length` bytes that ends at `end` in a request of less than 4 GiB.
    pub(super) fn push(&mut self, end: usize, length: usize) {
        let at = |offset| u32::try_from(offset).expect("the request has less than 4 GiB");
        self.spans.push((at(end - length), at(end)));
    }

    #[inline]
    pub(super) fn get<'a>(
        &self,
        request: &'a [u8],
        reference: u64,
    ) -> Result<&'a [u8], InvalidReferences> {
        let index = usize::try_from(reference).unwrap_or(usize::MAX);
        match self.spans.get(index) {
            Some(&(start, end)) => Ok(&request[start as usize..end as usize]),
            None => Err(InvalidReferences::OutOfRange {
                reference,
                symbols: self.len(),
            }),
        }
    }
}

/// The values of a repeated number, packed or not: what one field of it holds. `None` if the field
/// has another type.
#[inline]
pub(super) fn numbers(value: Value<'_>) -> Option<Numbers<'_>> {
    match value {
        Value::Varint(number) => Some(Numbers {
            single: Some(number),
            packed: &[],
        }),
        Value::Bytes(packed) => Some(Numbers {
            single: None,
            packed,
        }),
        Value::Fixed32(_) | Value::Fixed64(_) => None,
    }
}

/// See [`numbers`].
#[derive(Debug)]
pub(super) struct Numbers<'a> {
    single: Option<u64>,
    packed: &'a [u8],
}

impl Iterator for Numbers<'_> {
    type Item = Result<u64, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(number) = self.single.take() {
            return Some(Ok(number));
        }
        if self.packed.is_empty() {
            return None;
        }
        let (number, length) = match read_varint(self.packed) {
            Ok(read) => read,
            Err(error) => {
                self.packed = &[];
                return Some(Err(match error {
                    VarintError::CutOff => WireError::CutOff { offset: 0 },
                    VarintError::TooLong => WireError::VarintTooLong { offset: 0 },
                }));
            }
        };
        self.packed = &self.packed[length..];
        Some(Ok(number))
    }
}
