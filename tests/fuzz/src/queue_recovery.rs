//! A queue's files after anything: it opens or says why not, and gives back nothing that was not
//! appended, nor in another order.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use promrelay::queue::{Durability, Options, Queue, Record};

use super::damage::damage;

/// Records that each queue gets.
const RECORDS: u8 = 12;

/// The first byte says what: 0 replaces the last segment by the rest of the bytes, anything else
/// applies them to a sound queue as changes: which file, where, how.
pub fn run(bytes: &[u8]) {
    let Some((what, rest)) = bytes.split_first() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    runtime.block_on(async {
        fill(directory.path()).await;
        let files = files(directory.path());
        if *what == 0 {
            let last = files
                .iter()
                .rfind(|path| path.extension().is_some())
                .expect("a segment");
            fs::write(last, rest).expect("the file is written");
        } else {
            rest.chunks_exact(4)
                .take(64)
                .for_each(|change| damage(&files, change));
        }
        check(directory.path()).await;
    });
}

async fn fill(directory: &Path) {
    let (queue, _) = Queue::open(directory, options()).expect("an empty directory is a queue");
    for id in 0..RECORDS {
        let bytes = payload(id);
        let reservation = queue
            .reserve(Queue::stored_size(bytes.len()))
            .expect("there is room");
        let record = Record {
            stream: u16::from(id % 2),
            weight: 1,
            appended_ms: i64::from(id),
            bytes: &bytes,
        };
        queue
            .append(reservation, &[record])
            .durable()
            .await
            .expect("it is stored");
    }
    queue.close().await.expect("the queue closes");
}

fn options() -> Options {
    Options {
        segment_bytes: 512,
        durability: Durability::Async,
        ..Options::default()
    }
}

/// The number of a record, and as many bytes as follow from it.
fn payload(id: u8) -> Vec<u8> {
    vec![id; 1 + usize::from(id) * 7]
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the directory is read");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = paths.filter(|path| path.is_file()).collect();
    files.sort_unstable();
    files
}

async fn check(directory: &Path) {
    // A refusal to open is an answer.
    let Ok((queue, recovery)) = Queue::open(directory, options()) else {
        return;
    };
    assert!(
        recovery.queued.records <= u64::from(RECORDS),
        "{recovery:?}"
    );
    let mut reader = queue.reader();
    let mut last = None;
    while let Ok(Some(entry)) =
        tokio::time::timeout(Duration::from_mins(1), reader.next_stored()).await
    {
        let id = entry.bytes.first().copied().expect("no record is empty");
        assert_eq!(entry.bytes, payload(id), "a record that nobody appended");
        assert!(last < Some(id), "{id} after {last:?}");
        last = Some(id);
    }
    drop(reader);
    drop(queue.close().await);
}
