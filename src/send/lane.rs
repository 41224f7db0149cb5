//! A lane: one request in flight, sent until it is answered.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::batch::{Batch, Held};
use super::delivery::{self, End};
use super::endpoint::Endpoint;
use super::families::{Families, Interest};
use super::metrics::SendMetrics;
use super::negotiation::Negotiation;
use super::parked::Parking;
use super::scaling::{LaneCount, Work};
use super::stream::stream;
use super::suspension::Suspension;
use crate::queue::Queue;

/// What the tasks of one sender share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) route: Arc<str>,
    /// The lanes of what comes from now on.
    pub(super) lanes: Arc<LaneCount>,
    /// What the lanes do: by this their number is judged.
    pub(super) work: Work,
    pub(super) queue: Queue,
    pub(super) parking: Arc<Parking>,
    pub(super) suspension: Suspension,
    pub(super) negotiation: Negotiation,
    pub(super) families: Arc<Families>,
    /// The metrics that the route keeps.
    pub(super) interest: watch::Receiver<Arc<Interest>>,
    pub(super) endpoint: watch::Receiver<Arc<Endpoint>>,
    pub(super) metrics: SendMetrics,
    pub(super) stop: CancellationToken,
    /// What is in flight is waited for no longer.
    pub(super) cut_off: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Shared {
    pub(super) fn endpoint(&self) -> Arc<Endpoint> {
        Arc::clone(&self.endpoint.borrow())
    }
}

/// Sends what arrives in `blocks` until that is closed or the sender is stopped.
pub(super) async fn run(
    shared: Arc<Shared>,
    lanes: u8,
    lane: u8,
    mut blocks: mpsc::Receiver<Held>,
) {
    let stream = stream(lanes, lane);
    let mut held_over = None;
    loop {
        let mut batch = collect(&shared, &mut blocks, &mut held_over).await;
        if batch.last_position().is_none() {
            return;
        }
        let in_hand = shared.work.take_in_hand();
        // What was dropped from the queue while it waited here is not sent any more.
        batch.forget_through(shared.queue.withdraw(stream));
        while let Some(last) = batch.last_position() {
            let end = if batch.counts().raw_len == 0 {
                // Blocks that could not be read.
                End::Settled
            } else {
                delivery::deliver(&shared, stream, &batch).await
            };
            match end {
                End::Settled => {
                    shared.queue.acknowledge(stream, last);
                    in_hand.settled(&batch);
                    break;
                }
                End::Withdrawn => batch.forget_through(shared.queue.withdraw(stream)),
                End::Stopped => return,
            }
        }
        if shared.stop.is_cancelled() {
            return;
        }
    }
}

/// Collects a batch: until it is full, or its oldest block has waited as long as it may. Empty if
/// there is nothing left to do.
async fn collect(
    shared: &Shared,
    blocks: &mut mpsc::Receiver<Held>,
    held_over: &mut Option<Held>,
) -> Batch {
    let mut batch = Batch::default();
    let mut deadline = None;
    loop {
        let queue = shared.endpoint().queue_config();
        if batch.is_full(queue.max_samples_per_send) {
            batch.cut();
            return batch;
        }
        let next = match (held_over.take(), deadline) {
            (Some(held), _) => Some(held),
            (None, None) => shared
                .stop
                .run_until_cancelled(blocks.recv())
                .await
                .flatten(),
            (None, Some(deadline)) => {
                let next = timeout_at(deadline, blocks.recv());
                shared
                    .stop
                    .run_until_cancelled(next)
                    .await
                    .and_then(Result::ok)
                    .flatten()
            }
        };
        let Some(held) = next else { return batch };
        if !batch.has_room_for(&held, queue.max_samples_per_send) {
            *held_over = Some(held);
            batch.cut();
            return batch;
        }
        batch.push(held);
        let waited = batch.oldest_ms().map_or(Duration::ZERO, age);
        let wait = Duration::from(queue.batch_send_deadline).saturating_sub(waited);
        deadline.get_or_insert_with(|| Instant::now() + wait);
    }
}

/// How long ago a time in milliseconds since the epoch was; zero if the clock was set back.
fn age(since_ms: i64) -> Duration {
    let since = Duration::from_millis(u64::try_from(since_ms).unwrap_or_default());
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    now.saturating_sub(since)
}
