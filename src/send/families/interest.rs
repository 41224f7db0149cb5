//! Which families a route keeps: those of which it was seen to keep a series.

use std::sync::{Mutex, PoisonError};

use hashbrown::HashSet;
use metrics::Counter;

use super::{Family, dropped, name};
use crate::relabel::Rules;
use crate::telemetry::Registry;

/// Names of metrics that are noted for one route at the most.
pub(super) const NAMES: usize = 65_536;
/// What they may take, in bytes.
const NAMES_BYTES: usize = 8 * 1024 * 1024;

/// The metrics that a route keeps, by name. It lives as long as the route's rules do.
#[derive(Debug)]
pub struct Interest {
    noted: Option<Mutex<Noted>>,
    /// `None` where it does not matter.
    full: Option<Counter>,
}

#[derive(Debug, Default)]
struct Noted {
    names: HashSet<Box<str>>,
    bytes: usize,
}

impl Interest {
    /// Of a route with these rules, which has kept nothing yet.
    #[must_use]
    pub fn new(rules: &Rules, registry: &Registry) -> Self {
        if rules.filters() {
            Self::noted(registry)
        } else {
            Self::everything()
        }
    }

    /// Of a route that keeps every family: its rules drop nothing.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            noted: None,
            full: None,
        }
    }

    /// Of a route that keeps none.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            noted: Some(Mutex::default()),
            full: None,
        }
    }

    /// Of a route that keeps those families of which a series is noted.
    #[must_use]
    pub fn noted(registry: &Registry) -> Self {
        Self {
            noted: Some(Mutex::default()),
            full: Some(dropped(registry, "route_full")),
        }
    }

    /// Whether it matters which metrics are kept.
    #[must_use]
    pub fn takes_notes(&self) -> bool {
        self.noted.is_some()
    }

    /// Notes that a series of this name was kept. Takes a lock.
    pub fn note(&self, name: &str) {
        let Some(noted) = &self.noted else { return };
        let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.names.contains(name) {
            return;
        }
        if noted.names.len() >= NAMES || noted.bytes + name.len() > NAMES_BYTES {
            self.full.iter().for_each(|full| full.increment(1));
            return;
        }
        noted.bytes += name.len();
        noted.names.insert(name.into());
    }

    /// Whether a series of this family is kept.
    pub(super) fn covers(&self, family: &Family) -> bool {
        let Some(noted) = &self.noted else {
            return true;
        };
        let noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        name::any_series(&family.name, family.metric_type, |name| {
            noted.names.contains(name)
        })
    }
}
