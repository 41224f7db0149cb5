//! Exemplars that stand apart from their samples.
//!
//! Prometheus writes an exemplar as a series of its own, with the same labels as its sample. A 2.0
//! request must not have a series without a sample or histogram, so before one is written such
//! exemplars move to the series with their labels, which is next to them in practice.

use hashbrown::{HashMap, HashSet};

use crate::remote_write::v1::{EXEMPLARS, HISTOGRAMS, LABELS, SAMPLES, TIMESERIES};
use crate::remote_write::wire::{Fields, Value, WireError, put_bytes_header};

/// Where a series with these labels, and its samples, gets the exemplars.
type Apart<'r> = HashMap<Vec<u8>, Vec<&'r [u8]>>;

/// The request with each exemplar that stands apart moved to the first series that has its labels;
/// where there is none it stays. `None` if no exemplar stands apart.
///
/// # Errors
/// If the request is malformed.
pub(super) fn fold(request: &[u8]) -> Result<Option<Vec<u8>>, WireError> {
    let mut apart = Apart::new();
    each_series(request, |message| {
        if stands_apart(message)? {
            let exemplars = apart.entry(labels(message)?).or_default();
            exemplars.extend(fields_of(message, EXEMPLARS)?);
        }
        Ok(())
    })?;
    if apart.is_empty() {
        return Ok(None);
    }
    // Those without a series to go to stay where they are.
    let mut homes = HashSet::new();
    each_series(request, |message| {
        if !stands_apart(message)? {
            let labels = labels(message)?;
            if apart.contains_key(&labels) {
                homes.insert(labels);
            }
        }
        Ok(())
    })?;
    let mut folded = Vec::with_capacity(request.len());
    let mut fields = Fields::new(request);
    while let Some(field) = fields.next_field()? {
        let (TIMESERIES, Value::Bytes(message)) = (field.number, field.value) else {
            folded.extend_from_slice(field.raw);
            continue;
        };
        let labels = labels(message)?;
        let moved = match (stands_apart(message)?, homes.contains(&labels)) {
            (true, true) => continue,
            (false, true) => apart.remove(&labels).unwrap_or_default(),
            (_, false) => Vec::new(),
        };
        let length: usize = moved.iter().map(|exemplar| exemplar.len()).sum();
        put_bytes_header(&mut folded, TIMESERIES, message.len() + length);
        folded.extend_from_slice(message);
        for exemplar in moved {
            folded.extend_from_slice(exemplar);
        }
    }
    Ok(Some(folded))
}

fn each_series<'r>(
    request: &'r [u8],
    mut look: impl FnMut(&'r [u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mut fields = Fields::new(request);
    while let Some(field) = fields.next_field()? {
        if let (TIMESERIES, Value::Bytes(message)) = (field.number, field.value) {
            look(message)?;
        }
    }
    Ok(())
}

/// Whether a series has exemplars and neither samples nor histograms.
fn stands_apart(message: &[u8]) -> Result<bool, WireError> {
    let mut has_exemplars = false;
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next_field()? {
        match field.number {
            SAMPLES | HISTOGRAMS => return Ok(false),
            EXEMPLARS => has_exemplars = true,
            _ => {}
        }
    }
    Ok(has_exemplars)
}

/// The labels of a series, encoded.
fn labels(message: &[u8]) -> Result<Vec<u8>, WireError> {
    Ok(fields_of(message, LABELS)?.concat())
}

/// The fields of a series with this number, whole.
fn fields_of(message: &[u8], number: u32) -> Result<Vec<&[u8]>, WireError> {
    let mut found = Vec::new();
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next_field()? {
        if field.number == number {
            found.push(field.raw);
        }
    }
    Ok(found)
}
