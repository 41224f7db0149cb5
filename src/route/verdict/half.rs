//! Half of a verdict table: keys, each with its verdict and with the place of the one that came
//! after it.
//!
//! A sender that keeps the order of its series sends the same keys after each other again and
//! again. So the place of the one that came next the last time is looked at first: nothing has to
//! be hashed, and where that place is does not depend on the series, so the processor need not wait
//! for it. Otherwise, and where a request begins, a key is looked for by its hash. A place is a
//! guess and decides nothing: what stands there is compared. It may be another key, or none, since
//! places change when a half grows.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, Equivalent, HashTable};

use super::VerdictId;
use crate::route::key::{Key, Values};

#[cfg(test)]
mod tests;

/// Roughly what an entry takes beside its key: itself and a byte, in a table that is between 7/16
/// and 7/8 full, and what allocating the key rounds up.
const ENTRY_OVERHEAD_BYTES: usize = 72;
/// A place that no half has.
const NOWHERE: usize = usize::MAX;

/// Keys and their verdicts.
#[derive(Debug, Default)]
pub(super) struct Half {
    entries: HashTable<Entry>,
    /// With a random seed of its own.
    hashes: DefaultHashBuilder,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    id: VerdictId,
    /// Where the key stood that came after this one; [`NOWHERE`] until one has.
    next: usize,
}

/// A key that is in the half.
#[derive(Clone, Copy, Debug)]
pub(in crate::route) struct Known {
    /// Where it stood.
    place: usize,
    /// Its verdict.
    pub(in crate::route) id: VerdictId,
}

impl Half {
    /// Looks for the key of these values, and remembers that it comes after `last`.
    #[inline]
    pub(super) fn find(&mut self, values: &Values<'_>, last: Option<Known>) -> Option<Known> {
        if let Some(last) = last
            && let Some(&Entry { next: place, .. }) = self.entries.get_bucket(last.place)
            && let Some(Entry { key, id, .. }) = self.entries.get_bucket(place)
            && values.equivalent(key)
        {
            return Some(Known { place, id: *id });
        }
        self.find_by_hash(values, last)
    }

    fn find_by_hash(&mut self, values: &Values<'_>, last: Option<Known>) -> Option<Known> {
        let hash = self.hashes.hash_one(values);
        let is_it = |entry: &Entry| values.equivalent(&entry.key);
        let place = self.entries.find_bucket_index(hash, is_it)?;
        let id = self.entries.get_bucket(place)?.id;
        self.note_next(last, place);
        Some(Known { place, id })
    }

    /// Adds a key that is not there and comes after `last`.
    pub(super) fn insert(&mut self, key: Key, id: VerdictId, last: Option<Known>) -> Known {
        self.bytes += entry_bytes(&key);
        let (hash, next) = (self.hashes.hash_one(&key), NOWHERE);
        let hash_of = |entry: &Entry| self.hashes.hash_one(&entry.key);
        let entry = Entry { key, id, next };
        let place = self
            .entries
            .insert_unique(hash, entry, hash_of)
            .bucket_index();
        self.note_next(last, place);
        Known { place, id }
    }

    /// Takes the key of these values out.
    pub(super) fn take(&mut self, values: &Values<'_>) -> Option<(Key, VerdictId)> {
        let hash = self.hashes.hash_one(values);
        let is_it = |entry: &Entry| values.equivalent(&entry.key);
        let (Entry { key, id, .. }, _) = self.entries.find_entry(hash, is_it).ok()?.remove();
        self.bytes -= entry_bytes(&key);
        Some((key, id))
    }

    /// Keys that are there.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What they take, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The hash of a key.
    #[cfg(test)]
    pub(super) fn hash_of(&self, key: &Key) -> u64 {
        self.hashes.hash_one(key)
    }

    /// If the table has grown since, `last` may be another key: one guess will be wrong.
    #[inline]
    fn note_next(&mut self, last: Option<Known>, next: usize) {
        if let Some(last) = last.and_then(|last| self.entries.get_bucket_mut(last.place)) {
            last.next = next;
        }
    }
}

/// What the entry of `key` takes, roughly.
pub(super) fn entry_bytes(key: &Key) -> usize {
    key.len() + ENTRY_OVERHEAD_BYTES
}
