//! The modules form layers, and a module imports only from layers above its own.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use crate::sources::sources;

/// From the top: whoever stands further down may import whoever stands further up. Modules on one
/// line do not know each other.
const LAYERS: [&[&str]; 9] = [
    &["settings", "re2", "queue", "telemetry"],
    &["model", "http"],
    &["remote_write", "relabel"],
    // The proxy is a program of its own, which needs nothing but HTTP and metrics.
    &["exposition", "discovery", "send", "proxy"],
    &["route", "store"],
    &["receive", "scrape"],
    &["config", "admin"],
    &["app"],
    &["cli"],
];

/// The modules of this crate that a file imports or names: `crate::x`, `crate::{x, y::z}`, and
/// `super::x` where `super` is the crate.
fn imports(path: &str, text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |code, line| code + line + "\n");
    let mut found = BTreeSet::new();
    let single = Regex::new(r"\bcrate::([a-z][a-z0-9_]*)").expect("a valid regex");
    found.extend(
        single
            .captures_iter(&code)
            .map(|captures| captures[1].to_owned()),
    );
    for (start, opening) in code.match_indices("crate::{") {
        let group = code.get(start + opening.len()..).unwrap_or_default();
        found.extend(names_of_group(group));
    }
    let parents = Regex::new(r"\b((?:super::)+)([a-z][a-z0-9_]*)").expect("a valid regex");
    for captures in parents.captures_iter(&code) {
        if captures[1].matches("super::").count() == depth(path) {
            found.insert(captures[2].to_owned());
        }
    }
    found
}

/// The first names of `a, b::{c, d}, e}`.
fn names_of_group(group: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut nesting = 0_usize;
    for character in group.chars() {
        match character {
            '{' => nesting += 1,
            '}' if nesting == 0 => break,
            '}' => nesting -= 1,
            ',' if nesting == 0 => names.push(String::new()),
            _ if nesting == 0 => names.last_mut().expect("never empty").push(character),
            _ => {}
        }
    }
    let first = |name: &String| {
        name.trim()
            .split("::")
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    names
        .iter()
        .map(first)
        .filter(|name| name.starts_with(char::is_lowercase))
        .collect()
}

/// How many modules deep the module of this file is: 1 for `src/a.rs` and `src/a/mod.rs`.
fn depth(path: &str) -> usize {
    let path = path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
    path.split('/').count() - 1
}

/// The module directly below the crate to which a file belongs; none for `lib.rs` and `main.rs`.
fn module_of(path: &str) -> Option<&str> {
    let name = path
        .strip_prefix("src/")?
        .split('/')
        .next()?
        .trim_end_matches(".rs");
    (name != "lib" && name != "main").then_some(name)
}

fn check(files: &[(&str, &str)]) -> Vec<String> {
    let layer_of: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(layer, modules)| modules.iter().map(move |module| (*module, layer)))
        .collect();
    let mut problems = Vec::new();
    for (path, text) in files {
        let Some(module) = module_of(path) else {
            continue;
        };
        let Some(layer) = layer_of.get(module) else {
            problems.push(format!("{path}: the module {module} stands in no layer"));
            continue;
        };
        for import in imports(path, text) {
            // Only a module of the crate counts: its macros and root items stand in no layer.
            let Some(other) = layer_of.get(import.as_str()) else {
                continue;
            };
            if import != module && other >= layer {
                problems.push(format!(
                    "{path}: {module} imports {import}, which is not above it"
                ));
            }
        }
    }
    problems
}

#[test]
fn modules_import_only_from_layers_above() {
    let sources = sources(&["src"]);
    let files: Vec<(&str, &str)> = sources
        .iter()
        .map(|source| (source.path.as_str(), source.text.as_str()))
        .collect();
    let crossings: usize = files
        .iter()
        .map(|(path, text)| imports(path, text).len())
        .sum();
    assert!(crossings > 0, "no import was recognised");
    let problems = check(&files);
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn imports_against_the_layers_are_seen() {
    let bad = [
        ("src/model/mod.rs", "use crate::route::Router;"),
        ("src/model.rs", "use super::route::Router;"),
        ("src/model/a.rs", "fn f() { super::super::route::go() }"),
        (
            "src/model/a.rs",
            "use crate::{\n    queue::{Queue, Reader},\n    route,\n};",
        ),
        ("src/send/lane.rs", "use crate::exposition::Parser;"),
        ("src/unheard_of/mod.rs", ""),
    ];
    for file in bad {
        assert_eq!(check(&[file]).len(), 1, "{file:?}");
    }
    let good = [
        (
            "src/route/mod.rs",
            "use crate::{model::{self, Label}, route::Router};",
        ),
        (
            "src/model/mod.rs",
            "/// Used by [`crate::route`].\n// crate::app",
        ),
        ("src/model/a/b.rs", "use super::super::route;"),
        ("src/lib.rs", "pub mod cli; use crate::cli::main;"),
    ];
    for file in good {
        assert_eq!(check(&[file]), Vec::<String>::new(), "{file:?}");
    }
}
