//! Pausing a whole route whose receiver refuses every batch, whatever is in it.
//!
//! A wrong URL or an expired token is answered 404, 401 or 403, whatever the batch holds. Parking
//! batch after batch would move a night's backlog to where nobody looks; sending them again at once
//! is what the specification forbids. So the first few are parked, and from then on the route is
//! *suspended*: nothing is parked, and one lane tries its batch again after a pause, which doubles
//! from try to try. What the receiver answers then holds for all lanes; so does a new
//! configuration, which ends the suspension.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, Notify};
use tokio::time::{Instant, timeout_at};

use super::backoff::Backoff;
use super::rejection::RejectionConfig;

/// Whether a route is suspended; all of its lanes share it.
#[derive(Debug, Default)]
pub(super) struct Suspension {
    state: Mutex<State>,
    /// Held by the lane that tries.
    trial: AsyncMutex<()>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The answer that came last, and how many of those that suspend came in a row.
    code: u16,
    in_a_row: u64,
    pause: Option<Pause>,
}

#[derive(Debug)]
struct Pause {
    backoff: Backoff,
    until: Instant,
}

/// The right to send: at once, or as the one that tries whether the suspension is over.
#[derive(Debug)]
pub(super) struct Turn<'s> {
    _trial: Option<AsyncMutexGuard<'s, ()>>,
}

/// What a lane does with a batch that was refused with a code that suspends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The batch is parked.
    Park,
    /// The batch is kept; the route is suspended for so long.
    Suspended(Duration),
}

impl Suspension {
    /// Waits until the lane may send.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    pub(super) async fn turn(&self) -> Turn<'_> {
        if !self.is_suspended() {
            return Turn { _trial: None };
        }
        let trial = self.trial.lock().await;
        // From here on no end is missed, and nobody else makes the pause longer.
        let ended = self.ended.notified();
        let Some(until) = self.until() else {
            return Turn { _trial: None };
        };
        let is_over = timeout_at(until, ended).await.is_ok();
        Turn {
            _trial: (!is_over).then_some(trial),
        }
    }

    /// The receiver takes no batch at all, whatever is in it. Answers how long to wait.
    pub(super) fn begin(&self, config: &RejectionConfig) -> Duration {
        self.state().pause(config)
    }

    /// The receiver refused a batch with `code`, one of those that suspend.
    pub(super) fn refused(&self, code: u16, config: &RejectionConfig) -> Verdict {
        let mut state = self.state();
        // Of two receivers behind one address, one may say 401 and the other 403.
        state.code = code;
        state.in_a_row += 1;
        if state.pause.is_none() && state.in_a_row <= config.suspend_after {
            return Verdict::Park;
        }
        Verdict::Suspended(state.pause(config))
    }

    /// The receiver took a batch, or refused it for what is in it.
    pub(super) fn end(&self) {
        *self.state() = State::default();
        self.ended.notify_waiters();
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.state().pause.is_some()
    }

    /// What the receiver answers while the route is suspended.
    pub(super) fn code(&self) -> Option<u16> {
        let state = self.state();
        state.pause.as_ref().map(|_| state.code)
    }

    fn until(&self) -> Option<Instant> {
        self.state().pause.as_ref().map(|pause| pause.until)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is replaced as a whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The rest of the pause that there is, or the next one.
    fn pause(&mut self, config: &RejectionConfig) -> Duration {
        let now = Instant::now();
        if let Some(pause) = self.pause.as_ref().filter(|pause| pause.until > now) {
            // It was on its way when another lane's batch began the pause.
            return pause.until - now;
        }
        let (min, max) = (config.min_suspension.into(), config.max_suspension.into());
        let mut backoff = match self.pause.take() {
            Some(pause) => pause.backoff,
            None => Backoff::new(min, max),
        };
        let pause = backoff.next_pause();
        let until = now + pause;
        self.pause = Some(Pause { backoff, until });
        pause
    }
}
