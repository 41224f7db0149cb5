//! All jobs' targets as operators see them, in the shape of Prometheus' API.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::pool::View;
use super::selector::Selector;

/// Which targets are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// Those that are scraped.
    Active,
    /// Those that `relabel_configs` drop.
    Dropped,
    /// Both.
    Any,
}

/// The targets of a running [`super::Scraper`], for whoever asks. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    views: Arc<Mutex<Vec<Arc<View>>>>,
}

impl Targets {
    pub(super) fn show(&self, views: Vec<Arc<View>>) {
        *self.views.lock().unwrap_or_else(PoisonError::into_inner) = views;
    }

    /// The data of `/api/v1/targets`; of one job if `pool` names it.
    #[must_use]
    pub fn list(&self, state: TargetState, pool: Option<&str>) -> Value {
        let views = self.views();
        let views = views
            .iter()
            .filter(|view| pool.is_none_or(|pool| pool == view.name()));
        let mut active = Vec::new();
        let mut dropped = Vec::new();
        let mut counts = serde_json::Map::new();
        for view in views {
            if state != TargetState::Dropped {
                active.extend(view.active());
            }
            if state != TargetState::Active {
                let of_view = view.dropped().into_iter();
                dropped.extend(
                    of_view.map(
                        |labels| json!({"discoveredLabels": labels, "scrapePool": view.name()}),
                    ),
                );
            }
            counts.insert(view.name().to_owned(), json!(view.dropped_count()));
        }
        json!({
            "activeTargets": active,
            "droppedTargets": dropped,
            "droppedTargetCounts": counts,
        })
    }

    /// The data of `/api/v1/targets/metadata`: at most `limit` entries of the targets that the
    /// selector matches; of one metric if there is one.
    #[must_use]
    pub fn metadata(&self, of: &Selector, metric: Option<&str>, limit: usize) -> Value {
        let mut entries = Vec::new();
        for view in self.views() {
            for (target, families) in view.families() {
                if !of.matches(&target.labels) {
                    continue;
                }
                let labels: serde_json::Map<_, _> = target
                    .labels
                    .iter()
                    .map(|(name, value)| (name.clone(), json!(value)))
                    .collect();
                let wanted = families
                    .iter()
                    .filter(|family| metric.is_none_or(|metric| metric == family.metric));
                for family in wanted {
                    if entries.len() == limit {
                        return Value::Array(entries);
                    }
                    let mut entry = json!({
                        "target": labels,
                        "type": family.metric_type.as_str(),
                        "help": family.help,
                        "unit": family.unit,
                    });
                    if metric.is_none() {
                        entry["metric"] = json!(family.metric);
                    }
                    entries.push(entry);
                }
            }
        }
        Value::Array(entries)
    }

    fn views(&self) -> Vec<Arc<View>> {
        let views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.clone()
    }
}
