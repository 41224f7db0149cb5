//! How one metric becomes series: a histogram's buckets, a summary's quantiles, a count and a sum.

use super::message::{self, Histogram, Metric, Summary};
use crate::exposition::labels::{self, Pair};
use crate::exposition::{Exemplar, MetricType};

/// One series of a metric.
#[derive(Debug)]
pub(super) struct Row {
    /// What follows the family's name.
    pub(super) suffix: &'static str,
    /// The label that tells it from the metric's other series, and its number.
    pub(super) bound: Option<(&'static str, f64)>,
    /// The value; `None` for the native histogram itself.
    pub(super) value: Option<f64>,
    pub(super) exemplars: Vec<Exemplar<'static>>,
}

impl Row {
    fn new(suffix: &'static str, value: f64) -> Self {
        Self {
            suffix,
            bound: None,
            value: Some(value),
            exemplars: Vec::new(),
        }
    }

    fn with_bound(mut self, name: &'static str, bound: f64) -> Self {
        self.bound = Some((name, bound));
        self
    }

    fn with_exemplar(mut self, exemplar: Option<&message::Exemplar>) -> Self {
        self.exemplars.extend(exemplar.map(convert));
        self
    }
}

/// Which of a histogram's two kinds are wanted where a target exposes both in one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Histograms {
    /// Only the native one (Prometheus' default where native histograms are scraped).
    #[default]
    Native,
    /// The native one, and then the classic one (`always_scrape_classic_histograms`).
    Both,
    /// Only the classic one (where native histograms are not scraped).
    Classic,
}

/// The series of `metric`, in Prometheus' order, and when they began.
pub(super) fn expand(
    metric: &Metric,
    metric_type: MetricType,
    wanted: Histograms,
) -> (Vec<Row>, Option<i64>) {
    let (rows, start) = match metric_type {
        MetricType::Counter => {
            let counter = metric.counter.as_ref();
            let row = Row::new("", counter.map_or(0.0, |counter| counter.value));
            let exemplar = counter.and_then(|counter| counter.exemplar.as_ref());
            let start = counter.and_then(|counter| counter.start);
            (vec![row.with_exemplar(exemplar)], start)
        }
        MetricType::Gauge => (
            vec![Row::new("", metric.gauge.map_or(0.0, |g| g.value))],
            None,
        ),
        MetricType::Summary => metric
            .summary
            .as_ref()
            .map_or_else(Default::default, |summary| {
                (expand_summary(summary), summary.start)
            }),
        MetricType::Histogram | MetricType::GaugeHistogram => metric
            .histogram
            .as_ref()
            .map_or_else(Default::default, |histogram| {
                (expand_histogram(histogram, wanted), histogram.start)
            }),
        _ => (
            vec![Row::new("", metric.untyped.map_or(0.0, |u| u.value))],
            None,
        ),
    };
    (rows, start.map(message::Timestamp::ms))
}

fn expand_summary(summary: &Summary) -> Vec<Row> {
    let mut rows = vec![
        Row::new("_count", summary.count as f64),
        Row::new("_sum", summary.sum),
    ];
    rows.extend(
        summary
            .quantile
            .iter()
            .map(|quantile| Row::new("", quantile.value).with_bound("quantile", quantile.quantile)),
    );
    rows
}

fn expand_histogram(histogram: &Histogram, wanted: Histograms) -> Vec<Row> {
    let mut rows = Vec::new();
    if histogram.is_native() && wanted != Histograms::Classic {
        rows.push(Row {
            suffix: "",
            bound: None,
            value: None,
            exemplars: native_exemplars(histogram),
        });
        if wanted == Histograms::Native || histogram.bucket.is_empty() {
            return rows;
        }
    }
    let count = either(histogram.count_float, histogram.count);
    rows.push(Row::new("_count", count));
    rows.push(Row::new("_sum", histogram.sum));
    for bucket in &histogram.bucket {
        let value = either(bucket.cumulative_count_float, bucket.cumulative_count);
        let row = Row::new("_bucket", value).with_bound("le", bucket.upper_bound);
        rows.push(row.with_exemplar(bucket.exemplar.as_ref()));
    }
    let infinity = f64::INFINITY;
    if histogram
        .bucket
        .last()
        .is_none_or(|last| last.upper_bound < infinity)
    {
        // Protobuf leaves this bucket out, because it has the count once more.
        rows.push(Row::new("_bucket", count).with_bound("le", infinity));
    }
    rows
}

/// A native histogram's own exemplars, else its buckets'. Without a timestamp they have no place
/// in a histogram that is one sample.
fn native_exemplars(histogram: &Histogram) -> Vec<Exemplar<'static>> {
    let own = histogram.exemplars.iter();
    let of_buckets = histogram.bucket.iter().filter_map(|b| b.exemplar.as_ref());
    let timed = |exemplar: &&message::Exemplar| exemplar.timestamp.is_some();
    if histogram.exemplars.is_empty() {
        return of_buckets.filter(timed).map(convert).collect();
    }
    own.filter(timed).map(convert).collect()
}

/// Counts are floats if the float is set.
fn either(float: f64, integer: u64) -> f64 {
    if float > 0.0 { float } else { integer as f64 }
}

fn convert(exemplar: &message::Exemplar) -> Exemplar<'static> {
    let owned = |label: &message::LabelPair| -> Pair<'static> {
        (label.name.clone().into(), label.value.clone().into())
    };
    let mut labels: Vec<_> = exemplar.label.iter().map(owned).collect();
    labels::sort(&mut labels);
    Exemplar {
        labels,
        value: exemplar.value,
        timestamp_ms: exemplar.timestamp.map(message::Timestamp::ms),
    }
}
