//! The harness: queues with small segments, records that can be told apart, damage.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use super::*;

mod bounds;
mod crash;
mod damage;
mod disk_faults;
mod journal;
mod model;
mod names;
mod order;

/// Segments of a few records.
fn small() -> Options {
    Options {
        segment_bytes: 512,
        ..Options::default()
    }
}

fn open(directory: &Path, options: Options) -> (Queue, Recovery) {
    Queue::open(directory, options).expect("the queue opens")
}

/// The payload of record `id`: the number, and bytes that follow from it.
fn payload(id: u64, length: usize) -> Vec<u8> {
    let mut bytes = id.to_le_bytes().to_vec();
    let filler = id.to_le_bytes()[0];
    bytes.resize(8 + length, filler);
    bytes
}

fn id_of(entry: &Entry) -> u64 {
    let id = u64::from_le_bytes(entry.bytes[..8].try_into().unwrap());
    assert_eq!(entry.bytes, payload(id, entry.bytes.len() - 8));
    id
}

fn submit(queue: &Queue, stream: u16, id: u64, length: usize) -> Result<Receipt, ReserveError> {
    let bytes = payload(id, length);
    let reservation = queue.reserve(Queue::stored_size(bytes.len()))?;
    let record = Record {
        stream,
        weight: 3,
        appended_ms: i64::try_from(id).unwrap(),
        bytes: &bytes,
    };
    Ok(queue.append(reservation, &[record]))
}

async fn append(queue: &Queue, stream: u16, id: u64, length: usize) {
    let receipt = submit(queue, stream, id, length).expect("there is room");
    receipt.durable().await.expect("it becomes durable");
}

async fn append_all(queue: &Queue, ids: std::ops::Range<u64>) {
    for id in ids {
        append(queue, 0, id, 20).await;
    }
}

async fn next(reader: &mut Reader) -> Entry {
    let entry = timeout(Duration::from_secs(20), reader.next()).await;
    entry
        .expect("there is a record in time")
        .expect("the queue is open")
}

/// Reads up to the record `last`; returns what came before it and itself.
async fn read_through(reader: &mut Reader, last: u64) -> Vec<Entry> {
    let mut entries = Vec::new();
    loop {
        entries.push(next(reader).await);
        if entries.last().map(id_of) == Some(last) {
            return entries;
        }
    }
}

fn ids(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(id_of).collect()
}

/// Waits for something that another thread is about to do.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let mut poll = tokio::time::interval(Duration::from_millis(2));
    let holding = async {
        while !holds() {
            poll.tick().await;
        }
    };
    timeout(Duration::from_secs(20), holding)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let files = segment::list(directory).unwrap();
    files
        .keys()
        .map(|&first| segment::path(directory, first))
        .collect()
}

fn flip(path: &Path, at: usize, bit: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
}

/// A copy of a queue's files, as a crash would leave them; its thread may be at work.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let listed = fs::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    // A listing may miss a file that is being replaced.
    for from in listed.chain([from.join("progress")]) {
        if from.is_dir() {
            continue;
        }
        match fs::copy(&from, to.join(from.file_name().unwrap())) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            copied => drop(copied.unwrap()),
        }
    }
}
