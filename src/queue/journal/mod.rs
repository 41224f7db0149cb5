//! The journal: one sync for the records of many queues.
//!
//! A request goes to many routes, and each has a queue with a file of its own: to sync them all
//! before the request is answered costs as many syncs as there are routes. So the records of all
//! queues of a storage directory go first into one file, the journal, and are durable when that is
//! synced; the queues' own segments are written soon after, and synced some time after a file of
//! the journal is full. What the journal holds is only ever read after a crash.
//!
//! # Guarantees
//! 1. What [`super::Receipt::durable`] says of a queue holds with a journal too: its records
//!    survive a power cut, in the journal or in a segment.
//! 2. Records come into a queue in the order of the calls that appended them, when they are
//!    durable and never before.
//! 3. A file of the journal is written again only when all its records are synced in the segments.
//!    A queue that cannot write them keeps the file on the disk until it can, or is opened again;
//!    other queues go on in another.
//! 4. The files take at most 65 MiB, or as much as one group of appends if that is larger, beside
//!    those that are kept for a queue that cannot write.
//!
//! # How it works
//! [`append`](Core::append) gives records their positions and copies them into the pending batch.
//! The journal's thread takes the whole batch, writes it with one `write`, syncs with one
//! `fdatasync`, hands each queue its records, and answers everybody who waits. It is called when a
//! batch has to go ([`Patience`]): to wake it for each append would cost more than to copy the
//! records, and sync more often. Each queue's own thread writes what it was handed in its own
//! time, 50 ms later at most, since nobody waits for it; it counts as queued from when it was
//! handed over, and is read from when it was written.
//!
//! Files are used again from the front, so that they do not grow and no sync has to write lengths.
//! When one is full, the queues that have records in it are asked to sync their segments, one after
//! the other while the next file fills.
//!
//! # On disk
//! As in [`super`], integers are little-endian and `crc(x)` is started from a salt; here it is
//! drawn at random whenever a file is begun, so that blocks of its last use are not taken for new.
//!
//! ```text
//! <storage>/journal/<number>     a file
//! <storage>/journal/reserve      zeros: space to recover in when the disk is full
//!
//! file   = header(32) block*
//! header = "prmrelyJ" version:u16=1 0:u16 salt:u32 sequence:u64 0:u32
//!          plain CRC-32 of the 28 bytes before:u32
//! block  = F5 50 72 FB  crc(body):u32  bytes of the body:u64  crc(the 16 bytes before):u32  body
//! body   = entry*
//! entry  = bytes of the name:u16  the queue's salt:u32  bytes of the records:u64
//!          the name of the queue's directory, the records as they stand in its segments
//! ```
//! The sequence grows from file to file. A file ends where no whole block follows.
//!
//! # After a crash
//! [`recover`] writes the end of each queue's last segment anew, from the first record on that the
//! journal has, with what it lacks of the others: nothing before can be missing, since a segment is
//! synced before the next is begun. What has been acknowledged is left out. Then the journal's
//! files are deleted. The same is done for one queue that was closed while its disk was full or had
//! failed, before it is opened again.
//!
//! # When something fails
//! - *A write finds the disk full*: the batch is refused with [`AppendError::DiskFull`], and so
//!   is everything until a trial write, once a second, succeeds. A file that cannot grow counts as
//!   full, so that a small volume is enough.
//! - *Any other failed write, any failed sync*: poisoned until a restart, and with it all queues
//!   under [`Durability::Fsync`](super::Durability::Fsync).
//! - *A segment cannot be written or synced after its records were journaled*: they are there
//!   when the queue is opened again. One whose disk was full goes on by itself when it is no more.
//! - *A block is damaged*: skipped to the next whole one and logged, on recovery.
//! - *A queue's directory is gone, or another queue is in it*: its records are left out.
//! - *Recovery finds the disk full*: there is 1 MiB in `reserve` for this. On Linux, what is in the
//!   journal for queues that have it all is given back as well, and a file keeps only blocks that
//!   others need. If that is not enough it fails, nothing is deleted, and the next one tries again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

mod active;
mod batch;
mod file;
mod redo;
mod writer;

use batch::{Batch, Wait};
use writer::Writer;

use super::disk::{OpenLog, open_log};
use super::format::RecordHeader;
use super::shared::Shared;
use super::state::{Health, Phase};
use super::{AppendError, DirectoryLock, OpenError, Patience, ReserveError};

/// The directory of the journal beside the queues'.
pub(super) const DIRECTORY: &str = "journal";

/// So many appends are enough for a sync, if whoever made them is not yet done with others.
const ENOUGH_APPENDS: usize = 16;
/// For what waits no longer.
const AT_ONCE: Wait = Wait::UpTo(Duration::ZERO);

/// The thread calls nothing deep.
const STACK_BYTES: usize = 256 << 10;

/// The journal of a storage directory, with the thread that writes it.
///
/// It ends when this is dropped: what was appended is written, and queues that go on without it
/// refuse what has to be durable.
#[derive(Debug)]
pub struct Journal {
    core: Arc<Core>,
    thread: Option<thread::JoinHandle<()>>,
    /// Given back when the thread has ended.
    _lock: Option<DirectoryLock>,
}

/// A journal in numbers. Counters count since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Syncs of its files.
    pub syncs: u64,
    /// Bytes written to them.
    pub written_bytes: u64,
    /// Bytes of its files.
    pub disk_bytes: u64,
}

/// What the queues and the thread share.
#[derive(Debug)]
pub(super) struct Core {
    storage_path: PathBuf,
    /// Queues that were closed while only the journal had some of their records, by name.
    unfinished: Mutex<HashMap<String, Arc<Shared>>>,
    state: Mutex<State>,
    /// The thread waits for it.
    work: Condvar,
    /// Whether the health is [`Health::Well`], for those that only look.
    is_well: AtomicBool,
}

/// Everything that the lock of the journal protects. The lock of a queue is taken under it.
#[derive(Debug, Default)]
struct State {
    pending: Batch,
    health: Health,
    phase: Phase,
    stats: JournalStats,
    /// How many batches the thread took: the number of the one that is pending.
    taken: u64,
}

/// Has the journal write a batch, when it is dropped: unless it was taken by then.
#[derive(Debug)]
pub(super) struct Call {
    journal: Arc<Core>,
    batch: u64,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.journal.hurry_if(|state| state.taken == self.batch);
    }
}

/// What one queue appends.
pub(super) struct Part<'a> {
    pub queue: &'a Arc<Shared>,
    pub reserved_bytes: u64,
    pub records: Vec<(RecordHeader, &'a [u8])>,
}

/// Who hears how an append ended.
pub(super) type Waiter = oneshot::Sender<Result<(), AppendError>>;

impl Journal {
    /// Recovers what a crash left (see [`recover`]) and begins anew, in the directory that is
    /// locked. No queue in it is open. Blocks.
    ///
    /// # Errors
    /// Files that cannot be read or written. Never for what is in them.
    pub fn open(lock: DirectoryLock) -> Result<Self, OpenError> {
        let storage_path = lock.path().to_owned();
        Self::open_with(&storage_path, Some(lock), Arc::new(open_log))
    }

    pub(super) fn open_with(
        storage_path: &Path,
        lock: Option<DirectoryLock>,
        open_log: OpenLog,
    ) -> Result<Self, OpenError> {
        let sequence = redo::recover(storage_path)?;
        let core = Arc::new(Core {
            storage_path: storage_path.to_owned(),
            unfinished: Mutex::default(),
            state: Mutex::default(),
            work: Condvar::new(),
            is_well: AtomicBool::new(true),
        });
        let directory = storage_path.join(DIRECTORY);
        let writer = Writer::new(Arc::clone(&core), directory.clone(), open_log, sequence);
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || writer.run())
            .map_err(|source| OpenError {
                action: "start the thread of",
                path: directory,
                source,
            })?;
        Ok(Self {
            core,
            thread: Some(thread),
            _lock: lock,
        })
    }

    /// The journal in numbers.
    #[must_use]
    pub fn stats(&self) -> JournalStats {
        self.core.lock().stats
    }

    pub(super) fn core(&self) -> Arc<Core> {
        Arc::clone(&self.core)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let mut state = self.core.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        drop(state);
        self.core.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // If it panicked, the panic was reported where it happened.
            drop(thread.join());
        }
    }
}

/// Brings what a journal holds back into the queues, after a crash. The caller holds the
/// directory's lock, and no queue in it is open. Blocks.
///
/// # Errors
/// Files that cannot be read or written. Never for what is in them.
pub fn recover(storage_path: &Path) -> Result<(), OpenError> {
    redo::recover(storage_path).map(drop)
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, State> {
        // It is changed in small steps that do not panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a queue that ends while only the journal has some of its records.
    pub(super) fn note_unfinished(&self, queue: &Arc<Shared>) {
        self.unfinished()
            .insert(queue.name.clone(), Arc::clone(queue));
    }

    /// Brings back what only the journal has of the queue of this name, if it was closed so: before
    /// it is opened again.
    pub(super) fn finish(&self, name: &str) -> Result<(), OpenError> {
        let mut unfinished = self.unfinished();
        if let Some(queue) = unfinished.get(name) {
            redo::recover_queue(&self.storage_path, name)?;
            queue.finish();
            unfinished.remove(name);
        }
        Ok(())
    }

    fn unfinished(&self) -> MutexGuard<'_, HashMap<String, Arc<Shared>>> {
        self.unfinished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends records of several queues at once. `waiter` hears when all of them are durable.
    /// What waits until its receipt is awaited gets the call that is made then.
    pub(super) fn append(
        self: &Arc<Self>,
        parts: &[Part<'_>],
        patience: Patience,
        waiter: Waiter,
    ) -> Option<Call> {
        let mut state = self.lock();
        let is_stopped = state.phase == Phase::Stopped;
        let mut is_closed = is_stopped;
        let mut is_closing = false;
        let wait_before = state.pending.wait;
        debug_assert!(
            !state.pending.is_empty() || wait_before == Wait::ForCall,
            "who appends first would not be heard"
        );
        for part in parts {
            let mut queue = part.queue.lock();
            queue.reserved_bytes = queue.reserved_bytes.saturating_sub(part.reserved_bytes);
            is_closing |= queue.phase != Phase::Open;
            if is_stopped || queue.phase == Phase::Stopped {
                for (header, _) in &part.records {
                    queue.counters.not_stored += header.tally();
                }
                is_closed = true;
            } else if !part.records.is_empty() {
                state.pending.add(part, &mut queue);
            }
        }
        // Who has something in a queue that is closed hears so by the end of the channel.
        if !is_closed {
            state.pending.waiters.push(waiter);
        }
        if state.pending.is_empty() {
            return None;
        }
        let is_enough = state.pending.waiters.len() >= ENOUGH_APPENDS;
        let wait = match patience {
            _ if state.pending.is_large() => AT_ONCE,
            Patience::None => AT_ONCE,
            Patience::UntilAwaited if is_enough || is_closing => AT_ONCE,
            Patience::UntilAwaited => Wait::ForCall,
            Patience::UpTo(patience) => Wait::UpTo(patience),
        };
        state.pending.wait = wait_before.min(wait);
        let is_news = state.pending.wait != wait_before;
        let call = (wait == Wait::ForCall).then(|| Call {
            journal: Arc::clone(self),
            batch: state.taken,
        });
        drop(state);
        if is_news {
            self.work.notify_one();
        }
        call
    }

    /// Has the pending batch wait no longer.
    pub(super) fn hurry(&self) {
        self.hurry_if(|_| true);
    }

    fn hurry_if(&self, is_meant: impl FnOnce(&State) -> bool) {
        let mut state = self.lock();
        let waits = !state.pending.is_empty() && state.pending.wait > AT_ONCE;
        if waits && is_meant(&state) {
            state.pending.wait = AT_ONCE;
            drop(state);
            self.work.notify_one();
        }
    }

    fn set_health(&self, health: Health) {
        let mut state = self.lock();
        let is_well = health == Health::Well;
        state.health = health;
        self.is_well.store(is_well, Ordering::Relaxed);
    }

    /// Why nothing can be appended, if it cannot.
    pub(super) fn refusal(&self) -> Option<ReserveError> {
        if self.is_well.load(Ordering::Relaxed) {
            return None;
        }
        match &self.lock().health {
            Health::Well => None,
            Health::DiskFull => Some(ReserveError::DiskFull),
            Health::Failed(reason) => Some(ReserveError::Failed {
                reason: reason.clone(),
            }),
        }
    }
}
