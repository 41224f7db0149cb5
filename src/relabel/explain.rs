//! What each rule did, for people and machines.

use super::{Action, Rule, Rules, Scratch};
use crate::model::LabelSet;

/// One rule's part in what became of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// The rule's index, counted from 0.
    pub rule: usize,
    /// What it does.
    pub action: Action,
    /// The rule in words, with the value that it looked at.
    pub summary: String,
    /// False if it drops the series; then it is the last step.
    pub kept: bool,
    /// The labels after the rule.
    pub labels: LabelSet<'a>,
}

impl Rules {
    /// Runs the rules like [`Rules::apply`] and tells of every one that ran.
    #[must_use]
    pub fn explain<'a>(&self, mut labels: LabelSet<'a>) -> Vec<Step<'a>> {
        let mut steps = Vec::new();
        let mut scratch = Scratch::default();
        for (index, rule) in self.rules.iter().enumerate() {
            let mut value = String::new();
            let summary = rule.summary(rule.source_value(&labels, &mut value), &labels);
            let kept = rule.apply(&mut labels, &mut scratch);
            let (action, labels) = (rule.action, labels.clone());
            steps.push(Step {
                rule: index,
                action,
                summary,
                kept,
                labels,
            });
            if !kept {
                break;
            }
        }
        steps
    }
}

impl Rule {
    fn summary(&self, value: &str, labels: &LabelSet<'_>) -> String {
        let Self {
            action, modulus, ..
        } = self;
        let source = self.source_labels.join(&self.separator);
        let (regex, target) = (self.regex.as_str(), self.target_label.as_str());
        let replacement = self.replacement.as_str();
        let matches = if self.regex.is_match(value) {
            "matches"
        } else {
            "does not match"
        };
        match action {
            Action::Keep | Action::Drop => {
                format!("{action} if {source} matches {regex:?}: {value:?} {matches}")
            }
            Action::KeepEqual | Action::DropEqual => {
                let held = labels.get(target);
                format!("{action} if {source} equals {target}: {value:?} and {held:?}")
            }
            Action::Replace if source.is_empty() => format!("replace: {target} = {replacement:?}"),
            Action::Replace => format!(
                "replace: {target} = {replacement:?} if {source} matches {regex:?}: \
                 {value:?} {matches}"
            ),
            Action::HashMod => format!("hashmod: {target} = hash of {source} modulo {modulus}"),
            Action::Lowercase | Action::Uppercase => format!("{action}: {target} = {source}"),
            Action::LabelMap => {
                format!("labelmap: copy labels matching {regex:?} to {replacement:?}")
            }
            Action::LabelDrop => format!("labeldrop: remove labels matching {regex:?}"),
            Action::LabelKeep => format!("labelkeep: remove labels not matching {regex:?}"),
        }
    }
}
