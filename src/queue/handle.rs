//! The queue as its users hold it.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::append::{Append, Patience, Receipt, append_all};
use super::commit::Writer;
use super::disk::{OpenLog, open_log};
use super::journal::{Core, Journal};
use super::recovery::{self, Recovery};
use super::shared::Shared;
use super::state::{Phase, stored_bytes};
use super::{CloseError, OpenError, Options, Position, Reader, Record, ReserveError, Stats, Tally};

/// How long a purge waits for what is on its way to a segment.
const WRITE_DURABLE: Duration = Duration::from_secs(1);
/// The writer's thread calls nothing deep.
const STACK_BYTES: usize = 256 << 10;

/// A durable queue; clones are handles to the same one.
///
/// When the last handle goes, what was appended is still written and progress saved; that blocks
/// for as long as the disk takes. [`Queue::close`] does the same without blocking.
#[derive(Clone, Debug)]
pub struct Queue {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    writer: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Queue {
    /// Opens the queue in `directory`, and makes it if it is not there.
    ///
    /// The caller holds a [`super::DirectoryLock`] on a directory above. Blocks: it reads the last
    /// segment and those whose footers are damaged, and the headers of those that are partly
    /// acknowledged.
    ///
    /// # Errors
    /// Files that cannot be read or written. Never for what is in them: see [`Recovery`].
    pub fn open(directory: &Path, options: Options) -> Result<(Self, Recovery), OpenError> {
        Self::open_with(directory, options, None, Arc::new(open_log))
    }

    /// The same, and under [`super::Durability::Fsync`] records become durable in `journal`, which
    /// is the one of the directory above.
    ///
    /// # Errors
    /// As [`Queue::open`].
    pub fn open_journaled(
        directory: &Path,
        options: Options,
        journal: &Journal,
    ) -> Result<(Self, Recovery), OpenError> {
        let core = journal.core();
        if let Some(name) = directory.file_name() {
            core.finish(&name.to_string_lossy())?;
        }
        Self::open_with(directory, options, Some(core), Arc::new(open_log))
    }

    pub(super) fn open_with(
        directory: &Path,
        options: Options,
        journal: Option<Arc<Core>>,
        open_log: OpenLog,
    ) -> Result<(Self, Recovery), OpenError> {
        let recovered = recovery::open(directory, options, journal, &open_log)?;
        let shared = recovered.shared;
        let writer = Writer::new(Arc::clone(&shared), open_log, recovered.active);
        let writer = thread::Builder::new()
            .name("queue".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || writer.run())
            .map_err(|source| OpenError {
                action: "start the thread of",
                path: directory.to_owned(),
                source,
            })?;
        let handle = Arc::new(Handle {
            shared,
            writer: Mutex::new(Some(writer)),
        });
        Ok((Self { handle }, recovered.recovery))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// The bytes that a record with `payload_bytes` takes, for [`Queue::reserve`].
    #[must_use]
    pub fn stored_size(payload_bytes: usize) -> u64 {
        stored_bytes(payload_bytes)
    }

    /// Sets room aside for records whose stored sizes sum up to `bytes`; under
    /// [`super::OnFull::DropOldest`] by dropping old ones.
    ///
    /// # Errors
    /// Why there is no room. Nothing has changed then.
    pub fn reserve(&self, bytes: u64) -> Result<Reservation, ReserveError> {
        let shared = &self.handle.shared;
        shared.refresh_free_bytes();
        if let Some(refusal) = shared.journal_refusal() {
            return Err(refusal);
        }
        let mut state = shared.lock();
        let dropped_before = state.counters.dropped_full;
        let reserved = state.reserve(bytes);
        let dropped = state.counters.dropped_full != dropped_before;
        drop(state);
        if dropped {
            shared.notify_writer();
        }
        reserved.map(|()| Reservation {
            shared: Arc::clone(shared),
            bytes,
        })
    }

    /// Appends records, in the order of calls, and gives the reservation back.
    ///
    /// Cheap and not blocking: they are copied, and the queue's thread writes them.
    ///
    /// # Panics
    /// If the records need more than was reserved, or one has 4 GiB: the caller's mistake.
    #[must_use = "nothing is durable before the receipt says so"]
    pub fn append(&self, reservation: Reservation, records: &[Record<'_>]) -> Receipt {
        self.append_with(reservation, records, Patience::None)
    }

    /// The same, but the records wait for others on their way to the disk as `patience` says.
    ///
    /// # Panics
    /// As [`Queue::append`].
    #[must_use = "nothing is durable before the receipt says so"]
    pub fn append_with(
        &self,
        reservation: Reservation,
        records: &[Record<'_>],
        patience: Patience,
    ) -> Receipt {
        let append = Append {
            queue: self,
            reservation,
            records: records.to_vec(),
        };
        let receipt = append_all(vec![append], patience).pop();
        receipt.expect("an append has a receipt").1
    }

    /// A reader of what is durable and not acknowledged, from the oldest on. It replaces the
    /// reader before it, which ends, and reads again what that one's owner has not acknowledged.
    #[must_use]
    pub fn reader(&self) -> Reader {
        let shared = &self.handle.shared;
        let mut state = shared.lock();
        let number = state.start_reader();
        drop(state);
        shared.notify_reader();
        Reader::new(Arc::clone(shared), number)
    }

    /// All records of `stream` up to `position` that were read are done: they are not read again,
    /// and their space is returned when nothing else in their segment is needed.
    pub fn acknowledge(&self, stream: u16, position: Position) {
        let shared = &self.handle.shared;
        let mut state = shared.lock();
        let is_writer_told = state.progress_changed;
        state.acknowledge(stream, position.0);
        // It wakes by itself to save progress, once it knows that there is some.
        let is_news = !is_writer_told || !state.consumed.is_empty();
        drop(state);
        if is_news {
            shared.notify_writer();
        }
    }

    /// Takes back what was read of `stream` and has been dropped since: for want of room, by a
    /// purge, or because it is too old by now. Answers the position through which nothing of the
    /// stream is to be delivered any more; what is not withdrawn, because it is on its way just
    /// then, is acknowledged as usual and does not count as dropped.
    #[must_use]
    pub fn withdraw(&self, stream: u16) -> Position {
        let shared = &self.handle.shared;
        let mut state = shared.lock();
        let before = state.delivered.get(&stream).map(VecDeque::len);
        let through = state.withdraw(stream);
        let withdrawn = state.delivered.get(&stream).map(VecDeque::len) != before;
        drop(state);
        if withdrawn {
            shared.notify_writer();
        }
        Position(through)
    }

    /// Drops what is older than [`Options::max_age`] at `now_ms`: whole segments now, and until the
    /// next call each older record that the reader meets.
    pub fn expire(&self, now_ms: i64) {
        self.handle.shared.lock().expire(now_ms);
        self.handle.shared.notify_writer();
    }

    /// Drops everything that is durable now; returns how much that was, when it would not come back
    /// after a power cut either. What the reader's owner has in hand is part of it, and goes when
    /// it is withdrawn. What a disk that is full or has failed keeps in the journal stays there.
    ///
    /// # Errors
    /// If this cannot be remembered; then what was dropped may be back after a restart.
    pub async fn purge(&self) -> io::Result<Tally> {
        self.write_what_is_durable().await;
        let (waiter, remembered) = oneshot::channel();
        let purged = {
            let mut state = self.handle.shared.lock();
            if state.phase != Phase::Stopped {
                state.progress_waiters.push(waiter);
            }
            state.purge()
        };
        self.handle.shared.notify_writer();
        let closed = |_| Err(io::Error::other("the queue was closed"));
        remembered.await.unwrap_or_else(closed).map(|()| purged)
    }

    /// Waits a moment until what has come out of the journal is in a segment.
    async fn write_what_is_durable(&self) {
        let shared = &self.handle.shared;
        let mut changes = shared.changes();
        let through = shared.lock().handed_through;
        shared.ask_for_sync(through);
        let written = async {
            while shared.lock().written_through < through {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        // In vain where the disk is full or has failed.
        drop(timeout(WRITE_DURABLE, written).await);
    }

    /// The queue in numbers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &self.handle.shared;
        shared.refresh_free_bytes();
        let refusal = shared.journal_refusal();
        let mut stats = shared.lock().stats();
        match refusal {
            Some(ReserveError::Failed { reason }) => drop(stats.failed.get_or_insert(reason)),
            Some(_) => stats.disk_full = true,
            None => {}
        }
        stats
    }

    /// The options in force.
    #[must_use]
    pub fn options(&self) -> Options {
        self.handle.shared.lock().options.clone()
    }

    /// Changes the options; they hold from the next call on. What is stored already stays, even if
    /// it is more than the new bounds allow.
    pub fn set_options(&self, options: Options) {
        self.handle.shared.lock().options = options;
        self.handle.shared.notify_writer();
    }

    /// Closes the queue: no more reservations; readers end; what was appended is written and
    /// synced, progress saved. Returns when that is done; the directory can be opened again then.
    ///
    /// # Errors
    /// If something had failed and so not everything is on disk.
    ///
    /// # Cancel safety
    /// Once polled it goes on by itself.
    pub async fn close(&self) -> Result<(), CloseError> {
        let shared = &self.handle.shared;
        let mut changes = shared.changes();
        shared.close();
        loop {
            changes.mark_unchanged();
            {
                let state = shared.lock();
                if state.phase == Phase::Stopped {
                    let failure = state.failure().map(str::to_owned);
                    return failure.map_or(Ok(()), |reason| Err(CloseError { reason }));
                }
            }
            if changes.changed().await.is_err() {
                return Ok(());
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
        let writer = self
            .writer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writer.take() {
            // If it panicked, the panic was reported where it happened.
            drop(writer.join());
        }
    }
}

/// Room in a queue, given back when it is dropped.
#[derive(Debug)]
#[must_use = "room that is not used is given back at once"]
pub struct Reservation {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Reservation {
    /// How much was reserved.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Answers how much was reserved in `queue`, for whoever gives it back now.
    ///
    /// # Panics
    /// If that is less than `needed`, or in another queue.
    pub(super) fn spend(mut self, queue: &Arc<Shared>, needed: u64) -> u64 {
        assert!(needed <= self.bytes, "more is appended than was reserved");
        assert!(
            Arc::ptr_eq(queue, &self.shared),
            "the reservation is another queue's"
        );
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let mut state = self.shared.lock();
            state.reserved_bytes = state.reserved_bytes.saturating_sub(self.bytes);
        }
    }
}
