//! Rules for the source files that neither the compiler nor clippy knows.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 400;
const LINE_CHARS_MAX: usize = 100;

/// A Rust file of the repository.
pub(crate) struct Source {
    /// Relative to the repository, with `/`.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

impl Source {
    fn is_generated(&self) -> bool {
        self.text.starts_with("// This file is @generated")
    }

    fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.ends_with("tests.rs")
    }
}

/// All Rust files below the given directories of the repository, sorted by path.
pub(crate) fn sources(directories: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for directory in directories {
        collect(root, &root.join(directory), &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(root: &Path, directory: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries {
        let path: PathBuf = entry.expect("a directory entry can be read").path();
        if path.is_dir() {
            // Fuzzing has a build directory of its own.
            if !path.ends_with("target") {
                collect(root, &path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file is UTF-8");
            let relative = path.strip_prefix(root).expect("found below the root");
            found.push(Source {
                path: relative.to_string_lossy().replace('\\', "/"),
                text,
            });
        }
    }
}

/// What breaks a rule in this file, one line each.
fn problems(source: &Source) -> String {
    let mut problems = String::new();
    let mut problem = |line: usize, what: &str| {
        writeln!(problems, "{}:{line}: {what}", source.path).expect("a String takes all");
    };
    let count = source.text.lines().count();
    if count > LINES_MAX {
        problem(count, "file of more than 400 lines: split it by idea");
    }
    for (index, line) in source.text.lines().enumerate() {
        if line.chars().count() > LINE_CHARS_MAX {
            problem(index + 1, "line of more than 100 characters");
        }
        for (mark, why, only_tests) in MARKS {
            if line.contains(mark) && (source.is_test() || !only_tests) {
                problem(index + 1, why);
            }
        }
    }
    problems
}

/// Text that may not occur, why, and whether only in tests. Written in two parts, so that this
/// file does not contain them.
const MARKS: [(&str, &str, bool); 6] = [
    (
        concat!("TO", "DO"),
        "an open end: do it or open an issue",
        false,
    ),
    (
        concat!("FIX", "ME"),
        "an open end: do it or open an issue",
        false,
    ),
    (
        concat!("#[al", "low("),
        "expect the lint, with a reason",
        false,
    ),
    (
        concat!("#![al", "low("),
        "expect the lint, with a reason",
        false,
    ),
    (concat!("#[ign", "ore"), "a test that does not run", false),
    (
        concat!("sle", "ep("),
        "wait for a condition with a timeout",
        true,
    ),
];

#[test]
fn source_files_keep_the_rules() {
    let sources = sources(&["src", "tests", "benches"]);
    assert!(
        sources.len() > 10,
        "found only {} source files",
        sources.len()
    );
    let problems: String = sources
        .iter()
        .filter(|source| !source.is_generated())
        .map(problems)
        .collect();
    assert!(problems.is_empty(), "\n{problems}");
}

#[test]
fn each_rule_is_seen_to_be_broken() {
    let check = |path: &str, text: &str, expected: usize| {
        let source = Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(
            problems(&source).lines().count(),
            expected,
            "{path}: {text:.60}"
        );
    };
    check("src/a.rs", &"\n".repeat(400), 0);
    check("src/a.rs", &"\n".repeat(401), 1);
    check("src/a.rs", &"é".repeat(100), 0);
    check("src/a.rs", &"é".repeat(101), 1);
    for (mark, _, only_tests) in MARKS {
        check("src/a.rs", mark, usize::from(!only_tests));
        check("src/a/tests.rs", mark, 1);
        check("tests/it/a.rs", mark, 1);
    }
}
