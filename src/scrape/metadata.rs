//! What targets say of their metric families: type, help and unit.
//!
//! Thousands of targets say the same, so each text is kept once, in the [`Book`], and targets hold
//! on to it. The book also knows when a family was last written to the routes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use prost::Message as _;
use tokio::time::Instant;

use super::hashes::hasher;
use crate::exposition::MetricType;
use crate::remote_write::generated::prometheus::MetricMetadata;
use crate::remote_write::generated::prometheus::metric_metadata::MetricType as WireType;
use crate::remote_write::v1::METADATA;
use crate::remote_write::wire::put_bytes_header;

/// How often a family is written, as long as a target says the same of it.
pub(super) const INTERVAL: Duration = Duration::from_mins(1);
/// Below so many families nothing is looked for that nobody holds any more.
const SPARE_FAMILIES: usize = 1024;

/// What is known of a metric family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Family {
    /// The family's name.
    pub metric: String,
    /// Its type.
    pub metric_type: MetricType,
    /// What it means; often empty.
    pub help: String,
    /// Its unit; mostly empty.
    pub unit: String,
}

/// What one target says of its metrics.
pub(super) type Families = Arc<[Arc<Family>]>;

/// All families of all targets, each text once.
#[derive(Debug, Default)]
pub(super) struct Book {
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    by_hash: HashMap<u64, Page>,
    /// Families after the last look for those that nobody holds.
    kept: usize,
}

#[derive(Debug)]
struct Page {
    family: Arc<Family>,
    written: Option<Instant>,
}

/// Whether a family should be written to the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Now,
    Later,
}

impl Family {
    /// Begins with another family and keeps the memory of this one.
    pub(super) fn restart(&mut self, metric: &str) {
        metric.clone_into(&mut self.metric);
        self.metric_type = MetricType::Unknown;
        self.help.clear();
        self.unit.clear();
    }

    /// Appends the family as a field of a 1.0 request.
    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
        let metric_type = match self.metric_type {
            MetricType::Counter => WireType::Counter,
            MetricType::Gauge => WireType::Gauge,
            MetricType::Histogram => WireType::Histogram,
            MetricType::GaugeHistogram => WireType::Gaugehistogram,
            MetricType::Summary => WireType::Summary,
            MetricType::Info => WireType::Info,
            MetricType::Stateset => WireType::Stateset,
            MetricType::Unknown => WireType::Unknown,
        };
        let message = MetricMetadata {
            r#type: metric_type.into(),
            metric_family_name: self.metric.clone(),
            help: self.help.clone(),
            unit: self.unit.clone(),
        };
        put_bytes_header(buffer, METADATA, message.encoded_len());
        message.encode_raw(buffer);
    }

    /// With a seed: what one target says must not be taken for what another says.
    pub(super) fn hash(&self) -> u64 {
        let mut hash = hasher();
        for text in [
            self.metric_type.as_str(),
            &self.metric,
            &self.help,
            &self.unit,
        ] {
            hash.update(text.as_bytes());
            hash.update(&[0xff]);
        }
        hash.digest()
    }
}

impl Book {
    /// The family as the book has it, and whether it is time to write it.
    pub(super) fn enter(&self, family: &Family, now: Instant) -> (Arc<Family>, Due) {
        let mut pages = self.lock();
        pages.forget_unheld();
        let page = pages.by_hash.entry(family.hash()).or_insert_with(|| Page {
            family: Arc::new(family.clone()),
            written: None,
        });
        let recent = page.written.is_some_and(|written| now < written + INTERVAL);
        let due = if recent { Due::Later } else { Due::Now };
        (Arc::clone(&page.family), due)
    }

    /// Notes that families were written.
    pub(super) fn written<'f>(&self, families: impl Iterator<Item = &'f Family>, now: Instant) {
        let mut pages = self.lock();
        for family in families {
            if let Some(page) = pages.by_hash.get_mut(&family.hash()) {
                page.written = Some(now);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// Once in a while, when there are twice as many families as after the last time.
    fn forget_unheld(&mut self) {
        if self.by_hash.len() > 2 * self.kept + SPARE_FAMILIES {
            self.by_hash
                .retain(|_, page| Arc::strong_count(&page.family) > 1);
            self.kept = self.by_hash.len();
        }
    }
}
