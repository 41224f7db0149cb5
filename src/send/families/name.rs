//! Which series belong to a metric family, by their names: as Prometheus' scraper says it.

/// `MetricType` of both protocols, as far as series of such a family have names of their own.
const COUNTER: u64 = 1;
const HISTOGRAM: u64 = 3;
const GAUGE_HISTOGRAM: u64 = 4;
const SUMMARY: u64 = 5;
const INFO: u64 = 6;

/// How names of series end, and the types of the families that have such series.
pub(super) const SUFFIXES: [(&str, &[u64]); 8] = [
    ("_bucket", &[HISTOGRAM, GAUGE_HISTOGRAM]),
    ("_count", &[HISTOGRAM, SUMMARY]),
    ("_sum", &[HISTOGRAM, SUMMARY]),
    ("_total", &[COUNTER]),
    ("_created", &[COUNTER, HISTOGRAM, SUMMARY]),
    ("_info", &[INFO]),
    ("_gcount", &[GAUGE_HISTOGRAM]),
    ("_gsum", &[GAUGE_HISTOGRAM]),
];

/// The family that the series named `name` belongs to, whose metric has this type. A counter is
/// called as its series is, as in the text format.
pub(super) fn family_of(name: &str, metric_type: u64) -> &str {
    let mut parts = SUFFIXES.iter().filter(|(_, types)| {
        types.contains(&metric_type) && !matches!(metric_type, COUNTER | INFO)
    });
    let family = parts.find_map(|(suffix, _)| name.strip_suffix(suffix));
    family.filter(|family| !family.is_empty()).unwrap_or(name)
}

/// The names that series of a family can have, one after the other, until `is_it` says yes.
pub(super) fn any_series(family: &str, metric_type: u64, is_it: impl Fn(&str) -> bool) -> bool {
    if is_it(family) {
        return true;
    }
    // A counter is called with its ending in the text format, without it in OpenMetrics.
    let base = match metric_type {
        COUNTER => family.strip_suffix("_total"),
        INFO => family.strip_suffix("_info"),
        _ => None,
    };
    let base = base.unwrap_or(family);
    let mut parts = SUFFIXES
        .iter()
        .filter(|(_, types)| types.contains(&metric_type));
    parts.any(|(suffix, _)| is_it(&format!("{base}{suffix}")))
}
