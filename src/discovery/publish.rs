//! Where providers put their target groups, and how the list of all of them gets out.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::TargetGroup;
use super::metrics::MechanismMetrics;
use crate::telemetry::{Registry, causes};

/// The least time between two lists: whoever reads them starts and stops targets each time.
const BETWEEN_LISTS: Duration = Duration::from_millis(500);

type Groups = Arc<Vec<Arc<TargetGroup>>>;

/// The target groups of a job.
pub(super) struct Board {
    job: Arc<str>,
    registry: Registry,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// By provider and source.
    groups: BTreeMap<(usize, String), Arc<TargetGroup>>,
    /// The mechanism of each provider.
    mechanisms: Vec<Arc<Mechanism>>,
}

struct Mechanism {
    name: &'static str,
    metrics: MechanismMetrics,
}

impl Board {
    pub(super) fn new(job: &str, registry: &Registry) -> Self {
        Self {
            job: job.into(),
            registry: registry.clone(),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// A place for one more provider of the mechanism `name`.
    pub(super) fn provider(self: &Arc<Self>, name: &'static str) -> Provider {
        let mut state = self.lock();
        let known = state.mechanisms.iter().find(|known| known.name == name);
        let mechanism = known.cloned().unwrap_or_else(|| {
            let metrics = MechanismMetrics::new(&self.registry, &self.job, name);
            Arc::new(Mechanism { name, metrics })
        });
        state.mechanisms.push(Arc::clone(&mechanism));
        Provider {
            id: state.mechanisms.len() - 1,
            board: Arc::clone(self),
            mechanism,
        }
    }

    /// Publishes the list whenever it changed; never returns.
    pub(super) async fn publish(&self, sender: &watch::Sender<Groups>) {
        loop {
            self.changed.notified().await;
            let groups = self.groups();
            if **sender.borrow() != *groups {
                sender.send_replace(groups);
            }
            sleep_until(Instant::now() + BETWEEN_LISTS).await;
        }
    }

    /// The list as it is, and its length in the metrics.
    pub(super) fn groups(&self) -> Groups {
        let state = self.lock();
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for ((provider, _), group) in &state.groups {
            *counts.entry(*provider).or_default() += group.targets.len();
        }
        let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
        for (provider, mechanism) in state.mechanisms.iter().enumerate() {
            let total = totals.entry(mechanism.name).or_default();
            *total += counts.get(&provider).copied().unwrap_or_default();
            mechanism.metrics.targets.set(*total as f64);
        }
        Arc::new(state.groups.values().map(Arc::clone).collect())
    }

    /// No targets are known any more, by whatever mechanism.
    pub(super) fn forget_counts(&self) {
        for mechanism in &self.lock().mechanisms {
            mechanism.metrics.targets.set(0.0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Board")
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

/// One provider's hand on the board.
pub(super) struct Provider {
    board: Arc<Board>,
    id: usize,
    mechanism: Arc<Mechanism>,
}

impl Provider {
    /// Puts these groups in the place of all that this provider had, at once.
    pub(super) fn replace(&self, groups: Vec<TargetGroup>) {
        let sources: BTreeSet<String> = groups.iter().map(|group| group.source.clone()).collect();
        let mut state = self.board.lock();
        let range = state
            .groups
            .range((self.id, String::new())..(self.id + 1, String::new()));
        let known = range.map(|((_, source), _)| source);
        let gone: Vec<String> = known
            .filter(|key| !sources.contains(*key))
            .cloned()
            .collect();
        let mut changes = 0;
        for group in groups {
            changes += u64::from(self.put_in(&mut state, group));
        }
        for source in gone {
            changes += u64::from(state.groups.remove(&(self.id, source)).is_some());
        }
        drop(state);
        self.changed(changes);
        self.succeeded();
    }

    /// Puts a group in the place of the one from the same source.
    pub(super) fn put(&self, group: TargetGroup) {
        let changed = self.put_in(&mut self.board.lock(), group);
        self.changed(u64::from(changed));
    }

    fn put_in(&self, state: &mut State, mut group: TargetGroup) -> bool {
        let key = (self.id, group.source.clone());
        group.source = format!("{}/{}/{}", self.mechanism.name, self.id, group.source);
        let known = state.groups.get(&key);
        let changed = known.is_none_or(|known| **known != group);
        if changed {
            state.groups.insert(key, Arc::new(group));
        }
        changed
    }

    /// Takes the group from `source` away.
    pub(super) fn remove(&self, source: &str) {
        let mut state = self.board.lock();
        let gone = state.groups.remove(&(self.id, source.to_owned()));
        drop(state);
        self.changed(u64::from(gone.is_some()));
    }

    /// Counts that the mechanism works, whether anything changed or not.
    pub(super) fn succeeded(&self) {
        self.mechanism.metrics.succeeded();
    }

    /// Counts and logs that it does not; `what` says on what.
    pub(super) fn failed(&self, what: &str, error: &(dyn Error + 'static)) {
        let metrics = &self.mechanism.metrics;
        metrics.failed();
        if let Some(suppressed) = metrics.failures_logged.permit() {
            let (job, mechanism) = (&*self.board.job, self.mechanism.name);
            let error = causes(error);
            warn!(
                job,
                mechanism, what, error, suppressed, "discovery failed, targets stay"
            );
        }
    }

    fn changed(&self, changes: u64) {
        if changes > 0 {
            self.mechanism.metrics.updates.increment(changes);
            self.board.changed.notify_one();
        }
    }
}
