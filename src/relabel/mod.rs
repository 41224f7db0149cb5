//! Relabelling: Prometheus' rules, with exactly its results.
//!
//! A rule as the user wrote it is a [`RuleConfig`], which cannot be had with a mistake in it; a
//! compiled list is [`Rules`], which cannot fail. Keep and drop rules borrow and allocate nothing.
//! [`Rules::decision`] says which labels decide whether a series is kept, so that the decision can
//! be remembered.
//!
//! Specified by `relabel_config` in [Prometheus' documentation] and by what Prometheus does. Two
//! corners differ. Where `labelmap` copies several labels to one name, the last by its own name
//! stays; in Prometheus labels that earlier rules wrote count as later than all others. And
//! `labelmap` never makes a label without a name.
//!
//! [Prometheus' documentation]:
//!     https://prometheus.io/docs/prometheus/latest/configuration/configuration/

mod apply;
mod case;
mod config;
mod decision;
mod explain;
mod mapped;
mod memo;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use config::RuleConfig;
pub use decision::Reads;
pub use explain::Step;

use mapped::Mapped;

use crate::model::LabelSet;
use crate::re2::{Regex, Template};

/// What becomes of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No rule drops it.
    Kept,
    /// The rule of this index, counted from 0, drops it.
    Dropped {
        /// The rule's index.
        rule: usize,
    },
}

/// A list of rules, compiled. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Arc<[Rule]>,
    rewrites: bool,
}

/// Buffers that applying rules needs, used again from series to series.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// The values of a rule's source labels, joined.
    value: String,
    memo: memo::Memo,
}

/// The eleven things that a rule can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "Prometheus' documentation describes each")]
pub enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

/// A compiled rule. Displayed, it says in words what it does.
#[derive(Debug)]
pub struct Rule {
    /// No other rule of this process has this number; never 0.
    number: u64,
    source_labels: Vec<String>,
    separator: String,
    regex: Regex,
    modulus: u64,
    target_label: Template,
    replacement: Template,
    action: Action,
    /// Of a `labelmap` with a regex that only a few names match.
    mapped: Option<Mapped>,
}

impl Rules {
    /// Compiles rules that were read.
    #[must_use]
    pub fn compile(configs: &[RuleConfig]) -> Self {
        let rules: Arc<[Rule]> = configs.iter().map(RuleConfig::compile).collect();
        let rewrites = rules.iter().any(|rule| !rule.action.is_filter());
        Self { rules, rewrites }
    }

    /// Runs the rules on `labels`, changing them in place; stops at the rule that drops the series.
    ///
    /// A series whose labels are all gone afterwards is dropped too; that is for the caller to see.
    pub fn apply<'l>(&'l self, labels: &mut LabelSet<'l>, scratch: &mut Scratch) -> Outcome {
        for (rule, compiled) in self.rules.iter().enumerate() {
            if !compiled.apply(labels, scratch) {
                return Outcome::Dropped { rule };
            }
        }
        Outcome::Kept
    }

    /// Runs the rules that change labels on a series that is known to be kept.
    pub fn rewrite<'l>(&'l self, labels: &mut LabelSet<'l>, scratch: &mut Scratch) -> Outcome {
        for rule in self.rules.iter().filter(|rule| !rule.action.is_filter()) {
            rule.apply(labels, scratch);
        }
        Outcome::Kept
    }

    /// The rules in order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Whether any rule can drop a series.
    #[must_use]
    pub fn filters(&self) -> bool {
        self.rules.iter().any(|rule| rule.action.is_filter())
    }

    /// Whether any rule can change labels.
    #[must_use]
    pub fn rewrites(&self) -> bool {
        self.rewrites
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule: then every series is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Rule {
    /// What the rule does.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }
}

impl Action {
    const ALL: [Self; 11] = [
        Self::Replace,
        Self::Keep,
        Self::Drop,
        Self::KeepEqual,
        Self::DropEqual,
        Self::HashMod,
        Self::LabelMap,
        Self::LabelDrop,
        Self::LabelKeep,
        Self::Lowercase,
        Self::Uppercase,
    ];

    /// The action's name in a configuration file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::HashMod => "hashmod",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }

    /// Whether the action can drop series. The others change labels.
    #[must_use]
    pub fn is_filter(self) -> bool {
        matches!(
            self,
            Self::Keep | Self::Drop | Self::KeepEqual | Self::DropEqual
        )
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
