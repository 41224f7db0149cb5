//! Halving a request, to find what a receiver refuses in it.

use std::ops::Range;

use super::{HISTOGRAMS, SAMPLES, TIMESERIES};
use crate::remote_write::block::Counts;
use crate::remote_write::wire::{Fields, Value, WireError};

/// A part of a request: whole fields that stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it stands in the request.
    pub range: Range<usize>,
    /// What it holds.
    pub counts: Counts,
}

/// Cuts a decompressed request into two pieces with half of its series each, in order. `None` if
/// it has fewer than two.
///
/// # Errors
/// If the request is malformed.
pub fn halve(request: &[u8]) -> Result<Option<[Piece; 2]>, WireError> {
    let series = count(request)?.series;
    if series < 2 {
        return Ok(None);
    }
    cut(request, series / 2).map(Some)
}

/// Cuts a decompressed request behind its first `series` series.
///
/// # Errors
/// If the request is malformed.
pub fn cut(request: &[u8], series: u64) -> Result<[Piece; 2], WireError> {
    let mut fields = Fields::new(request);
    let mut seen = 0;
    while seen < series {
        let Some(field) = fields.next_field()? else {
            break;
        };
        seen += u64::from(field.number == TIMESERIES);
    }
    let cut = fields.offset();
    let piece = |range: Range<usize>| {
        let counts = count(&request[range.clone()])?;
        Ok(Piece { range, counts })
    };
    Ok([piece(0..cut)?, piece(cut..request.len())?])
}

/// Counts what a decompressed request holds.
///
/// # Errors
/// If the request is malformed.
pub fn count(request: &[u8]) -> Result<Counts, WireError> {
    let mut counts = Counts {
        raw_len: request.len() as u64,
        ..Counts::default()
    };
    let mut fields = Fields::new(request);
    while let Some(field) = fields.next_field()? {
        if let (TIMESERIES, Value::Bytes(series)) = (field.number, field.value) {
            counts.series += 1;
            let mut fields = Fields::new(series);
            while let Some(field) = fields.next_field()? {
                let is_sample = matches!(
                    (field.number, field.value),
                    (SAMPLES | HISTOGRAMS, Value::Bytes(_))
                );
                counts.samples += u64::from(is_sample);
            }
        }
    }
    Ok(counts)
}
