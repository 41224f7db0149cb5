//! The journal: what a crash leaves of it and of the segments behind it.

use super::disk_faults::Disk;
use super::*;

mod faults;
mod model;
mod waiting;

/// Queues `a` and `b` behind a journal.
struct Pair {
    queues: Vec<Queue>,
    journal: Journal,
}

const NAMES: [&str; 2] = ["a", "b"];

impl Pair {
    fn open(storage: &Path) -> Self {
        Self::open_on(storage, &Disk::default(), &Disk::default())
    }

    fn open_on(storage: &Path, of_journal: &Disk, of_queues: &Disk) -> Self {
        let journal = Journal::open_with(storage, None, of_journal.open_log()).unwrap();
        let open = |name| {
            let directory = storage.join(name);
            let core = Some(journal.core());
            Queue::open_with(&directory, Options::default(), core, of_queues.open_log())
                .unwrap()
                .0
        };
        Self {
            queues: NAMES.map(open).to_vec(),
            journal,
        }
    }

    /// Appends a record to each queue, in one call.
    fn submit(&self, id: u64, length: usize) -> Vec<Receipt> {
        self.submit_with(id, length, Patience::None)
    }

    fn submit_with(&self, id: u64, length: usize, patience: Patience) -> Vec<Receipt> {
        let bytes = payload(id, length);
        let append = |queue| Append {
            queue,
            reservation: queue.reserve(Queue::stored_size(bytes.len())).unwrap(),
            records: vec![record(&bytes)],
        };
        let appends = self.queues.iter().map(append).collect();
        let receipts = crate::queue::append_all(appends, patience).into_iter();
        receipts.map(|(_, receipt)| receipt).collect()
    }

    async fn append(&self, ids: std::ops::Range<u64>, length: usize) {
        for id in ids {
            for receipt in self.submit(id, length) {
                receipt.durable().await.expect("it becomes durable");
            }
        }
    }

    /// Reads both queues up to the record `last`, and checks what comes.
    async fn expect(&self, expected: impl Iterator<Item = u64> + Clone, last: u64) {
        for queue in &self.queues {
            let found = ids(&read_through(&mut queue.reader(), last).await);
            assert_eq!(found, expected.clone().chain([last]).collect::<Vec<_>>());
        }
    }

    /// Waits until the records up to a position are in the segments.
    async fn written(&self, through: u64) {
        eventually("they are written", || {
            let mut written = self
                .queues
                .iter()
                .map(|queue| queue.shared().lock().written_through);
            written.all(|written| written >= through)
        })
        .await;
    }

    /// Waits until the queues find that the disk is full, or is no more.
    async fn is_full(&self, full: bool) {
        eventually("the queues find out", || {
            let mut queues = self.queues.iter();
            queues.all(|queue| queue.stats().disk_full == full)
        })
        .await;
    }

    async fn close(self) {
        for queue in &self.queues {
            queue.close().await.expect("it closes in order");
        }
        drop(self.journal);
    }
}

fn record(bytes: &[u8]) -> Record<'_> {
    Record {
        stream: 0,
        weight: 3,
        appended_ms: 0,
        bytes,
    }
}

/// What a crash leaves of a storage directory, but for what `lose` does to the segments.
fn crash(storage: &Path, lose: impl Fn(Vec<u8>) -> Vec<u8>) -> tempfile::TempDir {
    let crashed = tempfile::tempdir().unwrap();
    for name in NAMES {
        let directory = crashed.path().join(name);
        copy_files(&storage.join(name), &directory);
        for path in segments(&directory) {
            let bytes = fs::read(&path).unwrap();
            fs::write(path, lose(bytes)).unwrap();
        }
    }
    let (from, to) = (storage.join("journal"), crashed.path().join("journal"));
    copy_files(&from, &to);
    crashed
}

fn journal_files(storage: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(storage.join("journal")).into_iter().flatten();
    let files = files.map(|file| file.unwrap().path());
    files.filter(|path| !path.ends_with("reserve")).collect()
}

/// What a power cut leaves of a segment of which nothing else was synced.
fn only_header(mut segment: Vec<u8>) -> Vec<u8> {
    segment.truncate(32);
    segment
}

#[tokio::test]
async fn a_crash_while_space_is_taken_for_a_recovery_leaves_nothing_behind() {
    let storage = tempfile::tempdir().unwrap();
    fs::create_dir(storage.path().join("journal")).unwrap();
    fs::write(storage.path().join("journal/reserve.new"), "half").unwrap();
    Pair::open(storage.path()).close().await;
    assert_eq!(journal_files(storage.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_is_appended_comes_in_order_and_a_closed_journal_leaves_no_files() {
    let storage = tempfile::tempdir().unwrap();
    let pair = Pair::open(storage.path());
    pair.append(0..20, 30).await;
    pair.expect(0..19, 19).await;
    assert!(pair.journal.stats().syncs > 0);
    assert_eq!(
        pair.queues[0].stats().syncs,
        0,
        "the journal's sync is enough"
    );
    // Nobody has to wait for what is appended before the end.
    drop(pair.submit(20, 30));
    pair.close().await;
    assert_eq!(journal_files(storage.path()), Vec::<PathBuf>::new());
    let pair = Pair::open(storage.path());
    pair.append(21..23, 30).await;
    pair.expect(0..22, 22).await;
}

#[tokio::test]
async fn a_power_cut_may_take_any_part_of_the_segments() {
    let storage = tempfile::tempdir().unwrap();
    let pair = Pair::open(storage.path());
    pair.append(0..6, 30).await;
    pair.written(6).await;
    let length = fs::metadata(&segments(&storage.path().join("a"))[0])
        .unwrap()
        .len();
    let length = usize::try_from(length).unwrap();
    for (from, to) in
        (32..=length)
            .step_by(9)
            .map(|at| (at, length))
            .chain([(110, 190), (32, 110), (200, 201)])
    {
        for zeros in [false, true] {
            let crashed = crash(storage.path(), |mut bytes| {
                if zeros || to < length {
                    bytes[from..to].fill(0);
                } else {
                    bytes.truncate(from);
                }
                bytes
            });
            let pair = Pair::open(crashed.path());
            assert_eq!(pair.queues[0].stats().corrupt_regions, 0);
            pair.append(1000..1001, 30).await;
            pair.expect(0..6, 1000).await;
        }
    }
}

#[tokio::test]
async fn every_prefix_of_the_journal_holds_all_that_was_synced_and_nothing_else() {
    let storage = tempfile::tempdir().unwrap();
    let pair = Pair::open(storage.path());
    let mut ends = Vec::new();
    for id in 0..5 {
        pair.append(id..id + 1, 30).await;
        ends.push(32 + pair.journal.stats().written_bytes);
    }
    let crashed = crash(storage.path(), only_header);
    let path = journal_files(crashed.path()).remove(0);
    let bytes = fs::read(&path).unwrap();
    let end = usize::try_from(ends[4]).unwrap();
    assert!(bytes[end..].iter().all(|&byte| byte == 0));
    for length in (0..=end).rev() {
        let cut = crash(crashed.path(), |bytes| bytes);
        let path = cut.path().join("journal").join(path.file_name().unwrap());
        fs::write(path, &bytes[..length]).unwrap();
        let whole = ends.iter().filter(|&&end| end <= length as u64).count() as u64;
        let pair = Pair::open(cut.path());
        let queued = pair.queues.iter().map(|queue| queue.stats().queued.records);
        assert_eq!(
            queued.collect::<Vec<_>>(),
            [whole, whole],
            "of {length} bytes"
        );
        if length % 16 == 0 {
            pair.append(1000..1001, 30).await;
            pair.expect(0..whole, 1000).await;
        }
    }
}

#[tokio::test]
async fn a_damaged_block_costs_no_other() {
    let storage = tempfile::tempdir().unwrap();
    let pair = Pair::open(storage.path());
    pair.append(0..1, 30).await;
    let first_end = 32 + usize::try_from(pair.journal.stats().written_bytes).unwrap();
    pair.append(1..4, 30).await;
    for at in [
        first_end,
        first_end + 3,
        first_end + 9,
        first_end + 30,
        first_end + 90,
    ] {
        let crashed = crash(storage.path(), only_header);
        flip(&journal_files(crashed.path())[0], at, 2);
        let pair = Pair::open(crashed.path());
        pair.append(1000..1001, 30).await;
        pair.expect([0, 2, 3].into_iter(), 1000).await;
    }
}

#[tokio::test]
async fn a_crash_while_recovering_repeats_nothing() {
    let storage = tempfile::tempdir().unwrap();
    let pair = Pair::open(storage.path());
    pair.append(0..5, 30).await;
    let crashed = crash(storage.path(), only_header);
    let journal = tempfile::tempdir().unwrap();
    copy_files(&crashed.path().join("journal"), journal.path());
    for _ in 0..3 {
        recover_journal(crashed.path()).unwrap();
        assert_eq!(journal_files(crashed.path()), Vec::<PathBuf>::new());
        copy_files(journal.path(), &crashed.path().join("journal"));
    }
    let pair = Pair::open(crashed.path());
    pair.append(5..8, 30).await;
    pair.expect(0..7, 7).await;
}

#[tokio::test]
async fn what_was_acknowledged_or_purged_does_not_come_back() {
    let storage = tempfile::tempdir().unwrap();
    let pair = Pair::open(storage.path());
    pair.append(0..5, 30).await;
    let entries = read_through(&mut pair.queues[0].reader(), 4).await;
    pair.queues[0].acknowledge(0, entries[2].position);
    // Also of what may not be in a segment yet.
    assert_eq!(pair.queues[1].purge().await.unwrap().records, 5);
    assert_eq!(pair.queues[1].stats().queued.records, 0);
    let saved = storage.path().join("a/progress");
    eventually("progress is saved", || saved.exists()).await;
    let crashed = crash(storage.path(), only_header);
    let pair = Pair::open(crashed.path());
    pair.append(1000..1001, 30).await;
    let found = ids(&read_through(&mut pair.queues[0].reader(), 1000).await);
    assert_eq!(found, [3, 4, 1000]);
    let found = ids(&read_through(&mut pair.queues[1].reader(), 1000).await);
    assert_eq!(found, [1000]);
}

#[tokio::test]
async fn records_come_back_only_into_the_queue_that_they_are_of() {
    let storage = tempfile::tempdir().unwrap();
    let pair = Pair::open(storage.path());
    pair.append(0..5, 30).await;
    let crashed = crash(storage.path(), only_header);
    fs::remove_dir_all(crashed.path().join("a")).unwrap();
    let other = tempfile::tempdir().unwrap();
    let (queue, _) = open(other.path(), Options::default());
    queue.close().await.unwrap();
    fs::remove_file(&segments(&crashed.path().join("b"))[0]).unwrap();
    copy_files(other.path(), &crashed.path().join("b"));
    recover_journal(crashed.path()).unwrap();
    assert!(!crashed.path().join("a").exists(), "it was deleted");
    let pair = Pair::open(crashed.path());
    pair.append(1000..1001, 30).await;
    pair.expect(0..0, 1000).await;
}

#[tokio::test]
async fn full_files_are_used_again_when_the_segments_are_synced() {
    let storage = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let pair = Pair::open_on(storage.path(), &Disk::default(), &disk);
    for turn in 0..15 {
        pair.append(turn * 8..turn * 8 + 8, 1 << 20).await;
        for queue in &pair.queues {
            let entries = read_through(&mut queue.reader(), turn * 8 + 7).await;
            queue.acknowledge(0, entries.last().unwrap().position);
        }
    }
    let disk_bytes: u64 = journal_files(storage.path())
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    let stats = pair.journal.stats();
    assert!(stats.written_bytes > 240 << 20);
    assert!(disk_bytes <= 64 << 20, "{disk_bytes}");
    assert_eq!(stats.disk_bytes, disk_bytes);
    pair.append(120..121, 30).await;
    // Neither are the blocks of a file's last use taken for new ones, nor is a file used again
    // before its records are on the disk elsewhere.
    let crashed = crash(storage.path(), |bytes| bytes);
    for name in NAMES {
        for path in segments(&crashed.path().join(name)) {
            let original = storage.path().join(name).join(path.file_name().unwrap());
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_len(disk.synced_length(&original)).unwrap();
        }
    }
    let pair = Pair::open(crashed.path());
    pair.append(121..122, 30).await;
    for queue in &pair.queues {
        let found = ids(&read_through(&mut queue.reader(), 121).await);
        assert_eq!(found, (found[0]..122).collect::<Vec<_>>());
        assert!(found[0] >= 80, "of long ago: {found:?}");
    }
}

#[tokio::test]
async fn order_holds_when_durability_changes() {
    let storage = tempfile::tempdir().unwrap();
    let pair = Pair::open(storage.path());
    let asynchronous = Options {
        durability: Durability::Async,
        ..Options::default()
    };
    let options = [Options::default(), asynchronous];
    let mut receipts = Vec::new();
    for id in 0..200 {
        let options = &options[usize::try_from(id / 3 % 2).unwrap()];
        pair.queues
            .iter()
            .for_each(|queue| queue.set_options(options.clone()));
        receipts.extend(pair.submit(id, 30));
    }
    for receipt in receipts {
        receipt.durable().await.unwrap();
    }
    pair.expect(0..199, 199).await;
    // Of what only the segments had, a crash of the process takes nothing.
    let crashed = crash(storage.path(), |bytes| bytes);
    let pair = Pair::open(crashed.path());
    pair.append(200..201, 30).await;
    pair.expect(0..200, 200).await;
}

#[tokio::test]
async fn queues_that_outlive_their_journal_refuse() {
    let storage = tempfile::tempdir().unwrap();
    let Pair { queues, journal } = Pair::open(storage.path());
    drop(journal);
    let receipt = submit(&queues[0], 0, 0, 30).unwrap();
    assert!(receipt.durable().await.is_err());
    queues[0].close().await.unwrap();
}
