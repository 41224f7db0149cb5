//! What the writer does about a disk that is full, or fails.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::AppendError;
use super::active::Failure;
use super::commit::Writer;
use super::group::{Append, Group, WRITE_WITHIN};
use super::state::{Health, Phase};

pub(super) const TRY_FULL_DISK_EVERY: Duration = Duration::from_secs(1);
/// A trial write to a disk that was full.
const TRIAL_BYTES: usize = 256 << 10;

impl Writer {
    /// Ends appends of a group, from `byte` and `record` on, that cannot be written. Those that are
    /// durable in the journal wait for space if it is that, and otherwise for a restart.
    pub(super) fn refuse(
        &self,
        group: &Group,
        (mut byte, mut record): (usize, usize),
        appends: impl Iterator<Item = Append>,
        error: &AppendError,
    ) {
        let mut kept = Group::default();
        let mut state = self.shared.lock();
        let is_kept = *error == AppendError::DiskFull && state.phase == Phase::Open;
        for append in appends {
            let bytes = &group.buffer[byte..append.end_byte];
            let records = &group.records[record..append.end_record];
            (byte, record) = (append.end_byte, append.end_record);
            match append.waiter {
                Some(waiter) => {
                    state.give_up(records);
                    // Whoever appended need not wait for the answer.
                    drop(waiter.send(Err(error.clone())));
                }
                None if is_kept => kept.extend(bytes, records, WRITE_WITHIN, None),
                None => {}
            }
        }
        if !kept.appends.is_empty() {
            state.put_back(kept);
        }
    }

    /// Why nothing can be written now.
    pub(super) fn refusal(&self) -> Option<AppendError> {
        match &self.shared.lock().health {
            Health::Well => None,
            Health::DiskFull => Some(AppendError::DiskFull),
            Health::Failed(reason) => Some(AppendError::Failed {
                reason: reason.clone(),
            }),
        }
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        let directory = self.shared.directory.display();
        let mut state = self.shared.lock();
        match failure {
            Failure::DiskFull(error) => {
                warn!(%directory, %error, "the disk is full; the queue refuses records");
                state.health = Health::DiskFull;
                self.last_trial = Instant::now();
            }
            Failure::Fatal(what, error) => {
                error!(%directory, what, %error, "the queue refuses records until a restart");
                state.health = Health::Failed(format!("{what}: {error}"));
            }
        }
    }

    /// Finds out whether a disk that was full has space again.
    pub(super) fn try_disk(&mut self) {
        self.last_trial = Instant::now();
        if self.shared.lock().end_consumed_segment() {
            // It is deleted before the next trial.
            self.active = None;
            return;
        }
        let tried = if let Some(active) = &mut self.active {
            let written = active.write(&vec![0; TRIAL_BYTES], 0);
            written.and_then(|()| active.trim())
        } else {
            let first = self.shared.lock().unwritten_position();
            self.create(first).map(|active| self.active = Some(active))
        };
        match tried {
            Ok(()) => {
                info!(directory = %self.shared.directory.display(), "the disk has space again");
                self.shared.lock().health = Health::Well;
            }
            Err(Failure::DiskFull(_)) => {}
            Err(failure) => self.fail(failure),
        }
    }
}
