//! What the handles of a queue, its writer and its reader share.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::disk::free_bytes;
use super::state::{Phase, State};

/// How long the volume's free space is believed.
const FREE_BYTES_VALID: Duration = Duration::from_secs(1);

/// What the handles, the writer and the reader share.
pub(super) struct Shared {
    pub directory: PathBuf,
    pub salt: u32,
    state: Mutex<State>,
    /// The writer waits for it.
    work: Condvar,
    /// The reader waits for it; counts what could interest one.
    changes: watch::Sender<u64>,
    free_bytes_at: Mutex<Option<Instant>>,
}

impl Shared {
    pub(super) fn new(directory: PathBuf, salt: u32, state: State) -> Self {
        Self {
            directory,
            salt,
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

    /// Waits for work, at most for `timeout`.
    pub(super) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        match timeout {
            None => self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                let waited = self.work.wait_timeout(state, timeout);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
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

    /// Has the writer finish and the reader end.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        drop(state);
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
