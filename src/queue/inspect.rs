//! Looking into the directory of a queue that is not open, without changing anything in it.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::disk::remove_file;
use super::format::{RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES};
use super::progress::Progress;
use super::resync::{self, find_record};
use super::segment::{self, Bounds, SegmentFile, Stop, Verify, read_range};
use super::{Entry, Position};

/// A record of a queue that is not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// The record.
    pub entry: Entry,
    /// Whether it has been dealt with: acknowledged, dropped or purged.
    pub acknowledged: bool,
}

/// Every whole record of a queue, in order.
#[derive(Debug)]
pub struct Inspect {
    directory: PathBuf,
    salt: u32,
    progress: Progress,
    /// The segments that have not been opened.
    ahead: VecDeque<u64>,
    file: Option<SegmentFile>,
    bounds: Bounds,
    /// Records of the open segment that have not been given out: their headers and offsets.
    found: VecDeque<(RecordHeader, u64)>,
}

/// Lists the records in `directory`. Damaged ones and a torn tail are passed over in silence;
/// opening the queue counts them. Of one segment at a time it holds the headers in memory.
///
/// # Errors
/// If the directory cannot be read.
pub fn inspect(directory: &Path) -> io::Result<Inspect> {
    let ahead: VecDeque<u64> = segment::list(directory)?.into_keys().collect();
    // As when the queue is opened: from a whole header, or else from a record.
    let salt = match salt(directory, &ahead, SegmentFile::salt_of)? {
        None => salt(directory, &ahead, SegmentFile::salt_of_record)?,
        found => found,
    };
    Ok(Inspect {
        directory: directory.to_owned(),
        salt: salt.unwrap_or_default(),
        progress: Progress::load(directory)?.unwrap_or_default(),
        // Without a salt nothing can be read.
        ahead: if salt.is_some() {
            ahead
        } else {
            VecDeque::new()
        },
        file: None,
        bounds: Bounds { above: 0, below: 0 },
        found: VecDeque::new(),
    })
}

/// What the first segment tells that `tells` something of the salt.
fn salt(
    directory: &Path,
    segments: &VecDeque<u64>,
    tells: impl Fn(&Path) -> io::Result<Option<u32>>,
) -> io::Result<Option<u32>> {
    for &first in segments {
        match tells(&segment::path(directory, first)) {
            Ok(None) => {}
            // Delivered and deleted meanwhile, when the queue is running.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            told => return told,
        }
    }
    Ok(None)
}

/// Deletes the files of a queue that is not open, and what was damaged in it. Other files stay, and
/// so does the directory.
///
/// # Errors
/// If a file cannot be deleted.
pub fn delete(directory: &Path) -> io::Result<()> {
    for &first in segment::list(directory)?.keys() {
        remove_file(&segment::path(directory, first))?;
    }
    match fs::remove_dir_all(directory.join(resync::DIRECTORY)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The last to go: without it segments would be taken for undelivered ones.
    Progress::delete(directory)
}

impl Iterator for Inspect {
    type Item = io::Result<Inspected>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let (Some(file), Some((header, offset))) = (&self.file, self.found.pop_front()) {
                return Some(self.read(file, &header, offset));
            }
            let first = self.ahead.pop_front()?;
            if let Err(error) = self.scan(first) {
                return Some(Err(error));
            }
        }
    }
}

impl Inspect {
    fn scan(&mut self, first: u64) -> io::Result<()> {
        let file = SegmentFile::open(&segment::path(&self.directory, first), self.salt)?;
        self.bounds = Bounds {
            above: first.saturating_sub(1),
            below: self.ahead.front().copied().unwrap_or(u64::MAX),
        };
        let mut from = SEGMENT_HEADER_BYTES.min(file.length);
        loop {
            let found = &mut self.found;
            let stop = file.walk(from, self.bounds, Verify::Payloads, |header, offset| {
                found.push_back((*header, offset));
            })?;
            if let Some((last, _)) = self.found.back() {
                self.bounds.above = last.position;
            }
            let Stop::Damage { offset } = stop else { break };
            let Some(next) = find_record(&file, offset + 1, file.length, self.bounds)? else {
                break;
            };
            from = next;
        }
        self.file = Some(file);
        Ok(())
    }

    fn read(&self, file: &SegmentFile, header: &RecordHeader, at: u64) -> io::Result<Inspected> {
        let payload_at = at + RECORD_HEADER_BYTES as u64;
        let bytes = read_range(&file.file, payload_at, header.length as usize)?;
        Ok(Inspected {
            acknowledged: header.position <= self.progress.settled_through(header.stream),
            entry: Entry {
                position: Position(header.position),
                stream: header.stream,
                weight: header.weight,
                appended_ms: header.appended_ms,
                bytes: Bytes::from(bytes),
            },
        })
    }
}
