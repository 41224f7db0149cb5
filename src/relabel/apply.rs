//! What each action does to a set of labels.

use std::borrow::Cow;

use md5::{Digest as _, Md5};

use super::memo::{Made, Memo};
use super::{Action, Rule, Scratch, case};
use crate::model::LabelSet;

impl Rule {
    /// Runs the rule. False if it drops the series.
    pub(super) fn apply<'l>(&'l self, labels: &mut LabelSet<'l>, scratch: &mut Scratch) -> bool {
        let Scratch { value, memo } = scratch;
        let value = self.source_value(labels, value);
        match self.action {
            Action::Keep => return self.regex.is_match(value),
            Action::Drop => return !self.regex.is_match(value),
            Action::KeepEqual => return labels.get(self.target_label.as_str()) == value,
            Action::DropEqual => return labels.get(self.target_label.as_str()) != value,
            Action::Replace => {
                let made = self.replacement(value, memo);
                self.set(labels, made);
            }
            Action::HashMod => {
                let hash = || Some((String::new(), bucket(value, self.modulus).to_string()));
                let made = memo.recall(self.number, value, hash);
                self.set(labels, made);
            }
            Action::Lowercase => {
                let value = case::lower(value);
                labels.set(self.target_label.as_str(), value);
            }
            Action::Uppercase => {
                let value = case::upper(value);
                labels.set(self.target_label.as_str(), value);
            }
            Action::LabelMap => self.map_labels(labels, memo),
            Action::LabelDrop => labels.retain(|name| !self.matches_name(name, memo)),
            Action::LabelKeep => labels.retain(|name| self.matches_name(name, memo)),
        }
        true
    }

    /// The values of the source labels, joined by the separator; in `value`, if they are several.
    pub(super) fn source_value<'v>(
        &self,
        labels: &'v LabelSet<'_>,
        value: &'v mut String,
    ) -> &'v str {
        if let [name] = self.source_labels.as_slice() {
            return labels.get(name);
        }
        value.clear();
        for (index, name) in self.source_labels.iter().enumerate() {
            if index > 0 {
                value.push_str(&self.separator);
            }
            value.push_str(labels.get(name));
        }
        value
    }

    /// What a `replace` makes of a value: the target's name and its value.
    fn replacement<'m>(&self, value: &str, memo: &'m mut Memo) -> &'m Made {
        let templates = [&self.target_label, &self.replacement];
        let expand = || {
            let [target, replacement] = self.regex.expand(value, templates)?;
            // Without a match, or with a target that expands to nothing, nothing happens.
            (!target.is_empty()).then_some((target, replacement))
        };
        memo.recall(self.number, value, expand)
    }

    /// Sets the label that the rule made, if it made one.
    fn set<'l>(&'l self, labels: &mut LabelSet<'l>, made: &Made) {
        let Some((name, value)) = made else {
            return;
        };
        match self.target() {
            Some(name) => labels.set(name, value.clone()),
            None => labels.set(name.clone(), value.clone()),
        }
    }

    /// The label that the rule writes, if that does not depend on what it finds.
    fn target(&self) -> Option<&str> {
        match self.action {
            Action::Replace => self.target_label.literal(),
            _ => Some(self.target_label.as_str()),
        }
    }

    /// Copies the value of each label whose name matches to the name that the replacement makes of
    /// it. All names are matched before any label is set.
    fn map_labels<'l>(&'l self, labels: &mut LabelSet<'l>, memo: &mut Memo) {
        if let Some(mapped) = self.mapped.as_ref().filter(|mapped| !mapped.is_chain()) {
            for (from, to) in mapped.iter() {
                if let Some(value) = labels.get_held(from).cloned() {
                    labels.set(to, value);
                }
            }
            return;
        }
        let map = |(name, value): (&str, &Cow<'l, str>)| {
            let mapped = self.mapped_name(name, memo)?;
            (!mapped.is_empty()).then(|| (mapped, value.clone()))
        };
        let mapped: Vec<_> = labels.held().filter_map(map).collect();
        for (name, value) in mapped {
            labels.set(name, value);
        }
    }

    fn mapped_name(&self, name: &str, memo: &mut Memo) -> Option<Cow<'_, str>> {
        if let Some(mapped) = &self.mapped {
            return mapped.get(name).map(Cow::Borrowed);
        }
        let expand = || {
            let [mapped] = self.regex.expand(name, [&self.replacement])?;
            Some((mapped, String::new()))
        };
        let made = memo.recall(self.number, name, expand);
        made.as_ref().map(|(mapped, _)| Cow::Owned(mapped.clone()))
    }

    fn matches_name(&self, name: &str, memo: &mut Memo) -> bool {
        if self.regex.is_compared() {
            return self.regex.is_match(name);
        }
        let matches = || self.regex.is_match(name).then(Default::default);
        memo.recall(self.number, name, matches).is_some()
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
