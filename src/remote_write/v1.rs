//! Remote write 1.0: walking a `WriteRequest` as borrowed slices, and putting series back together.
//!
//! ```text
//! WriteRequest: timeseries = 1 (repeated TimeSeries); 2 is Cortex's; metadata = 3 (repeated)
//! TimeSeries:   labels = 1 (repeated Label); samples = 2; exemplars = 3; histograms = 4
//! Label:        name = 1; value = 2 (strings)
//! ```
//!
//! A series' labels are read and checked; all its other fields are its payload, carried as bytes.
//! Of the payload only the framing is checked, so that a broken sample is refused here and not by
//! the receiver, where it would take a whole batch with it.

use thiserror::Error;

use super::carried::{SERIES_METADATA, SeriesMetadata};
use super::wire::{
    Field, Fields, Value, WireError, bytes_field_len, put_bytes_field, put_bytes_header,
};
use crate::model::Label;

mod alike;
mod canonical;
mod labels;
mod payload;
mod split;

#[cfg(test)]
mod tests;

use labels::LabelReader;
pub use labels::{InvalidLabels, Labels, Limits};
use payload::{check_framing, count_payload};
pub use split::{Piece, count, cut, halve};

/// `WriteRequest.timeseries`.
pub const TIMESERIES: u32 = 1;
/// `WriteRequest.metadata`.
pub const METADATA: u32 = 3;
/// `TimeSeries.labels`.
pub const LABELS: u32 = 1;
/// `TimeSeries.samples`.
pub const SAMPLES: u32 = 2;
/// `TimeSeries.exemplars`.
pub const EXEMPLARS: u32 = 3;
/// `TimeSeries.histograms`.
pub const HISTOGRAMS: u32 = 4;
pub(super) const LABEL_NAME: u32 = 1;
pub(super) const LABEL_VALUE: u32 = 2;

/// The tag of `WriteRequest.timeseries`.
const TIMESERIES_TAG: u8 = 0x0a;

/// Why a request is refused: malformed, or with labels that no receiver would take.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The request itself is not a protobuf message.
    #[error("request is no valid WriteRequest")]
    Request(#[source] WireError),
    /// A series is not a protobuf message.
    #[error("series {index} is no valid TimeSeries")]
    Series {
        /// The series' place in the request, from 0.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: WireError,
    },
    /// Fields of the request that are not known here, more than are carried.
    #[error("unknown fields are over the limit of {limit} bytes")]
    Unknown {
        /// The limit in bytes.
        limit: usize,
    },
    /// A series' labels are not acceptable.
    #[error("series {index} ({series}) has invalid labels")]
    Labels {
        /// The series' place in the request, from 0.
        index: usize,
        /// The series as far as it can be shown, shortened.
        series: String,
        /// What is wrong with them.
        #[source]
        source: InvalidLabels,
    },
}

/// One part of a request.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// A series; its labels and payload are in the [`Series`] that was passed in.
    Series,
    /// A whole metadata field, tag and all.
    Metadata(&'a [u8]),
    /// A whole field that is not known here, tag and all.
    Unknown(&'a [u8]),
}

/// One series: labels read, the rest as it came. Used again from series to series of one walk.
#[derive(Debug, Default)]
pub struct Series<'a> {
    /// Sorted by name, each name once, no empty value.
    pub labels: Labels<'a>,
    /// Samples and native histograms in the payload.
    pub samples: u64,
    /// How many of them are native histograms.
    pub histograms: u64,
    /// Exemplars in the payload.
    pub exemplars: u64,
    raw: &'a [u8],
    message: &'a [u8],
    /// Where the payload begins, if the labels stand in front of it as `labels` has them.
    payload_start: Option<usize>,
}

/// Which parts of the payload go along, beside samples and what is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Exemplars.
    pub exemplars: bool,
    /// Native histograms.
    pub histograms: bool,
}

impl Payload {
    /// Everything.
    pub const ALL: Self = Self {
        exemplars: true,
        histograms: true,
    };
}

/// Walks over the parts of a decompressed `WriteRequest`.
#[derive(Debug)]
pub struct Walker<'a> {
    fields: Fields<'a>,
    reader: LabelReader,
    series_index: usize,
}

impl<'a> Walker<'a> {
    /// Starts at the front of `request`.
    #[must_use]
    pub fn new(request: &'a [u8], limits: Limits) -> Self {
        Self {
            fields: Fields::new(request),
            reader: LabelReader::new(limits),
            series_index: 0,
        }
    }

    /// How many series have been read, invalid ones among them.
    #[must_use]
    pub fn series(&self) -> usize {
        self.series_index
    }

    /// Reads the next part; of a series, into `series`. `None` at the end of the request.
    ///
    /// # Errors
    /// If the request is malformed or a series invalid. After an invalid series the walk can go on
    /// with the next one, to see what else is wrong; after any other error it must not.
    #[inline]
    pub fn next_part(&mut self, series: &mut Series<'a>) -> Result<Option<Part<'a>>, DecodeError> {
        if let Some((raw, message)) = self.fields.next_short_field(TIMESERIES_TAG) {
            return self.read_series(raw, message, series);
        }
        let Some(field) = self.fields.next_field().map_err(DecodeError::Request)? else {
            return Ok(None);
        };
        match (field.number, field.value) {
            (TIMESERIES, Value::Bytes(message)) => self.read_series(field.raw, message, series),
            (METADATA, Value::Bytes(_)) => Ok(Some(Part::Metadata(field.raw))),
            _ => Ok(Some(Part::Unknown(field.raw))),
        }
    }

    #[inline]
    fn read_series(
        &mut self,
        raw: &'a [u8],
        message: &'a [u8],
        series: &mut Series<'a>,
    ) -> Result<Option<Part<'a>>, DecodeError> {
        let index = self.series_index;
        self.series_index += 1;
        series.read(raw, message, &mut self.reader, index)?;
        Ok(Some(Part::Series))
    }
}

impl<'a> Series<'a> {
    /// The series as a field of a request, if it stands there just as its labels say: sorted, in
    /// front, none empty. Such a series is forwarded by a copy of these bytes.
    #[must_use]
    pub fn canonical(&self) -> Option<&'a [u8]> {
        self.payload_start.map(|_| self.raw)
    }

    /// The labels as they are encoded in the series, if [`Self::canonical`].
    #[must_use]
    pub fn label_block(&self) -> Option<&'a [u8]> {
        self.payload_start.map(|end| &self.message[..end])
    }

    /// Appends the series as a field of a request, with `label_block` (from [`encode_labels`]) in
    /// place of its own labels.
    pub fn encode_with(&self, label_block: &[u8], buffer: &mut Vec<u8>) {
        put_bytes_header(buffer, TIMESERIES, label_block.len() + self.payload_len());
        buffer.extend_from_slice(label_block);
        match self.payload_start {
            Some(start) => buffer.extend_from_slice(&self.message[start..]),
            None => self
                .payload_fields()
                .for_each(|field| buffer.extend_from_slice(field.raw)),
        }
    }

    /// Whether there is nothing in the payload that `payload` leaves out.
    #[must_use]
    #[inline]
    pub fn is_within(&self, payload: Payload) -> bool {
        (self.exemplars == 0 || payload.exemplars) && (self.histograms == 0 || payload.histograms)
    }

    /// The same as [`Self::encode_with`], but of the payload only what `payload` lets go along.
    pub fn encode_part(&self, label_block: &[u8], payload: Payload, buffer: &mut Vec<u8>) {
        let goes_along = |field: &Field<'_>| match (field.number, field.value) {
            (EXEMPLARS, Value::Bytes(_)) => payload.exemplars,
            (HISTOGRAMS, Value::Bytes(_)) => payload.histograms,
            _ => true,
        };
        let fields = || self.payload_fields().filter(goes_along);
        let length: usize = fields().map(|field| field.raw.len()).sum();
        put_bytes_header(buffer, TIMESERIES, label_block.len() + length);
        buffer.extend_from_slice(label_block);
        fields().for_each(|field| buffer.extend_from_slice(field.raw));
    }

    /// What the series says of its metric, if it is in the carried form and says anything.
    #[must_use]
    pub fn carried_metadata(&self) -> Option<SeriesMetadata<'a>> {
        let said = |field: Field<'a>| match (field.number, field.value) {
            (SERIES_METADATA, Value::Bytes(message)) => Some(message),
            _ => None,
        };
        let mut metadata = SeriesMetadata::default();
        for message in self.payload_fields().filter_map(said) {
            metadata.merge(message).ok()?;
        }
        (!metadata.is_empty()).then_some(metadata)
    }

    fn payload_len(&self) -> usize {
        match self.payload_start {
            Some(start) => self.message.len() - start,
            None => self.payload_fields().map(|field| field.raw.len()).sum(),
        }
    }

    /// The fields that are no labels; the message was walked to its end before.
    fn payload_fields(&self) -> impl Iterator<Item = Field<'a>> {
        let mut fields = Fields::new(self.message);
        std::iter::from_fn(move || fields.next_field().ok().flatten())
            .filter(|field| !matches!((field.number, field.value), (LABELS, Value::Bytes(_))))
    }

    #[inline]
    fn read(
        &mut self,
        raw: &'a [u8],
        message: &'a [u8],
        reader: &mut LabelReader,
        index: usize,
    ) -> Result<(), DecodeError> {
        (self.raw, self.message) = (raw, message);
        let end = reader.read_alike(&mut self.labels, message);
        let end = end.or_else(|| reader.read_canonical(&mut self.labels, message));
        let canonical = end.and_then(|end| Some((end, count_payload(&message[end..])?)));
        if let Some((payload_start, counted)) = canonical {
            self.payload_start = Some(payload_start);
            (self.samples, self.histograms, self.exemplars) = counted;
            return Ok(());
        }
        self.labels.start(message);
        self.read_any(reader, index)
    }

    /// Reads a series that is valid but not canonical, or says what is wrong with it.
    fn read_any(&mut self, reader: &mut LabelReader, index: usize) -> Result<(), DecodeError> {
        (self.samples, self.histograms, self.exemplars) = (0, 0, 0);
        let (mut labels_end, mut labels_in_front) = (0, true);
        reader.start();
        let mut fields = Fields::new(self.message);
        loop {
            let start = fields.offset();
            let field = fields.next_field();
            let field = field.map_err(|source| DecodeError::Series { index, source })?;
            let Some(Field { number, value, raw }) = field else {
                break;
            };
            match (number, value) {
                (LABELS, Value::Bytes(label)) => {
                    labels_in_front &= start == labels_end;
                    labels_end = fields.offset();
                    reader.push(&mut self.labels, start, raw, label)
                }
                (SAMPLES, Value::Bytes(sample)) => {
                    self.samples += 1;
                    check_framing(sample)
                }
                (HISTOGRAMS, Value::Bytes(histogram)) => {
                    self.samples += 1;
                    self.histograms += 1;
                    check_framing(histogram)
                }
                (EXEMPLARS, Value::Bytes(exemplar)) => {
                    self.exemplars += 1;
                    check_framing(exemplar)
                }
                _ => Ok(()),
            }
            .map_err(|source| DecodeError::Series { index, source })?;
        }
        let canonical = reader.finish(&mut self.labels, labels_end);
        let canonical = canonical.map_err(|source| DecodeError::Labels {
            index,
            series: self.labels.describe(),
            source,
        })?;
        self.payload_start = (canonical && labels_in_front).then_some(labels_end);
        Ok(())
    }
}

/// Appends `labels` as they stand in a series.
pub fn encode_labels<'l>(labels: impl Iterator<Item = Label<'l>>, buffer: &mut Vec<u8>) {
    for Label { name, value } in labels {
        put_bytes_header(
            buffer,
            LABELS,
            bytes_field_len(name.len()) + bytes_field_len(value.len()),
        );
        put_bytes_field(buffer, LABEL_NAME, name.as_bytes());
        put_bytes_field(buffer, LABEL_VALUE, value.as_bytes());
    }
}
