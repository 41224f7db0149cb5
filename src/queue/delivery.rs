//! The account of reading: which records are out, which come next, which are done.

use std::collections::VecDeque;

use super::Tally;
use super::format::{RecordHeader, SEGMENT_HEADER_BYTES};
use super::segment::Bounds;
use super::state::{Drop, Phase, Segment, State};

/// A record that was read and not acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    pub position: u64,
    pub appended_ms: i64,
    pub tally: Tally,
    /// Why its segment was dropped meanwhile, if it was.
    pub withdrawn: Option<Drop>,
}

/// What becomes of a record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It goes to the reader's owner.
    Deliver,
    /// It has been dealt with.
    Skip,
    /// Nothing more does: see [`Plan::Stop`].
    Stop,
}

/// What a reader does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Read the segment `first` from `offset`; its durable records end at `end`.
    Read { first: u64, offset: u64, end: u64 },
    /// Wait for something to happen.
    Wait,
    /// Stop: the queue is closed, or there is another reader.
    Stop,
}

impl State {
    /// Decides about a record that the reader number `reader` has read.
    pub(super) fn deliver(&mut self, reader: u64, header: &RecordHeader) -> Delivery {
        if self.phase != Phase::Open || reader != self.readers {
            return Delivery::Stop;
        }
        let position = header.position;
        if position <= self.read_through {
            let records = self.delivered.get(&header.stream);
            let again = records.is_some_and(|records| {
                records
                    .binary_search_by_key(&position, |record| record.position)
                    .is_ok()
            });
            return if again {
                Delivery::Deliver
            } else {
                Delivery::Skip
            };
        }
        self.read_through = position;
        self.read_ms = header.appended_ms;
        if position <= self.progress.settled_through(header.stream) {
            return Delivery::Skip;
        }
        if self
            .expired_before_ms
            .is_some_and(|before_ms| header.appended_ms < before_ms)
        {
            self.settle(position, header.tally());
            self.counters.dropped_age += header.tally();
            return Delivery::Skip;
        }
        self.delivered
            .entry(header.stream)
            .or_default()
            .push_back(Delivered {
                position,
                appended_ms: header.appended_ms,
                tally: header.tally(),
                withdrawn: None,
            });
        Delivery::Deliver
    }

    /// What the reader number `reader` does next, when it has read segment `first` up to `offset`.
    pub(super) fn plan(&mut self, reader: u64, first: u64, offset: u64) -> Plan {
        if self.phase != Phase::Open || reader != self.readers {
            return Plan::Stop;
        }
        let at = self
            .segments
            .partition_point(|segment| segment.first < first);
        let Some(segment) = self.segments.get(at) else {
            return Plan::Wait;
        };
        if segment.first != first {
            return Self::plan_start(segment);
        }
        if offset < segment.data_end {
            let end = segment.data_end;
            return Plan::Read { first, offset, end };
        }
        match self.segments.get(at + 1) {
            Some(next) if segment.sealed => Self::plan_start(next),
            _ => Plan::Wait,
        }
    }

    fn plan_start(segment: &Segment) -> Plan {
        if segment.data_end <= SEGMENT_HEADER_BYTES {
            return Plan::Wait;
        }
        Plan::Read {
            first: segment.first,
            offset: SEGMENT_HEADER_BYTES,
            end: segment.data_end,
        }
    }

    /// Where the durable records of the segment `first` end.
    pub(super) fn data_end(&self, first: u64) -> Option<u64> {
        let found = self
            .segments
            .binary_search_by_key(&first, |segment| segment.first);
        found.ok().map(|at| self.segments[at].data_end)
    }

    /// The positions that records of the segment `first` can have.
    pub(super) fn bounds(&self, first: u64) -> Bounds {
        let after = self
            .segments
            .partition_point(|segment| segment.first <= first);
        let next = self.segments.get(after);
        Bounds {
            above: first.saturating_sub(1),
            below: next.map_or(u64::MAX, |next| next.first),
        }
    }

    /// After damage was met while reading the segment `first` to its end: what is queued of it is
    /// what was read and not acknowledged, and the rest is lost. False if it is still written to.
    pub(super) fn reconcile(&mut self, first: u64) -> bool {
        let found = self
            .segments
            .binary_search_by_key(&first, |segment| segment.first);
        let Ok(at) = found else {
            return true;
        };
        let segment = &mut self.segments[at];
        if !segment.sealed {
            return false;
        }
        let mut readable = Tally::default();
        for record in self.delivered.values().flatten() {
            let is_here = segment.first <= record.position && record.position <= segment.last;
            if is_here && record.withdrawn.is_none() {
                readable += record.tally;
            }
        }
        let mut lost = std::mem::replace(&mut segment.queued, readable);
        lost.remove(readable);
        self.counters.lost += lost;
        self.remove_if_consumed(at);
        true
    }

    /// All records of `stream` up to `position` that were read are done.
    pub(super) fn acknowledge(&mut self, stream: u16, position: u64) {
        while let Some(record) = self
            .delivered
            .get_mut(&stream)
            .and_then(|records| pop_through(records, position))
        {
            if record.withdrawn.is_some() {
                self.withdrawn.remove(record.tally);
            } else {
                self.settle(record.position, record.tally);
            }
            self.counters.acknowledged += record.tally;
            self.note_progress(stream, record.position);
        }
        self.forget_if_empty(stream);
    }

    /// Marks what was read and not acknowledged up to `last`, and answers how much that is.
    pub(super) fn mark_withdrawn(&mut self, last: u64, why: Drop) -> Tally {
        let mut marked = Tally::default();
        for record in self.delivered.values_mut().flatten() {
            if record.position <= last && record.withdrawn.is_none() {
                record.withdrawn = Some(why);
                marked += record.tally;
            }
        }
        marked
    }

    /// The number of a new reader. Only the latest reads: what is in the hands of those before and
    /// was dropped will not be read again.
    pub(super) fn start_reader(&mut self) -> u64 {
        let streams: Vec<u16> = self.delivered.keys().copied().collect();
        for stream in streams {
            self.withdraw(stream);
        }
        self.readers += 1;
        self.readers
    }

    /// Takes back what was read of `stream` and has been dropped or has become too old since.
    /// Answers the position through which nothing of the stream is to be delivered any more.
    pub(super) fn withdraw(&mut self, stream: u16) -> u64 {
        let mut through = self.progress.settled_through(stream);
        let expired_before_ms = self.expired_before_ms.unwrap_or(i64::MIN);
        while let Some(&record) = self.delivered.get(&stream).and_then(VecDeque::front) {
            if let Some(why) = record.withdrawn {
                self.withdrawn.remove(record.tally);
                *self.dropped_by(why) += record.tally;
            } else if record.appended_ms < expired_before_ms {
                self.settle(record.position, record.tally);
                *self.dropped_by(Drop::Age) += record.tally;
            } else {
                break;
            }
            self.delivered
                .get_mut(&stream)
                .and_then(VecDeque::pop_front);
            self.note_progress(stream, record.position);
            through = through.max(record.position);
        }
        self.forget_if_empty(stream);
        through
    }

    fn note_progress(&mut self, stream: u16, position: u64) {
        self.progress.acknowledged.insert(stream, position);
        self.progress_changed = true;
    }

    fn forget_if_empty(&mut self, stream: u16) {
        if self.delivered.get(&stream).is_some_and(VecDeque::is_empty) {
            self.delivered.remove(&stream);
        }
    }

    pub(super) fn oldest_ms(&self) -> Option<i64> {
        let in_flight = self.delivered.values().filter_map(VecDeque::front);
        if let Some(oldest_ms) = in_flight.map(|record| record.appended_ms).min() {
            return Some(oldest_ms);
        }
        let segment = self
            .segments
            .iter()
            .find(|segment| segment.queued.records > 0)?;
        if segment.first <= self.read_through {
            // What is queued comes after what was read, which was all acknowledged.
            return Some(segment.oldest_ms.max(self.read_ms));
        }
        Some(segment.oldest_ms)
    }
}

/// Takes the first record if it is not after `position`.
pub(super) fn pop_through(records: &mut VecDeque<Delivered>, position: u64) -> Option<Delivered> {
    let front = records.front()?;
    if front.position > position {
        return None;
    }
    records.pop_front()
}
