//! The labels that a series gets: the target's and its own, and what relabelling makes of them.

use super::config::{JobConfig, Limits};
use super::error::ScrapeError;
use crate::exposition::Series;
use crate::model::{LabelSet, METRIC_NAME};
use crate::relabel::{Outcome, Rules, Scratch};

const EXPORTED_PREFIX: &str = "exported_";
/// How much of a text an error about limits quotes, in bytes.
const QUOTED_BYTES: usize = 50;

/// The labels of a series, or `None` if relabelling drops it.
pub(super) fn label<'s>(
    series: &Series<'s>,
    target: &'s [(String, String)],
    config: &JobConfig,
    rules: &'s Rules,
    scratch: &mut Scratch,
) -> Result<Option<LabelSet<'s>>, ScrapeError> {
    let mut set: LabelSet<'s> = series.labels().collect();
    if config.honor_labels {
        for (name, value) in target {
            // A label that is exposed as empty is a label that the series wants not to have.
            if series.labels().all(|label| label.name != name) {
                set.set(name.as_str(), value.as_str());
            }
        }
    } else {
        override_labels(&mut set, target);
    }
    if let Outcome::Dropped { .. } = rules.apply(&mut set, scratch) {
        return Ok(None);
    }
    if set.is_empty() {
        return Ok(None);
    }
    if !set.contains(METRIC_NAME) {
        return Err(ScrapeError::NoName);
    }
    if let Some(name) = series.repeated_label() {
        return Err(ScrapeError::RepeatedLabel(name.to_owned()));
    }
    check_limits(&set, config.limits)?;
    Ok(Some(set))
}

/// Sets the target's labels. What the series has under such a name goes to `exported_…`.
fn override_labels<'s>(set: &mut LabelSet<'s>, target: &'s [(String, String)]) {
    let mut conflicts = Vec::new();
    for (name, value) in target {
        let exposed = set.get(name);
        if !exposed.is_empty() {
            conflicts.push((name.as_str(), exposed.to_owned()));
        }
        set.set(name.as_str(), value.as_str());
    }
    // Short names first, as in Prometheus, so that `a` cannot take the place of `exported_a`.
    conflicts.sort_by_key(|(name, _)| name.len());
    for (name, value) in conflicts {
        let mut exported = format!("{EXPORTED_PREFIX}{name}");
        while set.contains(&exported) {
            exported.insert_str(0, EXPORTED_PREFIX);
        }
        set.set(exported, value);
    }
}

fn check_limits(set: &LabelSet<'_>, limits: Limits) -> Result<(), ScrapeError> {
    let over = |length: usize, limit: u64| limit > 0 && length as u64 > limit;
    let metric = quote(set.get(METRIC_NAME));
    if over(set.len(), limits.labels) {
        return Err(ScrapeError::LabelLimit(format!(
            "label_limit exceeded (metric: {metric}, number of labels: {}, limit: {})",
            set.len(),
            limits.labels
        )));
    }
    for label in set.iter() {
        let (name, length) = (quote(label.name), label.name.len());
        if over(length, limits.label_name_length) {
            return Err(ScrapeError::LabelLimit(format!(
                "label_name_length_limit exceeded (metric: {metric}, label name: {name}, length: \
                 {length}, limit: {})",
                limits.label_name_length
            )));
        }
        let length = label.value.len();
        if over(length, limits.label_value_length) {
            return Err(ScrapeError::LabelLimit(format!(
                "label_value_length_limit exceeded (metric: {metric}, label name: {name}, value: \
                 {:?}, length: {length}, limit: {})",
                quote(label.value),
                limits.label_value_length
            )));
        }
    }
    Ok(())
}

fn quote(text: &str) -> &str {
    let end = text.floor_char_boundary(QUOTED_BYTES);
    text.get(..end).unwrap_or(text)
}
