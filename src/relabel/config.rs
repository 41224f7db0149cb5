//! A relabel rule as it is written in the file, checked as Prometheus checks it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::mapped::Mapped;
use super::{Action, Rule};
use crate::re2::{Regex, Template};

const SEPARATOR: &str = ";";
const REGEX: &str = "(.*)";
const REPLACEMENT: &str = "$1";

/// Compiled once: most rules name no regex.
static DEFAULT_REGEX: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(REGEX).expect("the default regex is valid"));

/// The number of the next rule to be compiled.
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// One entry of `write_relabel_configs`: valid, and with Prometheus' defaults where it is silent.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleConfig {
    written: Written,
}

/// The entry word by word; what is not written is `None`. What is written as null is empty, as in
/// Prometheus: it does not take the default.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, alias = "sourceLabels", deserialize_with = "source_labels")]
    #[serde(skip_serializing_if = "Option::is_none")]
    source_labels: Option<Vec<String>>,
    #[serde(default, deserialize_with = "null_is_empty")]
    #[serde(skip_serializing_if = "Option::is_none")]
    separator: Option<String>,
    #[serde(default, deserialize_with = "regex")]
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<Regex>,
    #[serde(default, deserialize_with = "null_is_empty")]
    #[serde(skip_serializing_if = "Option::is_none")]
    modulus: Option<u64>,
    #[serde(default, alias = "targetLabel", deserialize_with = "null_is_empty")]
    #[serde(skip_serializing_if = "Option::is_none")]
    target_label: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    #[serde(skip_serializing_if = "Option::is_none")]
    replacement: Option<String>,
    #[serde(default, deserialize_with = "action")]
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Action>,
}

/// Why an entry is refused, in Prometheus' words where it has them.
#[derive(Debug, Error)]
enum InvalidRule {
    #[error("unknown relabel action {0:?}{1}")]
    UnknownAction(String, String),
    #[error("relabel action cannot be empty")]
    NoAction,
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    NoModulus,
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTarget(Action),
    #[error("\"\" is not a valid label name")]
    EmptySource,
    #[error("empty or null relabeling rule")]
    NoRule,
    #[error("'replacement' can not be set for {0} action")]
    Replacement(Action),
    #[error("\"\" is invalid 'replacement' for labelmap action")]
    EmptyReplacement,
    #[error("{0} action requires only 'source_labels' and `target_label`, and no other fields")]
    OnlySourceAndTarget(Action),
    #[error("{0} action requires only 'regex', and no other fields")]
    OnlyRegex(Action),
}

impl RuleConfig {
    /// What the rule does.
    #[must_use]
    pub fn action(&self) -> Action {
        self.written.action()
    }

    pub(super) fn compile(&self) -> Rule {
        let written = &self.written;
        let text = |text: &Option<String>, default: &str| {
            text.clone().unwrap_or_else(|| default.to_owned())
        };
        let regex = written.regex.clone();
        let regex = regex.unwrap_or_else(|| DEFAULT_REGEX.clone());
        let replacement = Template::new(&text(&written.replacement, REPLACEMENT));
        let action = self.action();
        let mapped = (action == Action::LabelMap).then(|| Mapped::new(&regex, &replacement));
        Rule {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            source_labels: written.source_labels.clone().unwrap_or_default(),
            separator: text(&written.separator, SEPARATOR),
            regex,
            modulus: written.modulus.unwrap_or_default(),
            target_label: Template::new(&text(&written.target_label, "")),
            replacement,
            action,
            mapped: mapped.flatten(),
        }
    }
}

impl<'de> Deserialize<'de> for RuleConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Option::<Written>::deserialize(deserializer)?;
        let written = written.ok_or_else(|| D::Error::custom(InvalidRule::NoRule))?;
        written.check().map_err(D::Error::custom)?;
        Ok(Self { written })
    }
}

impl Serialize for RuleConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Written {
    fn action(&self) -> Action {
        self.action.unwrap_or(Action::Replace)
    }

    /// Prometheus' own checks, in its order. A field that says what is the default anyway counts as
    /// not written, but not a regex and not a list.
    fn check(&self) -> Result<(), InvalidRule> {
        use Action::{
            DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Replace,
            Uppercase,
        };
        let action = self.action();
        let is = |written: &Option<String>, default: &str| {
            written.as_deref().is_none_or(|written| written == default)
        };
        let no_modulus = self.modulus.unwrap_or_default() == 0;
        let default_separator = is(&self.separator, SEPARATOR);
        let default_replacement = is(&self.replacement, REPLACEMENT);
        if action == HashMod && no_modulus {
            return Err(InvalidRule::NoModulus);
        }
        let targeted = matches!(
            action,
            Replace | KeepEqual | DropEqual | HashMod | Lowercase | Uppercase
        );
        if targeted && is(&self.target_label, "") {
            return Err(InvalidRule::NoTarget(action));
        }
        if matches!(action, Lowercase | Uppercase | KeepEqual | DropEqual) && !default_replacement {
            return Err(InvalidRule::Replacement(action));
        }
        if action == LabelMap && self.replacement.as_deref() == Some("") {
            return Err(InvalidRule::EmptyReplacement);
        }
        let only_source_and_target = self.regex.is_none() && no_modulus && default_separator;
        if matches!(action, KeepEqual | DropEqual) && !only_source_and_target {
            return Err(InvalidRule::OnlySourceAndTarget(action));
        }
        let only_regex = self.source_labels.is_none()
            && is(&self.target_label, "")
            && no_modulus
            && default_separator
            && default_replacement;
        if matches!(action, LabelDrop | LabelKeep) && !only_regex {
            return Err(InvalidRule::OnlyRegex(action));
        }
        Ok(())
    }
}

fn parse_action(word: &str) -> Result<Action, InvalidRule> {
    let lowercase = word.to_lowercase();
    if let Some(action) = Action::ALL
        .into_iter()
        .find(|action| action.as_str() == lowercase)
    {
        return Ok(action);
    }
    let closest = Action::ALL
        .into_iter()
        .map(|action| {
            (
                strsim::damerau_levenshtein(&lowercase, action.as_str()),
                action,
            )
        })
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, _)| distance <= 3);
    let hint = closest.map(|(_, action)| format!(", did you mean `{action}`?"));
    Err(InvalidRule::UnknownAction(
        word.to_owned(),
        hint.unwrap_or_default(),
    ))
}

fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(|written| Some(written.unwrap_or_default()))
}

fn source_labels<'de, D>(deserializer: D) -> Result<Option<Vec<String>>, D::Error>
where
    D: Deserializer<'de>,
{
    let names = Option::<Vec<String>>::deserialize(deserializer)?;
    if names.iter().flatten().any(String::is_empty) {
        return Err(D::Error::custom(InvalidRule::EmptySource));
    }
    Ok(names)
}

fn regex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Regex>, D::Error> {
    let source = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    Regex::new(&source).map(Some).map_err(D::Error::custom)
}

fn action<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Action>, D::Error> {
    let word = Option::<String>::deserialize(deserializer)?;
    let word = word.ok_or_else(|| D::Error::custom(InvalidRule::NoAction))?;
    parse_action(&word).map(Some).map_err(D::Error::custom)
}
