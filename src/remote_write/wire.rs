//! Protobuf's wire format, as far as a walk over slices needs it.
//!
//! Nothing here allocates and nothing trusts a length: every slice that is handed out lies within
//! the message. Specification: <https://protobuf.dev/programming-guides/encoding/>.

use thiserror::Error;

/// The wire type of length-delimited fields: strings, bytes and nested messages.
pub const WIRE_TYPE_BYTES: u8 = 2;

/// Why a message is not protobuf. `offset` counts from the start of the message being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// The message ends inside a field.
    #[error("field is cut off at byte {offset}")]
    CutOff {
        /// Where the field begins.
        offset: usize,
    },
    /// A varint has more than ten bytes, or more than 64 bits.
    #[error("varint is too long at byte {offset}")]
    VarintTooLong {
        /// Where the field with the varint begins.
        offset: usize,
    },
    /// Field number zero or above 2^29 - 1, or a wire type that proto3 does not have.
    #[error("field tag {tag} is not valid at byte {offset}")]
    BadTag {
        /// The tag as read.
        tag: u64,
        /// Where it begins.
        offset: usize,
    },
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// The field number.
    pub number: u32,
    /// What it holds.
    pub value: Value<'a>,
    /// The whole field as it came: tag, length and value.
    pub raw: &'a [u8],
}

/// A field's value by its wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// int32, int64, uint32, uint64, sint32, sint64, bool, enum.
    Varint(u64),
    /// fixed64, sfixed64, double.
    Fixed64(&'a [u8]),
    /// string, bytes, nested messages, packed repeated fields.
    Bytes(&'a [u8]),
    /// fixed32, sfixed32, float.
    Fixed32(&'a [u8]),
}

/// Walks over the fields of one message, in the order in which they stand.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    message: &'a [u8],
    offset: usize,
}

impl<'a> Fields<'a> {
    /// Starts at the first field of `message`.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { message, offset: 0 }
    }

    /// How many bytes of the message have been read.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The next field, or `None` at the end of the message.
    ///
    /// # Errors
    /// If the bytes at the current offset are no field; the walk must not go on after that.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<Field<'a>>, WireError> {
        let start = self.offset;
        if start == self.message.len() {
            return Ok(None);
        }
        let tag = self.varint(start)?;
        let bad_tag = WireError::BadTag { tag, offset: start };
        let number = u32::try_from(tag >> 3)
            .ok()
            .filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or(bad_tag)?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint(start)?),
            1 => Value::Fixed64(self.take(8, start)?),
            2 => {
                let length = self.varint(start)?;
                Value::Bytes(self.take(length, start)?)
            }
            5 => Value::Fixed32(self.take(4, start)?),
            _ => return Err(bad_tag),
        };
        Ok(Some(Field {
            number,
            value,
            raw: &self.message[start..self.offset],
        }))
    }

    /// The next field, whole and its bytes alone, if it is length-delimited, has this tag of one
    /// byte, and a length of at most two bytes. `None` says nothing of what it is then: ask
    /// [`Self::next_field`].
    #[inline]
    pub fn next_short_field(&mut self, tag: u8) -> Option<(&'a [u8], &'a [u8])> {
        let rest = self.message.get(self.offset..)?;
        let &[found, low, high, ..] = rest else {
            return None;
        };
        let (start, length) = match (low < 0x80, high < 0x80) {
            (true, _) => (2, usize::from(low)),
            (false, true) => (3, usize::from(low & 0x7f) | usize::from(high) << 7),
            (false, false) => return None,
        };
        let raw = rest.get(..start + length).filter(|_| found == tag)?;
        self.offset += raw.len();
        Some((raw, &raw[start..]))
    }

    #[inline]
    fn varint(&mut self, field_start: usize) -> Result<u64, WireError> {
        let (value, length) =
            read_varint(&self.message[self.offset..]).map_err(|error| error.at(field_start))?;
        self.offset += length;
        Ok(value)
    }

    #[inline]
    fn take(&mut self, length: u64, field_start: usize) -> Result<&'a [u8], WireError> {
        let rest = &self.message[self.offset..];
        let taken = usize::try_from(length)
            .ok()
            .and_then(|length| rest.get(..length));
        let taken = taken.ok_or(WireError::CutOff {
            offset: field_start,
        })?;
        self.offset += taken.len();
        Ok(taken)
    }
}

/// Why bytes are not a varint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VarintError {
    /// They end before the varint does.
    CutOff,
    /// More than ten bytes, or more than 64 bits.
    TooLong,
}

impl VarintError {
    fn at(self, offset: usize) -> WireError {
        match self {
            Self::CutOff => WireError::CutOff { offset },
            Self::TooLong => WireError::VarintTooLong { offset },
        }
    }
}

/// Reads a varint from the front of `bytes`: its value and how many bytes it takes.
///
/// # Errors
/// If `bytes` end within it, or it has more than 64 bits.
#[inline]
pub fn read_varint(bytes: &[u8]) -> Result<(u64, usize), VarintError> {
    match bytes {
        [first, ..] if *first < 0x80 => Ok((u64::from(*first), 1)),
        [first, second, ..] if *second < 0x80 => {
            Ok((u64::from(*first & 0x7f) | u64::from(*second) << 7, 2))
        }
        _ => read_long_varint(bytes),
    }
}

fn read_long_varint(bytes: &[u8]) -> Result<(u64, usize), VarintError> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        if index == 9 && byte > 1 {
            return Err(VarintError::TooLong);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, index + 1));
        }
    }
    Err(if bytes.len() < 10 {
        VarintError::CutOff
    } else {
        VarintError::TooLong
    })
}

/// Appends `value` as a varint.
#[inline]
pub fn put_varint(buffer: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buffer.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    buffer.push(value.to_le_bytes()[0]);
}

/// How many bytes `value` takes as a varint.
#[inline]
#[must_use]
pub fn varint_len(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Appends a length-delimited field.
#[inline]
pub fn put_bytes_field(buffer: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_bytes_header(buffer, number, bytes.len());
    buffer.extend_from_slice(bytes);
}

/// Appends the tag and length of a length-delimited field whose bytes the caller appends next.
#[inline]
pub fn put_bytes_header(buffer: &mut Vec<u8>, number: u32, length: usize) {
    put_varint(buffer, u64::from(number << 3) | u64::from(WIRE_TYPE_BYTES));
    put_varint(buffer, length as u64);
}

/// How many bytes a length-delimited field takes whose number is below 16.
#[inline]
#[must_use]
pub fn bytes_field_len(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}

/// Appends the tag of a length-delimited field and room for its length. Answers where its bytes
/// begin: append them, then call [`close_field`].
#[inline]
pub fn open_field(buffer: &mut Vec<u8>, number: u32) -> usize {
    put_bytes_header(buffer, number, 0);
    buffer.len()
}

/// Writes the length of the field whose bytes begin at `start` and end with the buffer.
#[inline]
pub fn close_field(buffer: &mut Vec<u8>, start: usize) {
    let length = buffer.len() - start;
    let more = varint_len(length as u64) - 1;
    if more > 0 {
        let end = buffer.len();
        buffer.resize(end + more, 0);
        buffer.copy_within(start..end, start + more);
    }
    let mut rest = length;
    for place in &mut buffer[start - 1..start + more] {
        *place = rest.to_le_bytes()[0] | 0x80;
        rest >>= 7;
    }
    buffer[start + more - 1] &= 0x7f;
}

/// Appends the tag of a varint field and the varint.
#[inline]
pub fn put_varint_field(buffer: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(buffer, u64::from(number << 3));
    put_varint(buffer, value);
}
