//! What the fuzzers found, and their seeds, replayed by the stable compiler.

#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[expect(unreachable_pub, reason = "the crate of the fuzzers exports it")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

use targets::TARGETS;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The files of a directory, sorted by name.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_input_of_the_corpus_is_as_it_must_be() {
    for (name, check) in TARGETS {
        let inputs = files(&root().join("corpus").join(name));
        assert!(inputs.len() >= 10, "{name} has {} inputs", inputs.len());
        for input in inputs {
            println!("{}", input.display());
            check(&fs::read(input).unwrap());
        }
    }
}

#[test]
fn every_fuzz_target_is_replayed() {
    let targets = files(&root().join("fuzz_targets"));
    let targets: BTreeSet<_> = targets
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let replayed = TARGETS.map(|(name, _)| name.to_owned());
    assert_eq!(targets, BTreeSet::from(replayed));
}
