//! What each rule did, for people and machines.

use std::fmt;

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
    /// The value of the source labels, joined, if the rule looks at any.
    pub value: Option<String>,
    /// False if it drops the series; then it is the last step.
    pub kept: bool,
    /// The labels after the rule.
    pub labels: LabelSet<'a>,
}

impl Rules {
    /// Runs the rules like [`Rules::apply`] and tells of every one that ran.
    #[must_use]
    pub fn explain<'a>(&'a self, mut labels: LabelSet<'a>) -> Vec<Step<'a>> {
        let mut steps = Vec::new();
        let mut scratch = Scratch::default();
        for (index, rule) in self.rules.iter().enumerate() {
            let value = rule.source_value(&labels, &mut scratch.value);
            let summary = format!("{rule}{}", rule.finding(value, &labels));
            let value = (!rule.source_labels.is_empty()).then(|| value.to_owned());
            let kept = rule.apply(&mut labels, &mut scratch);
            steps.push(Step {
                rule: index,
                action: rule.action,
                summary,
                value,
                kept,
                labels: labels.clone(),
            });
            if !kept {
                break;
            }
        }
        steps
    }
}

impl Rule {
    /// What the rule finds in a series, as an appendix to what it does.
    fn finding(&self, value: &str, labels: &LabelSet<'_>) -> String {
        match self.action {
            Action::Replace if self.source_labels.is_empty() => String::new(),
            Action::Keep | Action::Drop | Action::Replace => {
                let matches = self.regex.is_match(value);
                let verb = if matches { "matches" } else { "does not match" };
                format!(": {value:?} {verb}")
            }
            Action::KeepEqual | Action::DropEqual => {
                let target = labels.get(self.target_label.as_str());
                format!(": {value:?} and {target:?}")
            }
            _ => String::new(),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = self.action;
        let source = self.source_labels.join(&self.separator);
        let (regex, target) = (self.regex.as_str(), self.target_label.as_str());
        let replacement = self.replacement.as_str();
        match action {
            Action::Keep | Action::Drop => {
                write!(formatter, "{action} if {source} matches {regex:?}")
            }
            Action::KeepEqual | Action::DropEqual => {
                write!(formatter, "{action} if {source} equals {target}")
            }
            Action::Replace if source.is_empty() => {
                write!(formatter, "replace: {target} = {replacement:?}")
            }
            Action::Replace => write!(
                formatter,
                "replace: {target} = {replacement:?} if {source} matches {regex:?}"
            ),
            Action::HashMod => {
                let modulus = self.modulus;
                write!(
                    formatter,
                    "hashmod: {target} = hash of {source} modulo {modulus}"
                )
            }
            Action::Lowercase | Action::Uppercase => {
                write!(formatter, "{action}: {target} = {source}")
            }
            Action::LabelMap => {
                write!(
                    formatter,
                    "labelmap: copy labels matching {regex:?} to {replacement:?}"
                )
            }
            Action::LabelDrop => write!(formatter, "labeldrop: remove labels matching {regex:?}"),
            Action::LabelKeep => {
                write!(formatter, "labelkeep: remove labels not matching {regex:?}")
            }
        }
    }
}
