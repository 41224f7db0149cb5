//! What the receiver counts.

use std::time::Duration;

use metrics::{Counter, Histogram};

use super::Refusal;
use crate::telemetry::{RateLimit, Registry};

const REQUESTS: &str = "promrelay_receive_requests_total";
const REQUESTS_HELP: &str =
    "Write requests by status code and reason; the reason is empty when they were accepted.";

/// Handles of the receiver's metrics.
#[derive(Debug)]
pub struct ReceiveMetrics {
    registry: Registry,
    accepted: Counter,
    body: Histogram,
    duration: Histogram,
    pub(super) refusals_logged: RateLimit,
}

impl ReceiveMetrics {
    /// Registers the receiver's metrics.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self {
            accepted: registry.counter(REQUESTS, REQUESTS_HELP, &[("code", "204"), ("reason", "")]),
            body: registry.histogram(
                "promrelay_receive_body_bytes",
                "Size of write requests' bodies as they came, compressed.",
                &[],
            ),
            duration: registry.histogram(
                "promrelay_receive_duration_seconds",
                "Time from a write request's headers to its answer.",
                &[],
            ),
            refusals_logged: RateLimit::default(),
            registry: registry.clone(),
        }
    }

    pub(super) fn body(&self, bytes: usize) {
        self.body.record(bytes as f64);
    }

    pub(super) fn answered(&self, outcome: &Result<(), Refusal>, took: Duration) {
        self.duration.record(took.as_secs_f64());
        match outcome {
            Ok(()) => self.accepted.increment(1),
            Err(refusal) => {
                let status = refusal.status();
                let labels = &[("code", status.as_str()), ("reason", refusal.reason())];
                self.registry
                    .counter(REQUESTS, REQUESTS_HELP, labels)
                    .increment(1);
            }
        }
    }
}
