//! Start timestamps in OpenMetrics 1.0: a series' `_created` line, which may come after it.
//!
//! The lines of one metric stand together (`foo_count`, `foo_sum`, `foo_created`, all with the same
//! labels apart from the bucket's bound), and the parser looks ahead over them for the one that
//! ends in `_created`. What it finds, or that there is none, holds for all of them, so each line
//! is looked at ahead of its turn once at most.

use xxhash_rust::xxh3::Xxh3;

use super::MetricType;
use super::labels::{Pair, bound_label};
use crate::model::METRIC_NAME;

/// What the lines of a metric end in, beside the metric's name.
const SUFFIXES: [&str; 8] = [
    "_created", "_count", "_sum", "_bucket", "_total", "_gcount", "_gsum", "_info",
];

/// The metric that was looked at last, and its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) metric: u64,
    pub(super) start_timestamp_ms: Option<i64>,
}

/// Whether series of this type have a `_created` line.
pub(super) fn has_start(metric_type: MetricType) -> bool {
    matches!(
        metric_type,
        MetricType::Counter | MetricType::Histogram | MetricType::Summary
    )
}

/// Whether this is the name of a `_created` line.
pub(super) fn is_created(labels: &[Pair<'_>]) -> bool {
    metric_name(labels).ends_with("_created")
}

/// A hash of what a metric's lines have in common: its name, and all labels but the bound.
pub(super) fn metric_hash(labels: &[Pair<'_>], metric_type: MetricType) -> u64 {
    let bound_name = bound_label(metric_type);
    let mut hash = Xxh3::new();
    let mut write = |text: &str| {
        hash.update(text.as_bytes());
        // No UTF-8 text holds this byte, so that neighbours cannot be mistaken.
        hash.update(&[0xff]);
    };
    let name = metric_name(labels);
    let stripped = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
    write(stripped.unwrap_or(name));
    for (name, value) in labels {
        if name != METRIC_NAME && Some(&**name) != bound_name {
            write(name);
            write(value);
        }
    }
    hash.digest()
}

fn metric_name<'l>(labels: &'l [Pair<'_>]) -> &'l str {
    let named = labels.iter().find(|(name, _)| name == METRIC_NAME);
    named.map_or("", |(_, value)| value)
}
