//! Who has how many connections.
//!
//! When there is no room for one more in all, the oldest of those gives way on which nobody who
//! may has sent a request yet. A flood of connections from many addresses pushes itself out so,
//! and a sender that comes and writes finds room. From one address there are never more than its
//! share.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use super::metrics::Closed;

/// How much of an IPv6 address tells one peer from another: who has a network has all of it.
const IPV6_NETWORK: u128 = !0 << 64;

/// The open connections, by address. There is an entry only for who has one.
#[derive(Debug)]
pub(super) struct Peers {
    in_all: usize,
    of_one: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    in_all: usize,
    by_peer: HashMap<IpAddr, usize>,
    /// Those on which nobody who may has sent a request, from the oldest on.
    strangers: BTreeMap<u64, CancellationToken>,
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
        })
    }

    /// Makes room for one more connection of `address`, if there may be one.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, Closed> {
        let peer = network(address);
        let mut open = self.open();
        let of_this = open.by_peer.get(&peer).copied().unwrap_or_default();
        if of_this >= self.of_one {
            return Err(Closed::PeerConnections);
        }
        if open.in_all >= self.in_all {
            let Some((_, pushed_out)) = open.strangers.pop_first() else {
                return Err(Closed::Connections);
            };
            pushed_out.cancel();
            // Its place is free; its task just has not heard of it yet.
            open.in_all -= 1;
        }
        open.by_peer.insert(peer, of_this + 1);
        open.in_all += 1;
        let number = open.next;
        open.next += 1;
        let pushed_out = CancellationToken::new();
        open.strangers.insert(number, pushed_out.clone());
        drop(open);
        Ok(Place {
            peers: Arc::clone(self),
            peer,
            number,
            pushed_out,
            too_slow: CancellationToken::new(),
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Somebody who may has sent a request on this connection: it does not give way any more.
    pub(super) fn keep(&self) {
        self.peers.open().strangers.remove(&self.number);
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
        open.strangers.remove(&self.number);
        // Whoever took the place of this one has counted it off already.
        if !self.pushed_out.is_cancelled() {
            open.in_all -= 1;
        }
        if let Some(of_this) = open.by_peer.get_mut(&self.peer) {
            *of_this -= 1;
            if *of_this == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & IPV6_NETWORK).into(),
        v4 => v4,
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
    fn the_oldest_stranger_gives_way_and_nobody_else() {
        let peers = peers(3, 3);
        let known = enter(&peers, "10.0.0.1").unwrap();
        let stranger = |address: &str| peers.enter(address.parse().unwrap());
        let oldest = stranger("10.0.0.2").unwrap();
        let younger = stranger("10.0.0.3").unwrap();
        let newest = stranger("10.0.0.4").unwrap();
        assert!(oldest.pushed_out.is_cancelled());
        assert!(!known.pushed_out.is_cancelled() && !younger.pushed_out.is_cancelled());
        // It counts once, whenever its task hears of it.
        drop(oldest);
        assert_eq!(peers.open().in_all, 3);
        younger.keep();
        newest.keep();
        assert_eq!(stranger("10.0.0.5").unwrap_err(), Closed::Connections);
        drop((known, younger, newest));
        assert_eq!(peers.open().in_all, 0);
        assert!(peers.open().by_peer.is_empty());
    }
}
