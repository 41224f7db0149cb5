//! What one write and one sync commit together, of all queues.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::file::{begin_block, begin_entry, end_entry};
use super::{Part, Waiter};
use crate::queue::format::RecordHeader;
use crate::queue::group::{LARGE_BYTES, empty};
use crate::queue::shared::Shared;
use crate::queue::state::State;

/// Records that are committed together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// A block of the journal, but for the checksums in its header.
    pub buffer: Vec<u8>,
    pub records: Vec<RecordHeader>,
    pub entries: Vec<Entry>,
    pub waiters: Vec<Waiter>,
    /// The shortest wait of what is in it; while it is empty, [`Wait::ForCall`].
    pub wait: Wait,
}

/// How long a batch waits for more: the shorter, the less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// So long from when the thread sees it.
    UpTo(Duration),
    /// Until somebody calls the thread.
    #[default]
    ForCall,
}

/// What one call appended to one queue.
#[derive(Debug)]
pub(super) struct Entry {
    pub queue: Arc<Shared>,
    /// Its records in the batch's buffer.
    pub bytes: Range<usize>,
    /// Their headers in the batch's records.
    pub records: Range<usize>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.waiters.is_empty()
    }

    /// Whether it is large enough to be written without waiting for more.
    pub(super) fn is_large(&self) -> bool {
        self.buffer.len() >= LARGE_BYTES
    }

    /// Adds what one queue appends; its records get their positions.
    pub(super) fn add(&mut self, part: &Part<'_>, queue: &mut State) {
        if self.buffer.is_empty() {
            begin_block(&mut self.buffer);
        }
        let name = &part.queue.name;
        let start = begin_entry(&mut self.buffer, name, part.queue.salt);
        let first = self.records.len();
        for &(mut header, payload) in &part.records {
            header.position = queue.next_position();
            header.encode_to(part.queue.salt, &mut self.buffer);
            self.buffer.extend_from_slice(payload);
            self.records.push(header);
        }
        end_entry(&mut self.buffer, name.len(), start);
        queue.begin_journaling(&self.records[first..]);
        self.entries.push(Entry {
            queue: Arc::clone(part.queue),
            bytes: start..self.buffer.len(),
            records: first..self.records.len(),
        });
    }

    /// What is still in it does not become durable.
    pub(super) fn give_up(&mut self) {
        for entry in self.entries.drain(..) {
            let records = &self.records[entry.records];
            entry.queue.give_up_journaling(records);
        }
    }

    /// Empties it, whose entries are gone, and keeps a reasonable part of its memory for the next.
    pub(super) fn clear(&mut self) {
        empty(&mut self.buffer, &mut self.records);
        self.waiters.clear();
        self.wait = Wait::default();
    }
}
