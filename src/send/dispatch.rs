//! From the queue to the lanes, in order, reading ahead no more than a bound.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tracing::error;

use super::batch::Held;
use super::lane::{self, Shared};
use super::stream::lane_of;
use crate::queue::{Entry, Reader};
use crate::remote_write::block::{Block, BlockError};

/// What a route reads ahead of its receiver, in compressed bytes.
const READ_AHEAD_BYTES: u32 = 4 * 1024 * 1024;
/// Blocks that wait in a lane; small ones are bound by this, large ones by their bytes.
const BLOCKS_PER_LANE: usize = 1024;
/// How long the reader lets the queue gather when it has read everything, unless batches may not
/// wait so long for more. Each read costs several changes of thread, for each route.
const GATHER: Duration = Duration::from_millis(50);

/// Reads the queue until the sender is stopped or the queue closed.
pub(super) async fn run(shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    // Whatever is in a lane when this is cancelled was not acknowledged and is still in the queue.
    let _cancelled = stop.run_until_cancelled(read(shared)).await;
}

async fn read(shared: Arc<Shared>) {
    let mut reader: Reader = shared.queue.reader();
    let read_ahead = Arc::new(Semaphore::new(READ_AHEAD_BYTES as usize));
    let mut lanes: Option<Lanes> = None;
    while let Some(entry) = next(&shared, &mut reader).await {
        let (count, lane) = lane_of(entry.stream);
        if let Some(other) = lanes.take_if(|lanes| lanes.senders.len() != usize::from(count)) {
            // These blocks were sorted into another number of lanes, so a series can be in another
            // lane now: everything before them must have arrived first.
            other.finish().await;
        }
        let permit = room_for(&entry, &read_ahead).await;
        let Some(held) = decode(&shared, entry, permit) else {
            // What is before it goes out; it stays where it is, and so does all that comes after.
            if let Some(lanes) = lanes.take() {
                lanes.finish().await;
            }
            shared.metrics.suspended(true);
            return std::future::pending().await;
        };
        let lanes = lanes.get_or_insert_with(|| Lanes::start(&shared, count));
        if let Some(sender) = lanes.senders.get(usize::from(lane))
            && sender.send(held).await.is_err()
        {
            return;
        }
    }
}

async fn next(shared: &Shared, reader: &mut Reader) -> Option<Entry> {
    if let Some(entry) = reader.next_stored().await {
        return Some(entry);
    }
    let deadline = shared.endpoint().queue_config().batch_send_deadline;
    sleep(GATHER.min(deadline.into())).await;
    reader.next().await
}

async fn room_for(entry: &Entry, read_ahead: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let bytes = u32::try_from(entry.bytes.len())
        .unwrap_or(u32::MAX)
        .min(READ_AHEAD_BYTES);
    let permit = Arc::clone(read_ahead).acquire_many_owned(bytes).await;
    permit.expect("the semaphore is never closed")
}

/// A block that cannot be read becomes an empty one, which its lane acknowledges in its turn.
/// `None` for one of another version: whoever wrote it can read it.
fn decode(shared: &Shared, entry: Entry, permit: OwnedSemaphorePermit) -> Option<Held> {
    let (route, samples) = (&shared.route, entry.weight);
    let block = match Block::decode(entry.bytes) {
        Ok(block) => block,
        Err(error @ BlockError::UnknownVersion(_)) => {
            error!(%route, %error, "the queue waits for the promrelay that wrote it");
            return None;
        }
        Err(error @ BlockError::BadHeader) => {
            error!(%route, samples, %error, "dropped a block that cannot be read");
            shared.metrics.unreadable(u64::from(samples));
            Block::default()
        }
    };
    Some(Held {
        block,
        position: entry.position,
        appended_ms: entry.appended_ms,
        _permit: permit,
    })
}

/// The lanes of one number of them.
struct Lanes {
    senders: Vec<mpsc::Sender<Held>>,
    tasks: TaskTracker,
}

impl Lanes {
    fn start(shared: &Arc<Shared>, count: u8) -> Self {
        shared.work.begin(count);
        let tasks = TaskTracker::new();
        let start = |lane| {
            let (sender, receiver) = mpsc::channel(BLOCKS_PER_LANE);
            let run = lane::run(Arc::clone(shared), count, lane, receiver);
            shared.tasks.spawn(tasks.track_future(run));
            sender
        };
        let senders = (0..count).map(start).collect();
        tasks.close();
        Self { senders, tasks }
    }

    /// Waits until everything that was handed to the lanes is delivered.
    async fn finish(self) {
        drop(self.senders);
        self.tasks.wait().await;
    }
}
