//! The names of routes: given, or derived from the URL's last path segment.
//!
//! A name is what a route's queue is known by, so it must not change when rules do or entries move.
//! Unnamed entries of one and the same URL are numbered in the order of the file: should they
//! change places, what waits in their queues still goes to the URL that it was meant for. Unnamed
//! entries whose URLs differ and end alike could take over each other's queues, so they need names.

use std::collections::BTreeMap;

use super::file::RemoteWrite;
use super::locate::{At, Step};
use super::reading::Mistake;

/// The name of each entry, in their order.
///
/// # Errors
/// For each entry whose name another one has, or that needs one.
pub(super) fn derive(entries: &[RemoteWrite]) -> Result<Vec<String>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let Some(name) = &entry.name else { continue };
        if let Some(first) = taken.insert(name.clone(), index) {
            let message = format!(
                "found multiple remote write configs with job name {name:?}: entry {} has it too",
                first + 1
            );
            mistakes.push(mistake(index, "name", message));
        }
    }
    let mut derived: BTreeMap<&str, (usize, u32)> = BTreeMap::new();
    let mut names = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Some(name) = &entry.name {
            names.push(name.clone());
            continue;
        }
        let base = entry.url.last_segment();
        let (first, count) = derived.entry(base).or_insert((index, 0));
        *count += 1;
        let name = if *count == 1 {
            base.to_owned()
        } else {
            format!("{base}-{count}")
        };
        if entries[*first].url != entry.url {
            let message = format!(
                "this route and that of entry {} would both be called {base:?}: give each a `name`",
                *first + 1
            );
            mistakes.push(mistake(index, "url", message));
        } else if let Some(other) = taken.insert(name.clone(), index) {
            let message = format!(
                "this route would be called {name:?}, as entry {} is: give it a `name`",
                other + 1
            );
            mistakes.push(mistake(index, "url", message));
        }
        names.push(name);
    }
    if mistakes.is_empty() {
        Ok(names)
    } else {
        Err(mistakes)
    }
}

fn mistake(index: usize, key: &str, message: String) -> Mistake {
    let path = super::assemble::entry_path(index, &[key]);
    debug_assert!(
        matches!(path.first(), Some(Step::Key(_))),
        "a path begins with a key"
    );
    Mistake {
        path,
        at: At::Value,
        message,
    }
}
