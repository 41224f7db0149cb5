//! Names of routes. A name is the identity of a route's queue, so it should never change by itself.
//!
//! A route that has no name takes the last segment of its URL's path (the host, if there is no
//! path). Where that is taken by another route too, none of the unnamed ones has it: each gets a
//! suffix, a hash of its URL, and of its rules as well where the URL is the same. So a name does
//! not depend on the order of entries; it can change only when an entry with the same last segment
//! comes or goes, or, where routes share a URL, when the rules are edited. Whoever wants more
//! writes `name`.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use super::file::RemoteWrite;
use super::routes::note;
use super::typed::Findings;
use super::yaml::Node;

/// What still makes a readable metric label and a directory's name.
const MAX_BYTES: usize = 128;

/// Gives every entry a name and notes those that cannot have one.
pub(super) fn assign(entries: &mut [RemoteWrite], nodes: &[&Node], findings: &Findings) {
    let names = derive(entries);
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for (index, (entry, name)) in entries.iter_mut().zip(names).enumerate() {
        let given = entry.name.is_some();
        let place = if given { "name" } else { "url" };
        if given && let Err(message) = check(&name) {
            note(findings, nodes[index], &[place], message);
        }
        if taken.contains_key(&name) {
            let message = match given {
                true => format!("duplicate route: another one has the name `{name}`"),
                false => "duplicate route: another one has the same url and the same rules; \
                          remove one, or give both a `name`"
                    .to_owned(),
            };
            note(findings, nodes[index], &[place], message);
        }
        taken.insert(name.clone(), index);
        entry.name = Some(name);
    }
}

fn derive(entries: &[RemoteWrite]) -> Vec<String> {
    let plain = |entry: &RemoteWrite| match &entry.name {
        Some(name) => name.clone(),
        None => entry.url.last_segment().to_owned(),
    };
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut urls: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries {
        *names.entry(plain(entry)).or_default() += 1;
        *urls.entry(entry.url.redacted()).or_default() += 1;
    }
    let name = |entry: &RemoteWrite| {
        let name = plain(entry);
        if entry.name.is_some() || names.get(&name) == Some(&1) {
            return name;
        }
        let url = entry.url.redacted();
        let mut identity = url.clone();
        if urls.get(&url) > Some(&1) {
            // What was written, in Prometheus' spelling and order, so that the operator's spelling
            // of the same rules gives the same name.
            let rules = serde_json::to_string(&entry.write_relabel_configs);
            identity.push_str(&rules.unwrap_or_default());
        }
        format!("{name}-{:08x}", xxh3_64(identity.as_bytes()) >> 32)
    };
    entries.iter().map(name).collect()
}

fn check(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("`name` is empty: write one, or leave the key out".to_owned());
    }
    if name.len() > MAX_BYTES || name.chars().any(char::is_control) {
        return Err(format!(
            "`name` must be at most {MAX_BYTES} bytes and on one line"
        ));
    }
    Ok(())
}
