//! What a job's mechanisms count.

use std::time::SystemTime;

use metrics::{Counter, Gauge};

use crate::telemetry::{RateLimit, Registry};

/// Handles of one mechanism's metrics.
#[derive(Debug)]
pub(super) struct MechanismMetrics {
    pub(super) targets: Gauge,
    pub(super) updates: Counter,
    failures: Counter,
    last_success: Gauge,
    pub(super) failures_logged: RateLimit,
}

impl MechanismMetrics {
    pub(super) fn new(registry: &Registry, job: &str, mechanism: &str) -> Self {
        let labels: &[(&'static str, &str)] = &[("job", job), ("mechanism", mechanism)];
        Self {
            targets: registry.gauge(
                "promrelay_discovery_targets",
                "Targets that the mechanism knows, before relabelling.",
                labels,
            ),
            updates: registry.counter(
                "promrelay_discovery_updates_total",
                "Target groups that came, changed or went.",
                labels,
            ),
            failures: registry.counter(
                "promrelay_discovery_failures_total",
                "Failures to look for targets; what was known stays.",
                labels,
            ),
            last_success: registry.gauge(
                "promrelay_discovery_last_success_timestamp_seconds",
                "When the mechanism last heard of its targets, whether they changed or not.",
                labels,
            ),
            failures_logged: RateLimit::default(),
        }
    }

    pub(super) fn failed(&self) {
        self.failures.increment(1);
    }

    pub(super) fn succeeded(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.last_success.set(now.unwrap_or_default().as_secs_f64());
    }
}
