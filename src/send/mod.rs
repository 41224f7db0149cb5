//! Sending: from a route's queue to its receiver.
//!
//! A [`Sender`] reads its queue in order and hands each block to the lane that it belongs to. A
//! lane joins blocks to a request, sends it, and sends it again until the receiver has answered;
//! it has one request in flight, so the samples of a series arrive in the order in which they were
//! acknowledged. A route has as many lanes as it needs; see `scaling`.
//!
//! | the receiver | then |
//! |---|---|
//! | answers 2xx | the blocks are acknowledged and leave the queue |
//! | answers 5xx or 429, or does not answer | the same request, after growing pauses, for ever |
//! | redirects with 307 or 308 | followed; any other 3xx is sent again, it may be a mistake |
//! | says when to come back (`Retry-After`) | not before that, but within ten minutes |
//! | answers 400, 413 or 422 | the batch is halved, again and again, to park as little as can be |
//! | answers 401, 403, 404 or 415 | the first batches are parked, then the route is suspended |
//! | answers anything else | the batch is parked: kept aside with the receiver's words |
//! | does not know remote write 2.0 | the same batch goes out as 1.0; see `negotiation` |
//! | wrote a part of a 2.0 request | nothing is sent again; the batch is parked, the rest counted |
//!
//! Those of 4xx codes are [`RejectionConfig`]'s to change; [`parked`] and `suspension` say more.
//!
//! Specifications: [remote write 1.0](https://prometheus.io/docs/specs/prw/remote_write_spec/),
//! [2.0](https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/).

mod attempt;
mod backoff;
mod batch;
pub mod config;
mod delivery;
mod dispatch;
mod encode;
mod endpoint;
mod exemplars;
pub mod families;
mod lane;
mod metadata;
mod metrics;
mod negotiation;
pub mod parked;
mod rejection;
mod scaling;
mod stream;
mod suspension;
mod written;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::Config;
pub use endpoint::Endpoint;
pub use metrics::SendMetrics;
pub use rejection::RejectionConfig;
pub use scaling::LaneCount;
pub use stream::{lane_of, stream};

use families::{Families, Interest};
use negotiation::Negotiation;
use parked::Parking;
use suspension::Suspension;

use crate::queue::Queue;
use crate::remote_write::message::ProtobufMessage;

/// Delivers one route's queue to its receiver until it is stopped.
#[derive(Debug)]
pub struct Sender {
    shared: Arc<lane::Shared>,
    endpoint: watch::Sender<Arc<Endpoint>>,
    interest: watch::Sender<Arc<Interest>>,
    stop: CancellationToken,
    cut_off: CancellationToken,
    tasks: TaskTracker,
}

impl Sender {
    /// Starts delivering `queue` to `endpoint`, and what `families` has of the metrics that the
    /// route keeps (none, until [`Sender::set_interest`]). Needs a tokio runtime.
    #[must_use]
    pub fn start(
        route: Arc<str>,
        queue: Queue,
        parking: Arc<Parking>,
        endpoint: Endpoint,
        families: Arc<Families>,
        metrics: SendMetrics,
    ) -> Self {
        let bounds = endpoint.queue_config().lanes();
        let queued_records = queue.stats().queued.records;
        let lanes = LaneCount::new(scaling::first_lanes(&bounds, queued_records));
        metrics.lanes(lanes.get());
        let (interest, interested) = watch::channel(Arc::new(Interest::nothing()));
        let (sender, receiver) = watch::channel(Arc::new(endpoint));
        let (stop, cut_off) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();
        let shared = lane::Shared {
            route,
            lanes,
            work: scaling::Work::default(),
            queue,
            parking,
            suspension: Suspension::default(),
            negotiation: Negotiation::default(),
            families,
            interest: interested,
            endpoint: receiver,
            metrics,
            stop: stop.clone(),
            cut_off: cut_off.clone(),
            tasks: tasks.clone(),
        };
        let shared = Arc::new(shared);
        tasks.spawn(dispatch::run(Arc::clone(&shared)));
        tasks.spawn(metadata::run(Arc::clone(&shared)));
        tasks.spawn(scaling::run(Arc::clone(&shared)));
        tasks.close();
        Self {
            shared,
            endpoint: sender,
            interest,
            stop,
            cut_off,
            tasks,
        }
    }

    /// Tells the metadata of these metrics from now on.
    pub fn set_interest(&self, interest: Arc<Interest>) {
        self.interest.send_replace(interest);
    }

    /// How many lanes the series are to be sorted into. It changes with what comes.
    #[must_use]
    pub fn lanes(&self) -> Arc<LaneCount> {
        Arc::clone(&self.shared.lanes)
    }

    /// The message that is sent at present: 1.0 also where the receiver does not know 2.0.
    #[must_use]
    pub fn message(&self) -> ProtobufMessage {
        let configured = self.shared.endpoint().message();
        self.shared.negotiation.message(configured)
    }

    /// Sends to `endpoint` from now on; a request that is in flight ends where it began. A route
    /// that was suspended, or that had fallen back to 1.0, tries again at once.
    pub fn reload(&self, endpoint: Endpoint) {
        self.shared
            .lanes
            .keep_within(&endpoint.queue_config().lanes());
        self.shared.negotiation.restart();
        self.shared.metrics.fell_back(false);
        self.shared.suspension.end();
        self.shared.metrics.suspended(false);
        // Whoever pauses goes on with this.
        self.endpoint.send_replace(Arc::new(endpoint));
    }

    /// What the receiver answers, if it refuses every batch and so the route is suspended.
    #[must_use]
    pub fn suspended_by(&self) -> Option<u16> {
        self.shared.suspension.code()
    }

    /// Stops: the batch in hand is sent once, and what is still in the queue stays there.
    ///
    /// Returns when nothing is in flight any more, at the latest after the remote timeout.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }

    /// The same, but what is in flight after `patience` is cut off: it stays in the queue, whether
    /// the receiver has it or not.
    pub async fn stop_within(&self, patience: Duration) {
        if timeout(patience, self.stop()).await.is_err() {
            self.cut_off.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
