//! Who has how many connections.
//!
//! When there is no room for one more in all, one of those gives way on which nobody who may has
//! sent a request yet: of the peer that has the most of them, the oldest. A flood of connections
//! from many addresses pushes itself out so, and a sender that comes and writes finds room.
//!
//! From one address there are never more than its share. One more than that pushes out the oldest
//! of its own of this kind, so that whoever has the address of a flood finds room as well: senders
//! behind a proxy, and on loopback the relay's own commands and a container's health check.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use super::metrics::Closed;

/// How much of an IPv6 address tells one peer from another: who has a network has all of it.
const IPV6_NETWORK: u128 = !0 << 64;
/// Connections that gave way and are not closed yet, at the most.
const LEAVING: usize = 64;

/// The open connections, by address. There is an entry only for who has one.
#[derive(Debug)]
pub(super) struct Peers {
    in_all: usize,
    of_one: usize,
    open: Mutex<Open>,
    /// Somebody has gone.
    gone: Notify,
}

#[derive(Debug, Default)]
struct Open {
    /// Without those that gave way.
    in_all: usize,
    /// Those that gave way and are not closed yet.
    leaving: usize,
    /// Without those that gave way.
    by_peer: HashMap<IpAddr, usize>,
    /// Those on which nobody who may has sent a request, by peer and then from the oldest on.
    strangers: HashMap<IpAddr, BTreeMap<u64, CancellationToken>>,
    next: u64,
}

/// A connection's place among them, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    peers: Arc<Peers>,
    peer: IpAddr,
    number: u64,
    pushed_out: CancellationToken,
    /// A request on this connection holds others up.
    too_slow: CancellationToken,
}

impl Peers {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            in_all: limits.connections,
            of_one: limits.connections_per_peer,
            open: Mutex::default(),
            gone: Notify::new(),
        })
    }

    /// Makes room for one more connection of `address`, if there may be one.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, Closed> {
        let peer = network(address);
        let mut open = self.open();
        let of_this = open.by_peer.get(&peer).copied().unwrap_or_default();
        if of_this >= self.of_one {
            open.push_out(peer).ok_or(Closed::PeerConnections)?;
        } else if open.in_all >= self.in_all {
            let most = open.most_strangers();
            let pushed_out = most.and_then(|most| open.push_out(most));
            pushed_out.ok_or(Closed::Connections)?;
        }
        *open.by_peer.entry(peer).or_default() += 1;
        open.in_all += 1;
        let number = open.next;
        open.next += 1;
        let pushed_out = CancellationToken::new();
        let strangers = open.strangers.entry(peer).or_default();
        strangers.insert(number, pushed_out.clone());
        drop(open);
        Ok(Place {
            peers: Arc::clone(self),
            peer,
            number,
            pushed_out,
            too_slow: CancellationToken::new(),
        })
    }

    /// Waits until those that gave way are closed, but for a few: accepting is faster than that.
    pub(super) async fn settled(&self) {
        while self.open().leaving > LEAVING {
            self.gone.notified().await;
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// The peer that has the most strangers.
    fn most_strangers(&self) -> Option<IpAddr> {
        let peers = self.strangers.iter();
        let most = peers.max_by_key(|(_, of_peer)| of_peer.len());
        most.map(|(peer, _)| *peer)
    }

    /// Has a peer's oldest stranger give way, if it has one.
    fn push_out(&mut self, peer: IpAddr) -> Option<()> {
        let of_peer = self.strangers.get_mut(&peer)?;
        let (_, pushed_out) = of_peer.pop_first()?;
        if of_peer.is_empty() {
            self.strangers.remove(&peer);
        }
        pushed_out.cancel();
        // Its place is free; its task just has not heard of it yet.
        self.free(peer);
        self.leaving += 1;
        Some(())
    }

    fn free(&mut self, peer: IpAddr) {
        self.in_all -= 1;
        if let Some(of_this) = self.by_peer.get_mut(&peer) {
            *of_this -= 1;
            if *of_this == 0 {
                self.by_peer.remove(&peer);
            }
        }
    }

    fn is_no_stranger(&mut self, peer: IpAddr, number: u64) {
        if let Some(of_peer) = self.strangers.get_mut(&peer) {
            of_peer.remove(&number);
            if of_peer.is_empty() {
                self.strangers.remove(&peer);
            }
        }
    }
}

impl Place {
    /// Somebody who may has sent a request on this connection: it does not give way any more.
    pub(super) fn keep(&self) {
        self.peers.open().is_no_stranger(self.peer, self.number);
    }

    /// Whose it is.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// What says that the connection has to give way because of a request on it.
    pub(super) fn too_slow(&self) -> CancellationToken {
        self.too_slow.clone()
    }

    /// Waits until the connection has to give way.
    pub(super) async fn pushed_out(&self) -> Closed {
        tokio::select! {
            () = self.pushed_out.cancelled() => Closed::PushedOut,
            () = self.too_slow.cancelled() => Closed::SlowBody,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.peers.open();
        open.is_no_stranger(self.peer, self.number);
        if self.pushed_out.is_cancelled() {
            open.leaving -= 1;
            self.peers.gone.notify_one();
        } else {
            open.free(self.peer);
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & IPV6_NETWORK).into(),
        IpAddr::V4(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(connections: usize, connections_per_peer: usize) -> Arc<Peers> {
        Peers::new(&Limits {
            connections,
            connections_per_peer,
            ..Limits::default()
        })
    }

    fn enter(peers: &Arc<Peers>, address: &str) -> Result<Place, Closed> {
        let place = peers.enter(address.parse().unwrap())?;
        place.keep();
        Ok(place)
    }

    #[test]
    fn neither_one_peer_nor_all_together_take_more_than_they_may() {
        let peers = peers(5, 2);
        let enter = |address| enter(&peers, address);
        let first = enter("10.0.0.1").unwrap();
        let second = enter("::ffff:10.0.0.1").unwrap();
        assert_eq!(enter("10.0.0.1").unwrap_err(), Closed::PeerConnections);
        let third = enter("2001:db8::1").unwrap();
        let fourth = enter("2001:db8::ffff").unwrap();
        assert_eq!(enter("2001:db8::2").unwrap_err(), Closed::PeerConnections);
        let fifth = enter("2001:db8:0:1::1").unwrap();
        assert_eq!(enter("10.0.0.2").unwrap_err(), Closed::Connections);
        drop(first);
        let again = enter("10.0.0.1").unwrap();
        drop((again, second));
        assert_eq!(peers.open().by_peer.len(), 2, "who is gone leaves nothing");
        drop((third, fourth, fifth));
        assert_eq!(peers.open().in_all, 0);
        assert!(peers.open().by_peer.is_empty());
    }

    #[test]
    fn the_oldest_stranger_of_the_greediest_peer_gives_way_and_nobody_else() {
        let peers = peers(4, 4);
        let known = enter(&peers, "10.0.0.1").unwrap();
        let stranger = |address: &str| peers.enter(address.parse().unwrap());
        let other = stranger("10.0.0.2").unwrap();
        let oldest = stranger("10.0.0.3").unwrap();
        let younger = stranger("10.0.0.3").unwrap();
        let newest = stranger("10.0.0.4").unwrap();
        assert!(oldest.pushed_out.is_cancelled());
        assert!(!known.pushed_out.is_cancelled() && !younger.pushed_out.is_cancelled());
        assert!(!other.pushed_out.is_cancelled() && !newest.pushed_out.is_cancelled());
        // It counts once, whenever its task hears of it.
        assert_eq!(peers.open().leaving, 1);
        drop(oldest);
        assert_eq!(peers.open().leaving, 0);
        assert_eq!(peers.open().in_all, 4);
        for place in [&other, &younger, &newest] {
            place.keep();
        }
        assert_eq!(stranger("10.0.0.5").unwrap_err(), Closed::Connections);
        drop((known, other, younger, newest));
        assert_eq!(peers.open().in_all, 0);
        assert!(peers.open().by_peer.is_empty());
        assert!(peers.open().strangers.is_empty());
    }

    #[test]
    fn at_its_share_a_peer_pushes_out_its_own_oldest_stranger_and_nobody_elses() {
        let peers = peers(8, 2);
        let stranger = |address: &str| peers.enter(address.parse().unwrap());
        let older_of_other = stranger("10.0.0.1").unwrap();
        let oldest = stranger("127.0.0.1").unwrap();
        let younger = stranger("127.0.0.1").unwrap();
        let third = stranger("127.0.0.1").unwrap();
        assert!(oldest.pushed_out.is_cancelled());
        assert!(!older_of_other.pushed_out.is_cancelled());
        assert!(!younger.pushed_out.is_cancelled() && !third.pushed_out.is_cancelled());
        // It makes room once, not again when it is closed.
        drop(oldest);
        younger.keep();
        third.keep();
        assert_eq!(stranger("127.0.0.1").unwrap_err(), Closed::PeerConnections);
        assert_eq!(peers.open().in_all, 3);
        drop((older_of_other, younger, third));
        assert_eq!(peers.open().in_all, 0);
        assert_eq!(peers.open().leaving, 0);
        assert!(peers.open().by_peer.is_empty());
    }
}
