//! Disks that fail under the journal, or under the segments behind it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::disk::{OpenLog, open_log};
use super::super::disk_faults::Faults;
use super::*;

#[tokio::test]
async fn a_journal_that_cannot_be_synced_refuses_for_all_until_it_is_opened_again() {
    let storage = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let pair = Pair::open_on(storage.path(), &disk, &Disk::default());
    pair.append(0..5, 30).await;
    disk.fail_syncs();
    let receipt = pair.submit(5, 30).remove(0);
    assert!(matches!(
        receipt.durable().await,
        Err(AppendError::Failed { .. })
    ));
    disk.set(Faults::default());
    for queue in &pair.queues {
        let refused = submit(queue, 0, 6, 30).unwrap_err().to_string();
        assert!(refused.contains("cannot sync the journal"), "{refused}");
        assert!(queue.stats().failed.is_some());
        assert_eq!(queue.stats().not_stored.records, 1);
        let found = ids(&read_through(&mut queue.reader(), 4).await);
        assert_eq!(found, [0, 1, 2, 3, 4], "reading goes on");
    }
    pair.close().await;
    // What was refused may be there after all.
    let pair = Pair::open(storage.path());
    pair.append(7..8, 30).await;
    for queue in &pair.queues {
        let found = ids(&read_through(&mut queue.reader(), 7).await);
        assert_eq!(found[..5], [0, 1, 2, 3, 4]);
    }
}

#[tokio::test]
async fn a_full_disk_under_the_journal_refuses_and_resumes_by_itself() {
    let storage = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let pair = Pair::open_on(storage.path(), &disk, &Disk::default());
    pair.append(0..2, 30).await;
    disk.limit(100);
    let receipt = pair.submit(50, 30).remove(0);
    assert_eq!(receipt.durable().await, Err(AppendError::DiskFull));
    let refused = submit(&pair.queues[0], 0, 51, 30).unwrap_err();
    assert_eq!(refused, ReserveError::DiskFull);
    assert!(pair.queues[1].stats().disk_full);
    disk.set(Faults::default());
    eventually("it resumes", || !pair.queues[0].stats().disk_full).await;
    pair.append(2..5, 30).await;
    pair.expect(0..4, 4).await;
    pair.close().await;
}

#[tokio::test]
async fn what_a_full_disk_keeps_from_the_segments_waits_for_space_or_a_restart() {
    let storage = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let pair = Pair::open_on(storage.path(), &Disk::default(), &disk);
    pair.append(0..3, 30).await;
    pair.written(3).await;
    disk.limit(32 + 3 * 78);
    pair.append(3..4, 30).await;
    pair.is_full(true).await;
    let refused = submit(&pair.queues[0], 0, 50, 30).unwrap_err();
    assert_eq!(refused, ReserveError::DiskFull);
    let crashed = crash(storage.path(), |bytes| bytes);
    {
        let pair = Pair::open(crashed.path());
        pair.append(4..6, 30).await;
        pair.expect(0..5, 5).await;
    }
    disk.set(Faults::default());
    pair.is_full(false).await;
    pair.append(4..6, 30).await;
    pair.expect(0..5, 5).await;
    pair.close().await;
}

#[tokio::test]
async fn a_segment_that_cannot_be_synced_leaves_its_records_in_the_journal() {
    let storage = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let pair = Pair::open_on(storage.path(), &Disk::default(), &disk);
    pair.append(0..5, 30).await;
    pair.written(5).await;
    disk.fail_syncs();
    pair.queues[0].shared().ask_for_sync(1);
    eventually("it fails", || pair.queues[0].stats().failed.is_some()).await;
    let more = timeout(Duration::from_millis(50), pair.queues[0].reader().next()).await;
    assert!(more.is_err(), "the disk may have lost it: {more:?}");
    disk.set(Faults::default());
    // However much goes through the journal then, what only it has stays there.
    for id in 100..200 {
        append(&pair.queues[1], 0, id, 1 << 20).await;
    }
    assert!(pair.queues[0].close().await.is_err());
    pair.queues[1].close().await.unwrap();
    drop(pair);
    assert_eq!(journal_files(storage.path()).len(), 1, "and only that");
    for path in segments(&storage.path().join("a")) {
        fs::write(&path, only_header(fs::read(&path).unwrap())).unwrap();
    }
    let pair = Pair::open(storage.path());
    pair.append(5..7, 30).await;
    let found = ids(&read_through(&mut pair.queues[0].reader(), 6).await);
    assert_eq!(found, (0..7).collect::<Vec<_>>());
}

/// The last segment says whose records the journal has, so that it stays when all that is in it was
/// delivered and there is no room for the next.
#[tokio::test]
async fn a_queue_whose_next_segment_has_no_room_is_known_after_a_crash() {
    let storage = tempfile::tempdir().unwrap();
    let has_room = Arc::new(AtomicBool::new(true));
    let with_room: OpenLog = {
        let has_room = Arc::clone(&has_room);
        Arc::new(move |path| {
            if !path.exists() && !has_room.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            open_log(path)
        })
    };
    let journal = Journal::open_with(storage.path(), None, Arc::new(open_log)).unwrap();
    let directory = storage.path().join("a");
    let core = Some(journal.core());
    let (queue, _) = Queue::open_with(&directory, small(), core, with_room).unwrap();
    append_all(&queue, 0..4).await;
    let read = read_through(&mut queue.reader(), 3).await;
    queue.acknowledge(0, read[3].position);
    has_room.store(false, Ordering::Relaxed);
    append_all(&queue, 4..9).await;
    eventually("it finds out", || queue.stats().disk_full).await;
    let read = read_through(&mut queue.reader(), 6).await;
    queue.acknowledge(0, read.last().unwrap().position);
    let progress = || {
        progress::Progress::load(&directory)
            .unwrap()
            .unwrap_or_default()
    };
    eventually("all that is written is done with", || {
        queue.stats().queued.records == 2 && progress().acknowledged == [(0, 7)].into()
    })
    .await;
    let crashed = tempfile::tempdir().unwrap();
    copy_files(&directory, &crashed.path().join("a"));
    copy_files(
        &storage.path().join("journal"),
        &crashed.path().join("journal"),
    );
    assert_eq!(
        segments(&crashed.path().join("a")).len(),
        1,
        "what is consumed goes, but for the start of the last"
    );
    let journal = Journal::open_with(crashed.path(), None, Arc::new(open_log)).unwrap();
    let (queue, _) = Queue::open_journaled(&crashed.path().join("a"), small(), &journal).unwrap();
    append_all(&queue, 9..10).await;
    assert_eq!(ids(&read_through(&mut queue.reader(), 9).await), [7, 8, 9]);
}

#[tokio::test]
async fn a_footer_says_nothing_of_the_records_before_it() {
    let storage = tempfile::tempdir().unwrap();
    let (disk, directory) = (Disk::default(), storage.path().join("a"));
    let journal = Journal::open_with(storage.path(), None, Arc::new(open_log)).unwrap();
    let core = Some(journal.core());
    let (queue, _) = Queue::open_with(&directory, small(), core, disk.open_log()).unwrap();
    // Seven fill a segment.
    append_all(&queue, 0..7).await;
    eventually("they are written", || {
        queue.shared().lock().written_through == 7
    })
    .await;
    disk.fail_syncs();
    append(&queue, 0, 7, 20).await;
    eventually("it fails", || queue.stats().failed.is_some()).await;
    assert!(queue.close().await.is_err());
    drop((queue, journal));
    let path = segments(&directory).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > 32 + 7 * 68, "the footer is there");
    bytes[32..32 + 7 * 68].fill(0);
    fs::write(&path, bytes).unwrap();
    let journal = Journal::open_with(storage.path(), None, Arc::new(open_log)).unwrap();
    let (queue, _) = Queue::open_journaled(&directory, small(), &journal).unwrap();
    append_all(&queue, 8..9).await;
    let found = ids(&read_through(&mut queue.reader(), 8).await);
    assert_eq!(found, (0..9).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_queue_that_was_closed_on_a_full_disk_lacks_nothing_when_it_is_opened_again() {
    let storage = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let pair = Pair::open_on(storage.path(), &Disk::default(), &disk);
    pair.append(0..3, 30).await;
    pair.written(3).await;
    disk.limit(32 + 3 * 78);
    pair.append(3..4, 30).await;
    pair.is_full(true).await;
    for queue in &pair.queues {
        queue.close().await.unwrap();
    }
    let directory = storage.path().join("a");
    let (queue, _) = Queue::open_journaled(&directory, Options::default(), &pair.journal).unwrap();
    append(&queue, 0, 4, 30).await;
    queue.close().await.unwrap();
    drop((queue, pair));
    assert_eq!(
        journal_files(storage.path()).len(),
        1,
        "the other's are there"
    );
    let pair = Pair::open(storage.path());
    pair.append(5..6, 30).await;
    let found = ids(&read_through(&mut pair.queues[0].reader(), 5).await);
    assert_eq!(found, [0, 1, 2, 3, 4, 5]);
    let found = ids(&read_through(&mut pair.queues[1].reader(), 5).await);
    assert_eq!(found, [0, 1, 2, 3, 5]);
}

#[tokio::test]
async fn a_sync_that_failed_is_not_tried_again() {
    let storage = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let pair = Pair::open_on(storage.path(), &Disk::default(), &disk);
    pair.append(0..3, 30).await;
    pair.queues[0].set_options(Options {
        durability: Durability::Async,
        ..Options::default()
    });
    disk.fail_syncs();
    // Whether it is in the queue before that fails is of no matter here.
    drop(submit(&pair.queues[0], 0, 3, 30));
    eventually("it fails", || pair.queues[0].stats().failed.is_some()).await;
    disk.set(Faults::default());
    let mut clock = tokio::time::interval(Duration::from_millis(300));
    clock.tick().await;
    clock.tick().await;
    assert!(!pair.queues[0].shared().has_synced(1));
}

#[tokio::test]
async fn a_journal_on_a_full_disk_leaves_no_files_behind() {
    let storage = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    disk.limit(10);
    let pair = Pair::open_on(storage.path(), &disk, &Disk::default());
    let receipt = pair.submit(0, 30).remove(0);
    assert_eq!(receipt.durable().await, Err(AppendError::DiskFull));
    let mut clock = tokio::time::interval(Duration::from_millis(2500));
    clock.tick().await;
    clock.tick().await;
    assert!(
        journal_files(storage.path()).len() <= 1,
        "each trial left one"
    );
    disk.set(Faults::default());
    eventually("it resumes", || !pair.queues[0].stats().disk_full).await;
    pair.append(1..3, 30).await;
    pair.expect(1..2, 2).await;
    pair.close().await;
    assert_eq!(journal_files(storage.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_volume_that_is_smaller_than_a_file_of_the_journal_is_enough() {
    let storage = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    disk.limit(100 << 10);
    let pair = Pair::open_on(storage.path(), &disk, &Disk::default());
    let mut refused = 0;
    for id in 0..100 {
        loop {
            eventually("it resumes", || !pair.queues[0].stats().disk_full).await;
            let receipts = pair.submit(id, 1000);
            match receipts.into_iter().next().unwrap().durable().await {
                Ok(()) => break,
                Err(error) => assert_eq!(error, AppendError::DiskFull),
            }
            refused += 1;
        }
    }
    assert!((2..10).contains(&refused), "{refused}");
    pair.append(1000..1001, 30).await;
    pair.expect(0..100, 1000).await;
}

#[tokio::test]
async fn a_file_is_not_used_again_before_a_slow_queue_has_synced() {
    let storage = tempfile::tempdir().unwrap();
    let journal = Journal::open_with(storage.path(), None, Arc::new(open_log)).unwrap();
    let disk = Disk::default();
    let open = |name, disk: &Disk| {
        let (directory, core) = (storage.path().join(name), Some(journal.core()));
        let opened = Queue::open_with(&directory, Options::default(), core, disk.open_log());
        opened.unwrap().0
    };
    let (quick, slow) = (open("a", &Disk::default()), open("b", &disk));
    append_all(&slow, 0..5).await;
    eventually("they are written", || {
        slow.shared().lock().written_through == 5
    })
    .await;
    disk.hold_syncs();
    // More than the files of the journal hold.
    for id in 100..200 {
        append(&quick, 0, id, 1 << 20).await;
    }
    let crashed = crash(storage.path(), |bytes| bytes);
    let segment = segments(&crashed.path().join("b")).remove(0);
    fs::write(&segment, only_header(fs::read(&segment).unwrap())).unwrap();
    disk.set(Faults::default());
    recover_journal(crashed.path()).unwrap();
    let opened = Queue::open(&crashed.path().join("b"), Options::default());
    let slow = opened.unwrap().0;
    let found = ids(&read_through(&mut slow.reader(), 4).await);
    assert_eq!(found, [0, 1, 2, 3, 4]);
}

/// Whoever has too many files open lets go of some in time.
#[cfg(unix)]
#[tokio::test]
async fn who_lacks_descriptors_goes_on_when_there_are_some() {
    let has_some = Arc::new(AtomicBool::new(true));
    let open_if_it_can: OpenLog = {
        let has_some = Arc::clone(&has_some);
        Arc::new(move |path| {
            if !has_some.load(Ordering::Relaxed) {
                return Err(rustix::io::Errno::MFILE.into());
            }
            open_log(path)
        })
    };
    let storage = tempfile::tempdir().unwrap();
    let open_journal = Arc::clone(&open_if_it_can);
    let journal = Journal::open_with(storage.path(), None, open_journal).unwrap();
    let core = Some(journal.core());
    let directory = storage.path().join("a");
    let (queue, _) = Queue::open_with(&directory, small(), core, open_if_it_can).unwrap();
    has_some.store(false, Ordering::Relaxed);
    let refused = submit(&queue, 0, 0, 20).unwrap().durable().await;
    assert_eq!(
        refused,
        Err(AppendError::DiskFull),
        "no file for the journal"
    );
    has_some.store(true, Ordering::Relaxed);
    eventually("the journal goes on", || !queue.stats().disk_full).await;
    append_all(&queue, 1..3).await;
    eventually("they are written", || {
        queue.shared().lock().written_through == 2
    })
    .await;
    has_some.store(false, Ordering::Relaxed);
    let receipts: Vec<_> = (3..20)
        .map(|id| submit(&queue, 0, id, 20).expect("there is room"))
        .collect();
    for receipt in receipts {
        receipt.durable().await.expect("the journal has it");
    }
    eventually("no file for a segment", || queue.stats().disk_full).await;
    has_some.store(true, Ordering::Relaxed);
    eventually("the queue goes on", || !queue.stats().disk_full).await;
    let found = ids(&read_through(&mut queue.reader(), 19).await);
    assert_eq!(found, (1..20).collect::<Vec<_>>());
}
