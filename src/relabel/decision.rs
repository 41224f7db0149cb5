//! Which labels decide whether rules keep a series.

use std::collections::BTreeSet;

use super::{Action, Rule, Rules};

/// The labels that a decision depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads {
    /// These names and no others: two series that agree in them meet the same fate.
    Names(BTreeSet<String>),
    /// They cannot be named beforehand.
    Everything,
}

impl Rules {
    /// Finds the labels that decide whether a series is kept.
    ///
    /// Only rules up to the last filter can matter. Going backwards from it, the names that matter
    /// are those that filters read; a rule that writes one of them makes its own sources matter.
    #[must_use]
    pub fn decision(&self) -> Reads {
        let mut names = BTreeSet::new();
        for rule in self.rules.iter().rev() {
            if !rule.add_reads(&mut names) {
                return Reads::Everything;
            }
        }
        Reads::Names(names)
    }
}

impl Rule {
    /// Turns the names that matter after this rule into those that matter before it. False if they
    /// cannot be named.
    fn add_reads(&self, names: &mut BTreeSet<String>) -> bool {
        let sources = || self.source_labels.iter().cloned();
        match self.action {
            Action::Keep | Action::Drop => names.extend(sources()),
            Action::KeepEqual | Action::DropEqual => {
                names.extend(sources());
                names.insert(self.target_label.as_str().to_owned());
            }
            Action::Lowercase | Action::Uppercase | Action::HashMod => {
                if names.contains(self.target_label.as_str()) {
                    names.extend(sources());
                }
            }
            Action::Replace => match self.target_label.literal() {
                Some(target) if names.contains(target) => names.extend(sources()),
                Some(_) => {}
                // The target is made of values: whether it is one that matters, they decide.
                None if names.is_empty() => {}
                None => return false,
            },
            // Whether a label of this name survives is known; nothing else has to be read.
            Action::LabelDrop | Action::LabelKeep => {}
            Action::LabelMap => return self.add_mapped(names),
        }
        true
    }

    /// A `labelmap` can write a name that matters from any name that its regex matches.
    fn add_mapped(&self, names: &mut BTreeSet<String>) -> bool {
        if names.is_empty() {
            return true;
        }
        let Some(matched) = self.regex.finite() else {
            // Only one name is ever written, and it does not matter.
            return self
                .replacement
                .literal()
                .is_some_and(|written| !names.contains(written));
        };
        let writes = |name: &str| {
            let written = self.regex.expand(name, [&self.replacement]);
            written.is_some_and(|[written]| names.contains(&written))
        };
        let sources: Vec<_> = matched.iter().filter(|name| writes(name)).collect();
        names.extend(sources.into_iter().cloned());
        true
    }
}
