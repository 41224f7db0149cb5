//! What one write and one sync commit together.

use std::fmt;
use std::time::Duration;

use tokio::sync::oneshot;

use super::AppendError;
use super::format::RecordHeader;
use super::state::State;

/// Memory that a queue keeps for its next group.
const SPARE_BYTES: usize = 1 << 20;

/// From this size on nothing is gained by waiting for more.
const LARGE_BYTES: usize = 1 << 20;

/// Records that are committed together.
#[derive(Default)]
pub(super) struct Group {
    pub buffer: Vec<u8>,
    pub records: Vec<RecordHeader>,
    pub appends: Vec<Append>,
    /// How long it may wait for more, from when the writer sees it; `None` while it is empty.
    pub patience: Option<Duration>,
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

    /// Whether it is large enough to be written without waiting for more.
    pub(super) fn is_large(&self) -> bool {
        self.buffer.len() >= LARGE_BYTES
    }

    /// Empties it and keeps a reasonable part of its memory for the next.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(SPARE_BYTES);
        self.records.clear();
        self.records
            .shrink_to(SPARE_BYTES / size_of::<RecordHeader>());
        self.appends.clear();
        self.patience = None;
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Group({} appends)", self.appends.len())
    }
}

impl State {
    /// A position that is not above any record's that is still to be written.
    pub(super) fn unwritten_position(&self) -> u64 {
        let pending = self.pending.records.first();
        pending.map_or(self.progress.next_position, |record| record.position)
    }

    /// These records will not become durable.
    pub(super) fn give_up(&mut self, records: &[RecordHeader]) {
        for record in records {
            self.counters.not_stored += record.tally();
        }
    }

    /// Adds to the pending group, which waits no longer than `patience`; `waiter` hears of its end.
    pub(super) fn append(
        &mut self,
        salt: u32,
        records: &[(RecordHeader, &[u8])],
        patience: Duration,
        waiter: oneshot::Sender<Result<(), AppendError>>,
    ) {
        let pending = &mut self.pending;
        let least = pending
            .patience
            .map_or(patience, |least| least.min(patience));
        pending.patience = Some(least);
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
