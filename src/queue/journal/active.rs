//! A file of the journal that is written, or waits until it may be written again.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::file::{FILE_HEADER_BYTES, FileHeader};
use crate::queue::active::Failure;
use crate::queue::disk::{LogFile, is_shortage};
use crate::queue::shared::Shared;

/// A file is full when it has this many bytes.
pub(super) const FILE_BYTES: u64 = 16 << 20;
/// By so many zeros a file is lengthened that is not used again yet.
const ZEROS: usize = 1 << 20;

/// The name of the file that is deleted to have space for a recovery.
pub(super) const RESERVE: &str = "reserve";
/// The same, where a crash left it half written.
pub(super) const HALF_RESERVE: &str = "reserve.new";
pub(super) const RESERVE_BYTES: usize = 1 << 20;

/// A file with records that are not all synced in their segments.
pub(super) struct JournalFile {
    pub number: u64,
    pub file: Box<dyn LogFile>,
    /// Where the next block goes.
    pub end: u64,
    /// Where the file ends; what lies between are zeros, or blocks of its last use.
    pub file_end: u64,
    pub salt: u32,
    /// The queues with records in it, by address, each with the last of them.
    pub needs: HashMap<usize, (Arc<Shared>, u64)>,
}

impl JournalFile {
    /// Begins the file anew: none of its blocks means anything any more.
    pub(super) fn begin(&mut self, sequence: u64) -> Result<(), Failure> {
        if self.file_end > FILE_BYTES {
            let cut = self.file.truncate(FILE_BYTES);
            cut.map_err(|error| Failure::Fatal("cannot cut the journal back", error))?;
            self.file_end = FILE_BYTES;
        }
        self.salt = rand::random();
        let salt = self.salt;
        let header = FileHeader { salt, sequence }.encode();
        (self.end, self.needs) = (0, HashMap::new());
        self.write(&header)?;
        self.end = FILE_HEADER_BYTES;
        Ok(())
    }

    /// Writes at the end, which stays where it is. Where the file grows it gets zeros, so that the
    /// next writes do not make it grow.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.file.write_at(self.end, bytes);
        written.map_err(failure("cannot write to the journal"))?;
        let end = self.end + bytes.len() as u64;
        if end <= self.file_end {
            return Ok(());
        }
        self.file_end = end;
        let zeros =
            vec![0; ZEROS.min(usize::try_from(FILE_BYTES.saturating_sub(end)).unwrap_or(0))];
        match self.file.write_at(end, &zeros) {
            Ok(()) => self.file_end += zeros.len() as u64,
            // The block has its space; the next one will see whether there is any.
            Err(error) if is_shortage(&error) => {}
            Err(error) => return Err(Failure::Fatal("cannot lengthen the journal", error)),
        }
        Ok(())
    }

    pub(super) fn try_to_write(&mut self) -> Result<(), Failure> {
        let zeros = vec![0; ZEROS];
        let written = self.file.write_at(self.end, &zeros);
        written.map_err(failure("cannot write to the journal"))?;
        self.file_end = self.file_end.max(self.end + zeros.len() as u64);
        Ok(())
    }

    pub(super) fn need(&mut self, queue: &Arc<Shared>, position: u64) {
        let address = Arc::as_ptr(queue).addr();
        let need = self.needs.entry(address);
        let need = need.or_insert_with(|| (Arc::clone(queue), position));
        need.1 = position;
    }
}

pub(super) fn failure(what: &'static str) -> impl FnOnce(io::Error) -> Failure {
    move |error| {
        if is_shortage(&error) {
            Failure::DiskFull(error)
        } else {
            Failure::Fatal(what, error)
        }
    }
}
