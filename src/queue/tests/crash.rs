//! What a crash leaves, at every byte.

use super::*;

const LAST: u64 = 26;

/// A queue of several segments; the files, and where each record of the last segment ends.
async fn make(directory: &Path) -> (PathBuf, Vec<u64>) {
    let (queue, _) = open(directory, small());
    append_all(&queue, 0..LAST).await;
    queue.close().await.unwrap();
    let path = segments(directory).pop().unwrap();
    assert!(segments(directory).len() > 2);
    let mut ends = Vec::new();
    let salt = segment::SegmentFile::salt_of(&path).unwrap().unwrap();
    let file = segment::SegmentFile::open(&path, salt).unwrap();
    let bounds = segment::Bounds {
        above: 0,
        below: u64::MAX,
    };
    file.walk(32, bounds, segment::Verify::Payloads, |header, offset| {
        ends.push(offset + header.stored_bytes());
    })
    .unwrap();
    assert!(ends.len() > 3);
    (path, ends)
}

/// Opens a copy whose last segment is `bytes` and checks that it holds the records `0..expected`.
async fn check(original: &Path, last_segment: &Path, bytes: &[u8], expected: u64) {
    let copy = tempfile::tempdir().unwrap();
    copy_files(original, copy.path());
    fs::write(copy.path().join(last_segment.file_name().unwrap()), bytes).unwrap();
    let (queue, recovery) = open(copy.path(), small());
    assert_eq!(
        recovery.queued.records,
        expected,
        "with {} bytes",
        bytes.len()
    );
    assert_eq!(recovery.corrupt_regions, 0, "with {} bytes", bytes.len());
    let lengths = segments(copy.path())
        .into_iter()
        .map(|path| fs::metadata(path).unwrap().len());
    assert_eq!(
        lengths.sum::<u64>(),
        queue.stats().disk_bytes,
        "the tail is still there"
    );
    append(&queue, 0, 1000, 20).await;
    let mut reader = queue.reader();
    let found = ids(&read_through(&mut reader, 1000).await);
    let wanted: Vec<u64> = (0..expected).chain([1000]).collect();
    assert_eq!(found, wanted, "with {} bytes", bytes.len());
}

#[tokio::test]
async fn every_prefix_of_the_last_segment_holds_all_that_was_synced_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (path, ends) = make(directory.path()).await;
    let bytes = fs::read(&path).unwrap();
    let before = LAST - ends.len() as u64;
    for length in 0..=bytes.len() {
        let whole = ends.iter().filter(|&&end| end <= length as u64).count() as u64;
        check(directory.path(), &path, &bytes[..length], before + whole).await;
    }
}

#[tokio::test]
async fn zeros_after_every_record_are_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let (path, ends) = make(directory.path()).await;
    let bytes = fs::read(&path).unwrap();
    let before = LAST - ends.len() as u64;
    for (whole, &end) in ends.iter().enumerate() {
        let mut zeroed = bytes[..usize::try_from(end).unwrap()].to_vec();
        zeroed.resize(bytes.len() + 500, 0);
        check(directory.path(), &path, &zeroed, before + whole as u64 + 1).await;
    }
}

/// A running queue of three records of 2 KiB, and its segment.
async fn three_of_several_sectors(directory: &Path) -> (Queue, PathBuf) {
    let (queue, _) = open(directory, Options::default());
    for id in 1..4 {
        append(&queue, 0, id, 2000).await;
    }
    (queue, segments(directory).remove(0))
}

#[tokio::test]
async fn a_crash_that_leaves_zeros_for_the_last_sectors_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let (_queue, path) = three_of_several_sectors(directory.path()).await;
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > 32 + 3 * 2048, "zeros follow the records");
    for written in (32..bytes.len()).step_by(512).map(|at| at / 512 * 512) {
        let copy = tempfile::tempdir().unwrap();
        copy_files(directory.path(), copy.path());
        let mut crashed = bytes.clone();
        crashed[written.max(32)..].fill(0);
        fs::write(copy.path().join(path.file_name().unwrap()), crashed).unwrap();
        let whole = (written.saturating_sub(32) as u64 / 2048).min(3);
        let (queue, recovery) = open(copy.path(), Options::default());
        assert_eq!(recovery.corrupt_regions, 0, "of {written} bytes");
        assert_eq!(recovery.queued.records, whole, "of {written} bytes");
        let is_torn = whole < 3 && written > 32 + usize::try_from(whole).unwrap() * 2048;
        assert_eq!(recovery.torn_bytes > 0, is_torn, "of {written} bytes");
        append(&queue, 0, 1000, 20).await;
        let found = ids(&read_through(&mut queue.reader(), 1000).await);
        assert_eq!(found, (1..=whole).chain([1000]).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_flipped_bit_before_the_zeros_of_a_crash_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let (_queue, name) = three_of_several_sectors(directory.path()).await;
    for byte in [3, 10, 40, 300, 2047] {
        let crashed = tempfile::tempdir().unwrap();
        copy_files(directory.path(), crashed.path());
        let path = crashed.path().join(name.file_name().unwrap());
        flip(&path, 32 + 2 * 2048 + byte, 1);
        let (_queue, recovery) = open(crashed.path(), Options::default());
        assert_eq!((recovery.corrupt_regions, recovery.queued.records), (1, 2));
    }
}

#[tokio::test]
async fn a_crash_repeats_only_what_was_not_acknowledged_when_progress_was_last_saved() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), small());
    append_all(&queue, 0..20).await;
    let mut reader = queue.reader();
    let entries = read_through(&mut reader, 19).await;
    queue.acknowledge(0, entries[11].position);
    let saved = directory.path().join("progress");
    eventually("progress is saved by itself", || saved.exists()).await;
    queue.acknowledge(0, entries[14].position);
    let crashed = tempfile::tempdir().unwrap();
    copy_files(directory.path(), crashed.path());
    let (queue, recovery) = open(crashed.path(), small());
    // Not all of it need come back: consumed segments go, and progress may be saved once more.
    let repeated_from = 20 - recovery.queued.records;
    assert!((12..=15).contains(&repeated_from), "{repeated_from}");
    let again = read_through(&mut queue.reader(), 19).await;
    assert_eq!(ids(&again), (repeated_from..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn close_repeats_nothing_and_open_counts_without_reading_sealed_segments() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), small());
    for id in 0..60 {
        append(&queue, u16::from(id % 2 == 1), id, 20).await;
    }
    let mut reader = queue.reader();
    let entries = read_through(&mut reader, 59).await;
    queue.acknowledge(0, entries[20].position);
    queue.acknowledge(1, entries[7].position);
    let before = queue.stats();
    queue.close().await.unwrap();
    let (queue, recovery) = open(directory.path(), small());
    assert_eq!(recovery.scanned_segments, 0);
    assert_eq!(recovery.queued, before.queued);
    let after = queue.stats();
    assert_eq!(
        (after.oldest_ms, after.disk_bytes),
        (Some(9), before.disk_bytes)
    );
    let expected: Vec<u64> = (0..60)
        .filter(|&id| if id % 2 == 0 { id > 20 } else { id > 7 })
        .collect();
    assert_eq!(ids(&read_through(&mut queue.reader(), 59).await), expected);
}

#[tokio::test]
async fn a_sealed_segment_ends_with_its_trailer_and_not_with_zeros() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        segment_bytes: 16 << 10,
        ..Options::default()
    };
    let (queue, _) = open(directory.path(), options.clone());
    for id in 0..120 {
        append(&queue, 0, id, 300).await;
    }
    queue.close().await.unwrap();
    assert!(segments(directory.path()).len() > 2);
    let (_queue, recovery) = open(directory.path(), options);
    assert_eq!(recovery.scanned_segments, 0);
}

#[tokio::test]
async fn positions_are_not_used_twice_when_everything_was_consumed() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), small());
    append_all(&queue, 0..30).await;
    let entries = read_through(&mut queue.reader(), 29).await;
    queue.acknowledge(0, entries[29].position);
    eventually("consumed segments go", || {
        segments(directory.path()).len() == 1
    })
    .await;
    queue.close().await.unwrap();
    for path in segments(directory.path()) {
        fs::remove_file(path).unwrap();
    }
    let (queue, _) = open(directory.path(), small());
    append(&queue, 0, 30, 20).await;
    let entry = next(&mut queue.reader()).await;
    assert_eq!(id_of(&entry), 30);
    assert!(entry.position > entries[29].position);
}
