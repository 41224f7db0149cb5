//! Remote write 2.0: from the wire into the [carried form](super::carried), and back.
//!
//! ```text
//! Request:    1 to 3 are 1.0's; symbols = 4 (strings); timeseries = 5 (repeated TimeSeries)
//! TimeSeries: labels_refs = 1 (pairs); samples = 2; histograms = 3; exemplars = 4; metadata = 5;
//!             created_timestamp = 6 (up to release candidate 3)
//! Sample:     value = 1; timestamp = 2; start_timestamp = 3 (since release candidate 4)
//! Histogram:  1 to 16 as in 1.0; start_timestamp = 17 (since release candidate 4)
//! Exemplar:   labels_refs = 1; value = 2; timestamp = 3
//! Metadata:   type = 1; help_ref = 3; unit_ref = 4
//! ```
//!
//! [`Decoder`] checks all that the walk over the carried form cannot see any more: the table of
//! symbols and the references into it, and histograms' counts. [`Encoder`] puts the series of any
//! number of requests into one, with one table.

mod decode;
mod encode;
mod error;
mod histogram;
mod interner;
mod series;
mod symbols;

#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use encode::{Encoder, Lookup};
pub use error::{DecodeError, InvalidSeries};
pub use histogram::InvalidHistogram;
pub use symbols::InvalidReferences;

use super::wire::Fields;

const SYMBOLS: u32 = 4;
const TIMESERIES: u32 = 5;
const LABELS_REFS: u32 = 1;
const SAMPLES: u32 = 2;
const HISTOGRAMS: u32 = 3;
const EXEMPLARS: u32 = 4;
const METADATA: u32 = 5;
const CREATED_TIMESTAMP: u32 = 6;

/// What a request holds that a receiver says whether it has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Float samples, staleness markers among them.
    pub samples: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Exemplars, of series with samples or histograms.
    pub exemplars: u64,
}

/// Whether a decompressed request is one of 2.0 by its fields: symbols in front, series, and
/// nothing of 1.0. Read as a 1.0 request it would be an empty one.
#[must_use]
pub fn is_request(request: &[u8]) -> bool {
    let mut fields = Fields::new(request);
    let numbers = std::iter::from_fn(|| fields.next_field().ok().flatten());
    let mut numbers = numbers.map(|field| field.number);
    let mut has_series = false;
    numbers.next() == Some(SYMBOLS)
        && numbers.all(|number| {
            has_series |= number == TIMESERIES;
            number >= SYMBOLS
        })
        && has_series
}
