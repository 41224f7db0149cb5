//! A relabel rule as it is written in the file, checked as Prometheus checks it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use super::{Action, Rule};
use crate::re2::{Regex, Template};

const SEPARATOR: &str = ";";
const REGEX: &str = "(.*)";
const REPLACEMENT: &str = "$1";

/// One entry of `write_relabel_configs`: valid, and with Prometheus' defaults where it is silent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub struct RuleConfig {
    written: Written,
    regex: Regex,
    action: Action,
}

/// The entry word by word; what is not written is `None`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(alias = "sourceLabels", skip_serializing_if = "Option::is_none")]
    #[serde(default)]
    source_labels: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    separator: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    regex: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modulus: Option<u64>,
    #[serde(
        default,
        alias = "targetLabel",
        skip_serializing_if = "Option::is_none"
    )]
    target_label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replacement: Option<String>,
    #[serde(
        default,
        deserialize_with = "not_null",
        skip_serializing_if = "Option::is_none"
    )]
    action: Option<String>,
}

/// Why an entry is refused, in Prometheus' words where it has them.
#[derive(Debug, Error)]
enum InvalidRule {
    #[error("unknown relabel action `{0}`{1}")]
    UnknownAction(String, String),
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    NoModulus,
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTarget(Action),
    #[error("source label name is empty")]
    EmptySource,
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
        self.action
    }

    pub(super) fn compile(&self) -> Rule {
        let text = |written: &Option<String>, default: &str| {
            written.clone().unwrap_or_else(|| default.to_owned())
        };
        let Written {
            source_labels,
            separator,
            modulus,
            target_label,
            replacement,
            ..
        } = &self.written;
        Rule {
            source_labels: source_labels.clone().unwrap_or_default(),
            separator: text(separator, SEPARATOR),
            regex: self.regex.clone(),
            regex_is_default: self.regex.as_str() == REGEX,
            modulus: modulus.unwrap_or_default(),
            target_label: Template::new(&text(target_label, "")),
            replacement: Template::new(&text(replacement, REPLACEMENT)),
            action: self.action,
        }
    }
}

impl TryFrom<Written> for RuleConfig {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let action = match &written.action {
            None => Action::Replace,
            Some(word) => parse_action(word).map_err(|error| error.to_string())?,
        };
        let source = written.regex.as_deref().unwrap_or(REGEX);
        let regex = Regex::new(source).map_err(|error| error.to_string())?;
        written.check(action).map_err(|error| error.to_string())?;
        Ok(Self {
            written,
            regex,
            action,
        })
    }
}

impl Serialize for RuleConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

impl Written {
    /// Prometheus' own checks, in its order. A field that says what is the default anyway counts as
    /// not written.
    fn check(&self, action: Action) -> Result<(), InvalidRule> {
        use Action::{
            DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Replace,
            Uppercase,
        };
        let is = |written: &Option<String>, default: &str| {
            written.as_deref().is_none_or(|written| written == default)
        };
        let no_modulus = self.modulus.unwrap_or_default() == 0;
        let default_separator = is(&self.separator, SEPARATOR);
        let default_replacement = is(&self.replacement, REPLACEMENT);
        if self.source_labels.iter().flatten().any(String::is_empty) {
            return Err(InvalidRule::EmptySource);
        }
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
        let only_source_and_target = is(&self.regex, REGEX) && no_modulus && default_separator;
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

fn not_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let word = Option::<String>::deserialize(deserializer)?;
    let word = word.filter(|word| !word.is_empty());
    word.map(Some)
        .ok_or_else(|| de::Error::custom("relabel action cannot be empty"))
}
