//! What a sample says.

use prost::Message as _;

use super::encode::convert_histogram;
use super::hashes::hasher;
use crate::exposition::protobuf::Histogram;

/// The value of a sample.
#[derive(Clone, Copy)]
pub(super) enum Value<'v> {
    Float(f64),
    Histogram {
        histogram: &'v Histogram,
        is_gauge: bool,
    },
}

impl Value<'_> {
    /// Two values are the same if this is.
    pub(super) fn hash(self) -> u64 {
        match self {
            Self::Float(value) => value.to_bits(),
            Self::Histogram {
                histogram,
                is_gauge,
            } => {
                // Without its time and exemplars.
                let histogram = convert_histogram(histogram, is_gauge, 0).unwrap_or_default();
                let mut hasher = hasher();
                hasher.update(&histogram.encode_to_vec());
                hasher.digest()
            }
        }
    }
}
