//! The messages of `io.prometheus.client`, as far as a scrape needs them.
//!
//! Field numbers are those of Prometheus' `metrics.proto`. Fields that are not named here are
//! skipped.

use prost::Message;

/// All metrics of one name.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricFamily {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) help: String,
    #[prost(int32, tag = "3")]
    pub(super) metric_type: i32,
    #[prost(message, repeated, tag = "4")]
    pub(super) metric: Vec<Metric>,
    #[prost(string, tag = "5")]
    pub(super) unit: String,
}

/// One set of labels, and the value of the family's type.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub(super) label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    pub(super) gauge: Option<Simple>,
    #[prost(message, optional, tag = "3")]
    pub(super) counter: Option<Counter>,
    #[prost(message, optional, tag = "4")]
    pub(super) summary: Option<Summary>,
    #[prost(message, optional, tag = "5")]
    pub(super) untyped: Option<Simple>,
    #[prost(int64, tag = "6")]
    pub(super) timestamp_ms: i64,
    #[prost(message, optional, tag = "7")]
    pub(super) histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LabelPair {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// A gauge, or a value of no stated type.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Simple {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Counter {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    #[prost(message, optional, tag = "2")]
    pub(super) exemplar: Option<Exemplar>,
    #[prost(message, optional, tag = "3")]
    pub(super) start: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(uint64, tag = "1")]
    pub(super) count: u64,
    #[prost(double, tag = "2")]
    pub(super) sum: f64,
    #[prost(message, repeated, tag = "3")]
    pub(super) quantile: Vec<Quantile>,
    #[prost(message, optional, tag = "4")]
    pub(super) start: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Quantile {
    #[prost(double, tag = "1")]
    pub(super) quantile: f64,
    #[prost(double, tag = "2")]
    pub(super) value: f64,
}

/// A classic histogram (buckets), a native one (spans, and deltas or counts), or both in one.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// The number of observations, if it is an integer.
    #[prost(uint64, tag = "1")]
    pub count: u64,
    /// The sum of all observations.
    #[prost(double, tag = "2")]
    pub sum: f64,
    #[prost(message, repeated, tag = "3")]
    pub(super) bucket: Vec<Bucket>,
    /// The number of observations, if that is not an integer; then above 0.
    #[prost(double, tag = "4")]
    pub count_float: f64,
    /// How finely each power of two is divided, from -4 to 8.
    #[prost(sint32, tag = "5")]
    pub schema: i32,
    /// Values this close to zero are counted in the zero bucket.
    #[prost(double, tag = "6")]
    pub zero_threshold: f64,
    /// The zero bucket of an integer histogram.
    #[prost(uint64, tag = "7")]
    pub zero_count: u64,
    /// The zero bucket of a float histogram.
    #[prost(double, tag = "8")]
    pub zero_count_float: f64,
    /// Where the buckets of negative values lie.
    #[prost(message, repeated, tag = "9")]
    pub negative_span: Vec<BucketSpan>,
    /// Their counts in an integer histogram, each as the difference from the one before.
    #[prost(sint64, repeated, tag = "10")]
    pub negative_delta: Vec<i64>,
    /// Their counts in a float histogram.
    #[prost(double, repeated, tag = "11")]
    pub negative_count: Vec<f64>,
    /// Where the buckets of positive values lie.
    #[prost(message, repeated, tag = "12")]
    pub positive_span: Vec<BucketSpan>,
    /// Their counts in an integer histogram, each as the difference from the one before.
    #[prost(sint64, repeated, tag = "13")]
    pub positive_delta: Vec<i64>,
    /// Their counts in a float histogram.
    #[prost(double, repeated, tag = "14")]
    pub positive_count: Vec<f64>,
    #[prost(message, optional, tag = "15")]
    pub(super) start: Option<Timestamp>,
    #[prost(message, repeated, tag = "16")]
    pub(super) exemplars: Vec<Exemplar>,
}

impl Histogram {
    /// Whether there is a native histogram in it. An empty one is marked by a span of length 0.
    pub(super) fn is_native(&self) -> bool {
        !self.positive_span.is_empty()
            || !self.negative_span.is_empty()
            || self.zero_threshold > 0.0
            || self.zero_count > 0
            || self.zero_count_float > 0.0
    }

    /// Whether the counts are floats, and not integers.
    #[must_use]
    pub fn is_float(&self) -> bool {
        self.count_float > 0.0 || self.zero_count_float > 0.0
    }
}

/// A run of buckets that follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct BucketSpan {
    /// How many buckets lie between the span before and this one; of the first span, its place.
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    /// How many buckets it has.
    #[prost(uint32, tag = "2")]
    pub length: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Bucket {
    #[prost(uint64, tag = "1")]
    pub(super) cumulative_count: u64,
    #[prost(double, tag = "2")]
    pub(super) upper_bound: f64,
    #[prost(message, optional, tag = "3")]
    pub(super) exemplar: Option<Exemplar>,
    #[prost(double, tag = "4")]
    pub(super) cumulative_count_float: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    pub(super) label: Vec<LabelPair>,
    #[prost(double, tag = "2")]
    pub(super) value: f64,
    #[prost(message, optional, tag = "3")]
    pub(super) timestamp: Option<Timestamp>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

impl Timestamp {
    /// Milliseconds since 1970; what does not fit saturates.
    pub(super) fn ms(self) -> i64 {
        let fraction = i64::from(self.nanos / 1_000_000);
        self.seconds.saturating_mul(1000).saturating_add(fraction)
    }
}
