//! Room, and what happens when there is none.

use futures_util::FutureExt as _;

use super::*;

fn bounded(max_bytes: u64, on_full: OnFull) -> Options {
    Options {
        max_bytes,
        on_full,
        ..Options::default()
    }
}

#[tokio::test]
async fn a_full_queue_refuses_until_a_segment_is_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), bounded(8192, OnFull::Refuse));
    let mut appended = 0;
    while let Ok(receipt) = submit(&queue, 0, appended, 100) {
        receipt.durable().await.unwrap();
        appended += 1;
    }
    assert!(
        queue.stats().disk_bytes <= 8192 && appended > 40,
        "{appended}"
    );
    assert!(matches!(
        queue.reserve(148),
        Err(ReserveError::Full {
            max_bytes: 8192,
            ..
        })
    ));
    let entries = read_through(&mut queue.reader(), appended - 1).await;
    queue.acknowledge(0, entries[10].position);
    append(&queue, 0, appended, 100).await;
    assert_eq!(queue.stats().dropped_full, Tally::default());
}

#[tokio::test]
async fn a_reservation_holds_room_until_it_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), bounded(8192, OnFull::Refuse));
    let held = queue.reserve(5000).unwrap();
    assert!(matches!(
        queue.reserve(5000),
        Err(ReserveError::Full { .. })
    ));
    drop(held);
    drop(queue.reserve(5000).unwrap());
    assert!(matches!(
        queue.reserve(8192),
        Err(ReserveError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn an_idle_queue_takes_whatever_fits_an_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), bounded(8192, OnFull::Refuse));
    let mut reader = queue.reader();
    for id in 0..5 {
        append(&queue, 0, id, 7000).await;
        let entry = next(&mut reader).await;
        assert_eq!(id_of(&entry), id);
        queue.acknowledge(0, entry.position);
    }
    eventually("only one segment stays", || {
        segments(directory.path()).len() == 1
    })
    .await;
}

#[tokio::test]
async fn files_stay_within_the_bound_when_only_the_newest_segment_is_consumed() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), bounded(8192, OnFull::Refuse));
    let mut appended = 0;
    let mut newest = 0;
    while let Ok(receipt) = submit(&queue, u16::from(newest < 1), appended, 100) {
        receipt.durable().await.unwrap();
        appended += 1;
        // The last segment has records of stream 0 only.
        newest = segments(directory.path()).len().saturating_sub(6);
    }
    let entries = read_through(&mut queue.reader(), appended - 1).await;
    let consumed = entries.iter().filter(|entry| entry.stream == 0);
    queue.acknowledge(0, consumed.last().unwrap().position);
    append(&queue, 1, appended, 100).await;
    assert!(
        queue.stats().disk_bytes <= 8192,
        "{}",
        queue.stats().disk_bytes
    );
    let found = ids(&read_through(&mut queue.reader(), appended).await);
    assert_eq!(found.len() as u64, queue.stats().queued.records);
}

#[tokio::test]
async fn drop_oldest_keeps_the_newest_in_order_and_counts_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), bounded(8192, OnFull::DropOldest));
    let mut reader = queue.reader();
    let early = {
        append(&queue, 0, 0, 100).await;
        next(&mut reader).await
    };
    for id in 1..200 {
        append(&queue, 0, id, 100).await;
    }
    let stats = queue.stats();
    assert!(stats.dropped_full.records > 100);
    assert_eq!(stats.dropped_full.records + stats.queued.records, 200);
    assert_eq!(stats.dropped_full.weight, 3 * stats.dropped_full.records);
    assert!(stats.disk_bytes <= 8192);
    // The reader had its segment dropped under it; the record that it had given out may be on its
    // way, and is not dropped before its owner says so.
    queue.acknowledge(0, early.position);
    let stats = queue.stats();
    assert_eq!(stats.acknowledged.records, 1);
    assert_eq!(stats.dropped_full.records + stats.queued.records, 199);
    let left = ids(&read_through(&mut reader, 199).await);
    let expected: Vec<u64> = (200 - stats.queued.records..200).collect();
    // It may have read a block before that was dropped; it gives out nothing of it.
    assert_eq!(left, expected);
    drop(reader);
    queue.close().await.unwrap();
    let (queue, recovery) = open(directory.path(), bounded(8192, OnFull::DropOldest));
    assert_eq!(recovery.queued, stats.queued);
    assert_eq!(ids(&read_through(&mut queue.reader(), 199).await), expected);
}

/// Reads `count` records of streams 0 and 1 and lets `drop` drop them.
async fn withdrawn(options: Options, drop: impl FnOnce(&Queue)) -> (Queue, Vec<Entry>) {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), options);
    let mut reader = queue.reader();
    let mut entries = Vec::new();
    for id in 0..6 {
        append(&queue, u16::from(id % 2 == 1), id, 100).await;
        entries.push(next(&mut reader).await);
    }
    let nothing = queue.withdraw(0);
    assert!(nothing < entries[0].position, "{nothing:?}");
    drop(&queue);
    (queue, entries)
}

#[tokio::test]
async fn what_was_read_and_then_dropped_is_dropped_once_its_owner_knows() {
    let (queue, entries) = withdrawn(small(), |queue| {
        // It is dropped at once, and remembered later.
        drop(queue.purge().now_or_never());
    })
    .await;
    assert_eq!(queue.stats().queued.records, 6, "all of it is in hand");
    queue.acknowledge(0, entries[0].position);
    assert!(queue.withdraw(0) >= entries[4].position);
    let stats = queue.stats();
    assert_eq!((stats.acknowledged.records, stats.purged.records), (1, 2));
    assert_eq!(stats.queued.records, 3, "stream 1 does not know yet");
    assert!(queue.withdraw(1) >= entries[5].position);
    let stats = queue.stats();
    assert_eq!((stats.purged.records, stats.queued), (5, Tally::default()));
}

#[tokio::test]
async fn what_became_too_old_after_it_was_read_is_withdrawn() {
    let options = Options {
        max_age: Some(Duration::from_millis(100)),
        ..Options::default()
    };
    // Appended at 0 to 5 ms; what is older than 3 ms goes, though its segment stays.
    let (queue, entries) = withdrawn(options, |queue| queue.expire(103)).await;
    // Whoever asks twice hears it twice.
    for _ in 0..2 {
        let through = queue.withdraw(0);
        assert!(through >= entries[2].position && through < entries[4].position);
    }
    let stats = queue.stats();
    assert_eq!((stats.dropped_age.records, stats.queued.records), (2, 4));
}

#[tokio::test]
async fn drop_oldest_makes_room_for_a_record_as_large_as_the_queue() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), bounded(8192, OnFull::DropOldest));
    append_all(&queue, 0..5).await;
    append(&queue, 0, 5, 8000).await;
    assert_eq!(id_of(&next(&mut queue.reader()).await), 5);
    assert_eq!(queue.stats().dropped_full.records, 5);
}

#[tokio::test]
async fn what_is_too_old_is_dropped_by_segments_and_when_read() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        max_age: Some(Duration::from_millis(100)),
        ..small()
    };
    let (queue, _) = open(directory.path(), options);
    // Record `id` was appended at `id` milliseconds.
    append_all(&queue, 0..60).await;
    queue.expire(100 + 33);
    let by_segment = queue.stats().dropped_age.records;
    assert!(by_segment > 20 && by_segment <= 33, "{by_segment}");
    let found = ids(&read_through(&mut queue.reader(), 59).await);
    assert_eq!(found, (33..60).collect::<Vec<_>>());
    let stats = queue.stats();
    assert_eq!((stats.dropped_age.records, stats.queued.records), (33, 27));
    // Another reader drops none of them again.
    assert_eq!(ids(&read_through(&mut queue.reader(), 59).await), found);
    assert_eq!(queue.stats().dropped_age.records, 33);
}

#[tokio::test]
async fn purge_drops_what_is_durable_and_takes_new_records() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), small());
    append_all(&queue, 0..30).await;
    assert_eq!(queue.purge().await.unwrap().records, 30);
    // A copy is what a power cut would leave at worst.
    let copy = tempfile::tempdir().unwrap();
    copy_files(directory.path(), copy.path());
    assert_eq!(open(copy.path(), small()).0.stats().queued.records, 0);
    append(&queue, 0, 30, 20).await;
    assert_eq!(id_of(&next(&mut queue.reader()).await), 30);
    assert_eq!(
        (queue.stats().queued.records, queue.stats().purged.records),
        (1, 30)
    );
    queue.close().await.unwrap();
    assert_eq!(open(directory.path(), small()).1.queued.records, 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_volume_with_little_space_left_is_spared() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        min_free_bytes: u64::MAX,
        ..small()
    };
    let (queue, _) = open(directory.path(), options);
    assert!(matches!(
        queue.reserve(1),
        Err(ReserveError::DiskLow { .. })
    ));
    assert!(queue.stats().disk_full);
    queue.set_options(small());
    assert!(!queue.stats().disk_full);
    drop(queue.reserve(1).unwrap());
}
