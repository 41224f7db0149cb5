//! What a receiver refused for good: kept aside, with its words, until an operator decides.
//!
//! A route's *parked batches* are files in the directory `parked` of its queue, one per batch, so
//! that any of them can be looked at, put back or deleted. A batch is parked before it leaves the
//! queue: until [`Parking::park`] answers, a crash repeats it. The directory is bounded; what is
//! parked when it is full pushes out the oldest, which is counted.
//!
//! ```text
//! <parked_ms>-<number>-<status>-<samples>.parked     13, 6, 3 and 1 or more digits
//!
//! "prmrelyR" version:u16=1 status:u16 stream:u16 0:u16 parked_ms:i64 appended_ms:i64
//! words_length:u32 words block CRC-32 of all before:u32      integers are little-endian
//! ```
//! `words` are the receiver's, UTF-8; `stream` and `block` are as the queue had them, the block
//! made anew where the batch was joined of several or is a part of one.
//!
//! | when | then |
//! |---|---|
//! | the disk is full or fails | the batch stays in the queue and is parked later |
//! | a batch alone is larger than the bound | it is dropped, counted and logged |
//! | a crash while a file is written | what there is of it goes on open; the batch is repeated |
//! | a file is damaged | it is listed, and says so when it is read |
//! | the volume is below `min_free_bytes` | it is parked: the queue gives back as much |

mod batch;
mod name;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror::Error;

pub use batch::{ParkedBatch, ReadError};
pub use name::ParkedName;

use crate::queue::{make_directory, write_durably};

/// The directory of parked batches within a queue's.
const DIRECTORY: &str = "parked";
/// How a file ends that was being written when the process died.
const HALF_WRITTEN: &str = ".parked.new";
/// Parked batches of a route at the most, however small they are.
const MAX_BATCHES: usize = 10_000;

/// A route's parked batches.
#[derive(Debug)]
pub struct Parking {
    directory: PathBuf,
    is_made: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    max_bytes: u64,
    /// The sizes of the files, oldest first.
    files: BTreeMap<ParkedName, u64>,
    bytes: u64,
    /// Of files that are being written.
    reserved_bytes: u64,
    /// The last name that was given out.
    last: Option<ParkedName>,
    dropped_samples: u64,
}

/// Parked batches in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParkedStats {
    /// Batches, a file each.
    pub batches: u64,
    /// Samples in them.
    pub samples: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// When the oldest was parked, in milliseconds since 1970.
    pub oldest_ms: Option<i64>,
    /// Samples pushed out because the directory was full, since it was opened.
    pub dropped_samples: u64,
}

/// Why a batch was not parked.
#[derive(Debug, Error)]
pub enum ParkError {
    /// Nothing that size is ever parked.
    #[error("{bytes} bytes are more than may be parked ({max_bytes})")]
    TooLarge {
        /// The size of the batch's file.
        bytes: u64,
        /// The bound.
        max_bytes: u64,
    },
    /// There is no room, and nothing is to be pushed out.
    #[error("{bytes} bytes more than the {used_bytes} bytes in {batches} batches are too much")]
    Full {
        /// The size of the batch's file.
        bytes: u64,
        /// What is parked.
        used_bytes: u64,
        /// Batches that are parked.
        batches: usize,
    },
    /// The disk is full, or fails.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Parking {
    /// The parked batches of the queue in `queue_directory`, which may take `max_bytes`.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn open(queue_directory: &Path, max_bytes: u64) -> io::Result<Self> {
        let directory = queue_directory.join(DIRECTORY);
        let mut state = State {
            max_bytes,
            ..State::default()
        };
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            entries => Some(entries?),
        };
        for entry in entries.into_iter().flatten() {
            let entry = entry?;
            let name = entry.file_name();
            if name
                .to_str()
                .is_some_and(|name| name.ends_with(HALF_WRITTEN))
            {
                fs::remove_file(entry.path())?;
            } else if let Some(name) = name.to_str().and_then(ParkedName::parse) {
                let bytes = entry.metadata()?.len();
                state.bytes += bytes;
                state.files.insert(name, bytes);
            }
        }
        Ok(Self {
            directory,
            is_made: AtomicBool::new(false),
            state: Mutex::new(state),
        })
    }

    /// Changes the bound; what is there already stays.
    pub fn set_max_bytes(&self, max_bytes: u64) {
        self.state().max_bytes = max_bytes;
    }

    /// Writes a batch to a file; when this returns it survives a power cut. Pushes out the oldest
    /// where there is no room. Blocks.
    ///
    /// # Errors
    /// If it is too large, or the disk is full or fails; then it is not parked.
    pub fn park(&self, batch: &ParkedBatch) -> Result<(), ParkError> {
        self.write(batch, |size| self.make_room(size))
    }

    /// The same, but where there is no room it is refused.
    ///
    /// # Errors
    /// As for [`Parking::park`], and if there is no room.
    pub fn park_if_room(&self, batch: &ParkedBatch) -> Result<(), ParkError> {
        self.write(batch, |size| self.find_room(size))
    }

    fn write<'a>(
        &self,
        batch: &ParkedBatch,
        room: impl FnOnce(u64) -> Result<MutexGuard<'a, State>, ParkError>,
    ) -> Result<(), ParkError> {
        let bytes = batch.encode();
        let size = bytes.len() as u64;
        let name = room(size)?.admit(batch, size);
        let path = self.path(name);
        let written = self.make_directory();
        let written = written.and_then(|()| write_durably(&path, &bytes));
        let mut state = self.state();
        state.reserved_bytes -= size;
        match written {
            Ok(()) => {
                state.bytes += size;
                state.files.insert(name, size);
                Ok(())
            }
            Err(source) => {
                // It may be there all the same, and the next attempt has another name.
                drop(fs::remove_file(&path));
                Err(ParkError::Write { path, source })
            }
        }
    }

    /// The parked batches, oldest first.
    #[must_use]
    pub fn names(&self) -> Vec<ParkedName> {
        self.state().files.keys().copied().collect()
    }

    /// Reads a batch. Blocks.
    ///
    /// # Errors
    /// If the file is gone, cannot be read, or is damaged.
    pub fn read(&self, name: ParkedName) -> Result<ParkedBatch, ReadError> {
        ParkedBatch::decode(&fs::read(self.path(name))?)
    }

    /// Deletes a batch; one that is gone already is no error. Blocks.
    ///
    /// # Errors
    /// If the file cannot be deleted.
    pub fn remove(&self, name: ParkedName) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.state().forget(name);
        Ok(())
    }

    /// The parked batches in numbers.
    #[must_use]
    pub fn stats(&self) -> ParkedStats {
        let state = self.state();
        ParkedStats {
            batches: state.files.len() as u64,
            samples: state.files.keys().map(|name| name.samples).sum(),
            bytes: state.bytes,
            oldest_ms: state.files.keys().next().map(|name| name.parked_ms),
            dropped_samples: state.dropped_samples,
        }
    }

    /// Deletes the directory of a store that is not open any more, with the files that are its own.
    ///
    /// # Errors
    /// If one cannot be deleted.
    pub fn delete_directory(&self) -> io::Result<()> {
        for name in self.names() {
            self.remove(name)?;
        }
        match fs::remove_dir(&self.directory) {
            Err(error)
                if !matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty
                ) =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// The state if there is room for `size` bytes.
    fn find_room(&self, size: u64) -> Result<MutexGuard<'_, State>, ParkError> {
        let state = self.state();
        state.check_size(size)?;
        if state.has_room(size) {
            return Ok(state);
        }
        Err(ParkError::Full {
            bytes: size,
            used_bytes: state.bytes,
            batches: state.files.len(),
        })
    }

    /// Deletes the oldest until there is room for `size` bytes.
    fn make_room(&self, size: u64) -> Result<MutexGuard<'_, State>, ParkError> {
        let mut state = self.state();
        state.check_size(size)?;
        while !state.has_room(size) {
            let Some((&oldest, _)) = state.files.first_key_value() else {
                break;
            };
            let path = self.path(oldest);
            if let Err(source) = fs::remove_file(&path)
                && source.kind() != ErrorKind::NotFound
            {
                return Err(ParkError::Write { path, source });
            }
            state.dropped_samples += oldest.samples;
            state.forget(oldest);
        }
        Ok(state)
    }

    /// Makes the directory, if it is not known to be there for good.
    fn make_directory(&self) -> io::Result<()> {
        if !self.is_made.load(Ordering::Relaxed) || !self.directory.is_dir() {
            make_directory(&self.directory)?;
            self.is_made.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn path(&self, name: ParkedName) -> PathBuf {
        self.directory.join(name.to_string())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is changed in small steps that do not panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check_size(&self, size: u64) -> Result<(), ParkError> {
        let max_bytes = self.max_bytes;
        if size > max_bytes {
            let bytes = size;
            return Err(ParkError::TooLarge { bytes, max_bytes });
        }
        Ok(())
    }

    fn has_room(&self, size: u64) -> bool {
        self.files.len() < MAX_BATCHES && self.bytes + self.reserved_bytes + size <= self.max_bytes
    }

    /// Takes the room, and answers the name for `batch`.
    fn admit(&mut self, batch: &ParkedBatch, size: u64) -> ParkedName {
        let mut name = ParkedName {
            parked_ms: batch.parked_ms,
            number: 0,
            status: batch.status,
            samples: batch.samples(),
        };
        // Two lanes can park in the same millisecond; whoever comes later has a greater number.
        let newest = self.files.keys().next_back().copied().max(self.last);
        if let Some(newest) = newest.filter(|newest| newest.parked_ms >= name.parked_ms) {
            (name.parked_ms, name.number) = (newest.parked_ms, newest.number + 1);
        }
        self.last = Some(name);
        self.reserved_bytes += size;
        name
    }

    fn forget(&mut self, name: ParkedName) {
        if let Some(bytes) = self.files.remove(&name) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}
