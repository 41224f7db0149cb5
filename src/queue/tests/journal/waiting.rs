//! Appends that wait for others: they always end, and one sync does for all of them.

use tokio::sync::oneshot;

use super::super::disk_faults::Faults;
use super::*;
use crate::queue::group::LARGE_BYTES;

const ROUNDS: u64 = 100;

impl Pair {
    /// Appends a record that waits until its receipt is awaited.
    fn hold(&self, id: u64) -> Receipt {
        let receipts = self.submit_with(id, 20, Patience::UntilAwaited);
        let [receipt] = <[Receipt; 1]>::try_from(receipts).expect("queues with one journal");
        receipt
    }

    fn syncs(&self) -> u64 {
        self.journal.stats().syncs
    }
}

async fn durable(receipt: Receipt) {
    let durable = timeout(Duration::from_secs(20), receipt.durable());
    durable.await.expect("it ends").expect("it becomes durable");
}

#[tokio::test]
async fn one_sync_does_for_all_that_waited() {
    let storage = tempfile::tempdir().unwrap();
    let pair = Pair::open(storage.path());
    for round in 0..ROUNDS {
        for receipt in [0, 1, 2].map(|place| pair.hold(3 * round + place)) {
            durable(receipt).await;
        }
        assert_eq!(pair.syncs(), round + 1);
    }
    pair.expect(0..3 * ROUNDS - 1, 3 * ROUNDS - 1).await;
}

/// What was written with others has nothing to hurry any more.
#[tokio::test]
async fn a_receipt_does_not_hurry_what_came_after_its_batch() {
    let storage = tempfile::tempdir().unwrap();
    let pair = Pair::open(storage.path());
    for round in 0..ROUNDS {
        let (first, second) = (pair.hold(4 * round), pair.hold(4 * round + 1));
        durable(first).await;
        let third = pair.hold(4 * round + 2);
        durable(second).await;
        let fourth = pair.hold(4 * round + 3);
        durable(third).await;
        durable(fourth).await;
        assert_eq!(pair.syncs(), 2 * (round + 1));
    }
}

#[tokio::test]
async fn what_nobody_awaits_is_written_all_the_same() {
    let storage = tempfile::tempdir().unwrap();
    let pair = Pair::open(storage.path());
    drop(pair.hold(0));
    pair.expect(std::iter::empty(), 0).await;

    // Many, or much, is written while the receipts are still there.
    let many: Vec<_> = (1..17).map(|id| pair.hold(id)).collect();
    pair.expect(0..16, 16).await;
    let large = pair.submit_with(17, LARGE_BYTES, Patience::UntilAwaited);
    assert!(!large[0].is_waiting());
    pair.expect(0..17, 17).await;
    drop((many, large));

    // Who is in a hurry takes along what waits, and so does the end of the journal.
    let waits = pair.hold(18);
    pair.append(19..20, 20).await;
    pair.expect(0..19, 19).await;
    durable(waits).await;
    let waits = pair.hold(20);
    drop(pair.journal);
    durable(waits).await;
}

#[tokio::test]
async fn all_that_waited_hear_of_a_disk_that_is_full() {
    let storage = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let pair = Pair::open_on(storage.path(), &disk, &Disk::default());
    let [before, first, second] = [0, 1, 2].map(|id| pair.hold(id));
    durable(before).await;
    disk.limit(100);
    let [third, fourth] = [3, 4].map(|id| pair.hold(id));
    assert_eq!(third.durable().await, Err(AppendError::DiskFull));
    assert_eq!(fourth.durable().await, Err(AppendError::DiskFull));
    durable(second).await;
    durable(first).await;
    disk.set(Faults::default());
    eventually("it resumes", || !pair.queues[0].stats().disk_full).await;
    for receipt in [5, 6].map(|id| pair.hold(id)) {
        durable(receipt).await;
    }
    pair.expect([0, 1, 2, 5].into_iter(), 6).await;
    pair.close().await;
}

#[tokio::test]
async fn all_that_waited_hear_of_a_disk_that_failed() {
    let storage = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let pair = Pair::open_on(storage.path(), &disk, &Disk::default());
    disk.fail_syncs();
    for receipt in [0, 1].map(|id| pair.hold(id)) {
        let failed = receipt.durable().await;
        assert!(matches!(failed, Err(AppendError::Failed { .. })));
    }
    for queue in &pair.queues {
        assert_eq!(queue.stats().not_stored.records, 2);
    }
    pair.close().await;
}

/// Nothing was appended to it, so there is nothing that what comes next could be written with.
#[tokio::test]
async fn a_queue_that_was_closed_holds_up_no_other() {
    for patience in [Patience::UntilAwaited, Patience::None] {
        let storage = tempfile::tempdir().unwrap();
        let pair = Pair::open(storage.path());
        let [closed, open] = &pair.queues[..] else {
            panic!("a pair has two queues");
        };
        let bytes = payload(0, 20);
        let record = record(&bytes);
        let reserve = |queue: &Queue| queue.reserve(Queue::stored_size(bytes.len())).unwrap();
        let (late, in_time) = (reserve(closed), reserve(open));
        closed.close().await.expect("it closes in order");
        let refused = closed.append_with(late, &[record], patience).durable();
        refused.await.expect_err("it is closed");
        durable(open.append_with(in_time, &[record], patience)).await;
    }
}

#[tokio::test]
async fn what_is_appended_to_a_queue_that_closes_does_not_wait() {
    let storage = tempfile::tempdir().unwrap();
    let pair = Pair::open(storage.path());
    let bytes = payload(0, 20);
    let queue = &pair.queues[0];
    let reservation = queue.reserve(Queue::stored_size(bytes.len())).unwrap();
    queue.shared().close();
    let late = queue.append_with(reservation, &[record(&bytes)], Patience::UntilAwaited);
    assert!(!late.is_waiting());
}

/// The last handle of a queue waits where it is dropped until all is written.
#[tokio::test]
async fn who_drops_a_queue_may_hold_a_receipt() {
    let storage = tempfile::tempdir().unwrap();
    let pair = Pair::open(storage.path());
    let waits = pair.hold(0);
    let (dropped, is_dropped) = oneshot::channel();
    std::thread::spawn(move || {
        drop(pair.queues);
        drop(dropped.send(pair.journal));
    });
    let journal = timeout(Duration::from_secs(20), is_dropped).await;
    journal.expect("it is dropped").expect("it does not panic");
    durable(waits).await;
}
