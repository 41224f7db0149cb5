//! The target's own series: `up` and the rest, as Prometheus has them. No relabelling sees them.

use std::time::Duration;

use super::blocks::Encoded;
use super::encode::{Kind, Outbound};
use super::turn::{Context, Counts};
use crate::model::{Label, LabelSet, METRIC_NAME};
use crate::remote_write::v1::{DecodeError, encode_labels};

/// What every target reports.
const USUAL: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];
/// What it reports as well with `extra_scrape_metrics`.
const EXTRA: [&str; 3] = [
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];

/// What is reported of one scrape.
#[derive(Debug)]
pub(super) struct Values {
    pub(super) is_up: bool,
    pub(super) duration: Duration,
    pub(super) counts: Counts,
}

/// Adds a sample for each of the target's own series.
pub(super) fn write(
    outbound: &mut Outbound<'_>,
    context: Context<'_>,
    values: &Values,
) -> Result<(), DecodeError> {
    let Values {
        is_up,
        duration,
        counts,
    } = values;
    let config = &context.job.config;
    let usual = [
        f64::from(u8::from(*is_up)),
        duration.as_secs_f64(),
        counts.scraped as f64,
        counts.kept as f64,
        counts.series_added as f64,
    ];
    let extra = [
        context.target.timeout.as_secs_f64(),
        config.limits.samples as f64,
        counts.body_bytes as f64,
    ];
    let mut block = Vec::new();
    for (name, value) in names(context).zip(usual.into_iter().chain(extra)) {
        encode_name(name, context, &mut block);
        outbound.add_float(Encoded::Plain(&block), value, context.time_ms, [].iter())?;
    }
    Ok(())
}

/// Adds the end of each of the target's own series.
pub(super) fn write_ends(
    outbound: &mut Outbound<'_>,
    context: Context<'_>,
) -> Result<(), DecodeError> {
    let mut block = Vec::new();
    for name in names(context) {
        encode_name(name, context, &mut block);
        outbound.add_end(Encoded::Plain(&block), Kind::Float, context.time_ms)?;
    }
    Ok(())
}

fn names(context: Context<'_>) -> impl Iterator<Item = &'static str> {
    let wants_extra = context.job.config.extra_scrape_metrics;
    let extra = EXTRA.into_iter().filter(move |_| wants_extra);
    USUAL.into_iter().chain(extra)
}

fn encode_name(name: &str, context: Context<'_>, block: &mut Vec<u8>) {
    let labels = context.target.labels.iter();
    let mut set: LabelSet<'_> = labels.map(|(name, value)| Label { name, value }).collect();
    set.set(METRIC_NAME, name);
    block.clear();
    encode_labels(set.iter(), block);
}
