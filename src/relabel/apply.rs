//! What each action does to a set of labels.

use md5::{Digest as _, Md5};

use super::{Action, Rule, Scratch, case};
use crate::model::{Label, LabelSet};

impl Rule {
    /// Runs the rule. False if it drops the series.
    pub(super) fn apply(&self, labels: &mut LabelSet<'_>, scratch: &mut Scratch) -> bool {
        let value = self.source_value(labels, &mut scratch.value);
        match self.action {
            Action::Keep => return self.regex.is_match(value),
            Action::Drop => return !self.regex.is_match(value),
            Action::KeepEqual => return labels.get(self.target_label.as_str()) == value,
            Action::DropEqual => return labels.get(self.target_label.as_str()) != value,
            Action::Replace => self.replace(value, labels),
            Action::HashMod => {
                let bucket = bucket(value, self.modulus).to_string();
                labels.set(self.target(), bucket);
            }
            Action::Lowercase => labels.set(self.target(), case::lower(value)),
            Action::Uppercase => labels.set(self.target(), case::upper(value)),
            Action::LabelMap => self.map_labels(labels),
            Action::LabelDrop => labels.retain(|name| !self.regex.is_match(name)),
            Action::LabelKeep => labels.retain(|name| self.regex.is_match(name)),
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

    fn replace(&self, value: &str, labels: &mut LabelSet<'_>) {
        let templates = [&self.target_label, &self.replacement];
        // Without a match, or with a target that expands to nothing, nothing happens.
        if let Some([target, replacement]) = self.regex.expand(value, templates)
            && !target.is_empty()
        {
            labels.set(target, replacement);
        }
    }

    /// Copies the value of each label whose name matches to the name that the replacement makes of
    /// it. All names are matched before any label is set.
    fn map_labels(&self, labels: &mut LabelSet<'_>) {
        let map = |label: Label<'_>| {
            let [name] = self.regex.expand(label.name, [&self.replacement])?;
            Some((name, label.value.to_owned()))
        };
        let mapped: Vec<_> = labels.iter().filter_map(map).collect();
        for (name, value) in mapped.into_iter().filter(|(name, _)| !name.is_empty()) {
            labels.set(name, value);
        }
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
