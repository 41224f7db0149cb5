//! Queues on disk that no route of the configuration has.
//!
//! A route that was removed or renamed leaves its queue and its parked batches behind; they stay
//! until the route comes back or an operator moves or purges them. So that nobody forgets, they
//! show in the metrics, and in the log when they are first seen.

use std::collections::BTreeMap;

use metrics::Gauge;
use tracing::warn;

use crate::store::{Contents, Listed};
use crate::telemetry::Registry;

/// What is known of such queues.
#[derive(Debug)]
pub(super) struct Orphans {
    registry: Registry,
    listed: Vec<Listed>,
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
            listed: Vec::new(),
            gauges: BTreeMap::new(),
        }
    }

    /// What was found last.
    pub(super) fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// Takes note of what was found.
    pub(super) fn found(&mut self, listed: Vec<Listed>) {
        for metrics in self.gauges.values() {
            metrics.samples.set(0.0);
            metrics.parked_samples.set(0.0);
        }
        for queue in &listed {
            match &queue.contents {
                Ok(Contents {
                    queue: stats,
                    parked,
                    ..
                }) => {
                    if stats.queued.records + parked.batches > 0 {
                        self.report(&queue.route, stats.queued.weight, parked.samples);
                    }
                }
                Err(error) => {
                    let route = &queue.route;
                    warn!(
                        route,
                        error, "no route has this queue, and it cannot be read"
                    );
                }
            }
        }
        self.listed = listed;
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
