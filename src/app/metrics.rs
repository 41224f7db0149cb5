//! Metrics of the configuration and of the queues.

use std::sync::Arc;
use std::time::SystemTime;

use metrics::{Counter, Gauge};

use crate::queue::Stats;
use crate::telemetry::Registry;

/// Whether and when the configuration was last read.
#[derive(Debug)]
pub(super) struct AppMetrics {
    successful: Gauge,
    timestamp: Gauge,
    hash: Gauge,
}

impl AppMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            successful: registry.gauge(
                "promrelay_config_last_reload_successful",
                "Whether the configuration file was fine when it was last read.",
                &[],
            ),
            timestamp: registry.gauge(
                "promrelay_config_last_reload_success_timestamp_seconds",
                "When a configuration was last put in force.",
                &[],
            ),
            hash: registry.gauge(
                "promrelay_config_hash",
                "A hash of the configuration in force, to compare replicas by.",
                &[],
            ),
        }
    }

    pub(super) fn reloaded(&self, hash: u64) {
        self.successful.set(1.0);
        self.timestamp.set(seconds_since_epoch());
        // 48 bits, as many as a float holds exactly with room to spare.
        self.hash.set((hash & 0xffff_ffff_ffff) as f64);
    }

    pub(super) fn reload_failed(&self) {
        self.successful.set(0.0);
    }
}

/// What one route's queue holds, taken from it when somebody asks.
#[derive(Debug)]
pub(super) struct QueueMetrics {
    records: Gauge,
    samples: Gauge,
    bytes: Gauge,
    oldest: Gauge,
    recovered: Gauge,
    segments: Gauge,
    dropped: [Counter; 4],
    corrupt: Counter,
    syncs: Counter,
    failed: Gauge,
}

impl QueueMetrics {
    /// `stats` are those of the queue as it was opened.
    pub(super) fn new(registry: &Registry, route: &Arc<str>, stats: &Stats) -> Self {
        let labels: &[(&'static str, &str)] = &[("route", route.as_ref())];
        let gauge = |name, help| registry.gauge(name, help, labels);
        let counter = |name, help| registry.counter(name, help, labels);
        let metrics = Self {
            records: gauge(
                "promrelay_queue_records",
                "Blocks in the queue, those in flight included.",
            ),
            samples: gauge(
                "promrelay_queue_samples",
                "Samples in the queue, those in flight included.",
            ),
            bytes: gauge(
                "promrelay_queue_bytes",
                "Bytes that the queue takes on disk.",
            ),
            oldest: gauge(
                "promrelay_queue_oldest_age_seconds",
                "How long the oldest sample in the queue has waited; 0 if it is empty.",
            ),
            recovered: gauge(
                "promrelay_queue_recovered_samples",
                "Samples that the queue held when it was opened.",
            ),
            segments: gauge("promrelay_queue_segments", "Files of the queue."),
            dropped: ["full", "age", "damaged", "purged"].map(|reason| {
                registry.counter(
                    "promrelay_queue_dropped_samples_total",
                    "Samples that left the queue unsent, by reason: full (on_full: drop_oldest), \
                     age (max_age), damaged on disk, or purged by an operator.",
                    &[("route", route.as_ref()), ("reason", reason)],
                )
            }),
            corrupt: counter(
                "promrelay_queue_corrupt_records_total",
                "Places in the queue's files that could not be read and were skipped.",
            ),
            syncs: counter(
                "promrelay_queue_syncs_total",
                "Syncs of the queue's files to disk.",
            ),
            failed: gauge(
                "promrelay_queue_failed",
                "1 if the queue refuses writes because its disk is full or failed.",
            ),
        };
        metrics.recovered.set(stats.queued.weight as f64);
        metrics
    }

    pub(super) fn refresh(&self, stats: &Stats) {
        self.records.set(stats.queued.records as f64);
        self.samples.set(stats.queued.weight as f64);
        self.bytes.set(stats.disk_bytes as f64);
        self.segments.set(stats.segments as f64);
        let age = stats.oldest_ms.map_or(0.0, |oldest_ms| {
            (seconds_since_epoch() - oldest_ms as f64 / 1000.0).max(0.0)
        });
        self.oldest.set(age);
        for (counter, tally) in self.dropped.iter().zip([
            &stats.dropped_full,
            &stats.dropped_age,
            &stats.lost,
            &stats.purged,
        ]) {
            counter.absolute(tally.weight);
        }
        self.corrupt.absolute(stats.corrupt_regions);
        self.syncs.absolute(stats.syncs);
        let failed = stats.failed.is_some() || stats.disk_full;
        self.failed.set(f64::from(u8::from(failed)));
    }
}

fn seconds_since_epoch() -> f64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    now.as_secs_f64()
}

/// Milliseconds since the Unix epoch.
pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
