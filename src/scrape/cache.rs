//! What is remembered of a target's series from scrape to scrape.
//!
//! Two questions are answered here: which labels does a series get that the target spells like
//! this (so that relabelling is done once per series, not once per scrape), and which series has
//! the target stopped exposing (so that receivers hear of it).
//!
//! A series costs an entry of 48 bytes and its labels as remote write encodes them, which the
//! marker of its end needs (about 200 bytes for the usual ten labels). Its spelling is kept as a
//! hash of 128 bits: two spellings of one target with the same hash would be one series.

use hashbrown::{HashMap, HashSet};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// How many more entries than at the last success are kept while scrapes fail.
const SPARE_ENTRIES: usize = 1000;

/// What a sample is, and so what the marker of its series' end looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Histogram,
    FloatHistogram,
}

/// A series that ended: its encoded labels, and what its samples were.
pub(super) type Ended<'c> = (&'c [u8], Kind);

/// The series of one target.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<u128, Entry>,
    /// Series of a predecessor, by the hash of their labels: whatever of them the next scrape
    /// does not have has ended.
    inherited: HashMap<u64, (Box<[u8]>, Kind)>,
    /// Counts scrapes, from 1.
    scrape: u32,
    /// Entries after the last scrape that succeeded.
    entries_at_success: usize,
    /// Hashes of the labels of the current scrape's series that end when they are not there.
    tracked: HashSet<u64>,
    /// What came of the last scrape, until the next one begins.
    closed: Option<(Success, Told)>,
    /// Whether the target's own series (`up` and the like) were written.
    pub(super) is_reported: bool,
}

#[derive(Debug)]
struct Entry {
    /// `None` if relabelling drops the series.
    labels: Option<Box<[u8]>>,
    labels_hash: u64,
    last_scrape: u32,
    /// Whether the series was there at the last scrape, so that its end has to be told.
    was_there: bool,
    is_there: bool,
    kind: Kind,
}

/// What the cache knows of a spelling.
#[derive(Debug)]
pub(super) enum Known {
    /// Nothing yet.
    New,
    /// Relabelling drops the series.
    Dropped,
    /// It is a series; see [`Cache::labels`].
    Series { hash: u64, occurrence: Occurrence },
}

/// Whether this scrape had a spelling before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occurrence {
    First,
    Again,
}

/// A spelling of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spelling(u128);

impl Spelling {
    pub(super) fn of(exposed: &[u8]) -> Self {
        Self(xxh3_128(exposed))
    }
}

impl Cache {
    /// A cache that goes on where `predecessor`'s target ended, with other rules or another URL.
    pub(super) fn inherit(predecessor: Self) -> Self {
        let mut predecessor = predecessor;
        predecessor.settle();
        let mut inherited = predecessor.inherited;
        let entries = predecessor.entries.into_values();
        for entry in entries.filter(|entry| entry.was_there) {
            if let Some(labels) = entry.labels {
                inherited.insert(entry.labels_hash, (labels, entry.kind));
            }
        }
        Self {
            inherited,
            is_reported: predecessor.is_reported,
            ..Self::default()
        }
    }

    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        self.settle();
        self.scrape = self.scrape.wrapping_add(1);
        self.tracked.clear();
    }

    /// What is known of a spelling, which occurs in this scrape.
    pub(super) fn look_up(&mut self, spelling: Spelling) -> Known {
        let Some(entry) = self.entries.get_mut(&spelling.0) else {
            return Known::New;
        };
        let before = std::mem::replace(&mut entry.last_scrape, self.scrape);
        if entry.labels.is_none() {
            return Known::Dropped;
        }
        let occurrence = if before == self.scrape {
            Occurrence::Again
        } else {
            Occurrence::First
        };
        Known::Series {
            hash: entry.labels_hash,
            occurrence,
        }
    }

    /// The encoded labels of a series.
    pub(super) fn labels(&self, spelling: Spelling) -> Option<&[u8]> {
        self.entries.get(&spelling.0)?.labels.as_deref()
    }

    /// Remembers that relabelling drops the series.
    pub(super) fn add_dropped(&mut self, spelling: Spelling) {
        self.add(spelling, None, 0);
    }

    /// Remembers the encoded labels of a series.
    pub(super) fn add_series(&mut self, spelling: Spelling, labels: &[u8], labels_hash: u64) {
        self.add(spelling, Some(labels.into()), labels_hash);
    }

    fn add(&mut self, spelling: Spelling, labels: Option<Box<[u8]>>, labels_hash: u64) {
        let entry = Entry {
            labels,
            labels_hash,
            last_scrape: self.scrape,
            was_there: false,
            is_there: false,
            kind: Kind::Float,
        };
        self.entries.insert(spelling.0, entry);
    }

    /// Notes that a series has a sample in this scrape and that its end is to be told.
    pub(super) fn track(&mut self, spelling: Spelling, kind: Kind) {
        if let Some(entry) = self.entries.get_mut(&spelling.0) {
            entry.is_there = true;
            entry.kind = kind;
            self.tracked.insert(entry.labels_hash);
        }
    }

    /// Whether a series with these labels has a sample in this scrape whose end is to be told.
    pub(super) fn is_tracked(&self, labels_hash: u64) -> bool {
        self.tracked.contains(&labels_hash)
    }

    /// The series that the last scrape had and this one does not, each once.
    pub(super) fn ended(&self) -> Vec<Ended<'_>> {
        let mut told = HashSet::new();
        let mut is_news = |hash: u64| !self.tracked.contains(&hash) && told.insert(hash);
        let own = self.entries.values().filter_map(|entry| {
            let labels = entry.labels.as_deref().filter(|_| entry.was_there)?;
            Some((entry.labels_hash, labels, entry.kind))
        });
        let inherited = self.inherited.iter();
        let inherited = inherited.map(|(&hash, (labels, kind))| (hash, &**labels, *kind));
        own.chain(inherited)
            .filter(|&(hash, ..)| is_news(hash))
            .map(|(_, labels, kind)| (labels, kind))
            .collect()
    }

    /// Forgets what this scrape brought: it failed, and none of its samples is kept.
    pub(super) fn fail(&mut self) {
        self.tracked.clear();
        for entry in self.entries.values_mut() {
            entry.is_there = false;
        }
    }

    /// Ends a scrape; the next one is compared with it. `told` says whether the ends of series
    /// reached the queues: if not they are told once more after the next scrape.
    pub(super) fn close(&mut self, success: Success, told: Told) {
        self.closed = Some((success, told));
    }

    /// Makes the scrape that was closed the last one. Takes time in proportion to the series, so
    /// it is put off until the next scrape is worked on, away from the reactor.
    fn settle(&mut self) {
        let Some((success, told)) = self.closed.take() else {
            return;
        };
        let scrape = self.scrape;
        let spare = self.entries_at_success * 2 + SPARE_ENTRIES;
        let flush = success == Success::Yes || self.entries.len() > spare;
        let tracked = &self.tracked;
        let owed = |entry: &Entry| {
            told == Told::No && entry.was_there && !tracked.contains(&entry.labels_hash)
        };
        self.entries.retain(|_, entry| {
            let owed = owed(entry);
            entry.was_there = entry.is_there || owed;
            entry.is_there = false;
            !flush || entry.last_scrape == scrape || entry.was_there
        });
        match told {
            Told::Yes => self.inherited = HashMap::new(),
            Told::No => self.inherited.retain(|hash, _| !tracked.contains(hash)),
        }
        if flush {
            self.entries_at_success = self.entries.len();
            self.shrink();
        }
        self.tracked = HashSet::new();
    }

    fn shrink(&mut self) {
        if self.entries.capacity() > 4 * self.entries.len() + SPARE_ENTRIES {
            self.entries.shrink_to_fit();
        }
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

/// The hash by which the labels of a series are known.
pub(super) fn hash_labels(encoded: &[u8]) -> u64 {
    xxh3_64(encoded)
}
