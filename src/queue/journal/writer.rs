//! The thread that writes the journal.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::Core;
use super::active::{FILE_BYTES, JournalFile, RESERVE, RESERVE_BYTES, failure};
use super::batch::{Batch, Entry, Wait};
use super::file::{FILE_HEADER_BYTES, end_block};
use crate::queue::AppendError;
use crate::queue::active::Failure;
use crate::queue::alarm::Alarm;
use crate::queue::disk::{OpenLog, make_directory, remove_file, sync_directory, write_durably};
use crate::queue::format::RecordHeader;
use crate::queue::health::TRY_FULL_DISK_EVERY;
use crate::queue::shared::Shared;
use crate::queue::state::{Health, Phase};

/// So many files are in use at the most; then the journal waits for the queues to sync.
const FILES: usize = 4;
/// After so many bytes one more queue is asked to sync what a full file holds of it: all at once
/// they would keep the disk from the journal.
const BYTES_PER_SYNC: u64 = 256 << 10;
/// How often it looks whether the queues have synced, when it waits for that.
const LOOK_EVERY: Duration = Duration::from_millis(5);

enum Job {
    Write(Batch),
    TryDisk,
    Stop,
}

pub(super) struct Writer {
    core: Arc<Core>,
    directory: PathBuf,
    open_log: OpenLog,
    current: Option<JournalFile>,
    /// Full files, the oldest first.
    full: Vec<JournalFile>,
    /// Full files that a queue needs which cannot write at the moment, or never again.
    kept: Vec<JournalFile>,
    free: Vec<JournalFile>,
    /// Queues that are still to be asked to sync up to these positions.
    to_sync: VecDeque<(Arc<Shared>, u64)>,
    /// Bytes since the last one was asked.
    since_asked: u64,
    next_number: u64,
    sequence: u64,
    /// The batch before the last, emptied: its memory is used again.
    spare: Batch,
    pending_since: Option<Instant>,
    last_trial: Instant,
}

impl Writer {
    pub(super) fn new(
        core: Arc<Core>,
        directory: PathBuf,
        open_log: OpenLog,
        sequence: u64,
    ) -> Self {
        Self {
            core,
            directory,
            open_log,
            current: None,
            full: Vec::new(),
            kept: Vec::new(),
            free: Vec::new(),
            to_sync: VecDeque::new(),
            since_asked: 0,
            next_number: 0,
            sequence,
            spare: Batch::default(),
            pending_since: None,
            last_trial: Instant::now(),
        }
    }

    /// Works until the journal is closed and everything is written.
    pub(super) fn run(mut self) {
        loop {
            match self.next_job() {
                Job::Write(batch) => self.commit(batch),
                Job::TryDisk => self.try_disk(),
                Job::Stop => return self.stop(),
            }
        }
    }

    fn next_job(&mut self) -> Job {
        let core = Arc::clone(&self.core);
        let mut state = core.lock();
        loop {
            let mut alarm = Alarm::new();
            let mut since = || *self.pending_since.get_or_insert(alarm.now());
            let is_due = state.phase != Phase::Open
                || match state.pending.wait {
                    Wait::UpTo(patience) => alarm.is_due(since() + patience),
                    Wait::ForCall => false,
                };
            if is_due && !state.pending.is_empty() {
                self.pending_since = None;
                state.taken += 1;
                let spare = std::mem::take(&mut self.spare);
                return Job::Write(std::mem::replace(&mut state.pending, spare));
            }
            if state.phase != Phase::Open {
                return Job::Stop;
            }
            if state.health == Health::DiskFull
                && alarm.is_due(self.last_trial + TRY_FULL_DISK_EVERY)
            {
                return Job::TryDisk;
            }
            state = alarm.wait(&core.work, state);
        }
    }

    /// Makes a batch durable and hands every queue its part.
    fn commit(&mut self, mut batch: Batch) {
        let outcome = self.try_commit(&mut batch);
        if outcome.is_ok() {
            for entry in batch.entries.drain(..) {
                let bytes = &batch.buffer[entry.bytes];
                entry.queue.take_over(bytes, &batch.records[entry.records]);
            }
        }
        batch.give_up();
        for waiter in batch.waiters.drain(..) {
            // Whoever appended need not wait for the answer.
            drop(waiter.send(outcome.clone()));
        }
        batch.clear();
        self.spare = batch;
    }

    fn try_commit(&mut self, batch: &mut Batch) -> Result<(), AppendError> {
        if batch.entries.is_empty() {
            return Ok(());
        }
        let health = self.core.lock().health.clone();
        match health {
            Health::Well => {}
            Health::DiskFull => return Err(AppendError::DiskFull),
            Health::Failed(reason) => return Err(AppendError::Failed { reason }),
        }
        let written = self.write(&mut batch.buffer, &batch.entries, &batch.records);
        written.map_err(|failure| self.fail(failure))
    }

    fn write(
        &mut self,
        block: &mut [u8],
        entries: &[Entry],
        records: &[RecordHeader],
    ) -> Result<(), Failure> {
        let length = block.len() as u64;
        let is_full =
            |file: &JournalFile| file.end > FILE_HEADER_BYTES && file.end + length > FILE_BYTES;
        if self.current.as_ref().is_none_or(is_full) {
            self.begin_file()?;
        }
        let file = self.current.as_mut().expect("it was just begun");
        end_block(file.salt, block);
        file.write(block)?;
        let synced = file.file.sync();
        synced.map_err(|error| Failure::Fatal("cannot sync the journal", error))?;
        file.end += length;
        for entry in entries {
            if let Some(last) = records[entry.records.clone()].last() {
                file.need(&entry.queue, last.position);
            }
        }
        self.since_asked += length;
        while self.since_asked >= BYTES_PER_SYNC {
            self.since_asked -= BYTES_PER_SYNC;
            self.ask_for_sync();
        }
        let files = self.full.iter().chain(&self.kept).chain(&self.free);
        let files = files.chain(&self.current);
        let disk_bytes = files.map(|file| file.file_end).sum();
        let mut state = self.core.lock();
        state.stats.syncs += 1;
        state.stats.written_bytes += length;
        state.stats.disk_bytes = disk_bytes;
        Ok(())
    }

    /// Asks one queue to sync. Answers whether there was one to ask.
    fn ask_for_sync(&mut self) -> bool {
        let Some((queue, position)) = self.to_sync.pop_front() else {
            return false;
        };
        queue.ask_for_sync(position);
        true
    }

    /// Goes on in another file, if there was one.
    fn begin_file(&mut self) -> Result<(), Failure> {
        self.end_file();
        self.release();
        while self.full.len() >= FILES {
            while self.ask_for_sync() {}
            // Nothing can be done for what comes meanwhile.
            drop(self.core.work.wait_timeout(self.core.lock(), LOOK_EVERY));
            self.release();
        }
        let mut file = match self.free.pop() {
            Some(file) => file,
            None => self.create()?,
        };
        self.sequence += 1;
        let begun = file.begin(self.sequence);
        if begun.is_ok() {
            self.current = Some(file);
        } else {
            self.free.push(file);
        }
        begun
    }

    /// Has the queues sync what is in the current file.
    fn end_file(&mut self) {
        if let Some(full) = self.current.take() {
            // Those of the file before have had their time.
            while self.ask_for_sync() {}
            self.to_sync.extend(full.needs.values().cloned());
            self.full.push(full);
        }
    }

    /// Finds files that nobody needs any more.
    fn release(&mut self) {
        let looked_at = self.kept.drain(..).chain(self.full.drain(..));
        for mut file in looked_at.collect::<Vec<_>>() {
            file.needs
                .retain(|_, (queue, position)| !queue.has_synced(*position));
            if file.needs.is_empty() && self.free.len() + self.full.len() < FILES {
                self.free.push(file);
            } else if file.needs.is_empty() {
                self.delete(&file);
            } else if file.needs.values().all(|(queue, _)| queue.can_sync()) {
                self.full.push(file);
            } else {
                self.kept.push(file);
            }
        }
    }

    fn create(&mut self) -> Result<JournalFile, Failure> {
        let number = self.next_number;
        let path = self.directory.join(number.to_string());
        let opened = make_directory(&self.directory).and_then(|()| {
            self.make_reserve();
            let file = (self.open_log)(&path)?;
            sync_directory(&self.directory)?;
            Ok(file)
        });
        let file = opened.map_err(failure("cannot make a file of the journal"))?;
        self.next_number += 1;
        Ok(JournalFile {
            number,
            file,
            end: 0,
            file_end: 0,
            salt: 0,
            needs: HashMap::new(),
        })
    }

    /// Takes space for a recovery that finds the disk full. Without it there is none then.
    fn make_reserve(&self) {
        let path = self.directory.join(RESERVE);
        if !path.exists()
            && let Err(error) = write_durably(&path, &vec![0; RESERVE_BYTES])
        {
            warn!(file = %path.display(), %error, "cannot take space for a recovery");
        }
    }

    fn fail(&mut self, failure: Failure) -> AppendError {
        let directory = self.directory.display();
        match failure {
            Failure::DiskFull(error) => {
                warn!(%directory, %error, "the disk is full; the journal refuses records");
                self.core.set_health(Health::DiskFull);
                self.last_trial = Instant::now();
                AppendError::DiskFull
            }
            Failure::Fatal(what, error) => {
                error!(%directory, what, %error, "the journal refuses records until a restart");
                let reason = format!("{what}: {error}");
                self.core.set_health(Health::Failed(reason.clone()));
                AppendError::Failed { reason }
            }
        }
    }

    /// Finds out whether a disk that was full has space again.
    fn try_disk(&mut self) {
        self.last_trial = Instant::now();
        let tried = match &mut self.current {
            Some(file) => file.try_to_write(),
            None => self.begin_file(),
        };
        match tried {
            Ok(()) => {
                info!(directory = %self.directory.display(), "the disk has space again");
                self.core.set_health(Health::Well);
            }
            // Its own space can be used again before there is other.
            Err(Failure::DiskFull(_)) => self.end_file(),
            Err(failure) => drop(self.fail(failure)),
        }
        while self.core.lock().health == Health::DiskFull && self.ask_for_sync() {}
    }

    /// Deletes what no queue needs. When all of them were closed in order that is everything.
    fn stop(&mut self) {
        self.full.extend(self.current.take());
        self.release();
        for file in std::mem::take(&mut self.free) {
            self.delete(&file);
        }
        if self.full.is_empty() && self.kept.is_empty() {
            drop(remove_file(&self.directory.join(RESERVE)));
        }
    }

    fn delete(&self, file: &JournalFile) {
        let path = self.directory.join(file.number.to_string());
        if let Err(error) = remove_file(&path) {
            warn!(file = %path.display(), %error, "cannot delete a file of the journal");
        }
    }
}

impl Drop for Writer {
    /// Whatever ended the thread, nobody must wait for it in vain.
    fn drop(&mut self) {
        let (phase, health) = {
            let state = self.core.lock();
            (state.phase, state.health.clone())
        };
        if phase == Phase::Open && health == Health::Well {
            let reason = "the journal's thread has ended".to_owned();
            self.core.set_health(Health::Failed(reason));
        }
        let mut state = self.core.lock();
        state.phase = Phase::Stopped;
        let pending = std::mem::take(&mut state.pending);
        drop(state);
        drop(pending);
    }
}
