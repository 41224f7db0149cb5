//! Requests in hand, of which there are so many at the most.
//!
//! Whoever comes when there is no turn waits for a little. A body that has been arriving for a
//! second or more gives its turn up when somebody waits: the oldest of the peer that has the most
//! turns, so that whoever takes few is not made to pay for who takes many. The next turn goes to
//! the peer that has the fewest, there to the request that came last. Otherwise a few hundred
//! bodies that come byte by byte, and as many that wait behind them, would keep everybody out.
//! Nobody waits for long: who had no turn in time is told to come back. Nor do many wait: where
//! there are [`WAITING`] for each turn one is told so at once: the oldest of the peer of which the
//! most wait, or whoever comes if no peer has more there than its own. Each of them has headers in
//! memory, and HTTP/2 brings many on one connection.

use std::cmp::Reverse;
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
/// How many wait at the most, for each turn that there is.
const WAITING: usize = 4;
/// How long a body may take while others wait.
const SLOW: Duration = Duration::from_secs(1);

/// The turns of a listener.
#[derive(Debug)]
pub(super) struct Turns(Mutex<State>);

#[derive(Debug)]
struct State {
    free: usize,
    /// How many may wait.
    waiting_max: usize,
    /// Turns of each peer that has any.
    held: HashMap<IpAddr, usize>,
    /// Who waits, by peer and then from the first on.
    waiting: HashMap<IpAddr, BTreeMap<u64, oneshot::Sender<Turn>>>,
    /// Requests whose bodies are arriving, from the first on.
    arriving: BTreeMap<u64, Body>,
    /// Bodies that were told to give their turn up, and have not gone yet.
    giving_up: usize,
    next: u64,
}

/// A body that is arriving.
#[derive(Debug)]
struct Body {
    peer: IpAddr,
    since: Instant,
    give_up: CancellationToken,
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
            waiting_max: requests.saturating_mul(WAITING),
            held: HashMap::new(),
            waiting: HashMap::new(),
            arriving: BTreeMap::new(),
            giving_up: 0,
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
            if !state.has_room(peer) {
                return None;
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

    /// A request of `peer` with a turn begins to read its body. If it has to give its turn up,
    /// `give_up` says so.
    pub(super) fn arriving(self: &Arc<Self>, peer: IpAddr, give_up: CancellationToken) -> Arriving {
        let mut state = self.state();
        let number = state.number();
        let body = Body {
            peer,
            since: Instant::now(),
            give_up,
        };
        state.arriving.insert(number, body);
        Arriving(Arc::clone(self), number)
    }

    /// Has a slow body give its turn up, unless a turn is on its way to everybody who waits.
    fn hurry(&self) {
        let mut state = self.state();
        if state.giving_up >= state.waiting_in_all() {
            return;
        }
        let slow = state.slowest();
        if let Some(body) = slow.and_then(|number| state.arriving.remove(&number)) {
            body.give_up.cancel();
            state.giving_up += 1;
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

    fn held(&self, peer: IpAddr) -> usize {
        self.held.get(&peer).copied().unwrap_or_default()
    }

    fn waiting_in_all(&self) -> usize {
        self.waiting.values().map(BTreeMap::len).sum()
    }

    /// Of the slow bodies the oldest one of the peer that has the most turns.
    fn slowest(&self) -> Option<u64> {
        // They are in the order in which they began.
        let slow = self.arriving.iter();
        let slow = slow.take_while(|(_, body)| body.since.elapsed() >= SLOW);
        let slow = slow.max_by_key(|(number, body)| (self.held(body.peer), Reverse(**number)));
        slow.map(|(number, _)| *number)
    }

    /// Whether one more of `peer` may wait. If it may only instead of another, that one waits no
    /// longer.
    fn has_room(&mut self, peer: IpAddr) -> bool {
        if self.waiting_in_all() < self.waiting_max {
            return true;
        }
        let of_this = self.waiting.get(&peer).map_or(0, BTreeMap::len);
        let longest = self.waiting.iter().max_by_key(|(_, of_peer)| of_peer.len());
        let Some((longest, of_peer)) = longest.map(|(peer, of_peer)| (*peer, of_peer.len())) else {
            return false;
        };
        // Who waited there is told by the end of its channel.
        of_peer > of_this && self.take_out(longest, BTreeMap::pop_first).is_some()
    }

    /// Takes out what `pop` takes of those of a peer who wait. No peer stays without any.
    fn take_out<T>(
        &mut self,
        peer: IpAddr,
        pop: impl FnOnce(&mut BTreeMap<u64, oneshot::Sender<Turn>>) -> Option<T>,
    ) -> Option<T> {
        let requests = self.waiting.get_mut(&peer)?;
        let taken = pop(requests);
        if requests.is_empty() {
            self.waiting.remove(&peer);
        }
        taken
    }

    /// The request that is next, and its peer.
    fn next(&mut self) -> Option<(IpAddr, oneshot::Sender<Turn>)> {
        let peer = *self.waiting.keys().min_by_key(|peer| self.held(**peer))?;
        let (_, request) = self.take_out(peer, BTreeMap::pop_last)?;
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
        let remove = |requests: &mut BTreeMap<_, _>| requests.remove(&self.2);
        self.0.state().take_out(self.1, remove);
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if state.arriving.remove(&self.1).is_none() {
            state.giving_up -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
