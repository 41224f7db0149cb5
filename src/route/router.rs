//! The router: the one path that every sample takes, whatever it came from.
//!
//! [`Router::route`] walks a request once for all routes and leaves each route's series as
//! compressed blocks in a [`Delivery`]; nothing has happened yet that could not be undone.
//! [`Delivery::commit`] then makes room in all concerned queues, appends to all of them, and
//! returns when each has it durable. Either every concerned route took the request, or the sender
//! is told to send it again.

use std::sync::{Arc, Mutex, PoisonError};

use super::config::VerdictConfig;
use super::delivery::Delivery;
use super::metrics::RouterMetrics;
use super::request::Request;
use super::verdict::{Decider, VerdictTable};
use super::worker::Worker;
use crate::model::LabelSet;
use crate::queue::Queue;
use crate::relabel::Rules;
use crate::remote_write::v1::{DecodeError, Labels, Limits, Payload};
use crate::send::LaneCount;
use crate::send::families::{Families, Interest};

/// A route as the router knows it: rules, and the queue behind them.
#[derive(Debug)]
pub struct Route {
    /// The route's name, its identity.
    pub name: Arc<str>,
    /// The rules, run after the external labels were added.
    pub rules: Rules,
    /// How many lanes series are sorted into.
    pub lanes: Arc<LaneCount>,
    /// Samples in one block at the most.
    pub max_samples_per_send: u64,
    /// Which parts of a series' payload it takes.
    pub payload: Payload,
    /// Of which metrics it wants metadata: the router notes those that it keeps.
    pub interest: Arc<Interest>,
    /// Where its blocks go.
    pub queue: Queue,
}

/// Decides for each series which routes keep it. Built anew for each configuration.
#[derive(Debug)]
pub struct Router {
    routes: Vec<Route>,
    external_labels: Vec<(String, String)>,
    limits: Limits,
    decider: Arc<Decider>,
    families: Arc<Families>,
    verdict_bounds: VerdictConfig,
    metrics: RouterMetrics,
    /// Idle workers. At most as many exist as requests were ever handled at the same time.
    workers: Mutex<Vec<Worker>>,
}

impl Router {
    /// Compiles a router. `external_labels` are sorted by name; what requests say of metric
    /// families goes to `families`.
    #[must_use]
    pub fn new(
        routes: Vec<Route>,
        external_labels: Vec<(String, String)>,
        limits: Limits,
        families: Arc<Families>,
        metrics: RouterMetrics,
    ) -> Self {
        let deciding = routes.iter().map(|route| (&route.rules, &route.interest));
        let decider = Arc::new(Decider::new(deciding, &external_labels));
        Self {
            routes,
            external_labels,
            limits,
            decider,
            families,
            verdict_bounds: VerdictConfig::default(),
            metrics,
            workers: Mutex::default(),
        }
    }

    /// The same with these bounds on its tables of verdicts.
    #[must_use]
    pub fn with_verdict_bounds(mut self, bounds: VerdictConfig) -> Self {
        self.verdict_bounds = bounds;
        self
    }

    /// The routes, in the order of the configuration.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Sorts the series of a request into routes. Takes CPU, waits for nothing.
    ///
    /// # Errors
    /// If the request is malformed or any of its series is invalid; then none of it is kept.
    pub fn route(self: &Arc<Self>, request: Request<'_>) -> Result<Delivery, DecodeError> {
        let mut worker = self.take_worker();
        let size_before = worker.table_size();
        let delivery = worker.route(self, request);
        let activity = worker.take_activity();
        self.metrics
            .record_table(activity, size_before, worker.table_size());
        self.workers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(worker);
        delivery
    }

    /// The bounds on the labels of a series.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// A new table of verdicts.
    pub(super) fn verdict_table(&self) -> VerdictTable {
        VerdictTable::new(Arc::clone(&self.decider), self.verdict_bounds)
    }

    pub(super) fn families(&self) -> &Families {
        &self.families
    }

    pub(super) fn metrics(&self) -> &RouterMetrics {
        &self.metrics
    }

    fn take_worker(&self) -> Worker {
        let idle = self
            .workers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.unwrap_or_else(|| Worker::new(self))
    }

    /// Whether external labels have to be added to a series with these labels.
    pub(super) fn lacks_external_labels(&self, labels: &Labels<'_>) -> bool {
        let mut names = self.external_labels.iter().map(|(name, _)| name.as_bytes());
        names.any(|name| labels.find(name).is_none())
    }

    /// Fills `set` with `labels` and the external ones that they lack.
    pub(super) fn with_external_labels<'s>(&'s self, labels: &Labels<'s>, set: &mut LabelSet<'s>) {
        set.assign_sorted(labels.iter());
        for (name, value) in &self.external_labels {
            if !set.contains(name) {
                set.set(name.as_str(), value.as_str());
            }
        }
    }
}
