//! The verdict table: which routes keep a series, and by which rule the others drop it.
//!
//! A verdict depends only on the labels that the rules read, and does not change until the rules
//! do. So it is worked out once per combination of those labels' values and looked up ever after:
//! the cost of a series does not grow with the number of routes and rules, and the churn of labels
//! that no rule reads does not touch the table.
//!
//! The key is the values themselves, never a hash of them alone: nobody can choose labels that take
//! another series' verdict. Where a key stands in the table is decided by a hash with a random
//! seed, so nobody can choose labels that all stand in the same place.
//!
//! The table is bounded in entries and bytes: it has a young and an old half; when the young one is
//! full it becomes the old one, and what the old one held and was not asked for since is forgotten.
//! Within the young one the key that came after another last time is the first to be looked at
//! ([`half`]).
//!
//! Each worker owns a table, so a look-up takes no lock and shares no cache line with another.
//! What that costs is memory, as many times as there are workers; but a table holds combinations
//! of a few labels, not series, and is small in practice.
//!
//! Where a verdict is worked out it is also noted which metrics routes keep ([`Interest`]), so that
//! their metadata can follow; for this the metric's name is part of the key where any route wants
//! to know. A look-up that finds its verdict notes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;

use super::config::VerdictConfig;
use super::key::{Deciding, Recent};
use crate::model::{LabelSet, METRIC_NAME};
use crate::relabel::{Outcome, Reads, Rules, Scratch};
use crate::remote_write::v1::Labels;
use crate::send::families::Interest;

mod half;

pub(super) use half::Known;
use half::{Half, entry_bytes};

/// Distinct verdicts at the most. On what would need another all rules are run for the rest of the
/// request, and with the next one the table starts anew.
const VERDICTS: usize = 4096;

/// What one route does with a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Decision {
    /// Every rule that decides lets it pass.
    Kept,
    /// The rule of this index drops it.
    Dropped(usize),
    /// The rules have to be run on each series: the labels that they read cannot be named
    /// beforehand, or there are too many verdicts.
    Open,
}

/// What all routes do with a series.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    decisions: Box<[Decision]>,
    /// The routes that do not drop it: a series costs nothing for the others.
    concerned: Box<[usize]>,
}

/// An index of a [`Verdict`] in the table that gave it, valid within one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VerdictId(pub(super) usize);

/// What the rules of all routes read: compiled once per configuration.
#[derive(Debug)]
pub(super) struct Decider {
    /// The labels that decide, sorted.
    reads: Vec<Deciding>,
    routes: Vec<RouteRules>,
}

/// What is known of one route.
#[derive(Debug)]
struct RouteRules {
    rules: Rules,
    /// Whether the labels that its rules read can be named.
    is_decidable: bool,
    /// Where it is noted which metrics it keeps; `None` if that is not known from a verdict alone.
    interest: Option<Arc<Interest>>,
}

impl RouteRules {
    /// Adds the labels that its decision depends on to `names`.
    fn new(rules: &Rules, interest: &Arc<Interest>, names: &mut BTreeSet<String>) -> Self {
        let is_decidable = match rules.decision() {
            Reads::Names(reads) => {
                names.extend(reads);
                true
            }
            Reads::Everything => false,
        };
        let takes_notes = is_decidable && !rules.rewrites() && interest.takes_notes();
        if takes_notes {
            names.insert(METRIC_NAME.to_owned());
        }
        Self {
            rules: rules.clone(),
            is_decidable,
            interest: takes_notes.then(|| Arc::clone(interest)),
        }
    }
}

impl Decider {
    /// Analyses the rules of `routes`. `external_labels` are added to series that lack them.
    pub(super) fn new<'r>(
        routes: impl Iterator<Item = (&'r Rules, &'r Arc<Interest>)>,
        external_labels: &[(String, String)],
    ) -> Self {
        let mut names = BTreeSet::new();
        let routes = routes
            .map(|(rules, interest)| RouteRules::new(rules, interest, &mut names))
            .collect();
        let external = |name: &String| {
            let label = external_labels
                .iter()
                .find(|(external, _)| external == name);
            label.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let reads = names
            .into_iter()
            .map(|name| Deciding {
                external: external(&name),
                name,
            })
            .collect();
        Self { reads, routes }
    }

    fn decide(&self, labels: &Labels<'_>, scratch: &mut Scratch) -> Box<[Decision]> {
        let mut read: LabelSet<'_> = labels
            .iter()
            .filter(|label| {
                self.reads
                    .binary_search_by(|read| read.name.as_str().cmp(label.name))
                    .is_ok()
            })
            .collect();
        for Deciding { name, external } in &self.reads {
            if !read.contains(name) {
                read.set(name.as_str(), external.as_str());
            }
        }
        let decide = |route: &RouteRules| {
            if !route.is_decidable {
                return Decision::Open;
            }
            match route.rules.apply(&mut read.clone(), scratch) {
                Outcome::Kept => {
                    if let Some(interest) = &route.interest {
                        interest.note(read.get(METRIC_NAME));
                    }
                    Decision::Kept
                }
                Outcome::Dropped { rule } => Decision::Dropped(rule),
            }
        };
        self.routes.iter().map(decide).collect()
    }
}

/// Verdicts by the values of the labels that decide. Owned by one worker at a time.
#[derive(Debug)]
pub(super) struct VerdictTable {
    decider: Arc<Decider>,
    bounds: VerdictConfig,
    young: Half,
    old: Half,
    verdicts: Vec<Verdict>,
    interned: HashMap<Box<[Decision]>, VerdictId>,
    scratch: Scratch,
    activity: Activity,
}

/// What happened in a table since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Activity {
    /// Series whose verdict was there.
    pub(super) hits: u64,
    /// Series whose verdict had to be worked out.
    pub(super) misses: u64,
    /// Entries that were forgotten to make room.
    pub(super) evictions: u64,
}

/// What a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) entries: usize,
    /// Keys, and roughly what holds them.
    pub(super) bytes: usize,
}

impl VerdictTable {
    pub(super) fn new(decider: Arc<Decider>, bounds: VerdictConfig) -> Self {
        Self {
            decider,
            bounds,
            young: Half::default(),
            old: Half::default(),
            verdicts: Vec::new(),
            interned: HashMap::new(),
            scratch: Scratch::default(),
            activity: Activity::default(),
        }
    }

    /// Begins a request. Only here may the table start anew, so that the ids of one request hold.
    pub(super) fn start_request<'r>(&mut self) -> Recent<'r> {
        if self.verdicts.len() >= VERDICTS {
            self.activity.evictions += (self.young.len() + self.old.len()) as u64;
            (self.young, self.old) = (Half::default(), Half::default());
            self.verdicts.clear();
            self.interned.clear();
        }
        Recent::new(&self.decider.reads)
    }

    /// The verdict on a series with these labels. `recent` is what [`Self::start_request`] gave for
    /// the request that it is of.
    #[inline]
    pub(super) fn look_up<'r>(
        &mut self,
        labels: &Labels<'r>,
        recent: &mut Recent<'r>,
    ) -> VerdictId {
        let reads = self.decider.reads.as_slice();
        if let Some(id) = recent.next(reads, labels) {
            self.activity.hits += 1;
            return id;
        }
        let values = recent.values(reads);
        let known = if let Some(known) = self.young.find(&values, recent.last) {
            self.activity.hits += 1;
            known
        } else {
            self.promote_or_decide(labels, recent)
        };
        recent.last = Some(known);
        known.id
    }

    /// The verdict behind an id of this request.
    #[inline]
    pub(super) fn verdict(&self, VerdictId(index): VerdictId) -> &Verdict {
        &self.verdicts[index]
    }

    /// The hash of a key of one value in the young half, the old one, and that of the verdicts.
    #[cfg(test)]
    pub(super) fn hashes(&self, value: &[u8]) -> [u64; 3] {
        use std::hash::BuildHasher as _;
        let key = super::key::Key::new(std::iter::once(value));
        [
            self.young.hash_of(&key),
            self.old.hash_of(&key),
            self.interned.hasher().hash_one(&key),
        ]
    }

    /// Takes what happened since the last call.
    pub(super) fn take_activity(&mut self) -> Activity {
        std::mem::take(&mut self.activity)
    }

    /// What the table holds now.
    pub(super) fn size(&self) -> Size {
        Size {
            entries: self.young.len() + self.old.len(),
            bytes: self.young.bytes() + self.old.bytes(),
        }
    }

    #[cold]
    fn promote_or_decide(&mut self, labels: &Labels<'_>, recent: &Recent<'_>) -> Known {
        let decider = Arc::clone(&self.decider);
        let (values, mut last) = (recent.values(&decider.reads), recent.last);
        let (key, id) = if let Some(promoted) = self.old.take(&values) {
            self.activity.hits += 1;
            promoted
        } else {
            self.activity.misses += 1;
            let decisions = decider.decide(labels, &mut self.scratch);
            (values.key(), self.intern(decisions))
        };
        let max_bytes = usize::try_from(self.bounds.max_bytes.bytes()).unwrap_or(usize::MAX);
        if self.young.bytes() + entry_bytes(&key) > max_bytes / 2
            || self.young.len() >= self.bounds.max_entries / 2
        {
            self.activity.evictions += self.old.len() as u64;
            self.old = std::mem::take(&mut self.young);
            last = None;
        }
        self.young.insert(key, id, last)
    }

    fn intern(&mut self, mut decisions: Box<[Decision]>) -> VerdictId {
        if self.verdicts.len() >= VERDICTS && !self.interned.contains_key(&decisions) {
            decisions.fill(Decision::Open);
        }
        if let Some(&id) = self.interned.get(&decisions) {
            return id;
        }
        let id = VerdictId(self.verdicts.len());
        self.verdicts.push(Verdict::new(decisions.clone()));
        self.interned.insert(decisions, id);
        id
    }
}

impl Verdict {
    fn new(decisions: Box<[Decision]>) -> Self {
        let concerned = decisions
            .iter()
            .enumerate()
            .filter(|(_, decision)| !matches!(decision, Decision::Dropped(_)))
            .map(|(route, _)| route)
            .collect();
        Self {
            decisions,
            concerned,
        }
    }

    /// One decision per route, in the routes' order.
    pub(super) fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// The decisions of the routes that do not drop the series, each with its route's index.
    #[inline]
    pub(super) fn concerned(&self) -> impl Iterator<Item = (usize, Decision)> {
        let decision = |&route: &usize| (route, self.decisions[route]);
        self.concerned.iter().map(decision)
    }
}
