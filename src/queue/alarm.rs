//! Waiting for work or for a time, whichever comes first.

use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The times that a thread looks at before it waits: it wakes at the first that is not due yet.
pub(super) struct Alarm {
    now: Instant,
    wake: Option<Duration>,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self {
            now: Instant::now(),
            wake: None,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Whether it is time; if not, the thread wakes when it is.
    pub(super) fn is_due(&mut self, at: Instant) -> bool {
        let left = at.saturating_duration_since(self.now);
        self.wake = Some(self.wake.map_or(left, |wake| wake.min(left)));
        left.is_zero()
    }

    /// Waits until somebody notifies `work` or it is time.
    pub(super) fn wait<'a, T>(self, work: &Condvar, state: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        match self.wake {
            None => work.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(wake) => {
                let waited = work.wait_timeout(state, wake);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}
