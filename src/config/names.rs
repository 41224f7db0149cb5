//! Names of routes. A name is the identity of a route's queue, so it should never change by itself.
//!
//! A route that has no name takes the last segment of its URL's path (the host, if there is no
//! path). Where that is taken by another route too, none of the unnamed ones has it: each gets a
//! suffix, a hash of its URL, and of its rules as well where the URL is the same. So a name does
//! not depend on the order of entries; it can change only when an entry with the same last segment
//! comes or goes, or, where routes share a URL, when the rules are edited. Whoever wants more
//! writes `name`.

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64;

use super::file::RemoteWrite;
use super::routes::note;
use super::typed::Findings;
use super::yaml::Node;
use crate::http::client::WithClient;
use crate::queue::MAX_REVERSIBLE_BYTES;
use crate::settings::HttpUrl;

/// What still makes a readable metric label, and a directory's name that tells the route's.
const MAX_BYTES: usize = MAX_REVERSIBLE_BYTES;

/// Gives every entry that has a URL a name and notes those that cannot have one.
pub(super) fn assign(
    entries: &mut [WithClient<RemoteWrite>],
    nodes: &[&Node],
    findings: &Findings,
) {
    let mut taken = BTreeSet::new();
    let names = derive(entries);
    let own = entries.iter_mut().map(|entry| &mut entry.own);
    for ((entry, name), node) in own.zip(names).zip(nodes) {
        let given = entry.name.is_some();
        let place = if given { "name" } else { "url" };
        if let Err(message) = check(&name, given) {
            note(findings, node, &[place], message);
        }
        if !name.is_empty() && !taken.insert(name.clone()) {
            let message = if given {
                format!("duplicate route: another one has the name `{name}`")
            } else {
                "duplicate route: another one has the same url and the same rules; remove one, or \
                 give both a `name`"
                    .to_owned()
            };
            note(findings, node, &[place], message);
        }
        entry.name = Some(name);
    }
}

/// The names in the order of entries; empty for an entry that has neither name nor URL.
fn derive(entries: &[WithClient<RemoteWrite>]) -> Vec<String> {
    let entries = || entries.iter().map(|entry| &entry.own);
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut urls: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries() {
        *names.entry(plain(entry)).or_default() += 1;
        *urls.entry(identity(entry)).or_default() += 1;
    }
    let name = |entry: &RemoteWrite| {
        let name = plain(entry);
        if entry.name.is_some() || name.is_empty() || names.get(name) == Some(&1) {
            return name.to_owned();
        }
        let mut identity = identity(entry);
        if urls.get(&identity) > Some(&1) {
            // What was written, in Prometheus' spelling and order, so that the operator's spelling
            // of the same rules gives the same name.
            let rules = serde_json::to_string(&entry.write_relabel_configs);
            identity.push_str(&rules.unwrap_or_default());
        }
        format!("{name}-{:08x}", xxh3_64(identity.as_bytes()) >> 32)
    };
    entries().map(name).collect()
}

/// The name without a suffix.
fn plain(entry: &RemoteWrite) -> &str {
    let derived = entry.url.as_ref().map(HttpUrl::last_segment);
    entry.name.as_deref().or(derived).unwrap_or_default()
}

/// The URL without its password, which can change while the route stays the same.
fn identity(entry: &RemoteWrite) -> String {
    entry
        .url
        .as_ref()
        .map(HttpUrl::redacted)
        .unwrap_or_default()
}

fn check(name: &str, given: bool) -> Result<(), String> {
    if name.is_empty() && given {
        return Err("`name` is empty: write one, or leave the key out".to_owned());
    }
    if name.len() > MAX_BYTES && !given {
        return Err(format!(
            "the url makes a name of {} bytes for the route, over the limit of {MAX_BYTES}: give \
             it a `name`",
            name.len()
        ));
    }
    if name.len() > MAX_BYTES || name.chars().any(char::is_control) {
        return Err(format!(
            "`name` must be at most {MAX_BYTES} bytes and on one line"
        ));
    }
    Ok(())
}
