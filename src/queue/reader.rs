//! Reading: from the files, in order, a block at a time.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::error;

use super::delivery::{Delivery, Plan};
use super::disk::is_shortage;
use super::format::{Kind, RECORD_HEADER_BYTES, RecordHeader, checksum};
use super::resync::{find_record, set_aside};
use super::segment::{self, Bounds, CHUNK_BYTES, SegmentFile, read_cached, read_range};
use super::shared::Shared;
use super::{Entry, Position};

/// So often bytes are read that cannot be, before they are passed over.
const READ_ATTEMPTS: u32 = 5;
const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Reads a queue; see [`super::Queue::reader`].
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    /// Which of the queue's readers this is.
    number: u64,
    changes: watch::Receiver<u64>,
    /// The segment that `block` is from.
    first: u64,
    /// The position of the last record taken from it, or where it begins.
    above: u64,
    block: Block,
    /// How much of the block has been taken.
    taken: usize,
    /// Whether damage was met in the segment.
    is_damaged: bool,
    /// Of bytes of the segment that could not be read.
    failed_reads: u32,
    loading: Option<JoinHandle<Result<Block, ReadError>>>,
}

/// How far a reader came.
enum Step {
    Read(Entry),
    /// It has read all that is durable.
    CaughtUp,
    /// The queue is closed or has another reader.
    Ended,
}

/// Consecutive bytes of a segment.
#[derive(Debug, Default)]
struct Block {
    file: Option<Arc<SegmentFile>>,
    /// Where the bytes begin in the file.
    offset: u64,
    /// A whole record at the start at least, unless the segment's durable records end here.
    bytes: Vec<u8>,
    /// What had to be skipped to get here.
    corrupt_regions: u64,
    corrupt_bytes: u64,
}

/// Why a block was not read.
#[derive(Debug)]
enum ReadError {
    /// Its file could not be opened, or nobody could be found to read it. That says nothing of
    /// what is in the file.
    Unopened(io::Error),
    /// Its bytes could not be read.
    Unread(io::Error),
}

/// What is to be read.
struct Load {
    file: Option<Arc<SegmentFile>>,
    directory: PathBuf,
    salt: u32,
    first: u64,
    offset: u64,
    end: u64,
    bounds: Bounds,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, number: u64) -> Self {
        let changes = shared.changes();
        Self {
            shared,
            number,
            changes,
            first: 0,
            above: 0,
            block: Block::default(),
            taken: 0,
            is_damaged: false,
            failed_reads: 0,
            loading: None,
        }
    }

    /// The next durable record that has not been acknowledged; waits for one. `None` when the
    /// queue is closed or has another reader.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped before it is ready.
    pub async fn next(&mut self) -> Option<Entry> {
        loop {
            match self.step().await {
                Step::Read(entry) => return Some(entry),
                Step::CaughtUp => self.changes.changed().await.ok()?,
                Step::Ended => return None,
            }
        }
    }

    /// The next one of those that are durable already; does not wait for more.
    ///
    /// # Cancel safety
    /// As with [`Reader::next`].
    pub async fn next_stored(&mut self) -> Option<Entry> {
        match self.step().await {
            Step::Read(entry) => Some(entry),
            Step::CaughtUp | Step::Ended => None,
        }
    }

    /// Reads until there is something to say. Changes from then on wake who waits for them.
    async fn step(&mut self) -> Step {
        loop {
            if let Some(loading) = &mut self.loading {
                let loaded = loading.await;
                self.loading = None;
                let loaded = loaded.unwrap_or_else(|error| {
                    let is_panic = error.is_panic();
                    let error = io::Error::other(error);
                    Err(if is_panic {
                        ReadError::Unread(error)
                    } else {
                        ReadError::Unopened(error)
                    })
                });
                self.accept(loaded).await;
            }
            while let Some((header, payload)) = self.take_record() {
                let delivery = self.shared.lock().deliver(self.number, &header);
                match delivery {
                    Delivery::Deliver => return Step::Read(self.entry(&header, payload)),
                    Delivery::Skip => {}
                    Delivery::Stop => return Step::Ended,
                }
            }
            self.changes.mark_unchanged();
            let offset = self.block.offset + self.taken as u64;
            let plan = self.shared.lock().plan(self.number, self.first, offset);
            match plan {
                Plan::Read { first, offset, end } => self.load(first, offset, end),
                Plan::Wait => {
                    self.reconcile();
                    if !self.is_needed() {
                        // A deleted file that is open still takes its space.
                        self.block.file = None;
                    }
                    return Step::CaughtUp;
                }
                Plan::Stop => return Step::Ended,
            }
        }
    }

    /// The next whole record of the block: its header and where its payload is.
    fn take_record(&mut self) -> Option<(RecordHeader, std::ops::Range<usize>)> {
        let rest = self.block.bytes.get(self.taken..)?;
        let bounds = Bounds {
            above: self.above,
            below: u64::MAX,
        };
        let header = whole_record(self.shared.salt, rest, bounds)?;
        let start = self.taken + RECORD_HEADER_BYTES;
        let end = start + header.length as usize;
        self.taken = end;
        self.above = header.position;
        Some((header, start..end))
    }

    /// A copy, so that a record that is held does not hold the block it came in.
    fn entry(&self, header: &RecordHeader, payload: std::ops::Range<usize>) -> Entry {
        Entry {
            position: Position(header.position),
            stream: header.stream,
            weight: header.weight,
            appended_ms: header.appended_ms,
            bytes: Bytes::copy_from_slice(&self.block.bytes[payload]),
        }
    }

    /// Starts to read a block.
    fn load(&mut self, first: u64, offset: u64, end: u64) {
        let mut bounds = self.shared.lock().bounds(first);
        if first != self.first {
            self.leave_segment();
            self.first = first;
            self.above = bounds.above;
        }
        bounds.above = self.above;
        let load = Load {
            file: self.block.file.take(),
            directory: self.shared.directory.clone(),
            salt: self.shared.salt,
            first,
            offset,
            end,
            bounds,
        };
        self.block = Block {
            offset,
            ..Block::default()
        };
        self.taken = 0;
        // What was written just now is mostly in memory still, and not worth a change of thread.
        match load.cached() {
            Some(block) => self.block = block,
            None => self.loading = Some(spawn_blocking(move || load.run())),
        }
    }

    fn leave_segment(&mut self) {
        self.reconcile();
        self.is_damaged = false;
        self.failed_reads = 0;
        self.block = Block::default();
    }

    /// Corrects the account of a damaged segment when all of it has been read.
    fn reconcile(&mut self) {
        if self.is_damaged && self.shared.lock().reconcile(self.first) {
            self.is_damaged = false;
            self.shared.notify_writer();
        }
    }

    async fn accept(&mut self, loaded: Result<Block, ReadError>) {
        let segment = segment::path(&self.shared.directory, self.first);
        let segment = segment.display();
        match loaded {
            Ok(block) => {
                self.failed_reads = 0;
                if block.corrupt_regions > 0 {
                    self.is_damaged = true;
                    let mut state = self.shared.lock();
                    state.counters.corrupt_regions += block.corrupt_regions;
                    state.counters.corrupt_bytes += block.corrupt_bytes;
                }
                self.block = block;
            }
            // It was dropped before it could be opened; the plan says how to go on.
            Err(error) if error.is_gone() && !self.is_needed() => {}
            Err(error) => {
                self.failed_reads += u32::from(error.says_something_of_the_data());
                let (ReadError::Unopened(error) | ReadError::Unread(error)) = error;
                if self.failed_reads < READ_ATTEMPTS {
                    error!(%segment, %error, "cannot read a queue, will try again");
                    tokio::time::sleep(READ_AGAIN_AFTER).await;
                } else {
                    error!(%segment, %error, "cannot read a queue, passes over a segment's rest");
                    self.give_up();
                }
            }
        }
    }

    /// Whether the segment is one of the queue's.
    fn is_needed(&self) -> bool {
        let state = self.shared.lock();
        state
            .segments
            .iter()
            .any(|segment| segment.first == self.first)
    }

    /// Passes over the rest of a segment that cannot be read.
    fn give_up(&mut self) {
        self.failed_reads = 0;
        self.is_damaged = true;
        let mut state = self.shared.lock();
        let end = state.data_end(self.first).unwrap_or(self.block.offset);
        state.counters.corrupt_regions += 1;
        state.counters.corrupt_bytes += end.saturating_sub(self.block.offset);
        drop(state);
        self.block.offset = end;
    }
}

impl ReadError {
    fn is_gone(&self) -> bool {
        matches!(self, Self::Unopened(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether nobody will ever read these bytes; else whoever tries again will.
    fn says_something_of_the_data(&self) -> bool {
        match self {
            Self::Unopened(_) => self.is_gone(),
            Self::Unread(error) => !is_shortage(error),
        }
    }
}

impl Load {
    /// The block, if it can be had without waiting and nothing is wrong with it.
    fn cached(&self) -> Option<Block> {
        let file = self.file.as_ref()?;
        let left = usize::try_from(self.end.checked_sub(self.offset)?).ok()?;
        let bytes = read_cached(&file.file, self.offset, left.min(CHUNK_BYTES))?;
        whole_record(self.salt, &bytes, self.bounds)?;
        Some(Block {
            file: Some(Arc::clone(file)),
            offset: self.offset,
            bytes,
            ..Block::default()
        })
    }

    /// Reads a block that begins with a whole record, past damage if need be.
    fn run(mut self) -> Result<Block, ReadError> {
        let file = if let Some(file) = self.file.take() {
            file
        } else {
            let path = segment::path(&self.directory, self.first);
            let opened = SegmentFile::open(&path, self.salt);
            Arc::new(opened.map_err(ReadError::Unopened)?)
        };
        let mut block = self.read(&file).map_err(ReadError::Unread)?;
        block.file = Some(file);
        Ok(block)
    }

    fn read(&self, file: &SegmentFile) -> io::Result<Block> {
        let mut block = Block {
            offset: self.offset,
            ..Block::default()
        };
        while block.offset < self.end {
            let left = usize::try_from(self.end - block.offset).unwrap_or(usize::MAX);
            let bytes = read_range(&file.file, block.offset, left.min(CHUNK_BYTES))?;
            block.bytes = match RecordHeader::decode(self.salt, &bytes) {
                Some(header) if header.stored_bytes() > bytes.len() as u64 => {
                    let needed = usize::try_from(header.stored_bytes()).unwrap_or(usize::MAX);
                    read_range(&file.file, block.offset, left.min(needed))?
                }
                _ => bytes,
            };
            if whole_record(self.salt, &block.bytes, self.bounds).is_some() {
                break;
            }
            block.bytes.clear();
            let found = find_record(file, block.offset + 1, self.end, self.bounds)?;
            let next = found.unwrap_or(self.end);
            set_aside(&self.directory, self.first, &file.file, block.offset, next);
            block.corrupt_regions += 1;
            block.corrupt_bytes += next - block.offset;
            block.offset = next;
        }
        Ok(block)
    }
}

/// The header of the whole data record at the start of `bytes`.
fn whole_record(salt: u32, bytes: &[u8], bounds: Bounds) -> Option<RecordHeader> {
    let header = RecordHeader::decode(salt, bytes)?;
    let payload = bytes
        .get(RECORD_HEADER_BYTES..)?
        .get(..header.length as usize)?;
    let is_whole = header.kind == Kind::Data
        && bounds.contain(header.position)
        && checksum(salt, payload) == header.payload_checksum;
    is_whole.then_some(header)
}
