//! A lane: one request in flight, sent until it is answered.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use super::backoff::Backoff;
use super::batch::{Batch, Held};
use super::endpoint::{Answer, Endpoint};
use super::metrics::SendMetrics;
use super::stream::stream;
use crate::queue::Queue;

/// What the tasks of one sender share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) route: Arc<str>,
    pub(super) queue: Queue,
    pub(super) endpoint: watch::Receiver<Arc<Endpoint>>,
    pub(super) metrics: SendMetrics,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Shared {
    fn endpoint(&self) -> Arc<Endpoint> {
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
        let batch = collect(&shared, &mut blocks, &mut held_over).await;
        let Some(last) = batch.last_position() else {
            return;
        };
        if !deliver(&shared, &batch).await {
            return;
        }
        shared.queue.acknowledge(stream, last);
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
            return batch;
        }
        batch.push(held);
        let waited = batch.oldest_ms().map_or(Duration::ZERO, age);
        let wait = Duration::from(queue.batch_send_deadline).saturating_sub(waited);
        deadline.get_or_insert_with(|| Instant::now() + wait);
    }
}

/// Sends a batch until it is answered for good. False if the sender was stopped before that: then
/// the batch is still in the queue.
async fn deliver(shared: &Shared, batch: &Batch) -> bool {
    let (route, metrics) = (&shared.route, &shared.metrics);
    let body = bytes::Bytes::from(batch.body());
    let counts = batch.counts();
    let mut attempt = 0u64;
    let config = shared.endpoint().queue_config();
    let mut backoff = Backoff::new(config.min_backoff.into(), config.max_backoff.into());
    loop {
        let endpoint = shared.endpoint();
        attempt += 1;
        let answer = metrics.time(endpoint.post(body.clone())).await;
        let (reason, retry_after) = match answer {
            Answer::Delivered { code } => {
                metrics.delivered(code, counts, body.len());
                return true;
            }
            Answer::Rejected { code, words } => {
                metrics.rejected(code, counts);
                if let Some(suppressed) = metrics.rejections_logged.permit() {
                    let samples = counts.samples;
                    error!(%route, code, samples, suppressed, words, "receiver rejected samples");
                }
                return true;
            }
            Answer::Retry {
                reason,
                code,
                retry_after,
                words,
            } => {
                metrics.retried(reason, code);
                if let Some(suppressed) = metrics.retries_logged.permit() {
                    warn!(%route, attempt, reason, suppressed, words, "send failed, will retry");
                }
                (reason, retry_after)
            }
        };
        if shared.stop.is_cancelled() {
            tracing::info!(%route, reason, samples = counts.samples, "left in the queue");
            return false;
        }
        let pause = backoff.next_pause().max(retry_after.unwrap_or_default());
        let pause = sleep_until(Instant::now() + pause);
        // After a stop there is one more attempt, without a pause.
        let _stopped = shared.stop.run_until_cancelled(pause).await;
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
