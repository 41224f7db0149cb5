//! Disks that fail.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex};

use super::active;
use super::disk::{LogFile, OpenLog};
use super::*;

/// What a disk does wrong from now on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// Bytes that the files may grow to.
    space: Option<u64>,
    write: Option<io::ErrorKind>,
    sync: Option<io::ErrorKind>,
    /// Syncs do not come to their end.
    hold_syncs: bool,
    truncate: Option<io::ErrorKind>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<Faults>>, Arc<Mutex<HashMap<PathBuf, u64>>>);

impl Disk {
    pub(super) fn set(&self, faults: Faults) {
        *self.0.lock().unwrap() = faults;
    }

    /// Has files grow to so many bytes at the most.
    pub(super) fn limit(&self, bytes: u64) {
        self.set(Faults {
            space: Some(bytes),
            ..Faults::default()
        });
    }

    pub(super) fn fail_syncs(&self) {
        self.set(Faults {
            sync: Some(io::ErrorKind::Other),
            ..Faults::default()
        });
    }

    /// Has no sync come to its end until other faults are set.
    pub(super) fn hold_syncs(&self) {
        self.set(Faults {
            hold_syncs: true,
            ..Faults::default()
        });
    }

    /// How long a file was when it was synced last.
    pub(super) fn synced_length(&self, path: &Path) -> u64 {
        self.1.lock().unwrap().get(path).copied().unwrap_or(0)
    }

    /// Remembers how long a file is now as what is synced of it.
    pub(super) fn note_synced(&self, path: &Path) {
        let length = fs::metadata(path).unwrap().len();
        self.1.lock().unwrap().insert(path.to_owned(), length);
    }

    pub(super) fn open_log(&self) -> OpenLog {
        let disk = self.clone();
        Arc::new(move |path| {
            let options = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path);
            Ok(Box::new(FaultyFile {
                file: options?,
                path: path.to_owned(),
                disk: disk.clone(),
            }))
        })
    }
}

struct FaultyFile {
    file: File,
    path: PathBuf,
    disk: Disk,
}

impl FaultyFile {
    fn faults(&self) -> Faults {
        *self.disk.0.lock().unwrap()
    }
}

fn check(fault: Option<io::ErrorKind>) -> io::Result<()> {
    fault.map_or(Ok(()), |kind| Err(kind.into()))
}

impl LogFile for FaultyFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        check(self.faults().write)?;
        let end = self.faults().space.unwrap_or(u64::MAX);
        let fits = usize::try_from(end.saturating_sub(offset))
            .unwrap()
            .min(bytes.len());
        // As a real one: what fits is written, and then it fails.
        self.file.write_at(offset, &bytes[..fits])?;
        check((fits < bytes.len()).then_some(io::ErrorKind::StorageFull))
    }

    fn sync(&mut self) -> io::Result<()> {
        while self.faults().hold_syncs {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        check(self.faults().sync)?;
        let length = self.file.metadata()?.len();
        self.file.sync()?;
        self.disk
            .1
            .lock()
            .unwrap()
            .insert(self.path.clone(), length);
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        check(self.faults().truncate)?;
        self.file.truncate(length)
    }
}

fn open_on(disk: &Disk, directory: &Path) -> Queue {
    Queue::open_with(directory, Options::default(), None, disk.open_log())
        .unwrap()
        .0
}

async fn check_poisoned(queue: &Queue, disk: &Disk) {
    let receipt = submit(queue, 0, 50, 20).unwrap();
    assert!(matches!(
        receipt.durable().await,
        Err(AppendError::Failed { .. })
    ));
    // The disk is well again, and the queue stays as it is all the same.
    disk.set(Faults::default());
    let error = submit(queue, 0, 51, 20).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the queue stopped writing until a restart: cannot ")
    );
    assert!(queue.stats().failed.is_some());
    let mut reader = queue.reader();
    assert_eq!(ids(&read_through(&mut reader, 4).await), [0, 1, 2, 3, 4]);
    let more = timeout(Duration::from_millis(50), reader.next()).await;
    assert!(
        more.is_err(),
        "a record is read that is not durable: {more:?}"
    );
    assert!(queue.close().await.is_err());
}

#[tokio::test]
async fn a_failed_sync_or_write_poisons_and_reading_goes_on() {
    let other = Some(io::ErrorKind::Other);
    let full = Some(0);
    for faults in [
        Faults {
            sync: other,
            ..Faults::default()
        },
        Faults {
            sync: Some(io::ErrorKind::StorageFull),
            ..Faults::default()
        },
        Faults {
            write: other,
            ..Faults::default()
        },
        Faults {
            space: full,
            truncate: other,
            ..Faults::default()
        },
    ] {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let queue = open_on(&disk, directory.path());
        append_all(&queue, 0..5).await;
        disk.set(faults);
        check_poisoned(&queue, &disk).await;
        // Opened again, it has all that was answered for.
        let (queue, _) = open(directory.path(), Options::default());
        append(&queue, 0, 60, 20).await;
        let found = ids(&read_through(&mut queue.reader(), 60).await);
        assert_eq!(found[..5], [0, 1, 2, 3, 4]);
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_resumes_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let queue = open_on(&disk, directory.path());
    append_all(&queue, 0..5).await;
    let length = 32 + 5 * 68;
    disk.limit(length + 30);
    let receipt = submit(&queue, 0, 50, 20).unwrap();
    assert_eq!(receipt.durable().await, Err(AppendError::DiskFull));
    assert_eq!(
        fs::metadata(&segments(directory.path())[0]).unwrap().len(),
        length
    );
    assert_eq!(
        submit(&queue, 0, 51, 20).unwrap_err(),
        ReserveError::DiskFull
    );
    assert_eq!(
        (queue.stats().disk_full, queue.stats().failed),
        (true, None)
    );
    disk.set(Faults::default());
    eventually("it resumes", || !queue.stats().disk_full).await;
    append_all(&queue, 5..8).await;
    assert_eq!(
        ids(&read_through(&mut queue.reader(), 7).await),
        (0..8).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_segment_that_fills_the_disk_goes_when_all_in_it_is_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let queue = open_on(&disk, directory.path());
    let mut reader = queue.reader();
    append_all(&queue, 0..5).await;
    disk.limit(32 + 5 * 68);
    for turn in 1..3 {
        let receipt = submit(&queue, 0, 50, 20).unwrap();
        assert_eq!(receipt.durable().await, Err(AppendError::DiskFull));
        let last = read_through(&mut reader, turn * 5 - 1).await.pop().unwrap();
        assert!(queue.stats().disk_full);
        queue.acknowledge(0, last.position);
        eventually("it resumes", || !queue.stats().disk_full).await;
        append_all(&queue, turn * 5..turn * 5 + 5).await;
        assert_eq!(segments(directory.path()).len(), 1);
    }
    queue.close().await.unwrap();
    let (queue, _) = open(directory.path(), Options::default());
    let found = ids(&read_through(&mut queue.reader(), 14).await);
    assert_eq!(found, (10..15).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_disk_without_space_for_zeros_still_takes_records() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let queue = open_on(&disk, directory.path());
    let two = 32 + 2 * 68;
    // Some of the zeros have space, and the next record has not.
    disk.limit(two + 20);
    append_all(&queue, 0..2).await;
    let length = || fs::metadata(&segments(directory.path())[0]).unwrap().len();
    assert_eq!(length(), two, "no zeros are left that had no space");
    let receipt = submit(&queue, 0, 2, 20).unwrap();
    assert_eq!(receipt.durable().await, Err(AppendError::DiskFull));
    disk.set(Faults::default());
    eventually("it resumes", || !queue.stats().disk_full).await;
    append_all(&queue, 2..4).await;
    assert_eq!(length(), two + 68 + 4 * 68, "and then there are");
    queue.close().await.unwrap();
    assert_eq!(length(), two + 2 * 68, "a queue at rest has none");
    let (queue, _) = open(directory.path(), Options::default());
    let found = ids(&read_through(&mut queue.reader(), 3).await);
    assert_eq!(found, [0, 1, 2, 3]);
}

#[test]
fn zeros_stop_where_the_volume_would_have_less_than_its_bound() {
    let zeros = |options: &Options, free_bytes| active::zeros(options, 1000, free_bytes);
    let mut options = Options::default();
    assert_eq!(zeros(&options, None), 4000);
    options.min_free_bytes = 1 << 20;
    assert_eq!(zeros(&options, Some((1 << 20) + 100)), 100);
    assert_eq!(zeros(&options, Some(1000)), 0);
}

#[test]
fn zeros_are_for_small_appends_that_are_synced_and_few_in_small_queues() {
    let mut options = Options::default();
    assert_eq!(active::zeros(&options, 32 << 10, None), 128 << 10);
    assert_eq!(active::zeros(&options, (32 << 10) + 1, None), 0);
    options.max_bytes = 1 << 20;
    assert_eq!(active::zeros(&options, 32 << 10, None), 4 << 10);
    options.durability = Durability::Async;
    assert_eq!(active::zeros(&options, 1000, None), 0);
}

#[tokio::test]
async fn a_disk_that_is_full_from_the_start_does_not_keep_a_queue_from_opening() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    disk.limit(0);
    let queue = open_on(&disk, directory.path());
    assert_eq!(
        submit(&queue, 0, 0, 20).unwrap_err(),
        ReserveError::DiskFull
    );
    disk.set(Faults::default());
    eventually("it resumes", || !queue.stats().disk_full).await;
    append_all(&queue, 0..3).await;
    assert_eq!(ids(&read_through(&mut queue.reader(), 2).await), [0, 1, 2]);
}

#[tokio::test]
async fn progress_that_could_not_be_saved_is_saved_when_the_disk_is_well_again() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = open(directory.path(), Options::default());
    append_all(&queue, 0..5).await;
    // Nothing can be written where a directory is.
    let in_the_way = directory.path().join("progress.new");
    fs::create_dir(&in_the_way).unwrap();
    let mut reader = queue.reader();
    let last = read_through(&mut reader, 4).await.pop().unwrap();
    queue.acknowledge(0, last.position);
    let saved = || progress::Progress::load(directory.path()).unwrap();
    let purged = queue.purge().await;
    assert!(purged.is_err(), "the save has failed");
    assert_eq!(saved(), None);
    fs::remove_dir(&in_the_way).unwrap();
    eventually("progress is saved by itself", || saved().is_some()).await;
    // A queue that is closed does not wait for a disk that never gets well.
    fs::create_dir(&in_the_way).unwrap();
    append(&queue, 0, 5, 20).await;
    let last = read_through(&mut reader, 5).await.pop().unwrap();
    queue.acknowledge(0, last.position);
    let closed = timeout(Duration::from_secs(10), queue.close()).await;
    assert_eq!(closed, Ok(Ok(())));
}
