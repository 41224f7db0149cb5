//! What was sent last of the series whose targets say more than a value: a time, or an exemplar.
//!
//! Prometheus' storage refuses a sample that is older than the last one of its series, and another
//! one of the same time; and it takes an exemplar that stands in a body again and again only once.
//! Receivers rely on both. A series whose target gives its samples times costs about a hundred
//! bytes here; one whose samples have the times of their scrapes, and no exemplars, nothing.

use hashbrown::{HashMap, HashSet};

use super::cache::Told;
use super::hashes::hasher;
use crate::exposition::Exemplar;

/// The latest of each series, by the hash of its labels.
#[derive(Debug, Default)]
pub(super) struct History {
    samples: HashMap<u64, Latest<Point>>,
    /// Hashes of the exemplars that stood beside a sample.
    exemplars: HashMap<u64, Latest<Vec<u64>>>,
}

/// A sample that was taken.
#[derive(Clone, Copy, Debug)]
struct Point {
    time_ms: i64,
    /// Two values are the same if this is.
    value: u64,
}

#[derive(Debug)]
struct Latest<T> {
    /// Up to the last scrape; `None` if there was none before this one.
    before: Option<T>,
    /// With this scrape.
    now: Option<T>,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self {
            before: None,
            now: None,
        }
    }
}

impl History {
    /// Whether a sample of the series may be taken after those before it: then it is the last one.
    /// `value` makes a number of its value that no other one has. `is_own` says whether the target
    /// gave it its time.
    #[inline]
    pub(super) fn takes(
        &mut self,
        series: u64,
        time_ms: i64,
        is_own: bool,
        value: impl FnOnce() -> u64,
    ) -> bool {
        if !is_own && self.samples.is_empty() {
            return true;
        }
        let latest = if is_own {
            self.samples.entry(series).or_default()
        } else if let Some(latest) = self.samples.get_mut(&series) {
            latest
        } else {
            return true;
        };
        let value = value();
        let is_late = |last: Point| {
            time_ms < last.time_ms || (time_ms == last.time_ms && value != last.value)
        };
        if latest.now.is_some_and(is_late) {
            return false;
        }
        latest.now = Some(Point { time_ms, value });
        true
    }

    /// Whether the end of the series would come too late, being told at this time.
    pub(super) fn has_gone_beyond(&self, series: u64, time_ms: i64) -> bool {
        let latest = self.samples.get(&series).and_then(|latest| latest.now);
        latest.is_some_and(|last| time_ms <= last.time_ms)
    }

    /// Those of a sample's exemplars that did not stand beside the series' last one that had any.
    pub(super) fn news<'e>(
        &mut self,
        series: u64,
        exemplars: &'e [Exemplar<'e>],
    ) -> Vec<&'e Exemplar<'e>> {
        if exemplars.is_empty() {
            return Vec::new();
        }
        let latest = self.exemplars.entry(series).or_default();
        let known = latest.now.take().unwrap_or_default();
        let hashes: Vec<_> = exemplars.iter().map(hash_exemplar).collect();
        let pairs = exemplars.iter().zip(&hashes);
        let news = pairs.filter(|(_, hash)| !known.contains(hash));
        let news = news.map(|(exemplar, _)| exemplar).collect();
        latest.now = Some(hashes);
        news
    }

    /// Forgets what this scrape brought.
    pub(super) fn fail(&mut self) {
        for latest in self.samples.values_mut() {
            latest.now = latest.before;
        }
        for latest in self.exemplars.values_mut() {
            latest.now.clone_from(&latest.before);
        }
    }

    /// Ends a scrape; exemplars that may not have reached the queues come again with the next.
    pub(super) fn settle(&mut self, told: Told) {
        for latest in self.samples.values_mut() {
            latest.before = latest.now;
        }
        for Latest { before, now } in self.exemplars.values_mut() {
            match told {
                Told::Yes => before.clone_from(now),
                Told::No => now.clone_from(before),
            }
        }
    }

    /// Forgets all series but these.
    pub(super) fn keep(&mut self, series: impl Iterator<Item = u64>) {
        if self.samples.is_empty() && self.exemplars.is_empty() {
            return;
        }
        let series: HashSet<u64> = series.collect();
        self.samples.retain(|hash, _| series.contains(hash));
        self.exemplars.retain(|hash, _| series.contains(hash));
    }
}

/// Of all that makes it another exemplar. One without a time is the same in every scrape.
fn hash_exemplar(exemplar: &Exemplar<'_>) -> u64 {
    let mut hasher = hasher();
    for label in exemplar.labels() {
        for text in [label.name, label.value] {
            hasher.update(&text.len().to_le_bytes());
            hasher.update(text.as_bytes());
        }
    }
    hasher.update(&exemplar.value.to_bits().to_le_bytes());
    if let Some(timestamp_ms) = exemplar.timestamp_ms {
        hasher.update(&timestamp_ms.to_le_bytes());
    }
    hasher.digest()
}
