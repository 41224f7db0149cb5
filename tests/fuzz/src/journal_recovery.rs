//! What a crash left of a journal and the two queues behind it, after anything: they open or say
//! why not, and give back nothing that was not appended to them, nor in another order; and of a
//! queue whose files are sound all that was in them, and with a sound journal all.
//!
//! Salts are drawn anew in each process, so that an input that found something may need its
//! neighbours to find it again.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use promrelay::queue::{
    Append, Journal, Options, Patience, Queue, Reader, Record, append_all, lock_directory,
};

use super::damage::damage;

/// What is on the disk when the relay crashes, and may be damaged.
const FILES: [&str; 5] = [
    "a/00000000000000000001.log",
    "a/00000000000000000008.log",
    "b/00000000000000000001.log",
    "b/00000000000000000008.log",
    JOURNAL,
];
const JOURNAL: &str = "journal/0";
const QUEUES: [&str; 2] = ["a", "b"];
/// Records that each queue gets.
const RECORDS: u8 = 12;
/// So many of them are in the queues' own files; the others are in the journal only.
const WRITTEN: u8 = 8;
/// What a file of the journal is cut down to: there are zeros behind it.
const JOURNAL_BYTES: usize = 8192;
/// For whatever takes no time.
const PATIENCE: Duration = Duration::from_mins(1);

/// The first byte says what: 0 replaces the journal's file by the rest of the bytes, anything else
/// applies them to what the crash left as changes: which file, where, how.
pub fn run(bytes: &[u8]) {
    static IMAGE: OnceLock<[Vec<u8>; FILES.len()]> = OnceLock::new();
    let Some((what, rest)) = bytes.split_first() else {
        return;
    };
    let image = IMAGE.get_or_init(|| on_runtime(crash()));
    let storage = tempfile::tempdir().expect("a directory");
    let files = FILES.map(|name| storage.path().join(name));
    for (path, content) in files.iter().zip(image) {
        let directory = path.parent().expect("a file is in a directory");
        fs::create_dir_all(directory).expect("the directory is made");
        fs::write(path, content).expect("the file is written");
    }
    let mut is_sound = [true; FILES.len()];
    if *what == 0 {
        is_sound[FILES.len() - 1] = false;
        fs::write(storage.path().join(JOURNAL), rest).expect("the file is written");
    } else {
        for change in rest.chunks_exact(4).take(64) {
            is_sound[usize::from(change[0]) % FILES.len()] = false;
            damage(&files, change);
        }
    }
    on_runtime(check(storage.path(), is_sound));
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(work)
}

/// The files as they are when the relay is killed.
async fn crash() -> [Vec<u8>; FILES.len()] {
    let storage = tempfile::tempdir().expect("a directory");
    let (_journal, queues) = open(storage.path()).expect("an empty directory is one");
    let read = |name: &str| fs::read(storage.path().join(name)).expect("the file is read");
    let mut readers: Vec<_> = queues.iter().map(Queue::reader).collect();
    for id in 0..WRITTEN {
        append(&queues, id).await;
        for reader in &mut readers {
            written(reader).await;
        }
    }
    let mut image = FILES.map(read);
    for id in WRITTEN..RECORDS {
        append(&queues, id).await;
    }
    let mut journal = read(JOURNAL);
    journal.truncate(JOURNAL_BYTES);
    image[FILES.len() - 1] = journal;
    image
}

/// Appends the record with this number to each queue.
async fn append(queues: &[Queue], id: u8) {
    let payloads: Vec<_> = (0..queues.len()).map(|queue| payload(queue, id)).collect();
    let pairs = queues.iter().zip(&payloads);
    let appends = pairs.map(|(queue, bytes)| part(queue, id, bytes)).collect();
    for (_, receipt) in append_all(appends, Patience::None) {
        receipt.durable().await.expect("it is stored");
    }
}

fn part<'a>(queue: &'a Queue, id: u8, bytes: &'a [u8]) -> Append<'a> {
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

/// Waits until the next record is in the queue's file: before that it cannot be read.
async fn written(reader: &mut Reader) {
    let read = tokio::time::timeout(PATIENCE, reader.next()).await;
    read.expect("it is written in time")
        .expect("the queue is open");
}

fn open(storage: &Path) -> Option<(Journal, Vec<Queue>)> {
    let lock = lock_directory(storage).ok()?;
    let journal = Journal::open(lock).ok()?;
    let mut queues = Vec::new();
    for name in QUEUES {
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

async fn check(storage: &Path, is_sound: [bool; FILES.len()]) {
    let Some((journal, queues)) = open(storage) else {
        // A refusal to open is an answer, but not to what a crash leaves.
        assert_ne!(
            is_sound,
            [true; FILES.len()],
            "what a crash left is refused"
        );
        return;
    };
    for (index, (queue, sound)) in queues.iter().zip(is_sound.chunks(2)).enumerate() {
        let found = read(queue, index).await;
        let least = match (sound, is_sound.last()) {
            ([true, true], Some(true)) => RECORDS,
            ([true, true], _) => WRITTEN,
            _ => 0,
        };
        let least: Vec<_> = (0..least).collect();
        assert!(found.starts_with(&least), "queue {index} has {found:?}");
    }
    for queue in queues {
        drop(queue.close().await);
    }
    drop(journal);
}

/// The numbers of the records in a queue, which are of it and in order.
async fn read(queue: &Queue, index: usize) -> Vec<u8> {
    let (mut reader, mut found) = (queue.reader(), Vec::new());
    loop {
        let read = tokio::time::timeout(PATIENCE, reader.next_stored()).await;
        let Some(entry) = read.expect("the queue answers") else {
            return found;
        };
        let id = entry.bytes.first().copied().expect("no record is empty");
        let expected = payload(index, id);
        assert_eq!(entry.bytes, expected, "a record that nobody appended");
        assert!(found.last() < Some(&id), "{id} after {found:?}");
        found.push(id);
    }
}
