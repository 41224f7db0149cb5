//! Claims about turns.

use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::Poll;

use super::*;

const GREEDY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// What comes of a request's first look for a turn, or of another.
async fn poll_once<F: Future>(mut request: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(request.as_mut().poll(context))).await
}

/// As if the bodies had begun to arrive so long ago.
fn age(turns: &Turns) {
    for body in turns.state().arriving.values_mut() {
        body.since -= SLOW;
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
    let arriving = turns.arriving(GREEDY, slow.clone());
    let mut early = Box::pin(turns.take(OTHER));
    assert!(poll_once(early.as_mut()).await.is_pending());
    assert!(!slow.is_cancelled(), "it has just begun");
    drop(early);
    age(&turns);
    turns.hurry();
    assert!(!slow.is_cancelled(), "nobody waits");
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
async fn of_slow_bodies_those_of_who_has_the_most_turns_give_way() {
    let turns = Turns::new(3);
    let mut bodies = Vec::new();
    for peer in [OTHER, GREEDY, GREEDY] {
        let (turn, give_up) = (turns.take(peer).await.unwrap(), CancellationToken::new());
        let arriving = turns.arriving(peer, give_up.clone());
        bodies.push((give_up, arriving, turn));
    }
    age(&turns);
    let given_up = |bodies: &[(CancellationToken, _, _)]| {
        let given_up = bodies.iter().map(|(give_up, _, _)| give_up.is_cancelled());
        given_up.collect::<Vec<_>>()
    };
    let mut waiting = Vec::new();
    for expected in [[false, true, false], [false, true, true]] {
        let mut request = Box::pin(turns.take(OTHER));
        assert!(poll_once(request.as_mut()).await.is_pending());
        waiting.push(request);
        assert_eq!(given_up(&bodies), expected, "not the oldest of all");
        // One turn is on its way for each of them.
        turns.hurry();
        assert_eq!(given_up(&bodies), expected, "no more than wait");
    }
    drop(bodies.split_off(1));
    let turns_of_others = futures_util::future::join_all(waiting).await;
    assert!(turns_of_others.iter().all(Option::is_some));
    let mut third = Box::pin(turns.take(GREEDY));
    assert!(poll_once(third.as_mut()).await.is_pending());
    assert_eq!(given_up(&bodies), [true], "who is slow alone, too");
    drop((third, turns_of_others));
    drop(bodies);
    assert_eq!(turns.state().free, 3);
    assert_eq!(turns.state().giving_up, 0);
    assert!(turns.state().held.is_empty() && turns.state().arriving.is_empty());
}

#[tokio::test]
async fn where_too_many_wait_one_of_who_waits_most_is_told_so_at_once() {
    let turns = Turns::new(2);
    let (kept, given_back) = (
        turns.take(GREEDY).await.unwrap(),
        turns.take(GREEDY).await.unwrap(),
    );
    let mut waiting: Vec<_> = (0..8).map(|_| Box::pin(turns.take(GREEDY))).collect();
    for request in &mut waiting {
        assert!(poll_once(request.as_mut()).await.is_pending());
    }
    let mut ninth = Box::pin(turns.take(GREEDY));
    let refused = poll_once(ninth.as_mut()).await;
    assert!(matches!(refused, Poll::Ready(None)), "{refused:?}");
    let mut other = Box::pin(turns.take(OTHER));
    assert!(
        poll_once(other.as_mut()).await.is_pending(),
        "there is room for others"
    );
    let oldest = poll_once(waiting[0].as_mut()).await;
    assert!(matches!(oldest, Poll::Ready(None)), "{oldest:?}");
    for request in &mut waiting[1..] {
        assert!(poll_once(request.as_mut()).await.is_pending());
    }
    drop(given_back);
    assert!(other.await.is_some());
    drop((waiting, kept));
    assert_eq!(turns.state().free, 2);
    assert!(turns.state().waiting.is_empty());
}

#[tokio::test]
async fn whose_only_request_gave_way_does_not_stand_before_the_others() {
    let turns = Turns::new(1);
    let kept = turns.take(GREEDY).await.unwrap();
    let peers: Vec<_> = (3..8).map(|last| IpAddr::from([10, 0, 0, last])).collect();
    let mut waiting: Vec<_> = peers
        .iter()
        .map(|peer| Box::pin(turns.take(*peer)))
        .collect();
    for request in &mut waiting {
        assert!(poll_once(request.as_mut()).await.is_pending());
    }
    // One of the first four does not wait any more, and has not heard of it yet.
    assert_eq!(turns.state().waiting.len(), WAITING);
    drop(kept);
    let served = waiting
        .into_iter()
        .map(async |request| request.await.is_some());
    let served = futures_util::future::join_all(served).await;
    assert_eq!(served.iter().filter(|served| **served).count(), WAITING);
    assert!(served[WAITING], "who came last is among them");
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
    assert!(poll_once(first.as_mut()).await.is_pending());
    assert!(poll_once(other.as_mut()).await.is_pending());
    assert!(poll_once(second.as_mut()).await.is_pending());
    assert!(poll_once(third.as_mut()).await.is_pending());
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
