//! Group commit: the thread that writes a queue's segments.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::active::{Active, Failure, segment_bytes, zeros};
use super::alarm::Alarm;
use super::disk::{OpenLog, is_shortage};
use super::format::{RecordHeader, SEGMENT_HEADER_BYTES};
use super::group::{Append, Group};
use super::health::TRY_FULL_DISK_EVERY;
use super::housekeeping::ProgressWaiter;
use super::progress::Progress;
use super::shared::Shared;
use super::state::{Health, Phase, State};
use super::{Durability, Tally};

const SYNC_EVERY: Duration = Duration::from_millis(100);
const SAVE_PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What the writer does next.
enum Job {
    Write(Group),
    Sync,
    Remove(Vec<u64>),
    SaveProgress(Progress),
    /// The same, on the disk, and for these.
    SyncProgress(Progress, Vec<ProgressWaiter>),
    TryDisk,
    Stop,
}

pub(super) struct Writer {
    pub shared: Arc<Shared>,
    pub open_log: OpenLog,
    pub active: Option<Active>,
    /// The group before the last, emptied: its memory is used again.
    spare: Group,
    /// When the writer first saw the pending group.
    pending_since: Option<Instant>,
    last_write: Instant,
    last_sync: Instant,
    /// Whether something was written that is to be synced within [`SYNC_EVERY`].
    unsynced: bool,
    pub(super) last_save: Instant,
    /// Whether the last save of progress failed.
    pub(super) save_failed: bool,
    pub(super) last_trial: Instant,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, open_log: OpenLog, active: Option<Active>) -> Self {
        let now = Instant::now();
        Self {
            shared,
            open_log,
            active,
            spare: Group::default(),
            pending_since: None,
            last_write: now,
            last_sync: now,
            unsynced: false,
            last_save: now,
            save_failed: false,
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
                Job::SyncProgress(progress, waiters) => self.sync_progress(&progress, waiters),
                Job::TryDisk => self.try_disk(),
                Job::Stop => return self.stop(),
            }
        }
    }

    fn next_job(&mut self) -> Job {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        loop {
            let mut alarm = Alarm::new();
            // What is durable elsewhere waits for space on the disk.
            let can_wait = state.pending.waiters == 0 && state.phase == Phase::Open;
            let is_stuck = can_wait && state.health == Health::DiskFull;
            let wants_sync = state.wants_sync();
            let at_once = state.pending.is_large() || wants_sync || state.phase != Phase::Open;
            if let Some(patience) = state.pending.patience.filter(|_| !is_stuck)
                && (at_once || alarm.is_due(self.pending_from(&state, alarm.now()) + patience))
            {
                self.pending_since = None;
                let group = std::mem::replace(&mut state.pending, std::mem::take(&mut self.spare));
                state.writing_bytes = group.bytes();
                return Job::Write(group);
            }
            let is_failed = matches!(state.health, Health::Failed(_));
            if self.unsynced
                && !is_failed
                && (alarm.is_due(self.last_sync + SYNC_EVERY) || state.phase != Phase::Open)
            {
                return Job::Sync;
            }
            if wants_sync && state.can_sync() {
                return Job::Sync;
            }
            if !state.consumed.is_empty() {
                return Job::Remove(std::mem::take(&mut state.consumed));
            }
            if !state.progress_waiters.is_empty() {
                state.progress_changed = false;
                let waiters = std::mem::take(&mut state.progress_waiters);
                return Job::SyncProgress(state.progress.clone(), waiters);
            }
            if state.progress_changed
                && (alarm.is_due(self.last_save + SAVE_PROGRESS_EVERY)
                    || state.phase != Phase::Open)
            {
                state.progress_changed = false;
                return Job::SaveProgress(state.progress.clone());
            }
            // What is on its way through the journal is still to come.
            if state.phase != Phase::Open && state.journaling_bytes == 0 {
                return Job::Stop;
            }
            let may_try = state.health == Health::DiskFull && state.phase == Phase::Open;
            if may_try && alarm.is_due(self.last_trial + TRY_FULL_DISK_EVERY) {
                return Job::TryDisk;
            }
            state = shared.wait(state, alarm);
        }
    }

    /// From when on the pending group's patience counts.
    fn pending_from(&mut self, state: &State, now: Instant) -> Instant {
        if state.pending.waiters == 0 {
            self.last_write
        } else {
            *self.pending_since.get_or_insert(now)
        }
    }

    fn write_group(&mut self, mut group: Group) {
        let mut appends = std::mem::take(&mut group.appends);
        let (mut byte, mut record) = (0, 0);
        while !appends.is_empty() {
            if let Some(error) = self.refusal() {
                self.refuse(&group, (byte, record), appends.drain(..), &error);
                break;
            }
            let written = self.write_some(&group, &appends, byte, record);
            match written {
                Ok(count) => {
                    let last = &appends[count - 1];
                    let (end_byte, end_record) = (last.end_byte, last.end_record);
                    let known = group.durable(&appends[..count], record);
                    self.publish(&group.records[record..end_record], end_byte - byte, known);
                    (byte, record) = (end_byte, end_record);
                    for waiter in appends.drain(..count).filter_map(|append| append.waiter) {
                        // Whoever appended need not wait for the answer.
                        drop(waiter.send(Ok(())));
                    }
                }
                Err(failure) => self.fail(failure),
            }
        }
        self.last_write = Instant::now();
        self.shared.lock().writing_bytes = 0;
        group.appends = appends;
        group.clear();
        self.spare = group;
    }

    /// Makes as many appends durable as the segment takes; at least one. Returns how many.
    fn write_some(
        &mut self,
        group: &Group,
        appends: &[Append],
        byte: usize,
        record: usize,
    ) -> Result<usize, Failure> {
        let (options, start_segment, free_bytes) = {
            let mut state = self.shared.lock();
            (
                state.options.clone(),
                std::mem::take(&mut state.start_segment),
                state.free_bytes,
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
        // What nobody waits for is durable in the journal.
        let is_awaited = appends[..count]
            .iter()
            .any(|append| append.waiter.is_some());
        let zeros = if is_awaited {
            zeros(&options, bytes.len(), free_bytes)
        } else {
            0
        };
        active.write(bytes, zeros)?;
        match options.durability {
            Durability::Fsync if is_awaited => self.sync()?,
            Durability::Async if is_awaited => self.unsynced = true,
            Durability::Fsync | Durability::Async => {}
        }
        Ok(count)
    }

    /// The records are durable: they count, all but the `known` ones that do already, and they can
    /// be read.
    fn publish(&mut self, records: &[RecordHeader], bytes: usize, known: Tally) {
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
            state.written_through = segment.last;
        }
        if active.is_synced() {
            state.synced_through = state.written_through;
        }
        appended.remove(known);
        state.counters.appended += appended;
        state.handed_over.remove(known);
        drop(state);
        self.shared.notify_reader();
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
            active.trim()?;
            active.write(&footer, 0)?;
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

    pub(super) fn create(&self, first: u64) -> Result<Active, Failure> {
        Active::create(&self.open_log, &self.shared, first).map_err(|error| {
            if is_shortage(&error) {
                Failure::DiskFull(error)
            } else {
                Failure::Fatal("cannot create a segment", error)
            }
        })
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.unsynced = false;
        let synced = self.active.as_mut().map(Active::sync);
        let mut state = self.shared.lock();
        if let Some(Err((error, synced_end))) = synced {
            state.hold_back(synced_end);
            return Err(Failure::Fatal("cannot sync a segment", error));
        }
        state.counters.syncs += u64::from(synced.is_some());
        state.synced_through = state.written_through;
        drop(state);
        self.last_sync = Instant::now();
        Ok(())
    }

    fn sync_late(&mut self) {
        if let Err(failure) = self.sync() {
            self.fail(failure);
        }
    }

    /// A segment at rest is no longer than its records.
    fn stop(&mut self) {
        let is_well = self.shared.lock().health == Health::Well;
        if is_well
            && let Some(active) = &mut self.active
            && active.is_longer()
            && let Err(failure) = active.trim()
        {
            self.fail(failure);
        }
    }
}

impl Drop for Writer {
    /// Whatever ended the thread, nobody must wait for it in vain.
    fn drop(&mut self) {
        self.shared.note_if_unfinished();
        let mut state = self.shared.lock();
        if state.phase == Phase::Open && state.health == Health::Well {
            state.health = Health::Failed("the queue's thread has ended".to_owned());
        }
        state.phase = Phase::Stopped;
        let pending = std::mem::take(&mut state.pending);
        state.give_up(&pending.records);
        state.progress_waiters.clear();
        drop(state);
        self.shared.notify_reader();
    }
}
