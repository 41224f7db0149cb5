//! A request on its way into the queues of the routes that keep something of it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use thiserror::Error;

use super::metrics::Tally;
use super::outbox;
use super::router::Router;
use crate::queue::{
    Append, AppendError, Patience, Queue, Receipt, Record, ReserveError, append_all,
};

/// A routed request: blocks for each concerned route. Dropping it undoes everything.
#[derive(Debug)]
#[must_use = "a delivery that is not committed is forgotten"]
pub struct Delivery {
    router: Arc<Router>,
    arena: Vec<u8>,
    shares: Vec<RouteShare>,
    tally: Tally,
}

/// What one route gets.
#[derive(Debug)]
pub(super) struct RouteShare {
    pub(super) route: usize,
    pub(super) records: Vec<outbox::Record>,
}

/// Why a request was not taken by every route that it concerns.
#[derive(Debug, Error)]
pub enum CommitError {
    /// A route has no room; nothing of the request was kept on any route.
    #[error("route {route} takes nothing at the moment")]
    Refused {
        /// The route's name.
        route: Arc<str>,
        /// Why.
        #[source]
        source: ReserveError,
    },
    /// A route's disk failed. Other routes may have kept the request; if it is sent again they get
    /// it twice.
    #[error("route {route} could not store the request")]
    Failed {
        /// The route's name.
        route: Arc<str>,
        /// Why.
        #[source]
        source: AppendError,
    },
}

impl Delivery {
    pub(super) fn new(
        router: Arc<Router>,
        arena: Vec<u8>,
        shares: Vec<RouteShare>,
        tally: Tally,
    ) -> Self {
        Self {
            router,
            arena,
            shares,
            tally,
        }
    }

    /// Series and samples that the request holds.
    #[must_use]
    pub fn received(&self) -> (u64, u64) {
        self.tally.received()
    }

    /// Puts the request into the queues of all concerned routes and waits until each of them has
    /// it durable. Room is made on every one of them before anything is appended to any.
    ///
    /// # Errors
    /// If a route has no room, or its disk fails.
    ///
    /// # Cancel safety
    /// If the wait is cancelled the request stays in the queues, and nobody was told so: a sender
    /// that sends it again delivers it twice.
    pub async fn commit(self) -> Result<(), CommitError> {
        let router = Arc::clone(&self.router);
        let receipts = self.append(Patience::UntilAwaited)?;
        if receipts.iter().any(|(_, receipt)| receipt.is_waiting()) {
            let_others_go_first().await;
        }
        durable(&router, receipts).await
    }

    /// The same for whom no sender waits: up to `patience` later, so that one sync of a queue does
    /// for many deliveries.
    ///
    /// # Errors
    /// As [`Self::commit`].
    ///
    /// # Cancel safety
    /// As [`Self::commit`].
    pub async fn commit_within(self, patience: Duration) -> Result<(), CommitError> {
        let router = Arc::clone(&self.router);
        let receipts = self.append(Patience::UpTo(patience))?;
        durable(&router, receipts).await
    }

    fn append(self, patience: Patience) -> Result<Vec<(usize, Receipt)>, CommitError> {
        let routes = self.router.routes();
        let reserve = |share: &RouteShare| {
            let bytes = share
                .records
                .iter()
                .map(|record| Queue::stored_size(record.bytes.len()));
            let route = &routes[share.route];
            route
                .queue
                .reserve(bytes.sum())
                .map_err(|source| CommitError::Refused {
                    route: Arc::clone(&route.name),
                    source,
                })
        };
        let reservations: Vec<_> = self.shares.iter().map(reserve).collect::<Result<_, _>>()?;
        let appended_ms = now_ms();
        let appends = self
            .shares
            .iter()
            .zip(reservations)
            .map(|(share, reservation)| {
                let record = |record: &outbox::Record| Record {
                    stream: record.stream,
                    weight: record.samples,
                    appended_ms,
                    bytes: &self.arena[record.bytes.clone()],
                };
                Append {
                    queue: &routes[share.route].queue,
                    reservation,
                    records: share.records.iter().map(record).collect(),
                }
            });
        let mut receipts = append_all(appends.collect(), patience);
        for (index, _) in &mut receipts {
            *index = self.shares[*index].route;
        }
        self.router.metrics().record(&self.tally);
        Ok(receipts)
    }
}

/// Lets what else this thread has at hand go first: most of it is other requests, and one sync does
/// for all of them. Not tokio's `yield_now`, which waits for other threads' tasks, too.
async fn let_others_go_first() {
    let mut is_first = true;
    poll_fn(|context| {
        if std::mem::take(&mut is_first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// Waits until all of it is durable.
async fn durable(router: &Router, mut receipts: Vec<(usize, Receipt)>) -> Result<(), CommitError> {
    for (_, receipt) in &mut receipts {
        receipt.hurry();
    }
    for (route, receipt) in receipts {
        receipt.durable().await.map_err(|source| {
            let route = Arc::clone(&router.routes()[route].name);
            CommitError::Failed { route, source }
        })?;
    }
    Ok(())
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
