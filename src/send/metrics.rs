//! What a sender counts.

use std::sync::Arc;
use std::time::SystemTime;

use metrics::{Counter, Gauge, Histogram};
use tokio::time::Instant;

use super::endpoint::Answer;
use crate::remote_write::carried::LeftOut;
use crate::telemetry::{RateLimit, Registry};

/// Handles of one sender's metrics.
#[derive(Debug)]
pub struct SendMetrics {
    registry: Registry,
    route: Arc<str>,
    samples: Counter,
    bytes: Counter,
    unreadable: Counter,
    lanes: Gauge,
    in_flight: Gauge,
    suspended: Gauge,
    fallback: Gauge,
    metadata: Counter,
    metadata_failed: Counter,
    duration: Histogram,
    last_success: Gauge,
    pub(super) rejections_logged: RateLimit,
    pub(super) retries_logged: RateLimit,
    pub(super) suspensions_logged: RateLimit,
}

/// An attempt that lasts. It may be cut off.
struct InFlight<'m>(&'m Gauge);

impl<'m> InFlight<'m> {
    fn new(count: &'m Gauge) -> Self {
        count.increment(1);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

impl SendMetrics {
    /// Registers the metrics of the sender of `route`.
    #[must_use]
    pub fn new(registry: &Registry, route: &Arc<str>) -> Self {
        let labels: &[(&'static str, &str)] = &[("route", route.as_ref())];
        let metrics = Self {
            samples: registry.counter(
                "promrelay_send_samples_total",
                "Samples that the receiver accepted.",
                labels,
            ),
            bytes: registry.counter(
                "promrelay_send_bytes_total",
                "Compressed bytes of the requests that the receiver accepted.",
                labels,
            ),
            unreadable: registry.counter(
                "promrelay_send_unreadable_samples_total",
                "Samples in stored blocks that this promrelay cannot read.",
                labels,
            ),
            lanes: registry.gauge(
                "promrelay_send_lanes",
                "Lanes that what comes is sorted into: so many requests of it may be in flight.",
                labels,
            ),
            in_flight: registry.gauge(
                "promrelay_send_in_flight_requests",
                "Requests that the receiver has not answered yet.",
                labels,
            ),
            suspended: registry.gauge(
                "promrelay_send_suspended",
                "1 if the route waits because the receiver refuses every batch alike.",
                labels,
            ),
            fallback: registry.gauge(
                "promrelay_send_fallback",
                "1 if the route sends 1.0 because the receiver does not understand 2.0.",
                labels,
            ),
            metadata: registry.counter(
                "promrelay_send_metadata_total",
                "Metric families that the receiver of 1.0 was told.",
                labels,
            ),
            metadata_failed: registry.counter(
                "promrelay_send_metadata_failed_total",
                "Metric families that the receiver did not take; they are told again in time.",
                labels,
            ),
            duration: registry.histogram(
                "promrelay_send_duration_seconds",
                "How long the receiver took to answer, or the relay to give up.",
                labels,
            ),
            last_success: registry.gauge(
                "promrelay_send_last_success_timestamp_seconds",
                "When the receiver last accepted a request; 0 if it has not yet.",
                labels,
            ),
            rejections_logged: RateLimit::default(),
            retries_logged: RateLimit::default(),
            suspensions_logged: RateLimit::default(),
            registry: registry.clone(),
            route: Arc::clone(route),
        };
        // Both show from the start, so that an alert on their increase sees the first one.
        metrics.count_rejected("400", 0);
        metrics.count_retry("5xx", 0);
        metrics.left_out(&LeftOut::default());
        metrics
    }

    /// Says how many lanes there are.
    pub(super) fn lanes(&self, lanes: u8) {
        self.lanes.set(f64::from(lanes));
    }

    /// Says whether the route waits because every batch is refused alike.
    pub(super) fn suspended(&self, is_suspended: bool) {
        self.suspended.set(f64::from(u8::from(is_suspended)));
    }

    /// Times an attempt and counts it as in flight for as long as it lasts.
    pub(super) async fn time(&self, attempt: impl Future<Output = Answer>) -> Answer {
        let _in_flight = InFlight::new(&self.in_flight);
        let start = Instant::now();
        let answer = attempt.await;
        self.duration.record(start.elapsed().as_secs_f64());
        answer
    }

    /// Says whether 1.0 is sent because the receiver does not know 2.0.
    pub(super) fn fell_back(&self, has_fallen_back: bool) {
        self.fallback.set(f64::from(u8::from(has_fallen_back)));
    }

    /// So many families were told, or not taken.
    pub(super) fn told(&self, families: u64, is_taken: bool) {
        if is_taken {
            self.metadata.increment(families);
        } else {
            self.metadata_failed.increment(families);
        }
    }

    /// Parts of stored samples that the receiver did not get.
    pub(super) fn left_out(&self, left_out: &LeftOut) {
        let help = "Parts of sent samples that the receiver did not get: start_timestamp and \
                    unknown_field (1.0 has no place for them), exemplar (2.0 has none for those \
                    without a sample; or the receiver did not write them), metadata (1.0 entries \
                    in a queue that is sent as 2.0).";
        for (part, count) in [
            ("start_timestamp", left_out.start_timestamps),
            ("unknown_field", left_out.unknown_fields),
            ("exemplar", left_out.exemplars),
            ("metadata", left_out.metadata),
        ] {
            let labels = &[("route", self.route.as_ref()), ("part", part)];
            self.registry
                .counter("promrelay_send_left_out_total", help, labels)
                .increment(count);
        }
    }

    pub(super) fn delivered(&self, code: u16, samples: u64, bytes: usize) {
        self.count_request(&code.to_string());
        self.samples.increment(samples);
        self.bytes.increment(bytes as u64);
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        self.last_success.set(now.as_secs_f64());
    }

    /// A request was refused for good; what becomes of its samples is another matter.
    pub(super) fn refused(&self, code: u16) {
        self.count_request(&code.to_string());
    }

    /// Samples left the queue because they were refused.
    pub(super) fn rejected(&self, code: u16, samples: u64) {
        self.count_rejected(&code.to_string(), samples);
    }

    pub(super) fn retried(&self, reason: &str, code: Option<u16>) {
        self.count_request(&code.map_or_else(|| "none".to_owned(), |code| code.to_string()));
        self.count_retry(reason, 1);
    }

    pub(super) fn unreadable(&self, samples: u64) {
        self.unreadable.increment(samples);
    }

    fn count_request(&self, code: &str) {
        let help = "Requests sent, by the receiver's status code; none if there was no answer.";
        let labels = &[("route", self.route.as_ref()), ("code", code)];
        self.registry
            .counter("promrelay_send_requests_total", help, labels)
            .increment(1);
    }

    fn count_rejected(&self, code: &str, samples: u64) {
        let help = "Samples that the receiver refused for good and that were parked (or dropped, \
                    where parked_max_bytes is less than the batch), by its status code.";
        let labels = &[("route", self.route.as_ref()), ("code", code)];
        let counter = self
            .registry
            .counter("promrelay_send_rejected_samples_total", help, labels);
        counter.increment(samples);
    }

    fn count_retry(&self, reason: &str, retries: u64) {
        let help = "Attempts that failed and are repeated, by reason: 5xx, 429, 4xx (those that \
                    on_rejection says to retry), suspended, fallback (to 1.0), redirect, timeout, \
                    connect, network, or credentials.";
        let labels = &[("route", self.route.as_ref()), ("reason", reason)];
        self.registry
            .counter("promrelay_send_retries_total", help, labels)
            .increment(retries);
    }
}
