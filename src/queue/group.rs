//! What one write and one sync commit together.

use std::fmt;
use std::time::Duration;

use super::Tally;
use super::format::RecordHeader;
use super::journal::Waiter;
use super::state::State;

/// Memory that is kept for what comes next.
const SPARE_BYTES: usize = 1 << 20;

/// What is durable already is on its way to a segment for so long, so that one write does for many
/// appends.
pub(super) const WRITE_WITHIN: Duration = Duration::from_millis(50);

/// From this size on nothing is gained by waiting for more.
pub(super) const LARGE_BYTES: usize = 1 << 20;

/// Records that are committed together.
#[derive(Default)]
pub(super) struct Group {
    pub buffer: Vec<u8>,
    pub records: Vec<RecordHeader>,
    pub appends: Vec<Append>,
    /// How long it may wait for more; `None` while it is empty. That is from when the writer sees
    /// it if somebody waits, and else from the last write.
    pub patience: Option<Duration>,
    /// Appends that somebody waits for.
    pub waiters: usize,
}

/// One call of append: all of it goes into one segment, in one write.
pub(super) struct Append {
    /// Where it ends in the group's buffer and in its records.
    pub end_byte: usize,
    pub end_record: usize,
    /// Who hears of its end; nobody if it is durable in the journal.
    pub waiter: Option<Waiter>,
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
        empty(&mut self.buffer, &mut self.records);
        self.appends.clear();
        self.patience = None;
        self.waiters = 0;
    }

    /// What is durable already of the records of these appends, the first of which is `record`.
    pub(super) fn durable(&self, appends: &[Append], mut record: usize) -> Tally {
        let mut durable = Tally::default();
        for append in appends {
            if append.waiter.is_none() {
                durable += tally(&self.records[record..append.end_record]);
            }
            record = append.end_record;
        }
        durable
    }

    /// Adds records that are encoded already, one after the other in `bytes`.
    pub(super) fn extend(
        &mut self,
        bytes: &[u8],
        records: &[RecordHeader],
        patience: Duration,
        waiter: Option<Waiter>,
    ) {
        self.buffer.extend_from_slice(bytes);
        self.records.extend_from_slice(records);
        self.push(patience, waiter);
    }

    /// Ends an append whose records are there.
    fn push(&mut self, patience: Duration, waiter: Option<Waiter>) {
        self.patience = Some(self.patience.map_or(patience, |least| least.min(patience)));
        self.waiters += usize::from(waiter.is_some());
        self.appends.push(Append {
            end_byte: self.buffer.len(),
            end_record: self.records.len(),
            waiter,
        });
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
        let pending = self.pending.records.first().map(|record| record.position);
        let journaling = (self.journaling_bytes > 0).then_some(self.journaling_from);
        let first = pending.or(journaling);
        first.unwrap_or(self.progress.next_position)
    }

    /// A position that no record has yet.
    pub(super) fn next_position(&mut self) -> u64 {
        let position = self.progress.next_position;
        self.progress.next_position += 1;
        position
    }

    /// These records will not become durable.
    pub(super) fn give_up(&mut self, records: &[RecordHeader]) {
        self.counters.not_stored += tally(records);
    }

    /// These records are on their way through the journal.
    pub(super) fn begin_journaling(&mut self, records: &[RecordHeader]) {
        if let Some(first) = records.first()
            && self.journaling_bytes == 0
        {
            self.journaling_from = first.position;
        }
        self.journaling_bytes += tally(records).bytes;
    }

    /// They no longer are.
    pub(super) fn end_journaling(&mut self, records: &[RecordHeader]) {
        self.journaling_bytes -= tally(records).bytes;
        if let Some(last) = records.last() {
            self.journaling_from = last.position + 1;
        }
    }

    /// Adds records that have come out of the journal to the pending group. Answers whether the
    /// writer has to know.
    pub(super) fn take_over(&mut self, bytes: &[u8], records: &[RecordHeader]) -> bool {
        self.end_journaling(records);
        let tally = tally(records);
        self.handed_over += tally;
        self.counters.appended += tally;
        self.handed_through = records.last().map_or(0, |last| last.position);
        let least_before = self.pending.patience;
        self.pending.extend(bytes, records, WRITE_WITHIN, None);
        self.pending.patience != least_before || self.pending.is_large()
    }

    /// Adds to the pending group, which waits no longer than `patience`; `waiter` hears of its end.
    pub(super) fn append(
        &mut self,
        salt: u32,
        records: &[(RecordHeader, &[u8])],
        patience: Duration,
        waiter: Waiter,
    ) {
        for &(mut header, payload) in records {
            header.position = self.next_position();
            header.encode_to(salt, &mut self.pending.buffer);
            self.pending.buffer.extend_from_slice(payload);
            self.pending.records.push(header);
        }
        self.pending.push(patience, Some(waiter));
    }

    /// Puts what could not be written back before what is pending.
    pub(super) fn put_back(&mut self, first: Group) {
        let later = std::mem::replace(&mut self.pending, first);
        let patience = later.patience.unwrap_or_default();
        let (mut byte, mut record) = (0, 0);
        for append in later.appends {
            let bytes = &later.buffer[byte..append.end_byte];
            let records = &later.records[record..append.end_record];
            (byte, record) = (append.end_byte, append.end_record);
            self.pending.extend(bytes, records, patience, append.waiter);
        }
    }
}

/// Empties what holds encoded records, and keeps a reasonable part of its memory.
pub(super) fn empty(buffer: &mut Vec<u8>, records: &mut Vec<RecordHeader>) {
    buffer.clear();
    buffer.shrink_to(SPARE_BYTES);
    records.clear();
    records.shrink_to(SPARE_BYTES / size_of::<RecordHeader>());
}

pub(super) fn tally(records: &[RecordHeader]) -> Tally {
    let mut sum = Tally::default();
    for record in records {
        sum += record.tally();
    }
    sum
}
