//! A batch: blocks of one lane that go out as one request.

use tokio::sync::OwnedSemaphorePermit;

use super::encode::Request;
use crate::queue::Position;
use crate::remote_write::block::{Block, Counts};

/// How large a request may be before compression, in bytes, unless one block alone is larger.
const BATCH_BYTES: u64 = 8 * 1024 * 1024;

/// A block in hand, with the room that it takes among what was read ahead.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) block: Block,
    pub(super) position: Position,
    pub(super) appended_ms: i64,
    /// Given back when the block is dropped.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// Blocks collected for one request.
#[derive(Debug, Default)]
pub(super) struct Batch {
    blocks: Vec<Held>,
    counts: Counts,
    is_cut: bool,
}

impl Batch {
    /// Whether `held` can join without going over `max_samples`.
    pub(super) fn has_room_for(&self, held: &Held, max_samples: u64) -> bool {
        let Counts {
            samples, raw_len, ..
        } = held.block.counts;
        self.blocks.is_empty()
            || (self.counts.samples + samples <= max_samples
                && self.counts.raw_len + raw_len <= BATCH_BYTES)
    }

    /// Whether nothing more can join.
    pub(super) fn is_full(&self, max_samples: u64) -> bool {
        self.counts.samples >= max_samples || self.counts.raw_len >= BATCH_BYTES
    }

    /// It goes out because there is no more room in it.
    pub(super) fn cut(&mut self) {
        self.is_cut = true;
    }

    /// Whether more could have gone along.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub(super) fn push(&mut self, held: Held) {
        self.counts.add(held.block.counts);
        self.blocks.push(held);
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// When the oldest block was acknowledged to its sender, in milliseconds since the epoch.
    pub(super) fn oldest_ms(&self) -> Option<i64> {
        self.blocks.first().map(|held| held.appended_ms)
    }

    /// The position of the last block: what is acknowledged once the batch is done.
    pub(super) fn last_position(&self) -> Option<Position> {
        self.blocks.last().map(|held| held.position)
    }

    /// The position of the first block.
    pub(super) fn first_position(&self) -> Option<Position> {
        self.blocks.first().map(|held| held.position)
    }

    /// Leaves out the blocks up to `position`.
    pub(super) fn forget_through(&mut self, position: Position) {
        let blocks = std::mem::take(&mut self.blocks);
        self.counts = Counts::default();
        for held in blocks.into_iter().filter(|held| held.position > position) {
            self.push(held);
        }
    }

    /// The request: neighbours of one form joined.
    pub(super) fn request(&self) -> Request {
        let runs = self
            .blocks
            .chunk_by(|left, right| left.block.form == right.block.form);
        Request {
            runs: runs.map(join).collect(),
            counts: self.counts,
        }
    }
}

/// Several blocks of one form as one: their elements one after the other.
fn join(blocks: &[Held]) -> Block {
    if let [held] = blocks {
        return held.block.clone();
    }
    let mut joined = Block::default();
    let mut elements = Vec::with_capacity(blocks.iter().map(|h| h.block.elements.len()).sum());
    for held in blocks {
        joined.form = held.block.form;
        joined.counts.add(held.block.counts);
        elements.extend_from_slice(&held.block.elements);
    }
    joined.elements = elements.into();
    joined
}
