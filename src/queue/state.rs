//! The account of a queue: what is where, who has dealt with what, how much room is left.
//!
//! Everything here happens in memory under the queue's lock; nothing here touches a file.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use tokio::sync::oneshot;

use super::delivery::Delivered;
use super::format::{RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES};
use super::group::Group;
use super::progress::Progress;
use super::{OnFull, Options, ReserveError, Stats, Tally};

/// What may wait in memory for the disk, unless one append alone is larger.
const MAX_PENDING_BYTES: u64 = 64 << 20;

/// A segment and what is left in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its name.
    pub first: u64,
    /// The last position that is durable in it; `first - 1` when there is none.
    pub last: u64,
    /// Where its durable records end.
    pub data_end: u64,
    /// Bytes of the file, the footer included.
    pub file_bytes: u64,
    /// Whether nothing more is written to it.
    pub sealed: bool,
    /// The records that nobody has dealt with.
    pub queued: Tally,
    /// When the oldest of them was appended.
    pub oldest_ms: i64,
    /// When the newest of them was appended.
    pub newest_ms: i64,
}

impl Segment {
    pub(super) fn add(&mut self, header: &RecordHeader) {
        if self.queued.records == 0 {
            self.oldest_ms = header.appended_ms;
            self.newest_ms = header.appended_ms;
        }
        self.queued += header.tally();
        self.oldest_ms = self.oldest_ms.min(header.appended_ms);
        self.newest_ms = self.newest_ms.max(header.appended_ms);
    }
}

/// Why segments are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drop {
    Full,
    Age,
    Purge,
}

/// How far the queue's life has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Open,
    /// Closed by its owner; the writer finishes.
    Closing,
    /// The writer has ended.
    Stopped,
}

/// Whether records can be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Health {
    #[default]
    Well,
    /// Not before the disk has space.
    DiskFull,
    /// Never again, and why.
    Failed(String),
}

/// Everything that the lock of a queue protects.
#[derive(Debug, Default)]
pub(super) struct State {
    pub options: Options,
    /// What was appended and not taken by the writer yet.
    pub pending: Group,
    /// Bytes that the writer has taken and not made durable yet.
    pub writing_bytes: u64,
    /// Bytes that were reserved and not appended yet.
    pub reserved_bytes: u64,
    /// Bytes on their way through the journal, and the position of the first of them.
    pub journaling_bytes: u64,
    pub journaling_from: u64,
    /// What has come out of the journal and is not written to a segment yet, and its last record.
    pub handed_over: Tally,
    pub handed_through: u64,
    /// The last record that is written to a segment, and the last that is synced there.
    pub written_through: u64,
    pub synced_through: u64,
    /// Up to here the journal wants records synced.
    pub sync_wanted: u64,
    /// All segments in order; only the last may be unsealed.
    pub segments: VecDeque<Segment>,
    /// Names of segments that nobody needs any more.
    pub consumed: Vec<u64>,
    pub progress: Progress,
    /// Whether `progress` differs from its file.
    pub progress_changed: bool,
    /// Who waits until `progress` is on the disk.
    pub progress_waiters: Vec<oneshot::Sender<io::Result<()>>>,
    /// The next group starts a new segment, because the old one is consumed and in the way.
    pub start_segment: bool,
    pub phase: Phase,
    pub health: Health,
    /// Free bytes of the volume, when somebody last looked.
    pub free_bytes: Option<u64>,
    /// Counters; the rest of it is filled in by [`State::stats`].
    pub counters: Stats,
    /// How many readers there have been: only the latest reads.
    pub readers: u64,
    pub delivered: BTreeMap<u16, VecDeque<Delivered>>,
    /// Those of them whose segments were dropped.
    pub withdrawn: Tally,
    /// Every record up to here has been delivered, skipped or dropped by this process.
    pub read_through: u64,
    /// When the record at `read_through` was appended.
    pub read_ms: i64,
    pub expired_before_ms: Option<i64>,
}

impl State {
    /// Makes room for `bytes`, if there is or can be any.
    pub(super) fn reserve(&mut self, bytes: u64) -> Result<(), ReserveError> {
        match &self.health {
            _ if self.phase == Phase::Closing => return Err(ReserveError::Closed),
            Health::Failed(reason) => {
                let reason = reason.clone();
                return Err(ReserveError::Failed { reason });
            }
            Health::DiskFull => return Err(ReserveError::DiskFull),
            Health::Well if self.phase == Phase::Stopped => return Err(ReserveError::Closed),
            Health::Well => {}
        }
        let max_bytes = self.options.max_bytes;
        if bytes.saturating_add(SEGMENT_HEADER_BYTES) > max_bytes {
            return Err(ReserveError::TooLarge { bytes, max_bytes });
        }
        let waiting = self.waiting_bytes();
        if let Some(free_bytes) = self.free_bytes {
            let min_free_bytes = self.options.min_free_bytes;
            if free_bytes.saturating_sub(waiting).saturating_sub(bytes) < min_free_bytes {
                return Err(ReserveError::DiskLow {
                    free_bytes,
                    min_free_bytes,
                });
            }
        }
        let fits_in_memory = waiting == 0 || waiting + bytes <= MAX_PENDING_BYTES;
        if !fits_in_memory || !self.make_room(bytes) {
            return Err(ReserveError::Full {
                used_bytes: self.disk_bytes() + waiting,
                max_bytes,
            });
        }
        self.reserved_bytes += bytes;
        Ok(())
    }

    /// Ends the last segment without a footer if nothing in it is needed: where the disk is full it
    /// may be what fills it. Answers whether it did.
    pub(super) fn end_consumed_segment(&mut self) -> bool {
        let Some(at) = self.segments.len().checked_sub(1) else {
            return false;
        };
        let last = &mut self.segments[at];
        if last.sealed || last.queued.records > 0 || last.data_end <= SEGMENT_HEADER_BYTES {
            return false;
        }
        last.sealed = true;
        self.remove_if_consumed(at);
        // What is done with need not be synced.
        self.synced_through = self.written_through;
        true
    }

    /// Whether the segments are to be synced, once all is in them that is wanted.
    pub(super) fn wants_sync(&self) -> bool {
        self.sync_wanted > self.synced_through || self.phase != Phase::Open
    }

    /// Whether there is something to sync. A sync that has failed is not repeated.
    pub(super) fn can_sync(&self) -> bool {
        let is_well = !matches!(self.health, Health::Failed(_));
        is_well && self.written_through > self.synced_through
    }

    /// A sync has failed: nothing of the last segment is read any more that no sync before it has
    /// seen to, because what the disk holds of it is not known.
    pub(super) fn hold_back(&mut self, synced_end: u64) {
        if let Some(last) = self.segments.back_mut() {
            last.data_end = last.data_end.min(synced_end);
        }
    }

    fn make_room(&mut self, bytes: u64) -> bool {
        let needed = bytes + self.waiting_bytes();
        loop {
            let disk = self.disk_bytes();
            if needed + disk <= self.options.max_bytes {
                return true;
            }
            let idle = self.consumed_active_bytes();
            if idle > 0 && needed + disk - idle <= self.options.max_bytes {
                self.start_segment = true;
                return true;
            }
            if self.options.on_full == OnFull::Refuse || !self.drop_oldest_segment(Drop::Full) {
                return false;
            }
        }
    }

    /// Bytes of the unsealed segment, if nothing in it is needed.
    fn consumed_active_bytes(&self) -> u64 {
        let active = self.segments.back().filter(|last| !last.sealed);
        active
            .filter(|active| active.queued.records == 0)
            .map_or(0, |active| active.file_bytes)
    }

    fn waiting_bytes(&self) -> u64 {
        self.reserved_bytes + self.journaling_bytes + self.pending.bytes() + self.writing_bytes
    }

    fn disk_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.file_bytes).sum()
    }

    /// One record less is queued.
    pub(super) fn settle(&mut self, position: u64, tally: Tally) {
        let after = self
            .segments
            .partition_point(|segment| segment.first <= position);
        let Some(at) = after.checked_sub(1) else {
            return;
        };
        self.segments[at].queued.remove(tally);
        self.remove_if_consumed(at);
    }

    pub(super) fn remove_if_consumed(&mut self, at: usize) {
        let segment = &self.segments[at];
        if segment.sealed && segment.queued.records == 0 {
            self.consumed.push(segment.first);
            self.segments.remove(at);
        }
    }

    /// Drops what is left in the oldest segment that has something left; false if there is none.
    fn drop_oldest_segment(&mut self, why: Drop) -> bool {
        let Some(at) = self
            .segments
            .iter()
            .position(|segment| segment.queued.records > 0)
        else {
            return false;
        };
        let segment = &mut self.segments[at];
        let (last, mut dropped) = (segment.last, std::mem::take(&mut segment.queued));
        let withdrawn = self.mark_withdrawn(last, why);
        dropped.remove(withdrawn);
        self.withdrawn += withdrawn;
        *self.dropped_by(why) += dropped;
        self.progress.dropped_through = self.progress.dropped_through.max(last);
        self.progress_changed = true;
        self.remove_if_consumed(at);
        true
    }

    /// What was dropped for this reason.
    pub(super) fn dropped_by(&mut self, why: Drop) -> &mut Tally {
        match why {
            Drop::Full => &mut self.counters.dropped_full,
            Drop::Age => &mut self.counters.dropped_age,
            Drop::Purge => &mut self.counters.purged,
        }
    }

    /// Drops segments all of whose records were appended before `now_ms - max_age`, and has the
    /// reader drop the records of others that were.
    pub(super) fn expire(&mut self, now_ms: i64) {
        let Some(max_age) = self.options.max_age else {
            self.expired_before_ms = None;
            return;
        };
        let max_age_ms = i64::try_from(max_age.as_millis()).unwrap_or(i64::MAX);
        let before_ms = now_ms.saturating_sub(max_age_ms);
        self.expired_before_ms = Some(before_ms);
        let is_expired = |segment: &Segment| segment.newest_ms < before_ms;
        while self
            .segments
            .iter()
            .find(|segment| segment.queued.records > 0)
            .is_some_and(is_expired)
        {
            self.drop_oldest_segment(Drop::Age);
        }
    }

    /// Drops everything that is durable.
    pub(super) fn purge(&mut self) -> Tally {
        let in_hand = self.withdrawn;
        let before = self.counters.purged;
        while self.drop_oldest_segment(Drop::Purge) {}
        let mut purged = self.counters.purged;
        purged += self.withdrawn;
        purged.remove(before);
        purged.remove(in_hand);
        purged
    }

    /// Why nothing can be written any more.
    pub(super) fn failure(&self) -> Option<&str> {
        match &self.health {
            Health::Failed(reason) => Some(reason),
            Health::Well | Health::DiskFull => None,
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let mut queued = self.withdrawn;
        queued += self.handed_over;
        for segment in &self.segments {
            queued += segment.queued;
        }
        let min_free_bytes = self.options.min_free_bytes;
        let is_low = self.free_bytes.is_some_and(|free| free < min_free_bytes);
        Stats {
            queued,
            disk_bytes: self.disk_bytes(),
            segments: self.segments.len(),
            oldest_ms: self.oldest_ms(),
            failed: self.failure().map(str::to_owned),
            disk_full: is_low || self.health == Health::DiskFull,
            ..self.counters.clone()
        }
    }
}

/// Bytes that a record with `payload_bytes` takes in a segment.
pub(super) fn stored_bytes(payload_bytes: usize) -> u64 {
    (RECORD_HEADER_BYTES as u64).saturating_add(payload_bytes as u64)
}
