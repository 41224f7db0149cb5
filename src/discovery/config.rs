//! The mechanisms of a scrape config, in Prometheus' keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::Labels;
use super::glob::Pattern;
use crate::settings::{Duration, positive};

/// All mechanisms of one scrape config. A scrape config has these keys at its top level beside
/// others: it repeats the fields and moves them here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Configs {
    /// Targets in the configuration itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub static_configs: Vec<StaticConfig>,
    /// Targets in files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_sd_configs: Vec<FileConfig>,
}

/// An entry of `static_configs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StaticConfig {
    /// Hosts, usually with ports.
    #[serde(deserialize_with = "addresses")]
    pub targets: Vec<String>,
    /// Labels of all of them.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "labels"
    )]
    pub labels: Labels,
}

/// An entry of `file_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// Names of JSON and YAML files; the last part can have wildcards.
    #[serde(deserialize_with = "patterns")]
    pub files: Vec<Pattern>,
    /// How long at the most until the names are looked for again. Contents are looked at every
    /// five seconds if this is longer, since there is no notice of changes as Prometheus has it.
    #[serde(default = "five_minutes", deserialize_with = "positive")]
    pub refresh_interval: Duration,
}

fn five_minutes() -> Duration {
    Duration::from_millis(300_000)
}

fn patterns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Pattern>, D::Error> {
    let patterns = Vec::<Pattern>::deserialize(deserializer)?;
    if patterns.is_empty() {
        let message = "file service discovery config must contain at least one path name";
        return Err(de::Error::custom(message));
    }
    Ok(patterns)
}

fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let targets = Vec::<String>::deserialize(deserializer)?;
    match targets.iter().find(|target| target.contains('/')) {
        Some(target) => Err(de::Error::custom(format!(
            "`{target}` is not a valid hostname: write host:port; the scheme and the path have \
             keys of their own"
        ))),
        None => Ok(targets),
    }
}

/// Labels of a target group, whose names must not be empty.
pub(super) fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
    let labels = Labels::deserialize(deserializer)?;
    if labels.contains_key("") {
        return Err(de::Error::custom("a label name must not be empty"));
    }
    Ok(labels)
}
