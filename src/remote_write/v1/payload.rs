//! What follows the labels of a series: counted, and its framing checked.

use super::{EXEMPLARS, HISTOGRAMS, LABELS, SAMPLES};
use crate::remote_write::wire::{Fields, Value, WireError};

/// The tag of `TimeSeries.samples`.
const SAMPLE_TAG: u8 = 0x12;

/// Samples and histograms, histograms alone, and exemplars in what follows the labels of a series.
/// `None` if labels are in it, or something that is not valid.
#[inline]
pub(super) fn count_payload(payload: &[u8]) -> Option<(u64, u64, u64)> {
    if payload.as_array().is_some_and(is_usual_sample) {
        return Some((1, 0, 0));
    }
    let (mut samples, mut histograms, mut exemplars) = (0, 0, 0);
    let mut fields = Fields::new(payload);
    while let Some(field) = fields.next_field().ok()? {
        match (field.number, field.value) {
            (LABELS, Value::Bytes(_)) => return None,
            (SAMPLES, Value::Bytes(sample)) => {
                samples += 1;
                if !is_plain_sample(sample) {
                    check_framing(sample).ok()?;
                }
            }
            (HISTOGRAMS, Value::Bytes(histogram)) => {
                samples += 1;
                histograms += 1;
                check_framing(histogram).ok()?;
            }
            (EXEMPLARS, Value::Bytes(exemplar)) => {
                exemplars += 1;
                check_framing(exemplar).ok()?;
            }
            _ => {}
        }
    }
    Some((samples, histograms, exemplars))
}

/// Whether a payload is one sample with a timestamp of this century or the next few, which takes
/// six bytes: so are nearly all.
#[inline]
fn is_usual_sample(payload: &[u8; 18]) -> bool {
    let [tag, length, value_tag, _, _, _, _, _, _, _, end @ ..] = payload;
    // The last byte of the value, the timestamp's tag, and which of its bytes have one behind them.
    let mask = u64::from_le_bytes([0, 0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]);
    let expected = u64::from_le_bytes([0, 0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0]);
    [*tag, *length, *value_tag] == [SAMPLE_TAG, 16, 0x09]
        && u64::from_le_bytes(*end) & mask == expected
}

/// Whether a sample is just a value and a timestamp behind it, as nearly all are.
#[inline]
fn is_plain_sample(sample: &[u8]) -> bool {
    match sample {
        [0x09, _, _, _, _, _, _, _, _, 0x10, timestamp @ .., last] => {
            *last < 0x80 && timestamp.len() < 9 && timestamp.iter().all(|byte| *byte >= 0x80)
        }
        _ => false,
    }
}

/// Checks that a message is one, whatever its fields.
pub(super) fn check_framing(message: &[u8]) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    while fields.next_field()?.is_some() {}
    Ok(())
}
