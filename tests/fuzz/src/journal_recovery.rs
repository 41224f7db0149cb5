//! What a crash left of a journal and the two queues behind it, after anything: they open or say
//! why not, and give back nothing that was not appended to them, nor in another order.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use promrelay::queue::{Append, Journal, Options, Queue, Record, append_all, lock_directory};

use super::damage::damage;

const NAMES: [&str; 2] = ["a", "b"];
/// Records that each queue gets.
const RECORDS: u8 = 12;
/// So many are in the queues' own files when the relay crashes, most likely; the others are in the
/// journal only.
const WRITTEN: u8 = 8;
/// What a file of the journal is cut down to: there are zeros behind it.
const JOURNAL_BYTES: usize = 8192;

/// Files by their path in the storage directory, sorted.
type Image = Vec<(PathBuf, Vec<u8>)>;

/// The first byte says what: 0 replaces the journal's file by the rest of the bytes, anything else
/// applies them to what the crash left as changes: which file, where, how. With nothing changed
/// everything is found.
pub fn run(bytes: &[u8]) {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    let Some((what, rest)) = bytes.split_first() else {
        return;
    };
    let storage = tempfile::tempdir().expect("a directory");
    let image = IMAGE.get_or_init(|| on_runtime(crash()));
    let mut files = Vec::new();
    for (path, content) in image {
        let path = storage.path().join(path);
        fs::create_dir_all(path.parent().expect("a file is in a directory"))
            .expect("the directory is made");
        fs::write(&path, content).expect("the file is written");
        files.push(path);
    }
    if *what == 0 {
        let journal = files.iter().find(|path| is_journal(path));
        fs::write(journal.expect("a journal"), rest).expect("the file is written");
    } else {
        let changes = rest.chunks_exact(4).take(64);
        changes.for_each(|change| damage(&files, change));
    }
    let is_whole = *what != 0 && rest.len() < 4;
    on_runtime(check(storage.path(), is_whole));
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(work)
}

/// What is on the disk when the relay is killed.
async fn crash() -> Image {
    let storage = tempfile::tempdir().expect("a directory");
    let (_journal, queues) = open(storage.path()).expect("an empty directory is one");
    for id in 0..RECORDS {
        if id == WRITTEN {
            for queue in &queues {
                written(queue).await;
            }
        }
        let payloads: Vec<_> = (0..queues.len()).map(|queue| payload(queue, id)).collect();
        let pairs = queues.iter().zip(&payloads);
        let appends = pairs
            .map(|(queue, bytes)| append(queue, id, bytes))
            .collect();
        for (_, receipt) in append_all(appends, Duration::ZERO) {
            receipt.durable().await.expect("it is stored");
        }
    }
    let mut image = Vec::new();
    read(storage.path(), Path::new(""), &mut image);
    image.sort_unstable();
    image
}

/// Waits until what was appended is in the queue's files: before that it cannot be read.
async fn written(queue: &Queue) {
    let mut reader = queue.reader();
    for _ in 0..WRITTEN {
        let read = tokio::time::timeout(Duration::from_mins(1), reader.next()).await;
        read.expect("it is written in time");
    }
}

fn append<'a>(queue: &'a Queue, id: u8, bytes: &'a [u8]) -> Append<'a> {
    let reservation = queue.reserve(Queue::stored_size(bytes.len()));
    Append {
        queue,
        reservation: reservation.expect("there is room"),
        records: vec![Record {
            stream: u16::from(id % 2),
            weight: 1,
            appended_ms: i64::from(id),
            bytes,
        }],
    }
}

/// Reads all files below `within`, a path in `storage`.
fn read(storage: &Path, within: &Path, image: &mut Image) {
    for entry in fs::read_dir(storage.join(within)).expect("the directory is read") {
        let entry = entry.expect("an entry");
        let path = within.join(entry.file_name());
        if entry.path().is_dir() {
            read(storage, &path, image);
        } else {
            let mut content = fs::read(entry.path()).expect("the file is read");
            if is_journal(&path) {
                content.truncate(JOURNAL_BYTES);
            }
            image.push((path, content));
        }
    }
}

fn is_journal(path: &Path) -> bool {
    path.parent()
        .is_some_and(|parent| parent.ends_with("journal"))
        && path.file_name().is_some_and(|name| name == "0")
}

fn open(storage: &Path) -> Option<(Journal, Vec<Queue>)> {
    let lock = lock_directory(storage).ok()?;
    let journal = Journal::open(lock).ok()?;
    let mut queues = Vec::new();
    for name in NAMES {
        let options = Options {
            segment_bytes: 512,
            ..Options::default()
        };
        let (queue, _) = Queue::open_journaled(&storage.join(name), options, &journal).ok()?;
        queues.push(queue);
    }
    Some((journal, queues))
}

/// The number of a record and its queue, and as many bytes as follow from it.
fn payload(queue: usize, id: u8) -> Vec<u8> {
    let mut payload = vec![id; 2 + usize::from(id) * 7];
    payload[1] = u8::try_from(queue).expect("there are two queues");
    payload
}

async fn check(storage: &Path, is_whole: bool) {
    // A refusal to open is an answer, but not to what a crash leaves.
    let Some((journal, queues)) = open(storage) else {
        assert!(!is_whole, "what a crash left is refused");
        return;
    };
    for (index, queue) in queues.iter().enumerate() {
        let mut reader = queue.reader();
        let mut found = Vec::new();
        while let Ok(Some(entry)) =
            tokio::time::timeout(Duration::from_mins(1), reader.next_stored()).await
        {
            let id = entry.bytes.first().copied().expect("no record is empty");
            assert_eq!(
                entry.bytes,
                payload(index, id),
                "a record that nobody appended"
            );
            assert!(found.last() < Some(&id), "{id} after {found:?}");
            found.push(id);
        }
        if is_whole {
            assert_eq!(found, (0..RECORDS).collect::<Vec<_>>(), "in queue {index}");
        }
    }
    for queue in queues {
        drop(queue.close().await);
    }
    drop(journal);
}
