//! Whether a native histogram's count is what its buckets add up to, as Prometheus checks it.
//!
//! Only integer histograms: in a float histogram rounding may make the two differ. If the sum of
//! the observations is NaN there may be observations outside of all buckets, so the count may be
//! larger then.

use thiserror::Error;

use super::symbols::numbers;
use crate::remote_write::wire::{Fields, Value, WireError};

const COUNT_INT: u32 = 1;
const COUNT_FLOAT: u32 = 2;
const SUM: u32 = 3;
const ZERO_COUNT_INT: u32 = 6;
const NEGATIVE_SPANS: u32 = 8;
const NEGATIVE_DELTAS: u32 = 9;
const POSITIVE_SPANS: u32 = 11;
const POSITIVE_DELTAS: u32 = 12;
const SPAN_LENGTH: u32 = 2;

/// Why a histogram is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidHistogram {
    /// Its buckets do not add up.
    #[error("histogram counts {count} observations, but its buckets hold {buckets}")]
    Count {
        /// What it says.
        count: u64,
        /// What the buckets hold.
        buckets: u64,
    },
    /// A bucket would hold fewer than none.
    #[error("histogram has a bucket with a negative count")]
    NegativeBucket,
    /// Spans and buckets do not fit.
    #[error("histogram has spans for {spans} buckets and counts for {buckets}")]
    Spans {
        /// Buckets in the spans.
        spans: u64,
        /// Buckets with counts.
        buckets: u64,
    },
    /// A bucket or their sum is larger than any count can be.
    #[error("histogram has counts that are too large")]
    Overflow,
}

/// One side of a histogram: its spans, and the counts of its buckets as differences.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    in_spans: u64,
    buckets: u64,
    /// The count of the bucket before.
    last: i64,
    total: u64,
}

impl Side {
    fn add_span(&mut self, message: &[u8]) -> Result<(), WireError> {
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next_field()? {
            if let (SPAN_LENGTH, Value::Varint(length)) = (field.number, field.value) {
                self.in_spans = self.in_spans.saturating_add(length);
            }
        }
        Ok(())
    }

    fn add_deltas(&mut self, value: Value<'_>) -> Result<Option<InvalidHistogram>, WireError> {
        let Some(deltas) = numbers(value) else {
            return Ok(None);
        };
        for delta in deltas {
            let delta = unzigzag(delta?);
            let Some(count) = self.last.checked_add(delta) else {
                return Ok(Some(InvalidHistogram::Overflow));
            };
            let Ok(added) = u64::try_from(count) else {
                return Ok(Some(InvalidHistogram::NegativeBucket));
            };
            let Some(total) = self.total.checked_add(added) else {
                return Ok(Some(InvalidHistogram::Overflow));
            };
            self.buckets += 1;
            (self.last, self.total) = (count, total);
        }
        Ok(None)
    }

    fn check(&self) -> Result<(), InvalidHistogram> {
        if self.in_spans == self.buckets {
            return Ok(());
        }
        Err(InvalidHistogram::Spans {
            spans: self.in_spans,
            buckets: self.buckets,
        })
    }
}

/// Checks a histogram: the framing of its fields, and its count. The outer error is the framing's.
pub(super) fn check(message: &[u8]) -> Result<Result<(), InvalidHistogram>, WireError> {
    let (mut count, mut zero_count, mut sum) = (0, 0, 0.0);
    let (mut negative, mut positive) = (Side::default(), Side::default());
    let (mut is_float, mut problem) = (false, None);
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (COUNT_INT, Value::Varint(number)) => (count, is_float) = (number, false),
            (COUNT_FLOAT, _) => is_float = true,
            (SUM, Value::Fixed64(bytes)) => sum = float(bytes),
            (ZERO_COUNT_INT, Value::Varint(number)) => zero_count = number,
            (NEGATIVE_SPANS, Value::Bytes(span)) => negative.add_span(span)?,
            (POSITIVE_SPANS, Value::Bytes(span)) => positive.add_span(span)?,
            (NEGATIVE_DELTAS, deltas) => problem = problem.or(negative.add_deltas(deltas)?),
            (POSITIVE_DELTAS, deltas) => problem = problem.or(positive.add_deltas(deltas)?),
            _ => {}
        }
    }
    if is_float {
        return Ok(Ok(()));
    }
    if let Some(problem) = problem {
        return Ok(Err(problem));
    }
    Ok(add_up(count, zero_count, sum, negative, positive))
}

fn add_up(
    count: u64,
    zero_count: u64,
    sum: f64,
    negative: Side,
    positive: Side,
) -> Result<(), InvalidHistogram> {
    negative.check()?;
    positive.check()?;
    let buckets = zero_count
        .checked_add(negative.total)
        .and_then(|buckets| buckets.checked_add(positive.total))
        .ok_or(InvalidHistogram::Overflow)?;
    if buckets == count || sum.is_nan() && buckets < count {
        Ok(())
    } else {
        Err(InvalidHistogram::Count { count, buckets })
    }
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn float(bytes: &[u8]) -> f64 {
    bytes.try_into().map_or(0.0, f64::from_le_bytes)
}
