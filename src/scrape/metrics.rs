//! What the scraper counts, per job.

use metrics::{Counter, Gauge, Histogram};

use super::error::ScrapeError;
use super::turn::Taken;
use crate::telemetry::{RateLimit, Registry};

const SCRAPES: &str = "promrelay_scrape_scrapes_total";
const SCRAPES_HELP: &str = "Scrapes by outcome: ok, or the reason why they failed.";
const NOT_STORED: &str = "promrelay_scrape_not_stored_samples_total";
const NOT_STORED_HELP: &str = "Samples of scrapes that a route's queue did not take.";

/// Handles of a job's metrics.
#[derive(Debug)]
pub(super) struct JobMetrics {
    registry: Registry,
    job: String,
    ok: Counter,
    duration: Histogram,
    scraped: Counter,
    kept: Counter,
    duplicates: Counter,
    out_of_bounds: Counter,
    out_of_order: Counter,
    not_stored: Counter,
    active: Gauge,
    dropped: Gauge,
    invalid: Counter,
    pub(super) failures_logged: RateLimit,
}

impl JobMetrics {
    pub(super) fn new(registry: &Registry, job: &str) -> Self {
        let counter = |name, help| registry.counter(name, help, &[("job", job)]);
        let targets = |state| {
            registry.gauge(
                "promrelay_scrape_targets",
                "Targets by state: active, or dropped by relabel_configs.",
                &[("job", job), ("state", state)],
            )
        };
        let left_out = |reason| {
            registry.counter(
                "promrelay_scrape_left_out_samples_total",
                "Samples that were left out of a scrape, by reason: a duplicate in the same body, \
                 or a timestamp out of bounds in the future.",
                &[("job", job), ("reason", reason)],
            )
        };
        Self {
            ok: registry.counter(SCRAPES, SCRAPES_HELP, &[("job", job), ("outcome", "ok")]),
            duration: registry.histogram(
                "promrelay_scrape_duration_seconds",
                "Time from a scrape's begin until its samples are ready for the queues.",
                &[("job", job)],
            ),
            scraped: counter(
                "promrelay_scrape_samples_total",
                "Samples in scraped bodies, before relabelling.",
            ),
            kept: counter(
                "promrelay_scrape_kept_samples_total",
                "Samples that metric_relabel_configs keep.",
            ),
            duplicates: left_out("duplicate"),
            out_of_bounds: left_out("out_of_bounds"),
            out_of_order: left_out("out_of_order"),
            not_stored: counter(NOT_STORED, NOT_STORED_HELP),
            active: targets("active"),
            dropped: targets("dropped"),
            invalid: counter(
                "promrelay_scrape_invalid_targets_total",
                "Discovered targets that could not be made targets, each time they were looked at.",
            ),
            failures_logged: RateLimit::default(),
            job: job.to_owned(),
            registry: registry.clone(),
        }
    }

    pub(super) fn taken(&self, taken: &Taken) {
        let counts = taken.counts;
        self.duration.record(taken.duration.as_secs_f64());
        self.scraped.increment(counts.scraped);
        self.kept.increment(counts.kept);
        self.duplicates.increment(counts.duplicates);
        self.out_of_bounds.increment(counts.out_of_bounds);
        self.out_of_order.increment(counts.out_of_order);
        match &taken.error {
            None => self.ok.increment(1),
            Some(error) => self.failed(error),
        }
    }

    fn failed(&self, error: &ScrapeError) {
        let labels = &[("job", self.job.as_str()), ("outcome", error.reason())];
        self.registry
            .counter(SCRAPES, SCRAPES_HELP, labels)
            .increment(1);
    }

    pub(super) fn not_stored(&self, samples: u64) {
        self.not_stored.increment(samples);
    }

    pub(super) fn synced(&self, active: usize, dropped: usize, invalid: usize) {
        self.active.set(active as f64);
        self.dropped.set(dropped as f64);
        self.invalid.increment(invalid as u64);
    }
}
