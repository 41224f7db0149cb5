//! Requests in hand, of which there are so many at the most.
//!
//! Whoever comes when there is no turn waits for a little. A body that has been arriving for a
//! second or more gives its turn up when somebody waits, the oldest first; and the next turn goes
//! to the peer that has the fewest, there to the request that came last. Otherwise a few hundred
//! bodies that come byte by byte, and as many that wait behind them, would keep everybody out.
//! Nobody waits for long: who had no turn in time is told to come back.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
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
    /// Turns of each peer that has any.
    held: HashMap<IpAddr, usize>,
    /// Who waits, by peer and then from the first on.
    waiting: HashMap<IpAddr, BTreeMap<u64, oneshot::Sender<Turn>>>,
    /// Requests whose bodies are arriving, from the first on.
    arriving: BTreeMap<u64, (Instant, CancellationToken)>,
    next: u64,
}

/// A request's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<(Arc<Turns>, IpAddr)>);

/// The time in which a body arrives, until it is dropped.
#[derive(Debug)]
pub(super) struct Arriving(Arc<Turns>, u64);

/// A place among those who wait, until it is dropped.
struct Waiting<'a>(&'a Turns, IpAddr, u64);

impl Turns {
    pub(super) fn new(requests: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            free: requests,
            held: HashMap::new(),
            waiting: HashMap::new(),
            arriving: BTreeMap::new(),
            next: 0,
        })))
    }

    /// A turn, if there is one soon enough.
    pub(super) async fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Turn> {
        let (waiting, mut turn) = {
            let mut state = self.state();
            if let Some(left) = state.free.checked_sub(1) {
                state.free = left;
                return Some(self.turn(&mut state, peer));
            }
            let number = state.number();
            let (sender, receiver) = oneshot::channel();
            state
                .waiting
                .entry(peer)
                .or_default()
                .insert(number, sender);
            (Waiting(self, peer, number), receiver)
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

    /// Takes a turn back from a peer, and gives it to who is next or keeps it for who comes.
    fn give(self: &Arc<Self>, mut peer: IpAddr) {
        loop {
            let mut state = self.state();
            state.take_back(peer);
            let Some((next, request)) = state.next() else {
                state.free += 1;
                return;
            };
            let turn = self.turn(&mut state, next);
            drop(state);
            match request.send(turn) {
                Ok(()) => return,
                // It has just gone; the next one takes this turn.
                Err(mut turn) => turn.0 = None,
            }
            peer = next;
        }
    }

    fn turn(self: &Arc<Self>, state: &mut State, peer: IpAddr) -> Turn {
        *state.held.entry(peer).or_default() += 1;
        Turn(Some((Arc::clone(self), peer)))
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

    fn take_back(&mut self, peer: IpAddr) {
        if let Some(held) = self.held.get_mut(&peer) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&peer);
            }
        }
    }

    /// The request that is next, and its peer.
    fn next(&mut self) -> Option<(IpAddr, oneshot::Sender<Turn>)> {
        let held = |peer: &IpAddr| self.held.get(peer).copied().unwrap_or_default();
        let peer = *self.waiting.keys().min_by_key(|peer| held(peer))?;
        let requests = self.waiting.get_mut(&peer)?;
        let (_, request) = requests.pop_last()?;
        if requests.is_empty() {
            self.waiting.remove(&peer);
        }
        Some((peer, request))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((turns, peer)) = self.0.take() {
            turns.give(peer);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if let Some(requests) = state.waiting.get_mut(&self.1) {
            requests.remove(&self.2);
            if requests.is_empty() {
                state.waiting.remove(&self.1);
            }
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.state().arriving.remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::task::{Context, Poll};

    use super::*;

    const GREEDY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

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
        let (first, second) = (
            turns.take(GREEDY).await.unwrap(),
            turns.take(GREEDY).await.unwrap(),
        );
        let arriving = turns.arriving(slow.clone());
        turns.hurry();
        assert!(!slow.is_cancelled(), "it has just begun");
        age(&turns);
        let giving_up = async {
            slow.cancelled().await;
            drop((arriving, first));
        };
        let (third, ()) = tokio::join!(turns.take(GREEDY), giving_up);
        assert!(third.is_some());
        assert!(turns.state().arriving.is_empty());
        assert!(turns.take(GREEDY).await.is_none(), "nobody else is slow");
        drop((second, third));
        assert!(turns.take(GREEDY).await.is_some());
        assert_eq!(turns.state().free, 2, "each came back");
    }

    #[tokio::test]
    async fn who_has_the_fewest_turns_is_next_and_who_has_gone_is_passed_over() {
        let turns = Turns::new(2);
        let (only, kept) = (
            turns.take(GREEDY).await.unwrap(),
            turns.take(GREEDY).await.unwrap(),
        );
        let mut first = Box::pin(turns.take(GREEDY));
        let mut other = Box::pin(turns.take(OTHER));
        let mut second = Box::pin(turns.take(GREEDY));
        let mut third = Box::pin(turns.take(GREEDY));
        for waiting in [&mut first, &mut other, &mut second, &mut third] {
            let is_waiting = |context: &mut Context<'_>| {
                Poll::Ready(waiting.as_mut().poll(context).is_pending())
            };
            assert!(std::future::poll_fn(is_waiting).await);
        }
        drop(third);
        drop(only);
        let turn = other.await;
        assert!(
            turn.is_some(),
            "the peer with one turn waits for that with none"
        );
        drop(turn);
        let turn = second.await;
        assert!(turn.is_some(), "the one that came last of a peer");
        drop(turn);
        assert!(first.await.is_some());
        drop(kept);
        assert_eq!(turns.state().free, 2);
        assert!(turns.state().held.is_empty());
        assert!(turns.state().waiting.is_empty());
    }
}
