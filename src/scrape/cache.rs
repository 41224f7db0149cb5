//! What is remembered of a target's series from scrape to scrape.
//!
//! Two questions are answered here: which labels does a series get that the target spells like
//! this (so that relabelling is done once per series, not once per scrape), and which series has
//! the target stopped exposing (so that receivers hear of it).
//!
//! Targets expose their series in the same order from scrape to scrape. So series are kept in that
//! order, and the one that follows is looked at first; only a scrape that strays from it has an
//! index, which goes with it.
//!
//! A series costs 32 bytes and its own labels, packed (see [`Blocks`]), which the marker of its end
//! needs. Its spelling is kept as a hash of 128 bits: two spellings of one target with the same
//! hash would be one series.

mod index;

use std::borrow::Cow;

use hashbrown::{HashMap, HashSet};

use self::index::{Index, keep_common, sort};
use super::blocks::{Block, Blocks, Encoded};
use super::encode::Kind;
use super::families::Said;
use super::hashes::Spelling;
use super::history::History;

/// How many more entries than at the last success are kept while scrapes fail.
const SPARE_ENTRIES: usize = 1000;

/// Up to so many entries a scrape is settled where it is closed: a tenth of a millisecond.
const SETTLED_AT_ONCE: usize = 5000;

/// A series that ended: its encoded labels, and what its samples were.
pub(super) type Ended<'c> = (Cow<'c, [u8]>, Kind);

/// The series of one target.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// In the order of the last body.
    entries: Vec<Entry>,
    /// Where the next series of the body is looked for first.
    next: usize,
    /// Of a scrape that strays from the order.
    index: Option<Index>,
    blocks: Blocks,
    /// Labels that several spellings have, by their hash, and whether one of these is tracked in
    /// the current scrape.
    common: HashMap<u64, bool>,
    /// Series of a predecessor, by the hash of their labels: whatever of them the next scrape
    /// does not have has ended.
    inherited: HashMap<u64, (Box<[u8]>, Kind)>,
    /// Entries after the last scrape that succeeded.
    entries_at_success: usize,
    /// What came of the last scrape, until the next one begins.
    closed: Option<(Success, Told)>,
    /// How large the last request was.
    pub(super) request_bytes: usize,
    /// Whether the target's own series (`up` and the like) were written.
    pub(super) is_reported: bool,
    /// What was sent last of some of the series.
    pub(super) history: History,
    /// What the target said of its metrics in the last scrape that succeeded.
    pub(super) said: Said,
}

#[derive(Debug)]
struct Entry {
    spelling: u128,
    labels_hash: u64,
    /// `None` if relabelling drops the series.
    labels: Option<Block>,
    /// Whether this scrape had the spelling.
    is_seen: bool,
    /// Whether the series was there at the last scrape, so that its end has to be told.
    was_there: bool,
    is_there: bool,
    kind: Kind,
}

/// What the cache knows of a spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing yet.
    New,
    /// Relabelling drops the series.
    Dropped,
    /// It is a series.
    Series(Slot, Occurrence),
}

/// Where a series is, until the scrape is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// Whether this scrape had a series before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occurrence {
    First,
    Again,
}

impl Cache {
    /// An empty cache, for a target with these labels.
    pub(super) fn new(labels: &[(String, String)]) -> Self {
        Self {
            blocks: Blocks::new(labels),
            ..Self::default()
        }
    }

    /// A cache that goes on where `predecessor`'s target ended, with other rules or another URL.
    pub(super) fn inherit(mut predecessor: Self, labels: &[(String, String)]) -> Self {
        predecessor.settle();
        let mut inherited = predecessor.inherited;
        let entries = predecessor.entries.iter().filter(|entry| entry.was_there);
        for entry in entries {
            if let Some(block) = entry.labels {
                let mut labels = Vec::new();
                predecessor.blocks.get(block).write(&mut labels);
                inherited.insert(entry.labels_hash, (labels.into(), entry.kind));
            }
        }
        Self {
            inherited,
            history: predecessor.history,
            is_reported: predecessor.is_reported,
            ..Self::new(labels)
        }
    }

    /// How many spellings are remembered.
    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.inherited.len()
    }

    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        self.settle();
        self.next = 0;
    }

    /// What is known of a spelling, which occurs in this scrape.
    pub(super) fn look_up(&mut self, spelling: Spelling) -> Known {
        let Some(at) = self.find(spelling) else {
            return Known::New;
        };
        let entry = &mut self.entries[at];
        let mut is_again = std::mem::replace(&mut entry.is_seen, true);
        if !is_again && let Some(index) = &mut self.index {
            index.order.push(at);
        }
        if entry.labels.is_none() {
            return Known::Dropped;
        }
        is_again |= self.common.get(&entry.labels_hash) == Some(&true);
        Known::Series(Slot(at), Occurrence::of(is_again))
    }

    fn find(&mut self, spelling: Spelling) -> Option<usize> {
        let expected = self.entries.get(self.next);
        let at = if expected.is_some_and(|entry| entry.spelling == spelling.0) {
            self.next
        } else {
            *self.index().by_spelling.get(&spelling.0)?
        };
        self.next = at + 1;
        Some(at)
    }

    /// Whether this scrape did not come in the order of the last one.
    #[cfg(test)]
    pub(super) fn strays(&self) -> bool {
        self.index.is_some()
    }

    fn index(&mut self) -> &mut Index {
        let entries = &self.entries;
        let in_order = self.next;
        self.index
            .get_or_insert_with(|| Index::new(entries, in_order))
    }

    /// The encoded labels of a series.
    pub(super) fn labels(&self, Slot(at): Slot) -> Encoded<'_> {
        let labels = self.entries.get(at).and_then(|entry| entry.labels);
        labels.map_or(Encoded::Plain(&[]), |block| self.blocks.get(block))
    }

    /// The hash by which the labels of a series are known.
    pub(super) fn labels_hash(&self, Slot(at): Slot) -> u64 {
        self.entries.get(at).map_or(0, |entry| entry.labels_hash)
    }

    /// Whether a series with these labels has a sample in this scrape whose end is to be told.
    /// They are those of a spelling that was just found to be new.
    pub(super) fn occurrence(&self, labels_hash: u64) -> Occurrence {
        let at = self.index.as_ref();
        let at = at.and_then(|index| index.by_labels.get(&labels_hash));
        let is_there = at.is_some_and(|&at| self.entries[at].is_there);
        Occurrence::of(is_there || self.common.get(&labels_hash) == Some(&true))
    }

    /// Remembers that relabelling drops the series.
    pub(super) fn add_dropped(&mut self, spelling: Spelling) {
        self.add(spelling, None, 0);
    }

    /// Remembers the encoded labels of a series. `None` if there is no more room for them.
    pub(super) fn add_series(
        &mut self,
        spelling: Spelling,
        labels: &[u8],
        labels_hash: u64,
    ) -> Option<Slot> {
        let block = self.blocks.add(labels)?;
        let slot = self.add(spelling, Some(block), labels_hash);
        let index = self.index();
        let first = *index.by_labels.entry(labels_hash).or_insert(slot.0);
        if first != slot.0 {
            let is_there = self.entries[first].is_there;
            self.common.entry(labels_hash).or_insert(is_there);
        }
        Some(slot)
    }

    fn add(
        &mut self,
        Spelling(spelling): Spelling,
        labels: Option<Block>,
        labels_hash: u64,
    ) -> Slot {
        let at = self.entries.len();
        let index = self.index();
        index.by_spelling.insert(spelling, at);
        index.order.push(at);
        self.entries.push(Entry {
            spelling,
            labels_hash,
            labels,
            is_seen: true,
            was_there: false,
            is_there: false,
            kind: Kind::Float,
        });
        Slot(at)
    }

    /// Notes that a series has a sample in this scrape and that its end is to be told.
    pub(super) fn track(&mut self, Slot(at): Slot, kind: Kind) {
        let Some(entry) = self.entries.get_mut(at) else {
            return;
        };
        entry.is_there = true;
        entry.kind = kind;
        if !self.common.is_empty()
            && let Some(is_tracked) = self.common.get_mut(&entry.labels_hash)
        {
            *is_tracked = true;
        }
    }

    /// The series that the last scrape had and this one does not, each once; but those that have a
    /// sample of a later time than this.
    pub(super) fn ended(&self, time_ms: i64) -> Vec<Ended<'_>> {
        let mut told = HashSet::new();
        let mut ended = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.was_there) {
            let hash = entry.labels_hash;
            let may_be_told = !self.common.is_empty() || !self.inherited.is_empty();
            let goes_on = self.is_tracked(entry) || self.history.has_gone_beyond(hash, time_ms);
            if goes_on || (may_be_told && !told.insert(hash)) {
                continue;
            }
            if let Some(block) = entry.labels {
                let mut labels = Vec::new();
                self.blocks.get(block).write(&mut labels);
                ended.push((Cow::Owned(labels), entry.kind));
            }
        }
        let tracked = self.tracked_among_inherited();
        for (hash, (labels, kind)) in &self.inherited {
            let goes_on = tracked.contains(hash) || self.history.has_gone_beyond(*hash, time_ms);
            if !goes_on && told.insert(*hash) {
                ended.push((Cow::Borrowed(&**labels), *kind));
            }
        }
        ended
    }

    /// Whether the series, by whatever spelling, is tracked in this scrape.
    fn is_tracked(&self, entry: &Entry) -> bool {
        entry.is_there || self.common.get(&entry.labels_hash) == Some(&true)
    }

    /// Hashes of the labels of the series that are tracked and were a predecessor's.
    fn tracked_among_inherited(&self) -> HashSet<u64> {
        if self.inherited.is_empty() {
            return HashSet::new();
        }
        let tracked = self.entries.iter().filter(|entry| entry.is_there);
        let hashes = tracked.map(|entry| entry.labels_hash);
        hashes
            .filter(|hash| self.inherited.contains_key(hash))
            .collect()
    }

    /// Forgets what this scrape brought: it failed, and none of its samples is kept.
    pub(super) fn fail(&mut self) {
        for entry in &mut self.entries {
            entry.is_there = false;
        }
        for is_tracked in self.common.values_mut() {
            *is_tracked = false;
        }
        self.history.fail();
    }

    /// Ends a scrape; the next one is compared with it. `told` says whether the ends of series
    /// reached the queues: if not they are told once more after the next scrape.
    pub(super) fn close(&mut self, success: Success, told: Told) {
        self.closed = Some((success, told));
        if self.entries.len() <= SETTLED_AT_ONCE {
            self.settle();
        }
    }

    /// Makes the scrape that was closed the last one. Takes time in proportion to the series, so
    /// with many it is put off until the next scrape is worked on, away from the reactor.
    fn settle(&mut self) {
        let Some((success, told)) = self.closed.take() else {
            return;
        };
        match told {
            Told::Yes => self.inherited = HashMap::new(),
            Told::No => {
                let tracked = self.tracked_among_inherited();
                self.inherited.retain(|hash, _| !tracked.contains(hash));
            }
        }
        let spare = self.entries_at_success * 2 + SPARE_ENTRIES;
        let flush = success == Success::Yes || self.entries.len() > spare;
        let common = std::mem::take(&mut self.common);
        let is_common = |entry: &Entry| common.get(&entry.labels_hash) == Some(&true);
        let before = self.entries.len();
        if let Some(index) = self.index.take() {
            sort(&mut self.entries, &index.order);
        }
        self.entries.retain_mut(|entry| {
            let is_owed = told == Told::No && entry.was_there && !is_common(entry);
            entry.was_there = entry.is_there || is_owed;
            entry.is_there = false;
            let is_seen = std::mem::take(&mut entry.is_seen);
            !flush || is_seen || entry.was_there
        });
        self.history.settle(told);
        if flush {
            self.entries_at_success = self.entries.len();
        }
        self.give_back(before, common);
    }

    /// Gives back the memory of entries that are gone, and what others took to grow.
    fn give_back(&mut self, before: usize, mut common: HashMap<u64, bool>) {
        let count = self.entries.len();
        if count < before {
            let labels = self.entries.iter_mut();
            self.blocks
                .compact(labels.filter_map(|entry| entry.labels.as_mut()));
            let hashes = self.entries.iter().map(|entry| entry.labels_hash);
            self.history.keep(hashes);
        }
        if self.entries.capacity() > count + count / 8 {
            self.entries.shrink_to_fit();
        }
        self.blocks.shrink();
        keep_common(&mut common, &self.entries);
        self.common = common;
    }
}

impl Occurrence {
    fn of(is_again: bool) -> Self {
        if is_again { Self::Again } else { Self::First }
    }
}

/// Whether a scrape succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Success {
    Yes,
    No,
}

/// Whether the ends of series reached the queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Yes,
    No,
}
