//! What is known of metric families: type, help and unit. One table for the whole relay.
//!
//! Remote write 1.0 tells metadata apart from the series, family by family, now and then; 2.0 tells
//! it with each series. Both, and the scraper, fill this table, and both are served from it: a
//! route that sends 2.0 asks it for each series that came without metadata, a route that sends 1.0
//! is told from time to time what is known of the families that it keeps ([`Interest`]).
//!
//! The table is bounded, survives reloads, and is read without a lock: it is replaced as a whole
//! when a request says something new, which is rare once a relay has run for a minute.

mod interest;
mod name;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use metrics::{Counter, Gauge};
use tokio::time::Instant;

pub use interest::Interest;
use name::family_of;

use crate::model::METRIC_NAME;
use crate::remote_write::carried::{SeriesMetadata, read_family};
use crate::remote_write::v1::{DecodeError, Series};
use crate::remote_write::wire::{Field, Fields, Value};
use crate::telemetry::Registry;

/// Families at the most: several times what a large cluster exposes.
const FAMILIES: usize = 65_536;
/// What all families may take, in bytes of their texts and their overhead.
const TABLE_BYTES: usize = 16 * 1024 * 1024;
/// What one family may take; a longer text is not remembered.
const FAMILY_BYTES: usize = 64 * 1024;
/// A rough figure of what a family takes beside its texts.
const OVERHEAD_BYTES: usize = 128;
/// A family that nobody has spoken of for so long is not told any more. Senders repeat what they
/// know every minute, or with every sample.
const FORGOTTEN_AFTER_MS: u64 = 60 * 60 * 1000;

/// What is known of one family.
#[derive(Debug)]
pub struct Family {
    name: Arc<str>,
    metric_type: u64,
    help: Box<str>,
    unit: Box<str>,
    /// When somebody last said this, in milliseconds since the table was made.
    said_ms: AtomicU64,
}

/// The table.
#[derive(Debug)]
pub struct Families {
    known: ArcSwap<Known>,
    /// Held while the table is replaced.
    changes: Mutex<()>,
    started: Instant,
    count: Gauge,
    dropped: Dropped,
}

/// Metadata that is not remembered, by reason.
#[derive(Debug)]
struct Dropped {
    full: Counter,
    too_large: Counter,
    invalid: Counter,
}

/// What the table held at one time.
#[derive(Clone, Debug, Default)]
pub struct Known {
    families: HashMap<Arc<str>, Arc<Family>>,
    bytes: usize,
}

/// What one request says that the table does not know. Used again from request to request.
#[derive(Debug, Default)]
pub struct Lessons {
    known: Option<Arc<Known>>,
    now_ms: u64,
    news: Vec<Family>,
    invalid: u64,
    too_large: u64,
}

impl Families {
    /// An empty table.
    #[must_use]
    pub fn new(registry: &Registry) -> Arc<Self> {
        let dropped = |reason| dropped(registry, reason);
        Arc::new(Self {
            known: ArcSwap::default(),
            changes: Mutex::default(),
            started: Instant::now(),
            count: registry.gauge(
                "promrelay_metadata_families",
                "Metric families whose metadata is known.",
                &[],
            ),
            dropped: Dropped {
                full: dropped("full"),
                too_large: dropped("too_large"),
                invalid: dropped("invalid"),
            },
        })
    }

    /// What is known now.
    #[must_use]
    pub fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    /// Takes over what a request said.
    pub fn learn(&self, lessons: &mut Lessons) {
        lessons.known = None;
        self.dropped
            .invalid
            .increment(std::mem::take(&mut lessons.invalid));
        self.dropped
            .too_large
            .increment(std::mem::take(&mut lessons.too_large));
        if lessons.news.is_empty() {
            return;
        }
        let _others_wait = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = Known::clone(&self.known.load());
        for family in lessons.news.drain(..) {
            known.insert(family);
            self.dropped.full.increment(known.make_room());
        }
        self.count.set(known.families.len() as f64);
        self.known.store(Arc::new(known));
    }

    /// The families that `interest` covers and that somebody spoke of lately, by name.
    #[must_use]
    pub fn kept(&self, interest: &Interest) -> Vec<Arc<Family>> {
        self.kept_at(interest, self.now_ms())
    }

    fn kept_at(&self, interest: &Interest, now_ms: u64) -> Vec<Arc<Family>> {
        let oldest_ms = now_ms.saturating_sub(FORGOTTEN_AFTER_MS);
        let known = self.known.load();
        let is_kept = |family: &&Arc<Family>| {
            family.said_ms.load(Ordering::Relaxed) >= oldest_ms && interest.covers(family)
        };
        let mut kept: Vec<_> = known
            .families
            .values()
            .filter(is_kept)
            .map(Arc::clone)
            .collect();
        kept.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        kept
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A counter of metadata that is not remembered.
fn dropped(registry: &Registry, reason: &str) -> Counter {
    registry.counter(
        "promrelay_metadata_dropped_total",
        "Metadata that is not remembered, by reason: full (the table forgot what was said longest \
         ago), too_large, invalid, or route_full (a route keeps more metrics than are noted).",
        &[("reason", reason)],
    )
}

impl Family {
    /// The family's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is known of it.
    #[must_use]
    pub fn metadata(&self) -> SeriesMetadata<'_> {
        SeriesMetadata {
            metric_type: self.metric_type,
            help: self.help.as_bytes(),
            unit: self.unit.as_bytes(),
        }
    }

    fn bytes(&self) -> usize {
        OVERHEAD_BYTES + self.name.len() + self.help.len() + self.unit.len()
    }
}

impl Known {
    /// What is known of the metric of the series named `name`.
    #[must_use]
    pub fn metadata_of(&self, name: &[u8]) -> Option<SeriesMetadata<'_>> {
        let name = str::from_utf8(name).ok()?;
        let family = |name: &str| self.families.get(name).map(|family| &**family);
        let found = family(name).or_else(|| {
            let mut parts = name::SUFFIXES.iter();
            parts.find_map(|(suffix, types)| {
                let found = family(name.strip_suffix(suffix)?)?;
                types.contains(&found.metric_type).then_some(found)
            })
        });
        found.map(Family::metadata)
    }

    fn insert(&mut self, family: Family) {
        self.bytes += family.bytes();
        let replaced = self
            .families
            .insert(Arc::clone(&family.name), Arc::new(family));
        self.bytes -= replaced.map_or(0, |family| family.bytes());
    }

    /// Where there is too much, forgets the quarter that was said longest ago. Answers how many.
    fn make_room(&mut self) -> u64 {
        if self.families.len() <= FAMILIES && self.bytes <= TABLE_BYTES {
            return 0;
        }
        let said_ms = |family: &Arc<Family>| family.said_ms.load(Ordering::Relaxed);
        let mut by_age: Vec<_> = self.families.values().map(Arc::clone).collect();
        by_age.sort_unstable_by_key(said_ms);
        by_age.truncate(by_age.len().div_ceil(4));
        for family in &by_age {
            self.bytes -= family.bytes();
            self.families.remove(&family.name);
        }
        by_age.len() as u64
    }
}

impl Lessons {
    /// Begins with what is known now.
    fn begin(&mut self, known: Arc<Known>, now_ms: u64) {
        (self.known, self.now_ms) = (Some(known), now_ms);
    }

    /// Notes what a request says of a family, if that is new.
    pub fn hear(&mut self, families: &Families, name: &[u8], metadata: SeriesMetadata<'_>) {
        if self.known.is_none() {
            self.begin(families.known(), families.now_ms());
        }
        let texts = (str::from_utf8(metadata.help), str::from_utf8(metadata.unit));
        let (Ok(name), (Ok(help), Ok(unit))) = (str::from_utf8(name), texts) else {
            self.invalid += 1;
            return;
        };
        if name.is_empty() {
            self.invalid += 1;
            return;
        }
        let says_so = |family: &Family| &*family.name == name && family.metadata() == metadata;
        let known = self.known.as_ref();
        let known = known.and_then(|known| known.families.get(name));
        if let Some(family) = known.filter(|family| says_so(family)) {
            family.said_ms.fetch_max(self.now_ms, Ordering::Relaxed);
            return;
        }
        // The series of a family mostly stand together.
        if self.news.last().is_some_and(says_so) {
            return;
        }
        let family = Family {
            name: name.into(),
            metric_type: metadata.metric_type,
            help: help.into(),
            unit: unit.into(),
            said_ms: AtomicU64::new(self.now_ms),
        };
        if family.bytes() > FAMILY_BYTES {
            self.too_large += 1;
        } else {
            self.news.push(family);
        }
    }

    /// Notes what a whole metadata field of a 1.0 request says.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn hear_field(&mut self, families: &Families, field: &[u8]) -> Result<(), DecodeError> {
        let mut fields = Fields::new(field);
        let read = fields.next_field().and_then(|field| match field {
            Some(Field {
                value: Value::Bytes(message),
                ..
            }) => read_family(message),
            _ => Ok((&[][..], SeriesMetadata::default())),
        });
        let (name, metadata) = read.map_err(DecodeError::Request)?;
        self.hear(families, name, metadata);
        Ok(())
    }

    /// Notes what a series in the carried form says of its metric, if it says anything.
    pub fn hear_series(&mut self, families: &Families, series: &Series<'_>) {
        let Some(name) = series.labels.find(METRIC_NAME.as_bytes()) else {
            return;
        };
        if let (Ok(name), Some(metadata)) = (str::from_utf8(name), series.carried_metadata()) {
            let family = family_of(name, metadata.metric_type);
            self.hear(families, family.as_bytes(), metadata);
        }
    }

    /// Forgets what a request said that was refused.
    pub fn clear(&mut self) {
        self.news.clear();
        (self.known, self.invalid, self.too_large) = (None, 0, 0);
    }
}
