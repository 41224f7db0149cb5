//! Queues on disk that no route of the configuration has.
//!
//! A route that was removed or renamed leaves its queue and its parked batches behind; they stay
//! until the route comes back or an operator moves or purges them. So that nobody forgets, they
//! show in the metrics, and in the log when they are first seen.

use std::collections::BTreeMap;
use std::path::PathBuf;

use metrics::Gauge;
use serde_json::Value;
use tracing::{error, warn};

use crate::store::{Command, RouteStore, Storage};
use crate::telemetry::{Registry, causes};

/// What is known of such queues.
#[derive(Debug)]
pub(super) struct Orphans {
    registry: Registry,
    gauges: BTreeMap<String, OrphanMetrics>,
}

#[derive(Debug)]
struct OrphanMetrics {
    samples: Gauge,
    parked_samples: Gauge,
}

impl Orphans {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            registry,
            gauges: BTreeMap::new(),
        }
    }

    /// Looks again. `running` are the stores that routes have.
    pub(super) async fn find(&mut self, path: PathBuf, running: BTreeMap<String, RouteStore>) {
        let storage = Storage { path, running };
        let listed = match storage.execute(Command::List {}).await {
            Ok(listed) => listed,
            Err(error) => {
                let error = causes(&error);
                error!(error, "cannot list the queues that no route has");
                return;
            }
        };
        for metrics in self.gauges.values() {
            metrics.samples.set(0.0);
            metrics.parked_samples.set(0.0);
        }
        for queue in listed.as_array().into_iter().flatten() {
            let number = |key: &str| queue[key].as_u64().unwrap_or_default();
            let (samples, parked) = (number("queuedSamples"), number("parkedSamples"));
            let is_empty = samples + parked + number("queuedRecords") == 0;
            if queue["running"] == Value::Bool(true) || is_empty {
                continue;
            }
            self.report(queue["route"].as_str().unwrap_or_default(), samples, parked);
        }
    }

    fn report(&mut self, route: &str, samples: u64, parked_samples: u64) {
        if !self.gauges.contains_key(route) {
            warn!(
                route,
                samples,
                parked_samples,
                "no route has this queue; `promrelay queue` lists, moves and purges it"
            );
        }
        let registry = &self.registry;
        let metrics = self.gauges.entry(route.to_owned());
        let metrics = metrics.or_insert_with(|| OrphanMetrics::new(registry, route));
        metrics.samples.set(samples as f64);
        metrics.parked_samples.set(parked_samples as f64);
    }
}

impl OrphanMetrics {
    fn new(registry: &Registry, route: &str) -> Self {
        let labels: &[(&'static str, &str)] = &[("route", route)];
        Self {
            samples: registry.gauge(
                "promrelay_queue_orphaned_samples",
                "Samples in a queue on disk that no route of the configuration has.",
                labels,
            ),
            parked_samples: registry.gauge(
                "promrelay_queue_orphaned_parked_samples",
                "Samples parked by a route that the configuration does not have.",
                labels,
            ),
        }
    }
}
