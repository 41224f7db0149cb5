//! What the router counts: once per request, so that everything adds up.
//!
//! For every route: received samples = kept + Σ dropped by rule, where a route that takes no
//! native histograms has a rule of its own for them.

use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::{Counter, Gauge};

use super::verdict::{Activity, Size};
use crate::relabel::Rules;
use crate::telemetry::Registry;

/// The `rule` label of series that were left without any label.
const NO_LABELS_LEFT: &str = "no_labels_left";
/// The `rule` label of native histograms that were kept, but that the route does not take.
const HISTOGRAMS_NOT_SENT: &str = "native_histograms_not_sent";

/// Handles of the router's metrics, made once per configuration.
#[derive(Debug)]
pub struct RouterMetrics {
    received_series: Counter,
    received_samples: Counter,
    received_metadata: Counter,
    routes: Vec<RouteMetrics>,
    hits: Counter,
    misses: Counter,
    evictions: Counter,
    entries: TableGauge,
    bytes: TableGauge,
}

/// A sum over all tables of a router.
#[derive(Debug)]
struct TableGauge {
    sum: AtomicUsize,
    gauge: Gauge,
}

#[derive(Debug)]
struct RouteMetrics {
    kept: Counter,
    /// By the index of the rule; then [`NO_LABELS_LEFT`], and [`HISTOGRAMS_NOT_SENT`].
    dropped: Vec<Counter>,
    removed_exemplars: Counter,
}

impl RouterMetrics {
    /// Registers the metrics of a router with these routes.
    #[must_use]
    pub fn new<'r>(
        registry: &Registry,
        routes: impl Iterator<Item = (&'r str, &'r Rules)>,
    ) -> Self {
        let counter = |name, help| registry.counter(name, help, &[]);
        let verdicts = |result| {
            registry.counter(
                "promrelay_verdict_lookups_total",
                "Series looked up in the verdict table, by whether their verdict was there.",
                &[("result", result)],
            )
        };
        Self {
            received_series: counter(
                "promrelay_received_series_total",
                "Series received in accepted requests.",
            ),
            received_samples: counter(
                "promrelay_received_samples_total",
                "Samples and histograms received in accepted requests.",
            ),
            received_metadata: counter(
                "promrelay_received_metadata_total",
                "Metadata entries received in accepted requests.",
            ),
            routes: routes
                .map(|(name, rules)| RouteMetrics::new(registry, name, rules))
                .collect(),
            hits: verdicts("hit"),
            misses: verdicts("miss"),
            evictions: counter(
                "promrelay_verdict_evictions_total",
                "Entries that the verdict table forgot to stay within its bound.",
            ),
            entries: TableGauge::new(registry.gauge(
                "promrelay_verdict_entries",
                "Combinations of labels whose verdict is remembered, in all tables.",
                &[],
            )),
            bytes: TableGauge::new(registry.gauge(
                "promrelay_verdict_bytes",
                "What they take in memory, roughly.",
                &[],
            )),
        }
    }

    /// Counts an accepted request.
    pub(super) fn record(&self, tally: &Tally) {
        self.received_series.increment(tally.series);
        self.received_samples.increment(tally.samples);
        self.received_metadata.increment(tally.metadata);
        for ((route, &start), &exemplars) in self
            .routes
            .iter()
            .zip(&tally.starts)
            .zip(&tally.removed_exemplars)
        {
            if exemplars > 0 {
                route.removed_exemplars.increment(exemplars);
            }
            let counters = std::iter::once(&route.kept).chain(&route.dropped);
            for (counter, &count) in counters.zip(&tally.counts[start..]) {
                if count > 0 {
                    counter.increment(count);
                }
            }
        }
    }

    /// Counts what happened in a table whose size was `before` and is `after`.
    pub(super) fn record_table(&self, activity: Activity, before: Size, after: Size) {
        self.entries.change(before.entries, after.entries);
        self.bytes.change(before.bytes, after.bytes);
        self.hits.increment(activity.hits);
        self.misses.increment(activity.misses);
        self.evictions.increment(activity.evictions);
    }
}

impl TableGauge {
    /// The tables of the router before are gone.
    fn new(gauge: Gauge) -> Self {
        gauge.set(0.0);
        Self {
            sum: AtomicUsize::new(0),
            gauge,
        }
    }

    fn change(&self, before: usize, after: usize) {
        if before != after {
            // Sums wrap, so that a smaller table is a larger number added.
            let change = after.wrapping_sub(before);
            let sum = self.sum.fetch_add(change, Ordering::Relaxed);
            self.gauge.set(sum.wrapping_add(change) as f64);
        }
    }
}

impl RouteMetrics {
    fn new(registry: &Registry, route: &str, rules: &Rules) -> Self {
        let dropped = |rule: &str| {
            registry.counter(
                "promrelay_route_dropped_samples_total",
                "Samples that a route's relabel rules dropped, by the index of the rule; or \
                 no_labels_left, or native_histograms_not_sent (send_native_histograms: false).",
                &[("route", route), ("rule", rule)],
            )
        };
        let mut by_rule: Vec<_> = (0..rules.len())
            .map(|rule| dropped(&rule.to_string()))
            .collect();
        by_rule.push(dropped(NO_LABELS_LEFT));
        by_rule.push(dropped(HISTOGRAMS_NOT_SENT));
        Self {
            kept: registry.counter(
                "promrelay_route_kept_samples_total",
                "Samples that a route's relabel rules let pass.",
                &[("route", route)],
            ),
            dropped: by_rule,
            removed_exemplars: registry.counter(
                "promrelay_route_removed_exemplars_total",
                "Exemplars of kept series that were removed, because the route takes none.",
                &[("route", route)],
            ),
        }
    }
}

/// The counts of one request.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    series: u64,
    samples: u64,
    metadata: u64,
    /// Per route: kept, then dropped by each rule, then left without labels, then histograms that
    /// the route does not take; see [`Tally::settle`].
    counts: Vec<u64>,
    /// Where each route begins in `counts`.
    starts: Vec<usize>,
    /// Per route: exemplars that it does not take.
    removed_exemplars: Vec<u64>,
}

impl Tally {
    /// For routes with so many rules each.
    pub(super) fn new(rules: impl Iterator<Item = usize>) -> Self {
        let mut starts = Vec::new();
        let total = rules.fold(0, |start, rules| {
            starts.push(start);
            start + rules + 3
        });
        Self {
            series: 0,
            samples: 0,
            metadata: 0,
            counts: vec![0; total],
            removed_exemplars: vec![0; starts.len()],
            starts,
        }
    }

    pub(super) fn receive(&mut self, series: u64, samples: u64) {
        self.series += series;
        self.samples += samples;
    }

    pub(super) fn receive_metadata(&mut self) {
        self.metadata += 1;
    }

    pub(super) fn keep(&mut self, route: usize, samples: u64) {
        self.counts[self.starts[route]] += samples;
    }

    pub(super) fn drop(&mut self, route: usize, rule: usize, samples: u64) {
        self.counts[self.starts[route] + 1 + rule] += samples;
    }

    /// A kept series had histograms and exemplars that the route, which has so many rules, does not
    /// take. The histograms are counted as kept until [`Self::settle`].
    pub(super) fn leave_out(
        &mut self,
        route: usize,
        rules: usize,
        histograms: u64,
        exemplars: u64,
    ) {
        self.drop(route, rules + 1, histograms);
        self.removed_exemplars[route] += exemplars;
    }

    /// At the end of a request: histograms that were left out were not kept.
    pub(super) fn settle(&mut self) {
        for (route, &start) in self.starts.iter().enumerate() {
            let end = self.starts.get(route + 1).copied();
            let last = end.unwrap_or(self.counts.len()) - 1;
            self.counts[start] -= self.counts[last];
        }
    }

    pub(super) fn received(&self) -> (u64, u64) {
        (self.series, self.samples)
    }

    /// Takes the counts and starts at zero.
    pub(super) fn take(&mut self) -> Self {
        let taken = self.clone();
        self.clear();
        taken
    }

    pub(super) fn clear(&mut self) {
        (self.series, self.samples, self.metadata) = (0, 0, 0);
        self.counts.fill(0);
        self.removed_exemplars.fill(0);
    }
}
