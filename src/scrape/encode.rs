//! Samples as series of a remote-write 1.0 request, handed to the router in bounded pieces.

use std::sync::Arc;

use prost::Message as _;

use super::blocks::Encoded;
use crate::exposition::Exemplar;
use crate::exposition::protobuf::{BucketSpan, Histogram};
use crate::remote_write::block::Form;
use crate::remote_write::generated::prometheus as wire;
use crate::remote_write::generated::prometheus::histogram::{Count, ResetHint, ZeroCount};
use crate::remote_write::v1::{DecodeError, TIMESERIES};
use crate::remote_write::wire::{put_bytes_header, put_varint};
use crate::route::{Delivery, Request, Router};

/// How much is encoded before it is handed to the router, in bytes.
const PIECE_BYTES: usize = 512 * 1024;

/// `TimeSeries.samples`, `.exemplars` and `.histograms`.
const SAMPLES: u32 = 2;
const EXEMPLARS: u32 = 3;
const HISTOGRAMS: u32 = 4;
/// Tags of `Sample.value` (1, eight bytes) and `Sample.timestamp` (2, a varint).
const VALUE_TAG: u8 = 1 << 3 | 1;
const TIMESTAMP_TAG: u8 = 2 << 3;

/// The value that says that a series has ended: one of the many bit patterns of NaN.
pub(super) const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// What a sample is, and so what the marker of its series' end looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Histogram,
    FloatHistogram,
}

/// What one scrape leaves for the routes. Nothing of it has happened yet.
#[derive(Debug)]
pub(super) struct Outbound<'r> {
    router: &'r Arc<Router>,
    buffer: Vec<u8>,
    payload: Vec<u8>,
    deliveries: Vec<Delivery>,
}

impl<'r> Outbound<'r> {
    /// For about so many bytes of a request.
    pub(super) fn new(router: &'r Arc<Router>, expected_bytes: usize) -> Self {
        Self {
            router,
            buffer: Vec::with_capacity(expected_bytes.min(PIECE_BYTES)),
            payload: Vec::new(),
            deliveries: Vec::new(),
        }
    }

    /// Forgets what was added.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        self.deliveries.clear();
    }

    /// Adds a sample of the series with the encoded `labels`.
    pub(super) fn add_float<'e>(
        &mut self,
        labels: Encoded<'_>,
        value: f64,
        timestamp_ms: i64,
        exemplars: impl Iterator<Item = &'e Exemplar<'e>>,
    ) -> Result<(), DecodeError> {
        self.payload.clear();
        put_sample(&mut self.payload, value, timestamp_ms);
        for exemplar in exemplars {
            put_exemplar(&mut self.payload, exemplar, timestamp_ms);
        }
        self.add_series(labels)
    }

    /// Adds a native histogram of the series with the encoded `labels`.
    pub(super) fn add_histogram<'e>(
        &mut self,
        labels: Encoded<'_>,
        histogram: &wire::Histogram,
        exemplars: impl Iterator<Item = &'e Exemplar<'e>>,
    ) -> Result<(), DecodeError> {
        self.payload.clear();
        put_histogram(&mut self.payload, histogram);
        for exemplar in exemplars {
            put_exemplar(&mut self.payload, exemplar, histogram.timestamp);
        }
        self.add_series(labels)
    }

    /// Adds the marker that the series with the encoded `labels` has ended.
    pub(super) fn add_end(
        &mut self,
        labels: Encoded<'_>,
        kind: Kind,
        timestamp_ms: i64,
    ) -> Result<(), DecodeError> {
        self.payload.clear();
        let count = match kind {
            Kind::Float => {
                put_sample(&mut self.payload, STALE, timestamp_ms);
                return self.add_series(labels);
            }
            Kind::Histogram => Count::CountInt(0),
            Kind::FloatHistogram => Count::CountFloat(0.0),
        };
        let marker = wire::Histogram {
            sum: STALE,
            timestamp: timestamp_ms,
            count: Some(count),
            ..wire::Histogram::default()
        };
        put_histogram(&mut self.payload, &marker);
        self.add_series(labels)
    }

    /// The buffer of the current request, for fields that are no series.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// How many bytes the current request has.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Hands over the rest; what came of all pieces, in order.
    pub(super) fn finish(&mut self) -> Result<Vec<Delivery>, DecodeError> {
        self.hand_over()?;
        Ok(std::mem::take(&mut self.deliveries))
    }

    fn add_series(&mut self, labels: Encoded<'_>) -> Result<(), DecodeError> {
        put_bytes_header(
            &mut self.buffer,
            TIMESERIES,
            labels.len() + self.payload.len(),
        );
        labels.write(&mut self.buffer);
        self.buffer.extend_from_slice(&self.payload);
        if self.buffer.len() >= PIECE_BYTES {
            self.hand_over()?;
        }
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), DecodeError> {
        if !self.buffer.is_empty() {
            self.deliveries
                .push(self.router.route(Request::new(Form::Plain, &self.buffer))?);
            self.buffer.clear();
        }
        Ok(())
    }
}

fn put_sample(buffer: &mut Vec<u8>, value: f64, timestamp_ms: i64) {
    let start = buffer.len();
    // The length follows the tag in one byte: a sample has 20 bytes at the most.
    put_bytes_header(buffer, SAMPLES, 0);
    let message = buffer.len();
    if value.to_bits() != 0 {
        buffer.push(VALUE_TAG);
        buffer.extend_from_slice(&value.to_le_bytes());
    }
    if timestamp_ms != 0 {
        buffer.push(TIMESTAMP_TAG);
        put_varint(buffer, timestamp_ms.cast_unsigned());
    }
    let length = u8::try_from(buffer.len() - message).expect("a sample has 20 bytes at the most");
    buffer[start + 1] = length;
}

/// An exemplar without a time of its own takes the sample's.
fn put_exemplar(buffer: &mut Vec<u8>, exemplar: &Exemplar<'_>, timestamp_ms: i64) {
    let label = |label: crate::model::Label<'_>| wire::Label {
        name: label.name.to_owned(),
        value: label.value.to_owned(),
    };
    let message = wire::Exemplar {
        labels: exemplar.labels().map(label).collect(),
        value: exemplar.value,
        timestamp: exemplar.timestamp_ms.unwrap_or(timestamp_ms),
    };
    put_bytes_header(buffer, EXEMPLARS, message.encoded_len());
    message.encode_raw(buffer);
}

fn put_histogram(buffer: &mut Vec<u8>, message: &wire::Histogram) {
    put_bytes_header(buffer, HISTOGRAMS, message.encoded_len());
    message.encode_raw(buffer);
}

/// The native histogram as remote write has it; `None` if its spans and buckets do not fit.
pub(super) fn convert_histogram(
    exposed: &Histogram,
    is_gauge: bool,
    timestamp_ms: i64,
) -> Option<wire::Histogram> {
    let is_float = exposed.is_float();
    let hint = if is_gauge {
        ResetHint::Gauge
    } else {
        ResetHint::Unknown
    };
    let mut histogram = wire::Histogram {
        sum: exposed.sum,
        schema: exposed.schema,
        zero_threshold: exposed.zero_threshold,
        negative_spans: convert_spans(&exposed.negative_span),
        positive_spans: convert_spans(&exposed.positive_span),
        reset_hint: hint.into(),
        timestamp: timestamp_ms,
        ..wire::Histogram::default()
    };
    let (negative, positive) = if is_float {
        histogram.count = Some(Count::CountFloat(exposed.count_float));
        histogram.zero_count = Some(ZeroCount::ZeroCountFloat(exposed.zero_count_float));
        histogram
            .negative_counts
            .clone_from(&exposed.negative_count);
        histogram
            .positive_counts
            .clone_from(&exposed.positive_count);
        (exposed.negative_count.len(), exposed.positive_count.len())
    } else {
        histogram.count = Some(Count::CountInt(exposed.count));
        histogram.zero_count = Some(ZeroCount::ZeroCountInt(exposed.zero_count));
        histogram
            .negative_deltas
            .clone_from(&exposed.negative_delta);
        histogram
            .positive_deltas
            .clone_from(&exposed.positive_delta);
        (exposed.negative_delta.len(), exposed.positive_delta.len())
    };
    let fit = buckets(&exposed.negative_span) == negative as u64
        && buckets(&exposed.positive_span) == positive as u64;
    fit.then_some(histogram)
}

fn convert_spans(spans: &[BucketSpan]) -> Vec<wire::BucketSpan> {
    let span = |span: &BucketSpan| wire::BucketSpan {
        offset: span.offset,
        length: span.length,
    };
    spans.iter().map(span).collect()
}

fn buckets(spans: &[BucketSpan]) -> u64 {
    spans.iter().map(|span| u64::from(span.length)).sum()
}
