//! What the handles of a queue, its writer and its reader share.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::alarm::Alarm;
use super::disk::free_bytes;
use super::format::RecordHeader;
use super::journal::Core;
use super::state::{Health, Phase, State};
use super::{Durability, ReserveError};

/// How long the volume's free space is believed.
const FREE_BYTES_VALID: Duration = Duration::from_secs(1);

/// What the handles, the writer and the reader share.
pub(super) struct Shared {
    pub directory: PathBuf,
    /// The name of the directory, by which the journal knows the queue.
    pub name: String,
    pub salt: u32,
    /// Where records become durable first, if they do.
    pub journal: Option<Arc<Core>>,
    state: Mutex<State>,
    /// The writer waits for it.
    work: Condvar,
    /// The reader waits for it; counts what could interest one.
    changes: watch::Sender<u64>,
    free_bytes_at: Mutex<Option<Instant>>,
}

impl Shared {
    pub(super) fn new(
        directory: PathBuf,
        salt: u32,
        journal: Option<Arc<Core>>,
        state: State,
    ) -> Self {
        let name = directory.file_name().unwrap_or_default();
        Self {
            name: name.to_string_lossy().into_owned(),
            directory,
            salt,
            journal,
            state: Mutex::new(state),
            work: Condvar::new(),
            changes: watch::Sender::new(0),
            free_bytes_at: Mutex::new(None),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // The account is changed in small steps that do not panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work or for `alarm`.
    pub(super) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        alarm: Alarm,
    ) -> MutexGuard<'a, State> {
        alarm.wait(&self.work, state)
    }

    pub(super) fn notify_writer(&self) {
        self.work.notify_one();
    }

    pub(super) fn notify_reader(&self) {
        self.changes
            .send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Why the journal takes nothing, if records have to go through it and it does not.
    pub(super) fn journal_refusal(&self) -> Option<ReserveError> {
        let refusal = self.journal.as_ref()?.refusal()?;
        let is_durable = self.lock().options.durability == Durability::Fsync;
        is_durable.then_some(refusal)
    }

    /// Takes records that are durable in the journal, to write them to a segment.
    pub(super) fn take_over(&self, bytes: &[u8], records: &[RecordHeader]) {
        let mut state = self.lock();
        let is_news = state.take_over(bytes, records);
        drop(state);
        if is_news {
            self.notify_writer();
        }
    }

    /// These records did not become durable in the journal.
    pub(super) fn give_up_journaling(&self, records: &[RecordHeader]) {
        let mut state = self.lock();
        state.end_journaling(records);
        state.give_up(records);
        let is_closing = state.phase != Phase::Open;
        drop(state);
        if is_closing {
            self.notify_writer();
        }
    }

    /// Has the writer sync its segments up to the record at `position`.
    pub(super) fn ask_for_sync(&self, position: u64) {
        let mut state = self.lock();
        state.sync_wanted = state.sync_wanted.max(position);
        drop(state);
        self.notify_writer();
    }

    /// Has the journal remember that it alone has some records of this queue, which ends.
    pub(super) fn note_if_unfinished(self: &Arc<Self>) {
        let state = self.lock();
        let is_unfinished = state.handed_through > state.synced_through;
        drop(state);
        if let Some(journal) = self.journal.as_ref().filter(|_| is_unfinished) {
            journal.note_unfinished(self);
        }
    }

    /// All records are synced in segments.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        state.synced_through = state.synced_through.max(state.handed_through);
    }

    /// Whether the record at `position` and all before it are synced in segments.
    pub(super) fn has_synced(&self, position: u64) -> bool {
        self.lock().synced_through >= position
    }

    /// Whether the writer can sync what it is asked to.
    pub(super) fn can_sync(&self) -> bool {
        let state = self.lock();
        state.health == Health::Well && state.phase != Phase::Stopped
    }

    /// Has the writer finish and the reader end. The writer finishes with what is in the journal,
    /// so that is hurried, too: who closes may be who was still to await it.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        drop(state);
        if let Some(journal) = &self.journal {
            journal.hurry();
        }
        self.notify_writer();
        self.notify_reader();
    }

    /// Looks how much space the volume has, unless somebody just did.
    pub(super) fn refresh_free_bytes(&self) {
        {
            let mut at = self
                .free_bytes_at
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if at.is_some_and(|at| at.elapsed() < FREE_BYTES_VALID) {
                return;
            }
            *at = Some(Instant::now());
        }
        let free_bytes = free_bytes(&self.directory);
        self.lock().free_bytes = free_bytes;
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Queue({})", self.directory.display())
    }
}
