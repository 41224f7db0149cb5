//! What the receiver counts.

use std::time::Duration;

use metrics::{Counter, Histogram};

use super::Refusal;
use crate::remote_write::ProtobufMessage;
use crate::remote_write::v2::Contents;
use crate::telemetry::{RateLimit, Registry};

const REQUESTS: &str = "promrelay_receive_requests_total";
const REQUESTS_HELP: &str = "Write requests by message, status code and reason; the message is \
     empty if it was not accepted, the reason if the request was.";

/// Handles of the receiver's metrics.
#[derive(Debug)]
pub struct ReceiveMetrics {
    registry: Registry,
    /// By message.
    accepted: [Counter; ProtobufMessage::ALL.len()],
    body: Histogram,
    duration: Histogram,
    pub(super) refusals_logged: RateLimit,
}

impl ReceiveMetrics {
    /// Registers the receiver's metrics.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self {
            accepted: ProtobufMessage::ALL.map(|message| {
                let labels = [("code", "204"), ("message", message.name()), ("reason", "")];
                registry.counter(REQUESTS, REQUESTS_HELP, &labels)
            }),
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

    /// `message` is what was negotiated.
    pub(super) fn answered(
        &self,
        message: Option<ProtobufMessage>,
        outcome: &Result<Contents, Refusal>,
        took: Duration,
    ) {
        self.duration.record(took.as_secs_f64());
        match outcome {
            Ok(_) => self.accepted[message.unwrap_or_default() as usize].increment(1),
            Err(refusal) => {
                let status = refusal.status();
                let message = message.map_or("", ProtobufMessage::name);
                let labels = &[
                    ("code", status.as_str()),
                    ("message", message),
                    ("reason", refusal.reason()),
                ];
                self.registry
                    .counter(REQUESTS, REQUESTS_HELP, labels)
                    .increment(1);
            }
        }
    }
}
