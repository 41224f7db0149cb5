//! What the proxy counts.

use http::StatusCode;
use metrics::Counter;

use crate::telemetry::{RateLimit, Registry};

/// Handles of the proxy's metrics.
#[derive(Debug)]
pub(super) struct ProxyMetrics {
    registry: Registry,
    pub(super) bytes: Counter,
    /// Answers that ended before their bodies did.
    pub(super) cut: Counter,
    pub(super) failures_logged: RateLimit,
}

impl ProxyMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        // There from the start, so that a rate of it begins at zero.
        drop(requests(registry, StatusCode::OK));
        Self {
            registry: registry.clone(),
            bytes: registry.counter(
                "promrelay_proxy_body_bytes_total",
                "Bytes of bodies that were passed on, as the exporter sent them.",
                &[],
            ),
            cut: failures(registry, "cut_off"),
            failures_logged: RateLimit::default(),
        }
    }

    /// Counts an answer.
    pub(super) fn answered(&self, status: StatusCode) {
        requests(&self.registry, status).increment(1);
    }

    pub(super) fn failed(&self, reason: &'static str) {
        failures(&self.registry, reason).increment(1);
    }
}

/// Answers with this status. An exporter's odd code counts by its class, to keep them few.
fn requests(registry: &Registry, status: StatusCode) -> Counter {
    let code = match status.as_u16() {
        code @ (200 | 400 | 404 | 500 | 502 | 503 | 504) => code.to_string(),
        code => format!("{}xx", code / 100),
    };
    let help = "Scrapes by what they were answered.";
    registry.counter("promrelay_proxy_requests_total", help, &[("code", &code)])
}

fn failures(registry: &Registry, reason: &str) -> Counter {
    let help = "Scrapes that the exporter did not answer, or not to the end.";
    registry.counter(
        "promrelay_proxy_failures_total",
        help,
        &[("reason", reason)],
    )
}
