//! What a sender counts.

use std::sync::Arc;
use std::time::SystemTime;

use metrics::{Counter, Gauge, Histogram};
use tokio::time::Instant;

use super::endpoint::Answer;
use crate::remote_write::block::Counts;
use crate::telemetry::{RateLimit, Registry};

/// Handles of one sender's metrics.
#[derive(Debug)]
pub struct SendMetrics {
    registry: Registry,
    route: Arc<str>,
    samples: Counter,
    bytes: Counter,
    unreadable: Counter,
    in_flight: Gauge,
    suspended: Gauge,
    duration: Histogram,
    last_success: Gauge,
    pub(super) rejections_logged: RateLimit,
    pub(super) retries_logged: RateLimit,
    pub(super) suspensions_logged: RateLimit,
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
        metrics
    }

    /// Says whether the route waits because every batch is refused alike.
    pub(super) fn suspended(&self, is_suspended: bool) {
        self.suspended.set(f64::from(u8::from(is_suspended)));
    }

    /// Times an attempt and counts it as in flight for as long as it lasts.
    pub(super) async fn time(&self, attempt: impl Future<Output = Answer>) -> Answer {
        self.in_flight.increment(1);
        let start = Instant::now();
        let answer = attempt.await;
        self.duration.record(start.elapsed().as_secs_f64());
        self.in_flight.decrement(1);
        answer
    }

    pub(super) fn delivered(&self, code: u16, counts: Counts, bytes: usize) {
        self.count_request(&code.to_string());
        self.samples.increment(counts.samples);
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

    pub(super) fn unreadable(&self, samples: u32) {
        self.unreadable.increment(u64::from(samples));
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
                    on_rejection says to retry), suspended, redirect, timeout, connect, network, \
                    or credentials.";
        let labels = &[("route", self.route.as_ref()), ("reason", reason)];
        self.registry
            .counter("promrelay_send_retries_total", help, labels)
            .increment(retries);
    }
}
