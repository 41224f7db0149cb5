//! The encoded labels of a target's series, packed: what all of them share is kept once.
//!
//! Every series of a target has the target's labels among its own, mostly more bytes than its own
//! have. A packed block says which of them stand where, and holds only the rest.
//!
//! ```text
//! block = encoded_length run*                all numbers are varints
//! run   = literal_length literal             labels of the series' own
//!         [ first count ]                    then so many of the target's, from the first on;
//!                                            absent if the literal completes the block
//! ```

use std::num::NonZeroU32;
use std::ops::Range;

use crate::remote_write::v1::encode_labels;
use crate::remote_write::wire::{Fields, put_varint, read_varint};

/// Bytes that are not in use any more before they are given back, as long as they are fewer than
/// those in use.
const SPARE_BYTES: usize = 4096;

/// The labels of a target, encoded one by one.
#[derive(Debug, Default)]
struct Shared {
    bytes: Box<[u8]>,
    /// Where each label ends.
    ends: Box<[usize]>,
}

/// The packed labels of a target's series.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    shared: Shared,
    packed: Vec<u8>,
}

/// Where the labels of a series are, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block(NonZeroU32);

/// The encoded labels of a series, for whoever writes them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Encoded<'e> {
    /// As they are.
    Plain(&'e [u8]),
    /// To be put together.
    Packed {
        length: usize,
        blocks: &'e Blocks,
        runs: &'e [u8],
    },
}

impl Blocks {
    /// For a target with these labels, sorted by name.
    pub(super) fn new(labels: &[(String, String)]) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for (name, value) in labels {
            encode_labels(
                std::iter::once(crate::model::Label { name, value }),
                &mut bytes,
            );
            ends.push(bytes.len());
        }
        Self {
            shared: Shared {
                bytes: bytes.into(),
                ends: ends.into(),
            },
            packed: Vec::new(),
        }
    }

    /// Packs encoded labels. `None` if those of the target's series are over 4 GiB.
    pub(super) fn add(&mut self, encoded: &[u8]) -> Option<Block> {
        let block = Block::at(self.packed.len())?;
        put_varint(&mut self.packed, encoded.len() as u64);
        let mut rest = encoded;
        // Both are sorted by name: what is shared comes in the order of the target's labels.
        let mut next = 0;
        while !rest.is_empty() {
            let literal = self.own_labels(rest, next);
            put_varint(&mut self.packed, literal.end as u64);
            self.packed.extend_from_slice(&rest[..literal.end]);
            rest = &rest[literal.end..];
            if rest.is_empty() {
                break;
            }
            let run = self.shared.run(rest, next);
            put_varint(&mut self.packed, run.start as u64);
            put_varint(&mut self.packed, run.len() as u64);
            rest = &rest[self.shared.bytes_of(run.clone()).len()..];
            next = run.end;
        }
        Some(block)
    }

    /// The labels at the front of `encoded` that are none of the target's from `next` on.
    fn own_labels(&self, encoded: &[u8], next: usize) -> Range<usize> {
        let mut fields = Fields::new(encoded);
        loop {
            let end = fields.offset();
            match fields.next_field() {
                Ok(Some(field)) if self.shared.find(field.raw, next).is_none() => {}
                Ok(_) => return 0..end,
                // What is no label is copied as it is.
                Err(_) => return 0..encoded.len(),
            }
        }
    }

    /// The labels of a series.
    pub(super) fn get(&self, block: Block) -> Encoded<'_> {
        let mut runs = self.packed.get(block.start()..).unwrap_or_default();
        let length = take_number(&mut runs);
        Encoded::Packed {
            length,
            blocks: self,
            runs,
        }
    }

    /// Gives memory back if much of it belongs to blocks other than `used`, which move.
    pub(super) fn compact<'b>(&mut self, used: impl Iterator<Item = &'b mut Block>) {
        let mut packed = Vec::new();
        let mut moved = Vec::new();
        for block in used {
            let bytes = self.bytes_of(*block);
            let now = Block::at(packed.len()).expect("there are no more bytes than before");
            packed.extend_from_slice(bytes);
            moved.push((block, now));
        }
        if self.packed.len() <= 2 * packed.len() + SPARE_BYTES {
            return;
        }
        for (block, now) in moved {
            *block = now;
        }
        packed.shrink_to_fit();
        self.packed = packed;
    }

    /// Gives back what was taken to grow.
    pub(super) fn shrink(&mut self) {
        if self.packed.capacity() > self.packed.len() + self.packed.len() / 8 {
            self.packed.shrink_to_fit();
        }
    }

    /// All bytes of a block.
    fn bytes_of(&self, block: Block) -> &[u8] {
        let from = self.packed.get(block.start()..).unwrap_or_default();
        let mut rest = from;
        let length = take_number(&mut rest);
        let mut written = 0;
        while written < length {
            let literal = take_number(&mut rest);
            rest = rest.get(literal..).unwrap_or_default();
            written += literal;
            if written < length {
                let run = take_run(&mut rest);
                written += self.shared.bytes_of(run).len();
            }
        }
        &from[..from.len() - rest.len()]
    }
}

impl Block {
    /// The block that begins there; `None` beyond 4 GiB.
    fn at(start: usize) -> Option<Self> {
        let counted = u32::try_from(start).ok()?.checked_add(1)?;
        NonZeroU32::new(counted).map(Self)
    }

    fn start(self) -> usize {
        usize::try_from(self.0.get() - 1).unwrap_or(usize::MAX)
    }
}

impl Shared {
    /// The bytes of some labels.
    fn bytes_of(&self, labels: Range<usize>) -> &[u8] {
        &self.bytes[self.start(labels.start)..self.start(labels.end)]
    }

    fn start(&self, label: usize) -> usize {
        label.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// Which label is encoded as `field`, from `next` on.
    fn find(&self, field: &[u8], next: usize) -> Option<usize> {
        (next..self.ends.len()).find(|&label| self.bytes_of(label..label + 1) == field)
    }

    /// How many labels in a row stand at the front of `encoded`, where there is one at least.
    fn run(&self, encoded: &[u8], next: usize) -> Range<usize> {
        let first = (next..self.ends.len())
            .find(|&label| encoded.starts_with(self.bytes_of(label..label + 1)));
        let first = first.unwrap_or(self.ends.len());
        let mut end = first;
        while end < self.ends.len() && encoded.starts_with(self.bytes_of(first..end + 1)) {
            end += 1;
        }
        first..end
    }
}

impl Encoded<'_> {
    /// How many bytes the labels have.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Plain(bytes) => bytes.len(),
            Self::Packed { length, .. } => length,
        }
    }

    /// Appends the labels.
    #[inline]
    pub(super) fn write(self, buffer: &mut Vec<u8>) {
        let (length, shared, mut runs) = match self {
            Self::Plain(bytes) => return buffer.extend_from_slice(bytes),
            Self::Packed {
                length,
                blocks,
                runs,
            } => (length, &blocks.shared, runs),
        };
        let end = buffer.len() + length;
        while buffer.len() < end {
            let literal = take_number(&mut runs);
            let (own, rest) = runs.split_at_checked(literal).unwrap_or((runs, &[]));
            buffer.extend_from_slice(own);
            runs = rest;
            if buffer.len() < end {
                let run = take_run(&mut runs);
                buffer.extend_from_slice(shared.bytes_of(run));
            }
        }
    }
}

fn take_run(bytes: &mut &[u8]) -> Range<usize> {
    let first = take_number(bytes);
    first..first + take_number(bytes)
}

/// A number that was written here.
#[inline]
fn take_number(bytes: &mut &[u8]) -> usize {
    let (number, length) = read_varint(bytes).expect("numbers are read where they were written");
    *bytes = &bytes[length..];
    usize::try_from(number).expect("it was a length in memory")
}
