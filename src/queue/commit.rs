//! Group commit: the thread that writes a queue's segments.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::disk::{LogFile, OpenLog, is_full, remove_file, sync_directory};
use super::format::{RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader, Summary};
use super::handle::Shared;
use super::progress::Progress;
use super::state::{Segment, State};
use super::{AppendError, Durability, Options, Tally, segment};

const SYNC_EVERY: Duration = Duration::from_millis(100);
const SAVE_PROGRESS_EVERY: Duration = Duration::from_secs(1);
const TRY_FULL_DISK_EVERY: Duration = Duration::from_secs(1);
/// A trial write to a disk that was full.
const TRIAL_BYTES: usize = 256 << 10;
/// Memory that a queue keeps for its next group.
const SPARE_BYTES: usize = 1 << 20;

/// Records that are committed together.
#[derive(Default)]
pub(super) struct Group {
    pub buffer: Vec<u8>,
    pub records: Vec<RecordHeader>,
    pub appends: Vec<Append>,
}

/// One call of append: all of it goes into one segment, in one write.
pub(super) struct Append {
    /// Where it ends in the group's buffer and in its records.
    pub end_byte: usize,
    pub end_record: usize,
    pub waiter: oneshot::Sender<Result<(), AppendError>>,
}

impl Group {
    pub(super) fn bytes(&self) -> u64 {
        self.buffer.len() as u64
    }

    /// Empties it and keeps a reasonable part of its memory for the next.
    fn clear(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(SPARE_BYTES);
        self.records.clear();
        self.records
            .shrink_to(SPARE_BYTES / size_of::<RecordHeader>());
        self.appends.clear();
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Group({} appends)", self.appends.len())
    }
}

/// The segment that is being written.
pub(super) struct Active {
    pub file: Box<dyn LogFile>,
    /// Where the next record goes.
    pub end: u64,
    pub summary: Summary,
}

/// Why a write did not succeed.
enum Failure {
    /// For want of space; the file is as it was.
    DiskFull(io::Error),
    /// Otherwise; nobody knows what the disk holds.
    Fatal(&'static str, io::Error),
}

/// What the writer does next.
enum Job {
    Write(Group),
    Sync,
    Remove(Vec<u64>),
    SaveProgress(Progress),
    TryDisk,
    Stop,
}

pub(super) struct Writer {
    pub shared: Arc<Shared>,
    pub open_log: OpenLog,
    pub active: Option<Active>,
    /// The group before the last, emptied: its memory is used again.
    spare: Group,
    last_sync: Instant,
    unsynced: bool,
    last_save: Instant,
    last_trial: Instant,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, open_log: OpenLog, active: Option<Active>) -> Self {
        let now = Instant::now();
        Self {
            shared,
            open_log,
            active,
            spare: Group::default(),
            last_sync: now,
            unsynced: false,
            last_save: now,
            last_trial: now,
        }
    }

    /// Works until the queue is closed and everything is written.
    pub(super) fn run(mut self) {
        loop {
            match self.next_job() {
                Job::Write(group) => self.write_group(group),
                Job::Sync => self.sync_late(),
                Job::Remove(segments) => self.remove(&segments),
                Job::SaveProgress(progress) => self.save_progress(&progress),
                Job::TryDisk => self.try_disk(),
                Job::Stop => return,
            }
        }
    }

    fn next_job(&mut self) -> Job {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        loop {
            if !state.pending.appends.is_empty() {
                let group = std::mem::replace(&mut state.pending, std::mem::take(&mut self.spare));
                state.writing_bytes = group.bytes();
                return Job::Write(group);
            }
            let now = Instant::now();
            let mut wake: Option<Duration> = None;
            let mut is_due = |at: Instant| {
                let left = at.saturating_duration_since(now);
                wake = Some(wake.map_or(left, |wake| wake.min(left)));
                left.is_zero()
            };
            if self.unsynced && (is_due(self.last_sync + SYNC_EVERY) || state.closing) {
                return Job::Sync;
            }
            if !state.consumed.is_empty() {
                return Job::Remove(std::mem::take(&mut state.consumed));
            }
            if state.progress_changed
                && (is_due(self.last_save + SAVE_PROGRESS_EVERY) || state.closing)
            {
                state.progress_changed = false;
                return Job::SaveProgress(state.progress.clone());
            }
            if state.closing {
                return Job::Stop;
            }
            if state.disk_full && is_due(self.last_trial + TRY_FULL_DISK_EVERY) {
                return Job::TryDisk;
            }
            state = shared.wait(state, wake);
        }
    }

    fn write_group(&mut self, mut group: Group) {
        let mut appends = std::mem::take(&mut group.appends);
        let (mut byte, mut record) = (0, 0);
        while !appends.is_empty() {
            if let Some(error) = self.refusal() {
                self.answer(appends.drain(..), &Err(error));
                break;
            }
            let written = self.write_some(&group, &appends, byte, record);
            match written {
                Ok(count) => {
                    let last = &appends[count - 1];
                    let (end_byte, end_record) = (last.end_byte, last.end_record);
                    self.publish(&group.records[record..end_record], end_byte - byte);
                    (byte, record) = (end_byte, end_record);
                    self.answer(appends.drain(..count), &Ok(()));
                }
                Err(failure) => self.fail(failure),
            }
        }
        self.shared.lock().writing_bytes = 0;
        group.appends = appends;
        group.clear();
        self.spare = group;
    }

    /// Why nothing can be written now.
    fn refusal(&self) -> Option<AppendError> {
        let state = self.shared.lock();
        if let Some(reason) = &state.failed {
            let reason = reason.clone();
            return Some(AppendError::Failed { reason });
        }
        state.disk_full.then_some(AppendError::DiskFull)
    }

    /// Makes as many appends durable as the segment takes; at least one. Returns how many.
    fn write_some(
        &mut self,
        group: &Group,
        appends: &[Append],
        byte: usize,
        record: usize,
    ) -> Result<usize, Failure> {
        let (options, start_segment) = {
            let mut state = self.shared.lock();
            (
                state.options.clone(),
                std::mem::take(&mut state.start_segment),
            )
        };
        let segment_bytes = segment_bytes(&options);
        let fits =
            |end: u64, append: &Append| end + (append.end_byte - byte) as u64 <= segment_bytes;
        if let Some(active) = &self.active {
            let is_empty = active.end <= SEGMENT_HEADER_BYTES;
            if !is_empty && (start_segment || !fits(active.end, &appends[0])) {
                self.seal()?;
            }
        }
        if self.active.is_none() {
            self.active = Some(self.create(group.records[record].position)?);
        }
        let active = self.active.as_mut().expect("it was just made");
        let count = appends
            .iter()
            .take_while(|append| fits(active.end, append))
            .count()
            .max(1);
        let bytes = &group.buffer[byte..appends[count - 1].end_byte];
        write_or_undo(active.file.as_mut(), active.end, bytes)?;
        match options.durability {
            Durability::Fsync => self.sync()?,
            Durability::Async => self.unsynced = true,
        }
        Ok(count)
    }

    /// The records are durable: they count, and they can be read.
    fn publish(&mut self, records: &[RecordHeader], bytes: usize) {
        let Some(active) = &mut self.active else {
            return;
        };
        active.end += bytes as u64;
        let mut state = self.shared.lock();
        state.writing_bytes = state.writing_bytes.saturating_sub(bytes as u64);
        let mut appended = Tally::default();
        if let Some(segment) = state.segments.back_mut() {
            for record in records {
                active.summary.add(record);
                segment.add(record);
                segment.last = record.position;
                appended += record.tally();
            }
            segment.data_end = active.end;
            segment.file_bytes = active.end;
        }
        state.counters.appended += appended;
        drop(state);
        self.shared.notify_reader();
    }

    #[expect(clippy::unused_self, reason = "reads as what the writer does")]
    fn answer(&self, appends: impl Iterator<Item = Append>, outcome: &Result<(), AppendError>) {
        for append in appends {
            // Whoever appended need not wait for the answer.
            drop(append.waiter.send(outcome.clone()));
        }
    }

    /// Ends the active segment with its footer.
    fn seal(&mut self) -> Result<(), Failure> {
        let salt = self.shared.salt;
        let next_position = self
            .shared
            .lock()
            .segments
            .back()
            .map_or(1, |last| last.last + 1);
        if let Some(active) = &mut self.active {
            let footer = active.summary.encode_footer(salt, next_position);
            write_or_undo(active.file.as_mut(), active.end, &footer)?;
            let file_bytes = active.end + footer.len() as u64;
            self.sync()?;
            let mut state = self.shared.lock();
            if let Some(last) = state.segments.len().checked_sub(1) {
                state.segments[last].sealed = true;
                state.segments[last].file_bytes = file_bytes;
                state.remove_if_consumed(last);
            }
            drop(state);
            self.active = None;
            self.shared.notify_reader();
        }
        Ok(())
    }

    /// Starts the segment `first`. Its header becomes durable with its first records.
    pub(super) fn create_active(
        open_log: &OpenLog,
        shared: &Shared,
        first: u64,
    ) -> io::Result<Active> {
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
        Ok(Active {
            file,
            end: SEGMENT_HEADER_BYTES,
            summary: Summary::default(),
        })
    }

    fn create(&self, first: u64) -> Result<Active, Failure> {
        Self::create_active(&self.open_log, &self.shared, first).map_err(|error| {
            if is_full(&error) {
                Failure::DiskFull(error)
            } else {
                Failure::Fatal("cannot create a segment", error)
            }
        })
    }

    fn sync(&mut self) -> Result<(), Failure> {
        if let Some(active) = &mut self.active {
            let synced = active.file.sync();
            synced.map_err(|error| Failure::Fatal("cannot sync a segment", error))?;
            self.shared.lock().counters.syncs += 1;
        }
        self.unsynced = false;
        self.last_sync = Instant::now();
        Ok(())
    }

    fn sync_late(&mut self) {
        self.unsynced = false;
        if let Err(failure) = self.sync() {
            self.fail(failure);
        }
    }

    fn fail(&mut self, failure: Failure) {
        let directory = self.shared.directory.display();
        let mut state = self.shared.lock();
        match failure {
            Failure::DiskFull(error) => {
                warn!(%directory, %error, "the disk is full; the queue refuses records");
                state.disk_full = true;
                self.last_trial = Instant::now();
            }
            Failure::Fatal(what, error) => {
                error!(%directory, what, %error, "the queue refuses records until a restart");
                state.failed = Some(format!("{what}: {error}"));
            }
        }
    }

    /// Finds out whether a disk that was full has space again.
    fn try_disk(&mut self) {
        self.last_trial = Instant::now();
        let tried = match &mut self.active {
            Some(active) => {
                let trial = vec![0; TRIAL_BYTES];
                let written = write_or_undo(active.file.as_mut(), active.end, &trial);
                written.and_then(|()| undo(active.file.as_mut(), active.end))
            }
            None => {
                let first = self.shared.lock().unwritten_position();
                self.create(first).map(|active| self.active = Some(active))
            }
        };
        match tried {
            Ok(()) => {
                info!(directory = %self.shared.directory.display(), "the disk has space again");
                self.shared.lock().disk_full = false;
            }
            Err(Failure::DiskFull(_)) => {}
            Err(failure) => self.fail(failure),
        }
    }

    fn remove(&self, segments: &[u64]) {
        for &first in segments {
            let path = segment::path(&self.shared.directory, first);
            if let Err(error) = remove_file(&path) {
                warn!(segment = %path.display(), %error, "cannot delete a consumed segment");
            }
        }
    }

    fn save_progress(&mut self, progress: &Progress) {
        self.last_save = Instant::now();
        if let Err(error) = progress.save(&self.shared.directory) {
            let directory = self.shared.directory.display();
            warn!(%directory, %error, "cannot save what was acknowledged");
        }
    }
}

impl Drop for Writer {
    /// Whatever ended the thread, nobody must wait for it in vain.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if !state.closing && state.failed.is_none() {
            state.failed = Some("the queue's thread has ended".to_owned());
        }
        state.stopped = true;
        state.pending = Group::default();
        drop(state);
        self.shared.notify_reader();
    }
}

/// Where a segment is sealed: small queues have small segments, since space is returned by whole
/// ones.
fn segment_bytes(options: &Options) -> u64 {
    options.segment_bytes.min(options.max_bytes / 8)
}

/// Writes `bytes` at `end`; where the disk is full, cuts the file back to `end`.
fn write_or_undo(file: &mut dyn LogFile, end: u64, bytes: &[u8]) -> Result<(), Failure> {
    match file.write_at(end, bytes) {
        Ok(()) => Ok(()),
        Err(error) if is_full(&error) => {
            undo(file, end)?;
            Err(Failure::DiskFull(error))
        }
        Err(error) => Err(Failure::Fatal("cannot write to a segment", error)),
    }
}

fn undo(file: &mut dyn LogFile, end: u64) -> Result<(), Failure> {
    let cut = file.truncate(end);
    cut.map_err(|error| Failure::Fatal("cannot cut a segment back", error))
}

impl State {
    /// A position that is not above any record's that is still to be written.
    fn unwritten_position(&self) -> u64 {
        let pending = self.pending.records.first();
        pending.map_or(self.progress.next_position, |record| record.position)
    }

    /// Adds to the pending group; `waiter` hears of its end.
    pub(super) fn append(
        &mut self,
        salt: u32,
        records: &[(RecordHeader, &[u8])],
        waiter: oneshot::Sender<Result<(), AppendError>>,
    ) {
        for &(mut header, payload) in records {
            header.position = self.progress.next_position;
            self.progress.next_position += 1;
            header.encode_to(salt, &mut self.pending.buffer);
            self.pending.buffer.extend_from_slice(payload);
            self.pending.records.push(header);
        }
        self.pending.appends.push(Append {
            end_byte: self.pending.buffer.len(),
            end_record: self.pending.records.len(),
            waiter,
        });
    }
}
