//! Requests in hand, of which there are so many at the most.
//!
//! Whoever comes when there is no turn waits for a little. A body that has been arriving for a
//! second or more gives its turn up when somebody waits, the oldest first; and the next turn goes
//! to who came last. Otherwise a few hundred bodies that come byte by byte, and as many that wait
//! behind them, would keep everybody out. Nobody waits for long: who had no turn in time is told
//! to come back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How often who waits looks for a slow body.
const LOOK: Duration = Duration::from_millis(250);
/// How often before it is told to come back.
const LOOKS: usize = 8;
/// How long a body may take while others wait.
const SLOW: Duration = Duration::from_secs(1);

/// The turns of a listener.
#[derive(Debug)]
pub(super) struct Turns(Mutex<State>);

#[derive(Debug)]
struct State {
    free: usize,
    /// Who waits, from the first on.
    waiting: BTreeMap<u64, oneshot::Sender<Turn>>,
    /// Requests whose bodies are arriving, from the first on.
    arriving: BTreeMap<u64, (Instant, CancellationToken)>,
    next: u64,
}

/// A request's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<Turns>>);

/// The time in which a body arrives, until it is dropped.
#[derive(Debug)]
pub(super) struct Arriving(Arc<Turns>, u64);

/// A place among those who wait, until it is dropped.
struct Waiting<'a>(&'a Turns, u64);

impl Turns {
    pub(super) fn new(requests: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            free: requests,
            waiting: BTreeMap::new(),
            arriving: BTreeMap::new(),
            next: 0,
        })))
    }

    /// A turn, if there is one soon enough.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Turn> {
        let (waiting, mut turn) = {
            let mut state = self.state();
            if let Some(left) = state.free.checked_sub(1) {
                state.free = left;
                return Some(Turn(Some(Arc::clone(self))));
            }
            let number = state.number();
            let (sender, receiver) = oneshot::channel();
            state.waiting.insert(number, sender);
            (Waiting(self, number), receiver)
        };
        for _ in 0..LOOKS {
            self.hurry();
            if let Ok(given) = timeout(LOOK, &mut turn).await {
                return given.ok();
            }
        }
        drop(waiting);
        None
    }

    /// A request with a turn begins to read its body. If it has to give its turn up, `give_up`
    /// says so.
    pub(super) fn arriving(self: &Arc<Self>, give_up: CancellationToken) -> Arriving {
        let mut state = self.state();
        let number = state.number();
        state.arriving.insert(number, (Instant::now(), give_up));
        Arriving(Arc::clone(self), number)
    }

    /// Has the slowest body give its turn up.
    fn hurry(&self) {
        let mut state = self.state();
        let oldest = state.arriving.first_entry();
        if let Some(oldest) = oldest.filter(|oldest| oldest.get().0.elapsed() >= SLOW) {
            let (_, give_up) = oldest.remove();
            give_up.cancel();
        }
    }

    /// Gives a turn to who came last, or keeps it for who comes next.
    fn give(self: &Arc<Self>) {
        loop {
            let mut state = self.state();
            let Some((_, last)) = state.waiting.pop_last() else {
                state.free += 1;
                return;
            };
            drop(state);
            match last.send(Turn(Some(Arc::clone(self)))) {
                Ok(()) => return,
                // It has just gone; the next one takes this turn.
                Err(mut turn) => turn.0 = None,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.give();
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting.remove(&self.1);
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.state().arriving.remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use super::*;

    /// As if the bodies had begun to arrive so long ago.
    fn age(turns: &Turns) {
        for (since, _) in turns.state().arriving.values_mut() {
            *since -= SLOW;
        }
    }

    #[tokio::test]
    async fn a_slow_body_gives_its_turn_to_who_comes() {
        let turns = Turns::new(2);
        let slow = CancellationToken::new();
        let (first, second) = (turns.take().await.unwrap(), turns.take().await.unwrap());
        let arriving = turns.arriving(slow.clone());
        turns.hurry();
        assert!(!slow.is_cancelled(), "it has just begun");
        age(&turns);
        let giving_up = async {
            slow.cancelled().await;
            drop((arriving, first));
        };
        let (third, ()) = tokio::join!(turns.take(), giving_up);
        assert!(third.is_some());
        assert!(turns.state().arriving.is_empty());
        assert!(turns.take().await.is_none(), "nobody else is slow");
        drop((second, third));
        assert!(turns.take().await.is_some());
        assert_eq!(turns.state().free, 2, "each came back");
    }

    #[tokio::test]
    async fn who_came_last_is_next_and_who_has_gone_is_passed_over() {
        let turns = Turns::new(1);
        let only = turns.take().await.unwrap();
        let mut first = Box::pin(turns.take());
        let mut second = Box::pin(turns.take());
        let mut third = Box::pin(turns.take());
        for waiting in [&mut first, &mut second, &mut third] {
            let is_waiting = |context: &mut Context<'_>| {
                Poll::Ready(waiting.as_mut().poll(context).is_pending())
            };
            assert!(std::future::poll_fn(is_waiting).await);
        }
        drop(third);
        drop(only);
        let turn = second.await;
        assert!(turn.is_some());
        drop(turn);
        assert!(first.await.is_some());
        assert_eq!(turns.state().free, 1);
        assert!(turns.state().waiting.is_empty());
    }
}
