//! Bits that flipped.

use super::*;

/// A closed queue of the records `0..40`, in several segments.
async fn make(directory: &Path) {
    let (queue, _) = open(directory, small());
    append_all(&queue, 0..40).await;
    queue.close().await.unwrap();
}

/// Where the record number `index` of a segment of [`make`] begins.
fn record_at(index: usize) -> usize {
    32 + index * (40 + 28)
}

async fn check_lost(directory: &Path, lost: &[u64]) -> Queue {
    let (queue, _) = open(directory, small());
    let found = read_through(&mut queue.reader(), 39).await;
    let expected: Vec<u64> = (0..40).filter(|id| !lost.contains(id)).collect();
    assert_eq!(ids(&found), expected);
    queue.acknowledge(0, found.last().unwrap().position);
    queue
}

#[tokio::test]
async fn any_flipped_byte_of_a_record_costs_that_record_and_is_set_aside() {
    let original = tempfile::tempdir().unwrap();
    make(original.path()).await;
    for byte in 0..68 {
        let copy = tempfile::tempdir().unwrap();
        copy_files(original.path(), copy.path());
        // The third record of the first segment.
        flip(&segments(copy.path())[0], record_at(2) + byte, 6);
        let queue = check_lost(copy.path(), &[2]).await;
        eventually("the account is right", || queue.stats().queued.records == 0).await;
        let stats = queue.stats();
        assert_eq!((stats.corrupt_regions, stats.corrupt_bytes), (1, 68));
        assert_eq!((stats.lost.records, stats.acknowledged.records), (1, 39));
        let aside = copy
            .path()
            .join("corrupt")
            .join(format!("{:020}-{}.bin", 1, record_at(2)));
        assert_eq!(fs::read(aside).unwrap().len(), 68);
        eventually("the segment goes", || segments(copy.path()).len() == 1).await;
    }
}

#[tokio::test]
async fn damage_in_the_last_segment_is_passed_on_open() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path()).await;
    flip(
        segments(directory.path()).last().unwrap(),
        record_at(1) + 5,
        3,
    );
    let (queue, recovery) = open(directory.path(), small());
    assert_eq!((recovery.corrupt_regions, recovery.corrupt_bytes), (1, 68));
    assert_eq!(recovery.queued.records, 39);
    assert_eq!(read_through(&mut queue.reader(), 39).await.len(), 39);
}

#[tokio::test]
async fn a_damaged_footer_costs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path()).await;
    for (at, path) in segments(directory.path()).iter().enumerate() {
        let length = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
        if path != segments(directory.path()).last().unwrap() {
            // Trailer, checksum, payload of the footer in turn.
            flip(path, length - [1, 70, 20][at % 3], 1);
        }
    }
    let queue = check_lost(directory.path(), &[]).await;
    assert_eq!(queue.stats().queued.records, 0);
}

#[tokio::test]
async fn a_damaged_header_costs_nothing_while_another_segment_tells_the_salt() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path()).await;
    for path in segments(directory.path()).iter().skip(1) {
        flip(path, 13, 1);
    }
    drop(check_lost(directory.path(), &[]).await);
}

#[tokio::test]
async fn a_damaged_header_of_the_only_segment_costs_nothing() {
    for byte in 0..32 {
        let directory = tempfile::tempdir().unwrap();
        let (queue, _) = open(directory.path(), small());
        append_all(&queue, 0..3).await;
        queue.close().await.unwrap();
        flip(&segments(directory.path())[0], byte, 1);
        assert_eq!(inspect(directory.path()).unwrap().count(), 3);
        let (queue, recovery) = open(directory.path(), small());
        assert_eq!((recovery.corrupt_regions, recovery.queued.records), (1, 3));
        append(&queue, 0, 3, 20).await;
        let found = ids(&read_through(&mut queue.reader(), 3).await);
        assert_eq!(found, [0, 1, 2, 3]);
    }
}

#[tokio::test]
async fn a_segment_whose_header_and_first_record_are_damaged_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), small());
    append_all(&queue, 0..3).await;
    queue.close().await.unwrap();
    flip(&segments(directory.path())[0], 13, 1);
    flip(&segments(directory.path())[0], record_at(0) + 50, 1);
    let (queue, recovery) = open(directory.path(), small());
    assert_eq!((recovery.corrupt_regions, recovery.queued.records), (1, 0));
    assert!(
        directory
            .path()
            .join("corrupt")
            .join(format!("{:020}-0.bin", 1))
            .exists()
    );
    append(&queue, 0, 3, 20).await;
    assert_eq!(id_of(&next(&mut queue.reader()).await), 3);
}

#[tokio::test]
async fn damaged_progress_repeats_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), small());
    append_all(&queue, 0..3).await;
    let entry = next(&mut queue.reader()).await;
    queue.acknowledge(0, entry.position);
    queue.close().await.unwrap();
    flip(&directory.path().join("progress"), 20, 1);
    let (queue, _) = open(directory.path(), small());
    assert_eq!(ids(&read_through(&mut queue.reader(), 2).await), [0, 1, 2]);
}

#[tokio::test]
async fn a_record_inside_a_payload_is_not_taken_for_one() {
    let source = tempfile::tempdir().unwrap();
    make(source.path()).await;
    // A whole segment of another queue, with positions that would fit here.
    let foreign = fs::read(segments(source.path()).last().unwrap()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), Options::default());
    append_all(&queue, 0..2).await;
    let record = Record {
        stream: 0,
        weight: 3,
        appended_ms: 0,
        bytes: &foreign,
    };
    let reservation = queue.reserve(Queue::stored_size(foreign.len())).unwrap();
    queue
        .append(reservation, &[record])
        .durable()
        .await
        .unwrap();
    append(&queue, 0, 100, 20).await;
    queue.close().await.unwrap();
    flip(&segments(directory.path())[0], record_at(2) + 4, 0);
    let (queue, recovery) = open(directory.path(), Options::default());
    assert_eq!(recovery.corrupt_regions, 1);
    assert_eq!(
        ids(&read_through(&mut queue.reader(), 100).await),
        [0, 1, 100]
    );
}

#[tokio::test]
async fn inspect_lists_what_is_there_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), small());
    append_all(&queue, 0..40).await;
    let entries = read_through(&mut queue.reader(), 39).await;
    queue.acknowledge(0, entries[2].position);
    queue.close().await.unwrap();
    flip(&segments(directory.path())[1], record_at(1) + 50, 0);
    let before: Vec<_> = segments(directory.path())
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    let listed: Vec<_> = inspect(directory.path())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(listed.len(), 39);
    let done = listed
        .iter()
        .filter(|inspected| inspected.acknowledged)
        .count();
    assert_eq!(done, 3);
    assert_eq!(id_of(&listed[38].entry), 39);
    let after: Vec<_> = segments(directory.path())
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    assert_eq!(before, after);
    assert!(!directory.path().join("corrupt").exists());
    fs::write(directory.path().join("notes"), "an operator's").unwrap();
    delete(directory.path()).unwrap();
    let mut left = fs::read_dir(directory.path()).unwrap();
    assert_eq!(left.next().unwrap().unwrap().file_name(), "notes");
    assert!(left.next().is_none(), "all else was the queue's");
}

/// Says that a file is of version 2, wherever its checksum is.
fn raise_version(path: &Path, checked_bytes: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[8] = 2;
    let checksum = crc32fast::hash(&bytes[..checked_bytes]);
    bytes[checked_bytes..checked_bytes + 4].copy_from_slice(&checksum.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_refused_and_not_touched() {
    let original = tempfile::tempdir().unwrap();
    make(original.path()).await;
    let (queue, _) = open(original.path(), small());
    let first = next(&mut queue.reader()).await;
    queue.acknowledge(0, first.position);
    queue.close().await.unwrap();
    let progress_bytes = fs::read(original.path().join("progress")).unwrap().len();
    for (file, checked_bytes) in [
        (segments(original.path())[1].clone(), 28),
        (original.path().join("progress"), progress_bytes - 4),
    ] {
        let copy = tempfile::tempdir().unwrap();
        copy_files(original.path(), copy.path());
        let file = copy.path().join(file.file_name().unwrap());
        raise_version(&file, checked_bytes);
        let written = fs::read(&file).unwrap();
        let refused = Queue::open(copy.path(), small()).unwrap_err();
        let told = std::error::Error::source(&refused).unwrap().to_string();
        assert!(told.contains("is in version 2 of"), "{told}");
        assert_eq!(fs::read(&file).unwrap(), written);
        assert_eq!(segments(copy.path()).len(), segments(original.path()).len());
    }
}

#[tokio::test]
async fn damage_in_what_was_written_after_the_file_was_opened_costs_that_record() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), Options::default());
    let mut reader = queue.reader();
    append(&queue, 0, 0, 20).await;
    assert_eq!(id_of(&next(&mut reader).await), 0);
    // More than a file is lengthened by at a time, and than is read at a time.
    let length = 300 << 10;
    for id in 1..6 {
        append(&queue, 0, id, length).await;
    }
    let third = record_at(1) + 2 * (40 + 8 + length);
    flip(&segments(directory.path())[0], third + 1000, 1);
    let found = ids(&read_through(&mut reader, 5).await);
    assert_eq!(found, [1, 2, 4, 5]);
    assert_eq!(queue.stats().corrupt_regions, 1);
}

/// That a file cannot be opened says nothing of what is in it.
#[cfg(unix)]
#[tokio::test]
async fn a_segment_that_cannot_be_opened_is_read_when_it_can() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path()).await;
    let (queue, _) = open(directory.path(), small());
    let path = segments(directory.path()).remove(0);
    let aside = directory.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    // Whoever follows this link gets an error and no file.
    std::os::unix::fs::symlink(&path, &path).unwrap();
    let mut reader = queue.reader();
    // Longer than bytes are read again that cannot be.
    assert!(
        timeout(Duration::from_secs(6), reader.next())
            .await
            .is_err()
    );
    fs::rename(&aside, &path).unwrap();
    let found = ids(&read_through(&mut reader, 39).await);
    assert_eq!(found, (0..40).collect::<Vec<_>>());
    assert_eq!(queue.stats().corrupt_regions, 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_segment_whose_bytes_cannot_be_read_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path()).await;
    let (queue, _) = open(directory.path(), small());
    let path = segments(directory.path()).remove(0);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let mut reader = queue.reader();
    let first = id_of(&next(&mut reader).await);
    assert!(first > 0, "{first}");
    assert_eq!(queue.stats().corrupt_regions, 1);
}
