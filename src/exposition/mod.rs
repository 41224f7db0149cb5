//! The formats in which targets expose metrics, read as a stream of entries.
//!
//! One parser per format, and one vocabulary for what they yield:
//!
//! - [`text`]: Prometheus text 0.0.4 and 1.0 (quoted UTF-8 names);
//! - [`openmetrics`]: OpenMetrics text 0.0.1 and 1.0, with exemplars and start timestamps;
//! - [`protobuf`]: Prometheus' delimited `MetricFamily` messages, with native histograms too.
//!
//! Where a specification and Prometheus disagree, Prometheus is followed: a target that Prometheus
//! scrapes is scraped here too, with the same series, and a body that it refuses is refused.
//!
//! [`Format::from_content_type`] says which one a body is in.
//!
//! Guarantees, for any input: no panic, no recursion, time linear in the body, and memory for the
//! labels of one series at a time (protobuf: for one metric family). In the text formats, names
//! and values are slices of the body unless an escape or a bucket's bound has to be rewritten.
//! Limits on labels are the caller's; nothing here trusts a length that the body states.
//!
//! The text parsers are two layers. `lexer` knows the terminals (names, strings, blanks), `labels`
//! the one nested rule, and each parser reads like the grammar of its format.

use std::borrow::Cow;

mod content_type;
mod created;
mod error;
mod labels;
mod lexer;
mod number;
pub mod openmetrics;
pub mod protobuf;
mod series;
#[cfg(test)]
mod tests;
pub mod text;

pub use content_type::{ContentTypeError, Format};
pub use error::{ParseError, Reason};
pub use series::{Exemplar, HistogramSample, Series};

/// One thing that a body says.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'p> {
    /// A sample of a series.
    Series(Series<'p>),
    /// A sample that is a native histogram.
    Histogram(HistogramSample<'p>),
    /// The type of a metric family.
    Type {
        /// The family's name, with escapes as they were.
        metric: &'p str,
        /// Its type.
        metric_type: MetricType,
    },
    /// What a metric family means.
    Help {
        /// The family's name, with escapes as they were.
        metric: &'p str,
        /// The text, without escapes; often empty.
        text: Cow<'p, str>,
    },
    /// The unit of a metric family.
    Unit {
        /// The family's name, which ends in the unit.
        metric: &'p str,
        /// The unit; may be empty.
        unit: &'p str,
    },
    /// A line for people, with its `#`. Bytes that are not UTF-8 are replaced.
    Comment(Cow<'p, str>),
    /// The end of the body. Every later call yields it again.
    Eof,
}

/// The type of a metric family. Text 0.0.4 calls `Unknown` "untyped" and knows only the first four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricType {
    /// Only goes up, or starts again from 0.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets (label `le`), a sum and a count.
    Histogram,
    /// Quantiles (label `quantile`), a sum and a count.
    Summary,
    /// A histogram whose buckets can go down.
    GaugeHistogram,
    /// Constant labels, value 1.
    Info,
    /// A set of booleans.
    Stateset,
    /// Not stated.
    #[default]
    Unknown,
}

impl MetricType {
    /// The word of OpenMetrics, and of Prometheus' API, for this type.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Info => "info",
            Self::Stateset => "stateset",
            Self::Unknown => "unknown",
        }
    }
}
