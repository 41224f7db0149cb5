//! What the writer does beside writing: deleting consumed segments, saving progress.

use std::io;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::warn;

use super::commit::Writer;
use super::disk::{keep_start, remove_file};
use super::format::SEGMENT_HEADER_BYTES;
use super::progress::Progress;
use super::segment;
use super::state::Phase;

pub(super) type ProgressWaiter = oneshot::Sender<io::Result<()>>;

impl Writer {
    pub(super) fn remove(&self, segments: &[u64]) {
        for &first in segments {
            let path = segment::path(&self.shared.directory, first);
            let removed = if self.is_last_trace(first, segments) {
                keep_start(&path, SEGMENT_HEADER_BYTES)
            } else {
                remove_file(&path)
            };
            if let Err(error) = removed {
                warn!(segment = %path.display(), %error, "cannot delete a consumed segment");
            }
        }
        // A reader that has one of them open lets it go.
        self.shared.notify_reader();
    }

    /// Whether only the segment `first` of those that go says whose records the journal has: the
    /// disk has no room for the next one.
    fn is_last_trace(&self, first: u64, going: &[u64]) -> bool {
        self.active.is_none()
            && self.shared.journal.is_some()
            && self.shared.lock().segments.is_empty()
            && going.iter().all(|&other| other <= first)
    }

    pub(super) fn save_progress(&mut self, progress: &Progress) {
        let saved = progress.save(&self.shared.directory);
        self.note_save(saved);
    }

    /// A save that failed is tried again with the next, a second later, so that a crash repeats
    /// little once the disk is well; but not for ever when the queue is closed.
    fn note_save(&mut self, saved: io::Result<()>) {
        self.last_save = Instant::now();
        let Err(error) = saved else {
            self.save_failed = false;
            return;
        };
        if !std::mem::replace(&mut self.save_failed, true) {
            let directory = self.shared.directory.display();
            warn!(%directory, %error, "cannot save what was acknowledged, will retry");
        }
        let mut state = self.shared.lock();
        state.progress_changed |= state.phase == Phase::Open;
    }

    pub(super) fn sync_progress(&mut self, progress: &Progress, waiters: Vec<ProgressWaiter>) {
        let saved = progress.save_durably(&self.shared.directory);
        for waiter in waiters {
            let saved = saved.as_ref().copied();
            let saved = saved.map_err(|error| io::Error::new(error.kind(), error.to_string()));
            // Whoever waited may have gone.
            drop(waiter.send(saved));
        }
        self.note_save(saved);
    }
}
