//! Target groups as people and programs write them: `[{targets: [host:port], labels: {…}}]`.

use serde::Deserialize;
use thiserror::Error;

use super::config::{self, StaticConfig};
use super::{ADDRESS, Labels, TargetGroup};

/// A target group as it is written; a null stands for a mistake of whoever wrote it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    targets: Vec<String>,
    #[serde(deserialize_with = "config::labels")]
    labels: Labels,
}

/// Why a list of target groups is not taken.
#[derive(Debug, Error)]
pub(super) enum ParseError {
    /// It is no JSON, or not of this shape.
    #[error("cannot read the target groups as JSON")]
    Json(#[from] serde_json::Error),
    /// It is no YAML, or not of this shape.
    #[error("cannot read the target groups as YAML")]
    Yaml(#[from] serde_yaml::Error),
    /// A group is null.
    #[error("nil target group item found (index {0})")]
    Null(usize),
}

/// The groups of `static_configs`; their sources are their places in the list.
pub(super) fn of_static(configs: &[StaticConfig]) -> Vec<TargetGroup> {
    let groups = configs.iter().enumerate().map(|(index, config)| {
        group(
            index.to_string(),
            config.targets.iter().cloned(),
            config.labels.clone(),
        )
    });
    groups.collect()
}

/// Reads a list of groups in JSON. `source` and an index become the groups' sources; every group
/// gets the label `meta`.
pub(super) fn of_json(
    bytes: &[u8],
    source: &str,
    meta: (&str, &str),
) -> Result<Vec<TargetGroup>, ParseError> {
    finish(serde_json::from_slice(bytes)?, source, meta)
}

/// Reads a list of groups in YAML, as [`of_json`].
pub(super) fn of_yaml(
    bytes: &[u8],
    source: &str,
    meta: (&str, &str),
) -> Result<Vec<TargetGroup>, ParseError> {
    finish(serde_yaml::from_slice(bytes)?, source, meta)
}

fn finish(
    written: Option<Vec<Option<Written>>>,
    source: &str,
    (name, value): (&str, &str),
) -> Result<Vec<TargetGroup>, ParseError> {
    let mut groups = Vec::new();
    for (index, written) in written.unwrap_or_default().into_iter().enumerate() {
        let Some(Written {
            targets,
            mut labels,
        }) = written
        else {
            return Err(ParseError::Null(index));
        };
        labels.insert(name.to_owned(), value.to_owned());
        groups.push(group(
            format!("{source}:{index}"),
            targets.into_iter(),
            labels,
        ));
    }
    Ok(groups)
}

fn group(source: String, targets: impl Iterator<Item = String>, labels: Labels) -> TargetGroup {
    let address = |target| Labels::from([(ADDRESS.to_owned(), target)]);
    TargetGroup {
        source,
        targets: targets.map(address).collect(),
        labels,
    }
}
