//! Order, groups, readers, ends.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_share_syncs_and_all_arrive_in_order() {
    const TASKS: u16 = 16;
    const EACH: u64 = 40;
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(
        directory.path(),
        Options {
            segment_bytes: 4096,
            ..Options::default()
        },
    );
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let queue = queue.clone();
        tasks.spawn(async move {
            for id in 0..EACH {
                append(&queue, task, id, 30).await;
            }
        });
    }
    let mut reader = queue.reader();
    let mut found: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
    let mut last = None;
    for _ in 0..u64::from(TASKS) * EACH {
        let entry = next(&mut reader).await;
        assert!(Some(entry.position) > last);
        last = Some(entry.position);
        found.entry(entry.stream).or_default().push(id_of(&entry));
        queue.acknowledge(entry.stream, entry.position);
    }
    tasks.join_all().await;
    assert_eq!(found.len(), usize::from(TASKS));
    for ids in found.values() {
        assert_eq!(*ids, (0..EACH).collect::<Vec<_>>());
    }
    let stats = queue.stats();
    assert_eq!((stats.queued.records, stats.appended.records), (0, 640));
    assert!(
        stats.syncs < 500,
        "no group commit: {} syncs for 640 appends",
        stats.syncs
    );
}

#[tokio::test]
async fn patient_appends_wait_for_one_sync_and_go_with_a_hurried_one() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), Options::default());
    let patient = |id: u64, patience| {
        let bytes = payload(id, 30);
        let record = Record {
            stream: 0,
            weight: 1,
            appended_ms: 0,
            bytes: &bytes,
        };
        let reservation = queue.reserve(Queue::stored_size(bytes.len())).unwrap();
        queue.append_with(reservation, &[record], Patience::UpTo(patience))
    };
    // Nobody comes: they are written when their time has come, and not before.
    let began = tokio::time::Instant::now();
    let waited: Vec<_> = (0..50)
        .map(|id| patient(id, Duration::from_millis(200)))
        .collect();
    let syncs = queue.stats().syncs;
    for receipt in waited {
        receipt.durable().await.unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert!(queue.stats().syncs <= syncs + 1, "each was synced alone");
    // Somebody is in a hurry: they go along, in order. The wait would be longer than the test's.
    let waited: Vec<_> = (50..60)
        .map(|id| patient(id, Duration::from_hours(1)))
        .collect();
    append(&queue, 0, 60, 30).await;
    for receipt in waited {
        timeout(Duration::from_secs(20), receipt.durable())
            .await
            .unwrap()
            .unwrap();
    }
    // So do they when the queue is closed.
    let last = patient(61, Duration::from_hours(1));
    queue.close().await.unwrap();
    last.durable().await.unwrap();
    let (queue, _) = open(directory.path(), Options::default());
    let entries = read_through(&mut queue.reader(), 61).await;
    assert_eq!(ids(&entries), (0..62).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_append_is_never_split_between_segments() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), small());
    let payloads: Vec<Vec<u8>> = (0..10).map(|id| payload(id, 100)).collect();
    for _ in 0..5 {
        let records: Vec<Record<'_>> = payloads
            .iter()
            .map(|bytes| Record {
                stream: 0,
                weight: 1,
                appended_ms: 0,
                bytes,
            })
            .collect();
        let reservation = queue.reserve(10 * Queue::stored_size(108)).unwrap();
        queue.append(reservation, &records).durable().await.unwrap();
    }
    assert_eq!(segments(directory.path()).len(), 5);
}

#[tokio::test]
async fn async_durability_takes_the_same_path_with_fewer_syncs() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        durability: Durability::Async,
        ..Options::default()
    };
    let (queue, _) = open(directory.path(), options.clone());
    append_all(&queue, 0..200).await;
    let syncs = queue.stats().syncs;
    assert!(syncs < 100, "{syncs}");
    eventually("it is synced by itself", || queue.stats().syncs > syncs).await;
    assert_eq!(read_through(&mut queue.reader(), 199).await.len(), 200);
    queue.close().await.unwrap();
    assert_eq!(open(directory.path(), options).1.queued.records, 200);
}

#[tokio::test]
async fn a_slow_stream_keeps_its_records_while_others_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), small());
    for id in 0..40 {
        append(&queue, u16::from(id == 3), id, 20).await;
    }
    let entries = read_through(&mut queue.reader(), 39).await;
    queue.acknowledge(0, entries[39].position);
    eventually("other segments go", || {
        segments(directory.path()).len() == 2
    })
    .await;
    queue.close().await.unwrap();
    let (queue, recovery) = open(directory.path(), small());
    assert_eq!(recovery.queued.records, 1);
    assert_eq!(id_of(&next(&mut queue.reader()).await), 3);
}

#[tokio::test]
async fn a_new_reader_ends_the_old_one_and_repeats_what_is_not_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), small());
    append_all(&queue, 0..4).await;
    let mut old = queue.reader();
    let entry = next(&mut old).await;
    drop(next(&mut old).await);
    queue.acknowledge(0, entry.position);
    let mut new = queue.reader();
    assert_eq!(ids(&read_through(&mut new, 3).await), [1, 2, 3]);
    assert_eq!(old.next().await, None);
}

#[tokio::test]
async fn a_cancelled_read_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), small());
    append_all(&queue, 0..20).await;
    let mut reader = queue.reader();
    let mut found = Vec::new();
    while found.len() < 20 {
        let polled = timeout(Duration::ZERO, reader.next()).await;
        found.extend(polled.ok().flatten());
    }
    assert_eq!(ids(&found), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn records_larger_than_a_block_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), Options::default());
    for id in 0..4 {
        append(&queue, 0, id, if id % 2 == 0 { 1 << 20 } else { 1 }).await;
    }
    assert_eq!(
        ids(&read_through(&mut queue.reader(), 3).await),
        [0, 1, 2, 3]
    );
}

#[tokio::test]
async fn a_closed_queue_refuses_and_ends_its_reader() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), small());
    let mut reader = queue.reader();
    let pending = submit(&queue, 0, 0, 1).unwrap();
    let late = queue.reserve(100).unwrap();
    queue.close().await.unwrap();
    pending.durable().await.unwrap();
    assert_eq!(reader.next().await, None);
    assert_eq!(queue.reserve(1).unwrap_err(), ReserveError::Closed);
    let record = Record {
        stream: 0,
        weight: 1,
        appended_ms: 0,
        bytes: b"late",
    };
    assert!(queue.append(late, &[record]).durable().await.is_err());
}

#[test]
fn a_directory_is_locked_once() {
    let directory = tempfile::tempdir().unwrap();
    let storage = directory.path().join("data");
    let lock = lock_directory(&storage).unwrap();
    let error = lock_directory(&storage).unwrap_err();
    assert!(matches!(error, LockError::InUse { .. }));
    assert!(
        error
            .to_string()
            .ends_with("data is in use by another process")
    );
    drop(lock);
    drop(lock_directory(&storage).unwrap());
}
