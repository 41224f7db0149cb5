//! Why a 2.0 request, or a series in it, is refused.

use thiserror::Error;

use super::histogram::InvalidHistogram;
use super::symbols::InvalidReferences;
use crate::remote_write::wire::WireError;

/// Why a 2.0 request is refused.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The request itself is not a protobuf message.
    #[error("request is no valid io.prometheus.write.v2.Request")]
    Request(#[source] WireError),
    /// A field that is known has another type.
    #[error("field {number} of the request has a wrong type")]
    WrongType {
        /// The field's number.
        number: u32,
    },
    /// It has fields that only 1.0 has.
    #[error("request is a prometheus.WriteRequest, and its content type says otherwise")]
    OtherMessage,
    /// It has series and no symbols.
    #[error("request has no symbols")]
    NoSymbols,
    /// The first symbol is not the empty string.
    #[error("the first symbol is not empty")]
    FirstSymbol,
    /// A symbol is not UTF-8.
    #[error("symbol {index} is not valid UTF-8")]
    NotUtf8 {
        /// The symbol's index.
        index: usize,
    },
    /// With every reference replaced by its symbol it is larger than what is taken.
    #[error("request holds more than the limit of {limit} bytes once references are resolved")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Some of its series are not valid. The carried form has an empty series in their places.
    #[error("request has invalid series")]
    Series {
        /// The first of them: their places in the request, from 0, and what is wrong with them.
        first: Vec<(usize, InvalidSeries)>,
    },
}

/// Why a series of a 2.0 request is not valid, labels' contents aside: the walk checks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidSeries {
    /// It is not a protobuf message.
    #[error("no valid TimeSeries")]
    Malformed(#[from] WireError),
    /// A field that is known has another type.
    #[error("field {number} has a wrong type")]
    WrongType {
        /// The field's number.
        number: u32,
    },
    /// The references of its labels are not acceptable.
    #[error("labels_refs")]
    Labels(#[source] InvalidReferences),
    /// There is no label `__name__`, or it is empty.
    #[error("series has no metric name")]
    NoName,
    /// The references of an exemplar's labels are not acceptable.
    #[error("labels_refs of an exemplar")]
    Exemplar(#[source] InvalidReferences),
    /// The references of its metadata are not acceptable.
    #[error("references of the metadata")]
    Metadata(#[source] InvalidReferences),
    /// A histogram's counts are not acceptable.
    #[error(transparent)]
    Histogram(#[from] InvalidHistogram),
}
