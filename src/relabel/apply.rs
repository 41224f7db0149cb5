//! What each action does to a set of labels.

use std::borrow::Cow;

use md5::{Digest as _, Md5};

use super::memo::{Made, Memo};
use super::{Action, Rule, Scratch, case};
use crate::model::LabelSet;

impl Rule {
    /// Runs the rule. False if it drops the series.
    pub(super) fn apply(&self, labels: &mut LabelSet<'_>, scratch: &mut Scratch) -> bool {
        let Scratch { value, memo } = scratch;
        let value = self.source_value(labels, value);
        match self.action {
            Action::Keep => return self.regex.is_match(value),
            Action::Drop => return !self.regex.is_match(value),
            Action::KeepEqual => return labels.get(self.target_label.as_str()) == value,
            Action::DropEqual => return labels.get(self.target_label.as_str()) != value,
            Action::Replace => self.replace(value, labels, memo),
            Action::HashMod => {
                let hash = || Some((self.target(), bucket(value, self.modulus).to_string()));
                set(labels, memo.recall(self.number, value, hash));
            }
            Action::Lowercase => labels.set(self.target(), case::lower(value)),
            Action::Uppercase => labels.set(self.target(), case::upper(value)),
            Action::LabelMap => self.map_labels(labels, memo),
            Action::LabelDrop => labels.retain(|name| !self.matches_name(name, memo)),
            Action::LabelKeep => labels.retain(|name| self.matches_name(name, memo)),
        }
        true
    }

    /// The values of the source labels, joined by the separator.
    pub(super) fn source_value<'v>(&self, labels: &LabelSet<'_>, value: &'v mut String) -> &'v str {
        value.clear();
        for (index, name) in self.source_labels.iter().enumerate() {
            if index > 0 {
                value.push_str(&self.separator);
            }
            value.push_str(labels.get(name));
        }
        value
    }

    fn target(&self) -> String {
        self.target_label.as_str().to_owned()
    }

    fn replace(&self, value: &str, labels: &mut LabelSet<'_>, memo: &mut Memo) {
        let templates = [&self.target_label, &self.replacement];
        let expand = || {
            let [target, replacement] = self.regex.expand(value, templates)?;
            // Without a match, or with a target that expands to nothing, nothing happens.
            (!target.is_empty()).then_some((target, replacement))
        };
        set(labels, memo.recall(self.number, value, expand));
    }

    /// Copies the value of each label whose name matches to the name that the replacement makes of
    /// it. All names are matched before any label is set.
    fn map_labels<'l>(&self, labels: &mut LabelSet<'l>, memo: &mut Memo) {
        let map = |(name, value): (&str, &Cow<'l, str>)| {
            let mapped = self.mapped_name(name, memo)?;
            (!mapped.is_empty()).then(|| (mapped, value.clone()))
        };
        let mapped: Vec<_> = labels.held().filter_map(map).collect();
        for (name, value) in mapped {
            labels.set(name, value);
        }
    }

    fn mapped_name(&self, name: &str, memo: &mut Memo) -> Option<String> {
        if let Some(mapped) = &self.mapped {
            let found = mapped.iter().find(|(from, _)| from == name);
            return found.map(|(_, mapped)| mapped.clone());
        }
        let expand = || {
            let [mapped] = self.regex.expand(name, [&self.replacement])?;
            Some((mapped, String::new()))
        };
        let made = memo.recall(self.number, name, expand);
        made.as_ref().map(|(mapped, _)| mapped.clone())
    }

    fn matches_name(&self, name: &str, memo: &mut Memo) -> bool {
        if self.regex.is_compared() {
            return self.regex.is_match(name);
        }
        let matches = || self.regex.is_match(name).then(Default::default);
        memo.recall(self.number, name, matches).is_some()
    }
}

/// Sets the label that a rule made, if it made one.
fn set(labels: &mut LabelSet<'_>, made: &Made) {
    if let Some((name, value)) = made {
        labels.set(name.clone(), value.clone());
    }
}

/// The last eight bytes of the value's MD5 sum, as a big-endian number, modulo `modulus`.
fn bucket(value: &str, modulus: u64) -> u64 {
    let digest = Md5::digest(value.as_bytes());
    let tail = digest
        .iter()
        .skip(8)
        .fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    tail % modulus
}
