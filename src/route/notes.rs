//! Which metrics routes keep whose rules are run on each series: told once, not each time.

use hashbrown::HashSet;

use crate::send::families::Interest;

/// Names that one worker remembers per route, before it begins anew and tells them again.
const NAMES: usize = 16_384;
/// A longer name is told each time.
const NAME_BYTES: usize = 256;

/// What one worker has told already, by route.
#[derive(Debug)]
pub(super) struct Notes {
    told: Vec<HashSet<Box<str>>>,
}

impl Notes {
    /// For so many routes.
    pub(super) fn new(routes: usize) -> Self {
        Self {
            told: (0..routes).map(|_| HashSet::new()).collect(),
        }
    }

    /// Tells `interest`, that of the route of this index, that it keeps a series named `name`.
    pub(super) fn note(&mut self, route: usize, interest: &Interest, name: &str) {
        let told = &mut self.told[route];
        if !interest.takes_notes() || told.contains(name) {
            return;
        }
        interest.note(name);
        if told.len() >= NAMES {
            told.clear();
        }
        if name.len() <= NAME_BYTES {
            told.insert(name.into());
        }
    }
}
