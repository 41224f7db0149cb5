//! The segment that is being written.

use std::io;

use super::disk::{LogFile, OpenLog, is_shortage, remove_file, sync_directory};
use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader, Summary};
use super::shared::Shared;
use super::state::Segment;
use super::{Durability, Options, Tally, segment};

/// So many times its own bytes an append lengthens the file, for those that follow. More of them
/// spare little more, and make the sync that writes them slow.
const ZEROS_PER_BYTE: u64 = 4;
/// What is written at once and is larger gains nothing: the disk is busy with its own bytes.
const LARGE_BYTES: u64 = 32 << 10;
/// Zeros are at most this part of a whole segment.
const MOST_ZEROS_OF_SEGMENT: u64 = 32;

/// The segment that is being written.
///
/// A file that grows with every append has its new length written with every sync, by the file
/// system's journal: on ext4 that is a third of a small append's time, and a fifth of its processor
/// time. So the file is lengthened by zeros now and then, and records are written over them.
pub(super) struct Active {
    pub file: Box<dyn LogFile>,
    /// Where the next record goes.
    pub end: u64,
    pub summary: Summary,
    /// What was written ends here, and what is on the disk for sure here.
    written_end: u64,
    synced_end: u64,
    /// Where the file ends; what lies between are zeros.
    file_end: u64,
}

impl Active {
    /// Starts the segment `first`. Its header becomes durable with its first records, and at once
    /// where these are durable in the journal: it says whose they are.
    pub(super) fn create(open_log: &OpenLog, shared: &Shared, first: u64) -> io::Result<Self> {
        let salt = shared.salt;
        let path = segment::path(&shared.directory, first);
        let header = SegmentHeader { salt, first }.encode();
        let opened = (open_log)(&path).and_then(|mut file| {
            file.write_at(0, &header)?;
            if shared.journal.is_some() {
                file.sync()?;
            }
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
        Ok(Self::resume(file, SEGMENT_HEADER_BYTES, Summary::default()))
    }

    /// Goes on with a segment whose file ends at `end`, after its last record.
    pub(super) fn resume(file: Box<dyn LogFile>, end: u64, summary: Summary) -> Self {
        Self {
            file,
            end,
            summary,
            written_end: end,
            synced_end: end,
            file_end: end,
        }
    }

    /// Writes `bytes` after the last record, and `zeros` after them where the file would have
    /// grown. When the disk is full, the file ends after the last record.
    pub(super) fn write(&mut self, bytes: &[u8], zeros: usize) -> Result<(), Failure> {
        match self.file.write_at(self.end, bytes) {
            Ok(()) => {}
            Err(error) if is_shortage(&error) => {
                self.trim()?;
                return Err(Failure::DiskFull(error));
            }
            Err(error) => return Err(Failure::Fatal("cannot write to a segment", error)),
        }
        self.written_end = self.end + bytes.len() as u64;
        if self.written_end > self.file_end {
            self.file_end = self.written_end;
            self.lengthen(zeros)?;
        }
        Ok(())
    }

    /// Syncs what was written. If that fails it answers how far an earlier sync has come.
    pub(super) fn sync(&mut self) -> Result<(), (io::Error, u64)> {
        self.file.sync().map_err(|error| (error, self.synced_end))?;
        self.synced_end = self.written_end;
        Ok(())
    }

    /// Whether all that was written is on the disk.
    pub(super) fn is_synced(&self) -> bool {
        self.synced_end == self.written_end
    }

    fn lengthen(&mut self, zeros: usize) -> Result<(), Failure> {
        if zeros == 0 {
            return Ok(());
        }
        match self.file.write_at(self.file_end, &vec![0; zeros]) {
            Ok(()) => self.file_end += zeros as u64,
            // The records have their space; the next ones will see whether there is any.
            Err(error) if is_shortage(&error) => self.cut(self.file_end)?,
            Err(error) => return Err(Failure::Fatal("cannot lengthen a segment", error)),
        }
        Ok(())
    }

    /// Ends the file after the last record.
    pub(super) fn trim(&mut self) -> Result<(), Failure> {
        self.cut(self.end)
    }

    fn cut(&mut self, end: u64) -> Result<(), Failure> {
        let cut = self.file.truncate(end);
        cut.map_err(|error| Failure::Fatal("cannot cut a segment back", error))?;
        self.file_end = end;
        self.written_end = self.written_end.min(end);
        self.synced_end = self.synced_end.min(end);
        Ok(())
    }

    /// Whether zeros follow the last record.
    pub(super) fn is_longer(&self) -> bool {
        self.file_end > self.end
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

/// By how many zeros a segment is lengthened after `written` bytes, where its file would grow.
pub(super) fn zeros(options: &Options, written: usize, free_bytes: Option<u64>) -> usize {
    let written = written as u64;
    if options.durability == Durability::Async || written > LARGE_BYTES {
        return 0;
    }
    let most = segment_bytes(options) / MOST_ZEROS_OF_SEGMENT;
    let room = free_bytes.map_or(u64::MAX, |free| free.saturating_sub(options.min_free_bytes));
    let zeros = (written * ZEROS_PER_BYTE).min(most).min(room);
    usize::try_from(zeros).unwrap_or(0)
}
