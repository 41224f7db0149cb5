//! The segment that is being written.

use std::io;

use super::disk::{LogFile, OpenLog, is_full, remove_file, sync_directory};
use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader, Summary};
use super::shared::Shared;
use super::state::Segment;
use super::{Options, Tally, segment};

/// The segment that is being written.
pub(super) struct Active {
    pub file: Box<dyn LogFile>,
    /// Where the next record goes.
    pub end: u64,
    pub summary: Summary,
}

impl Active {
    /// Starts the segment `first`. Its header becomes durable with its first records.
    pub(super) fn create(open_log: &OpenLog, shared: &Shared, first: u64) -> io::Result<Self> {
        let salt = shared.salt;
        let path = segment::path(&shared.directory, first);
        let header = SegmentHeader { salt, first }.encode();
        let opened = (open_log)(&path).and_then(|mut file| {
            file.write_at(0, &header)?;
            sync_directory(&shared.directory)?;
            Ok(file)
        });
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                // Nothing is in it, and a file without a header would only raise questions.
                drop(remove_file(&path));
                return Err(error);
            }
        };
        shared.lock().segments.push_back(Segment {
            first,
            last: first.saturating_sub(1),
            data_end: SEGMENT_HEADER_BYTES,
            file_bytes: SEGMENT_HEADER_BYTES,
            sealed: false,
            queued: Tally::default(),
            oldest_ms: 0,
            newest_ms: 0,
        });
        Ok(Self {
            file,
            end: SEGMENT_HEADER_BYTES,
            summary: Summary::default(),
        })
    }
}

/// Why a write did not succeed.
pub(super) enum Failure {
    /// For want of space; the file is as it was.
    DiskFull(io::Error),
    /// Otherwise; nobody knows what the disk holds.
    Fatal(&'static str, io::Error),
}

/// Where a segment is sealed: small queues have small segments, since space is returned by whole
/// ones.
pub(super) fn segment_bytes(options: &Options) -> u64 {
    options.segment_bytes.min(options.max_bytes / 8)
}

/// Writes `bytes` at `end`; where the disk is full, cuts the file back to `end`.
pub(super) fn write_or_undo(file: &mut dyn LogFile, end: u64, bytes: &[u8]) -> Result<(), Failure> {
    match file.write_at(end, bytes) {
        Ok(()) => Ok(()),
        Err(error) if is_full(&error) => {
            undo(file, end)?;
            Err(Failure::DiskFull(error))
        }
        Err(error) => Err(Failure::Fatal("cannot write to a segment", error)),
    }
}

pub(super) fn undo(file: &mut dyn LogFile, end: u64) -> Result<(), Failure> {
    let cut = file.truncate(end);
    cut.map_err(|error| Failure::Fatal("cannot cut a segment back", error))
}
