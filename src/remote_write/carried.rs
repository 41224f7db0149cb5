//! The carried form: a 1.0 request that has what a 2.0 request says beyond it.
//!
//! It is a valid `WriteRequest`, so that it is walked, filtered, joined and halved as any other.
//! What 1.0 has no place for stands in fields of our own, which never leave the relay:
//!
//! ```text
//! TimeSeries:   metadata = 1001 {type = 1 (number), help = 3, unit = 4 (strings), any other as it
//!               came}; created_timestamp = 1002 (number); unknown = 1003 (a field of a 2.0 series)
//! WriteRequest: unknown = 1003 (a field of a 2.0 request)
//! ```
//!
//! Samples, histograms and exemplars of the two versions have the same fields, but for 2.0's start
//! timestamps and the exemplars' labels: they stand here as they came, the labels spelled out.
//!
//! Only [`super::v2::Decoder`] writes this form, and a [`Form`](super::block::Form) stands beside
//! it wherever it goes: a 1.0 request from outside that has the same field numbers is not mistaken
//! for it. [`to_v1`] takes away what 1.0 does not know and says how much that was;
//! [`super::v2::Encoder`] puts everything back where it was.

use super::v1::{EXEMPLARS, HISTOGRAMS, LABELS, METADATA, SAMPLES, TIMESERIES};
use super::wire::{
    Field, Fields, Value, WireError, close_field, open_field, put_bytes_field, put_bytes_header,
    put_varint_field,
};

/// What a series says of its metric.
pub(super) const SERIES_METADATA: u32 = 1001;
/// When the series began, in milliseconds since 1970, as release candidates of 2.0 had it.
pub(super) const CREATED_TIMESTAMP: u32 = 1002;
/// A field of a 2.0 series or request that is not known here, as it came.
pub(super) const UNKNOWN: u32 = 1003;

/// Fields of `SERIES_METADATA`, and of 2.0's `Metadata`, where help and unit are references.
pub(super) const METADATA_TYPE: u32 = 1;
pub(super) const METADATA_HELP: u32 = 3;
pub(super) const METADATA_UNIT: u32 = 4;

/// Fields of 1.0's `MetricMetadata`; its type has the number that it has in 2.0.
const FAMILY_NAME: u32 = 2;
const FAMILY_HELP: u32 = 4;
const FAMILY_UNIT: u32 = 5;

/// The last field of a 1.0 sample, of an exemplar, and of a histogram.
pub(super) const SAMPLE_FIELDS: u32 = 2;
pub(super) const EXEMPLAR_FIELDS: u32 = 3;
pub(super) const HISTOGRAM_FIELDS: u32 = 16;

/// The label that names the metric.
pub(super) const NAME: &[u8] = b"__name__";

/// What is known of a metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesMetadata<'a> {
    /// The number of its type, the same in both versions; 0 if it is not known.
    pub metric_type: u64,
    /// What it means, UTF-8; often empty.
    pub help: &'a [u8],
    /// Its unit, UTF-8; mostly empty.
    pub unit: &'a [u8],
}

/// What was left out because the target has no place for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Start timestamps, of series, samples and histograms.
    pub start_timestamps: u64,
    /// Fields that are not known here.
    pub unknown_fields: u64,
    /// 1.0 metadata entries: 2.0 has metadata with the series.
    pub metadata: u64,
    /// Series without a sample or histogram.
    pub series: u64,
    /// Exemplars of such series.
    pub exemplars: u64,
}

impl SeriesMetadata<'_> {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.metric_type == 0 && self.help.is_empty() && self.unit.is_empty()
    }
}

impl<'a> SeriesMetadata<'a> {
    /// Takes over what the message of a field `SERIES_METADATA` says. Answers how many of its
    /// fields are not known here.
    pub(super) fn merge(&mut self, message: &'a [u8]) -> Result<u64, WireError> {
        let mut unknown = 0;
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next_field()? {
            match (field.number, field.value) {
                (METADATA_TYPE, Value::Varint(number)) => self.metric_type = number,
                (METADATA_HELP, Value::Bytes(text)) => self.help = text,
                (METADATA_UNIT, Value::Bytes(text)) => self.unit = text,
                _ => unknown += 1,
            }
        }
        Ok(unknown)
    }
}

/// Appends a carried request as a 1.0 request. `metadata` is told what series say of their metrics,
/// by the metric's name; a series that says nothing else is left out.
///
/// # Errors
/// If the request is malformed. What was appended by then must be forgotten.
pub fn to_v1<'a>(
    request: &'a [u8],
    buffer: &mut Vec<u8>,
    mut metadata: impl FnMut(&'a [u8], SeriesMetadata<'a>),
) -> Result<LeftOut, WireError> {
    let mut left_out = LeftOut::default();
    let mut fields = Fields::new(request);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (TIMESERIES, Value::Bytes(message)) => {
                let before = buffer.len();
                let start = open_field(buffer, TIMESERIES);
                if series_to_v1(message, buffer, &mut left_out, &mut metadata)? {
                    close_field(buffer, start);
                } else {
                    buffer.truncate(before);
                    left_out.series += 1;
                }
            }
            (UNKNOWN, Value::Bytes(_)) => left_out.unknown_fields += 1,
            _ => buffer.extend_from_slice(field.raw),
        }
    }
    Ok(left_out)
}

/// Answers whether anything but labels and metadata is in the series.
fn series_to_v1<'a>(
    message: &'a [u8],
    buffer: &mut Vec<u8>,
    left_out: &mut LeftOut,
    metadata: &mut impl FnMut(&'a [u8], SeriesMetadata<'a>),
) -> Result<bool, WireError> {
    let (mut name, mut said) = (None, None::<SeriesMetadata<'a>>);
    let mut has_data = false;
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (LABELS, Value::Bytes(label)) => {
                let label = Label::read(label)?;
                if label.name == NAME {
                    name = Some(label.value);
                }
                buffer.extend_from_slice(field.raw);
            }
            (SAMPLES | EXEMPLARS | HISTOGRAMS, Value::Bytes(inner)) => {
                put_known(buffer, field.number, &field, inner, left_out)?;
                has_data = true;
            }
            (SERIES_METADATA, Value::Bytes(inner)) => {
                left_out.unknown_fields += said.get_or_insert_default().merge(inner)?;
            }
            (CREATED_TIMESTAMP, _) => left_out.start_timestamps += 1,
            (UNKNOWN, _) => left_out.unknown_fields += 1,
            _ => buffer.extend_from_slice(field.raw),
        }
    }
    if let (Some(name), Some(said)) = (name, said) {
        metadata(name, said);
    }
    Ok(has_data)
}

/// Appends a sample, exemplar or histogram (the field of a 1.0 series with the message `inner`) as
/// field `number`, with those of its fields that 1.0 knows. The others are counted.
#[inline]
pub(super) fn put_known(
    buffer: &mut Vec<u8>,
    number: u32,
    field: &Field<'_>,
    inner: &[u8],
    left_out: &mut LeftOut,
) -> Result<(), WireError> {
    let (last, start_timestamp) = match field.number {
        SAMPLES => (SAMPLE_FIELDS, 3),
        HISTOGRAMS => (HISTOGRAM_FIELDS, 17),
        _ => (EXEMPLAR_FIELDS, 0),
    };
    let mut length = 0;
    let mut fields = Fields::new(inner);
    while let Some(inner) = fields.next_field()? {
        if inner.number <= last {
            length += inner.raw.len();
        } else if inner.number == start_timestamp {
            left_out.start_timestamps += 1;
        } else {
            left_out.unknown_fields += 1;
        }
    }
    put_bytes_header(buffer, number, length);
    if length == inner.len() {
        buffer.extend_from_slice(inner);
        return Ok(());
    }
    let mut fields = Fields::new(inner);
    while let Some(inner) = fields.next_field()? {
        if inner.number <= last {
            buffer.extend_from_slice(inner.raw);
        }
    }
    Ok(())
}

/// A 1.0 label.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Label<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    /// Fields that are not known here.
    pub(super) unknown: u64,
}

impl<'a> Label<'a> {
    #[inline]
    pub(super) fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut label = Self::default();
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next_field()? {
            match (field.number, field.value) {
                (1, Value::Bytes(bytes)) => label.name = bytes,
                (2, Value::Bytes(bytes)) => label.value = bytes,
                _ => label.unknown += 1,
            }
        }
        Ok(label)
    }
}

/// What the message of a 1.0 metadata field says: the family's name, and the rest.
///
/// # Errors
/// If the message is malformed.
pub fn read_family(message: &[u8]) -> Result<(&[u8], SeriesMetadata<'_>), WireError> {
    let mut family: &[u8] = b"";
    let mut metadata = SeriesMetadata::default();
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (METADATA_TYPE, Value::Varint(number)) => metadata.metric_type = number,
            (FAMILY_NAME, Value::Bytes(text)) => family = text,
            (FAMILY_HELP, Value::Bytes(text)) => metadata.help = text,
            (FAMILY_UNIT, Value::Bytes(text)) => metadata.unit = text,
            _ => {}
        }
    }
    Ok((family, metadata))
}

/// Appends a 1.0 metadata field.
pub fn put_family(buffer: &mut Vec<u8>, family: &[u8], metadata: SeriesMetadata<'_>) {
    let start = open_field(buffer, METADATA);
    if metadata.metric_type != 0 {
        put_varint_field(buffer, METADATA_TYPE, metadata.metric_type);
    }
    for (number, text) in [
        (FAMILY_NAME, family),
        (FAMILY_HELP, metadata.help),
        (FAMILY_UNIT, metadata.unit),
    ] {
        if !text.is_empty() {
            put_bytes_field(buffer, number, text);
        }
    }
    close_field(buffer, start);
}
