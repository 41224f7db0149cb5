//! Metrics of the configuration and of the queues.

use std::sync::Arc;
use std::time::SystemTime;

use metrics::{Counter, Gauge};

use crate::queue::{JournalStats, Stats};
use crate::send::parked::ParkedStats;
use crate::store::{Contents, RouteStore};
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

/// How samples leave a queue that no route has: a place in `QueueMetrics::dropped`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taken {
    Purged = 3,
    Moved = 5,
}

/// What the queues' journal has done, taken from it when somebody asks.
#[derive(Debug)]
pub(super) struct JournalMetrics {
    syncs: Counter,
    written: Counter,
    bytes: Gauge,
    last: JournalStats,
}

impl JournalMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            syncs: registry.counter(
                "promrelay_journal_syncs_total",
                "Syncs of the queues' journal to disk, each for all that came meanwhile.",
                &[],
            ),
            written: registry.counter(
                "promrelay_journal_written_bytes_total",
                "Bytes written to the queues' journal.",
                &[],
            ),
            bytes: registry.gauge(
                "promrelay_journal_bytes",
                "Bytes that the queues' journal takes on disk.",
                &[],
            ),
            last: JournalStats::default(),
        }
    }

    pub(super) fn refresh(&mut self, stats: JournalStats) {
        self.syncs.increment(stats.syncs - self.last.syncs);
        let written = stats.written_bytes - self.last.written_bytes;
        self.written.increment(written);
        self.bytes.set(stats.disk_bytes as f64);
        self.last = stats;
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
    returned: Counter,
    segments: Gauge,
    dropped: [Counter; 6],
    corrupt: Counter,
    syncs: Counter,
    failed: Gauge,
    parked_batches: Gauge,
    parked_samples: Gauge,
    parked_bytes: Gauge,
    parked_oldest: Gauge,
    parked_dropped: Counter,
    /// What the queue said last. Its own counters begin at 0 each time it is opened.
    last: Stats,
    last_parked: ParkedStats,
}

impl QueueMetrics {
    pub(super) fn new(registry: &Registry, route: &Arc<str>) -> Self {
        let labels: &[(&'static str, &str)] = &[("route", route.as_ref())];
        let gauge = |name, help| registry.gauge(name, help, labels);
        let counter = |name, help| registry.counter(name, help, labels);
        Self {
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
                "Samples that the queue held already when it was first opened.",
            ),
            returned: counter(
                "promrelay_queue_returned_samples_total",
                "Samples that an operator put into the queue: replayed, or moved from another.",
            ),
            segments: gauge("promrelay_queue_segments", "Files of the queue."),
            dropped: ["full", "age", "damaged", "purged", "not_stored", "moved"].map(|reason| {
                registry.counter(
                    "promrelay_queue_dropped_samples_total",
                    "Samples that left the queue unsent, by reason: full (on_full: drop_oldest), \
                     age (max_age), damaged on disk, purged or moved to another route by an \
                     operator, or not_stored (the disk was full or failed, and their senders were \
                     told so).",
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
            parked_batches: gauge(
                "promrelay_parked_batches",
                "Batches that the receiver refused for good and that were kept aside.",
            ),
            parked_samples: gauge("promrelay_parked_samples", "Samples in parked batches."),
            parked_bytes: gauge("promrelay_parked_bytes", "Bytes that parked batches take."),
            parked_oldest: gauge(
                "promrelay_parked_oldest_age_seconds",
                "How long ago the oldest parked batch was parked; 0 if there is none.",
            ),
            parked_dropped: counter(
                "promrelay_parked_dropped_samples_total",
                "Samples in parked batches that newer ones pushed out.",
            ),
            last: Stats::default(),
            last_parked: ParkedStats::default(),
        }
    }

    /// The queue was opened, for the first time or again.
    pub(super) fn opened(&mut self, store: &RouteStore) {
        let known = self.last.queued.weight as f64;
        let found = store.queue.stats().queued.weight as f64;
        self.recovered.increment(found - known);
        self.last = Stats::default();
        self.last_parked = ParkedStats::default();
        self.refresh(store);
    }

    /// An operator put samples into the queue.
    pub(super) fn returned(&mut self, samples: u64) {
        self.returned.increment(samples);
        self.last.queued.weight += samples;
    }

    /// What the queue holds, which no route has at present. `taken` says by which command samples
    /// left it; any other difference was found when it was opened.
    pub(super) fn found(&mut self, contents: &Contents, taken: Option<Taken>) {
        let stats = &contents.queue;
        let known = self.last.queued.weight;
        let found = stats.queued.weight;
        match taken {
            Some(taken) if found <= known => {
                self.dropped[taken as usize].increment(known - found);
            }
            _ => self.recovered.increment(found as f64 - known as f64),
        }
        // The counters of a queue begin at 0 each time it is opened.
        self.last = Stats::default();
        self.last_parked = ParkedStats::default();
        self.refresh_queue(Stats {
            queued: stats.queued,
            disk_bytes: stats.disk_bytes,
            segments: stats.segments,
            oldest_ms: stats.oldest_ms,
            ..Stats::default()
        });
        self.refresh_parked(contents.parked);
    }

    pub(super) fn refresh(&mut self, store: &RouteStore) {
        self.refresh_parked(store.parking.stats());
        self.refresh_queue(store.queue.stats());
    }

    fn refresh_queue(&mut self, stats: Stats) {
        self.records.set(stats.queued.records as f64);
        self.samples.set(stats.queued.weight as f64);
        self.bytes.set(stats.disk_bytes as f64);
        self.segments.set(stats.segments as f64);
        self.oldest.set(stats.oldest_ms.map_or(0.0, age_s));
        let dropped = dropped(&stats).into_iter().zip(dropped(&self.last));
        for (counter, (now, before)) in self.dropped.iter().zip(dropped) {
            counter.increment(now.saturating_sub(before));
        }
        let grown = |now: u64, before: u64| now.saturating_sub(before);
        let corrupt = grown(stats.corrupt_regions, self.last.corrupt_regions);
        self.corrupt.increment(corrupt);
        self.syncs.increment(grown(stats.syncs, self.last.syncs));
        let failed = stats.failed.is_some() || stats.disk_full;
        self.failed.set(f64::from(u8::from(failed)));
        self.last = stats;
    }

    fn refresh_parked(&mut self, stats: ParkedStats) {
        self.parked_batches.set(stats.batches as f64);
        self.parked_samples.set(stats.samples as f64);
        self.parked_bytes.set(stats.bytes as f64);
        self.parked_oldest.set(stats.oldest_ms.map_or(0.0, age_s));
        let before = self.last_parked.dropped_samples;
        let dropped = stats.dropped_samples.saturating_sub(before);
        self.parked_dropped.increment(dropped);
        self.last_parked = stats;
    }
}

/// Samples that left a queue unsent, in the order of [`QueueMetrics::dropped`].
fn dropped(stats: &Stats) -> [u64; 6] {
    let Stats {
        dropped_full,
        dropped_age,
        lost,
        purged,
        not_stored,
        ..
    } = stats;
    let [full, age, damaged, purged, not_stored] =
        [dropped_full, dropped_age, lost, purged, not_stored].map(|tally| tally.weight);
    // Queues of running routes are not moved; see `QueueMetrics::found`.
    [full, age, damaged, purged, not_stored, 0]
}

/// How long ago a time in milliseconds since 1970 was, in seconds; 0 if the clock was set back.
fn age_s(since_ms: i64) -> f64 {
    (seconds_since_epoch() - since_ms as f64 / 1000.0).max(0.0)
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
