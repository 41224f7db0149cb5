//! One 2.0 series after the other into the carried form.

use super::error::InvalidSeries;
use super::histogram::{self, InvalidHistogram};
use super::symbols::{InvalidReferences, Symbols, numbers};
use super::{CREATED_TIMESTAMP, Contents, EXEMPLARS, HISTOGRAMS, LABELS_REFS, METADATA, SAMPLES};
use crate::remote_write::carried::{self, METADATA_HELP, METADATA_UNIT, NAME};
use crate::remote_write::v1;
use crate::remote_write::wire::{
    Field, Fields, Value, WireError, bytes_field_len, close_field, open_field, put_bytes_field,
    put_bytes_header, put_varint_field,
};

/// More than the headers of a field and of those that it stands in take, in bytes.
const HEADER_BYTES: usize = 24;

/// Why a series was not written.
pub(super) enum Stop {
    Invalid(InvalidSeries),
    TooLarge,
}

impl From<InvalidSeries> for Stop {
    fn from(why: InvalidSeries) -> Self {
        Self::Invalid(why)
    }
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Self {
        Self::Invalid(error.into())
    }
}

impl From<InvalidHistogram> for Stop {
    fn from(why: InvalidHistogram) -> Self {
        Self::Invalid(why.into())
    }
}

/// A buffer that does not grow beyond its limit.
pub(super) struct Output<'b> {
    pub(super) buffer: &'b mut Vec<u8>,
    pub(super) limit: usize,
}

impl Output<'_> {
    /// Makes room for `more` bytes and the headers of a field.
    #[inline]
    fn reserve(&mut self, more: usize) -> Result<(), Stop> {
        let needed = self
            .buffer
            .len()
            .saturating_add(more)
            .saturating_add(HEADER_BYTES);
        if needed > self.limit {
            return Err(Stop::TooLarge);
        }
        if needed > self.buffer.capacity() {
            let grown = self.buffer.capacity().saturating_mul(2);
            let capacity = grown.clamp(needed, self.limit);
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        Ok(())
    }
}

/// Writes the series of one request.
pub(super) struct SeriesDecoder<'d> {
    pub(super) symbols: &'d Symbols,
    pub(super) request: &'d [u8],
    pub(super) output: Output<'d>,
    pub(super) contents: Contents,
}

impl SeriesDecoder<'_> {
    /// Writes a series, or an empty one in its place if it is not valid.
    pub(super) fn decode(&mut self, message: &[u8]) -> Result<(), Stop> {
        self.output.reserve(0)?;
        let start = open_field(self.output.buffer, v1::TIMESERIES);
        let written = self
            .put_labels(message)
            .and_then(|()| self.put_payload(message));
        if written.is_err() {
            self.output.buffer.truncate(start);
        }
        close_field(self.output.buffer, start);
        written
    }

    /// Labels stand in front of all else, wherever their references are: so the walk finds them
    /// canonical.
    fn put_labels(&mut self, message: &[u8]) -> Result<(), Stop> {
        let mut pairs = Pairs::default();
        let mut is_named = false;
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next_field()? {
            if field.number == LABELS_REFS {
                is_named |= self.put_pairs(&field, &mut pairs, InvalidSeries::Labels)?;
            }
        }
        pairs.check().map_err(InvalidSeries::Labels)?;
        if pairs.count > 0 && !is_named {
            return Err(InvalidSeries::NoName.into());
        }
        Ok(())
    }

    fn put_payload(&mut self, message: &[u8]) -> Result<(), Stop> {
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next_field()? {
            match (field.number, field.value) {
                (LABELS_REFS, _) => {}
                (SAMPLES, Value::Bytes(sample)) => {
                    check_framing(sample)?;
                    self.put_field(v1::SAMPLES, sample)?;
                    self.contents.samples += 1;
                }
                (HISTOGRAMS, Value::Bytes(histogram)) => {
                    histogram::check(histogram)??;
                    self.put_field(v1::HISTOGRAMS, histogram)?;
                    self.contents.histograms += 1;
                }
                (EXEMPLARS, Value::Bytes(exemplar)) => {
                    self.put_exemplar(exemplar)?;
                    self.contents.exemplars += 1;
                }
                (METADATA, Value::Bytes(metadata)) => self.put_metadata(metadata)?,
                (CREATED_TIMESTAMP, Value::Varint(timestamp)) => {
                    self.output.reserve(0)?;
                    let number = carried::CREATED_TIMESTAMP;
                    put_varint_field(self.output.buffer, number, timestamp);
                }
                (number @ ..=CREATED_TIMESTAMP, _) => {
                    return Err(InvalidSeries::WrongType { number }.into());
                }
                _ => self.put_unknown(&field)?,
            }
        }
        Ok(())
    }

    fn put_field(&mut self, number: u32, message: &[u8]) -> Result<(), Stop> {
        self.output.reserve(message.len())?;
        put_bytes_field(self.output.buffer, number, message);
        Ok(())
    }

    pub(super) fn put_unknown(&mut self, field: &Field<'_>) -> Result<(), Stop> {
        self.put_field(carried::UNKNOWN, field.raw)
    }

    fn put_exemplar(&mut self, message: &[u8]) -> Result<(), Stop> {
        self.output.reserve(0)?;
        let start = open_field(self.output.buffer, v1::EXEMPLARS);
        let mut pairs = Pairs::default();
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next_field()? {
            if field.number == LABELS_REFS {
                self.put_pairs(&field, &mut pairs, InvalidSeries::Exemplar)?;
            } else {
                self.output.reserve(field.raw.len())?;
                self.output.buffer.extend_from_slice(field.raw);
            }
        }
        pairs.check().map_err(InvalidSeries::Exemplar)?;
        close_field(self.output.buffer, start);
        Ok(())
    }

    fn put_metadata(&mut self, message: &[u8]) -> Result<(), Stop> {
        self.output.reserve(0)?;
        let start = open_field(self.output.buffer, carried::SERIES_METADATA);
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next_field()? {
            match (field.number, field.value) {
                (METADATA_HELP | METADATA_UNIT, Value::Varint(reference)) => {
                    let text = self.symbols.get(self.request, reference);
                    let text = text.map_err(InvalidSeries::Metadata)?;
                    self.put_field(field.number, text)?;
                }
                (METADATA_HELP | METADATA_UNIT, _) => {
                    return Err(InvalidSeries::WrongType { number: METADATA }.into());
                }
                _ => {
                    self.output.reserve(field.raw.len())?;
                    self.output.buffer.extend_from_slice(field.raw);
                }
            }
        }
        close_field(self.output.buffer, start);
        Ok(())
    }

    /// Writes the labels that a field with references means. Answers whether one of them is the
    /// metric's name.
    #[inline]
    fn put_pairs(
        &mut self,
        field: &Field<'_>,
        pairs: &mut Pairs,
        wrap: impl Fn(InvalidReferences) -> InvalidSeries,
    ) -> Result<bool, Stop> {
        let number = field.number;
        let references = numbers(field.value).ok_or(InvalidSeries::WrongType { number })?;
        let mut is_named = false;
        for reference in references {
            let Some((name, value)) = pairs.push(reference?) else {
                continue;
            };
            let name = self.symbols.get(self.request, name).map_err(&wrap)?;
            let value = self.symbols.get(self.request, value).map_err(&wrap)?;
            is_named |= name == NAME && !value.is_empty();
            self.put_label(name, value)?;
        }
        Ok(is_named)
    }

    #[inline]
    fn put_label(&mut self, name: &[u8], value: &[u8]) -> Result<(), Stop> {
        let length = bytes_field_len(name.len()) + bytes_field_len(value.len());
        self.output.reserve(length)?;
        put_bytes_header(self.output.buffer, v1::LABELS, length);
        put_bytes_field(self.output.buffer, v1::LABEL_NAME, name);
        put_bytes_field(self.output.buffer, v1::LABEL_VALUE, value);
        Ok(())
    }
}

/// References on their way to become pairs: they may be spread over several fields.
#[derive(Debug, Default)]
struct Pairs {
    waiting: Option<u64>,
    count: usize,
}

impl Pairs {
    #[inline]
    fn push(&mut self, reference: u64) -> Option<(u64, u64)> {
        self.count += 1;
        match self.waiting.take() {
            None => {
                self.waiting = Some(reference);
                None
            }
            Some(name) => Some((name, reference)),
        }
    }

    fn check(&self) -> Result<(), InvalidReferences> {
        let count = self.count;
        match self.waiting {
            Some(_) => Err(InvalidReferences::Odd { count }),
            None => Ok(()),
        }
    }
}

fn check_framing(message: &[u8]) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    while fields.next_field()?.is_some() {}
    Ok(())
}
