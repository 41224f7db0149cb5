//! What the crate depends on: a reason for each, and what no feature of no dependency may bring in
//! (one TLS, one cryptography library, one YAML; `deny.toml` says the same).

use std::collections::BTreeSet;
use std::process::Command;

const CONTRIBUTING: &str = include_str!("../../CONTRIBUTING.md");

const BANNED: [&str; 6] = [
    "native-tls",
    "openssl",
    "openssl-sys",
    "ring",
    "serde_yaml",
    "serde_yml",
];

/// The rows of CONTRIBUTING's table: a crate, and why.
#[test]
fn every_direct_dependency_has_its_reason_in_contributing() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--locked",
            "--offline",
            "--no-deps",
            "--format-version=1",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let dependencies = metadata["packages"][0]["dependencies"].as_array();
    let dependencies = dependencies.expect("the package has dependencies").iter();
    let depended: BTreeSet<&str> = dependencies
        .filter_map(|one| one["name"].as_str())
        .collect();
    let rows = CONTRIBUTING
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter_map(|row| row.split_once("` | "));
    let reasons: Vec<(&str, &str)> = rows.collect();
    for (name, reason) in &reasons {
        assert!(reason.len() > 10, "the reason for {name} says nothing");
    }
    let listed: BTreeSet<&str> = reasons.iter().map(|(name, _)| *name).collect();
    assert!(depended.len() > 40, "{depended:?}");
    assert_eq!(listed, depended);
}

#[test]
fn no_feature_brings_in_a_banned_crate() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--all-features",
            "--prefix=none",
        ])
        .args(["--edges=normal,build,dev", "--format={lib}", "--no-dedupe"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let names = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let has = |name: &str| {
        let library = name.replace('-', "_");
        names.lines().any(|line| line == library)
    };
    assert!(
        has("rustls") && has("aws-lc-rs"),
        "the list lacks what must be in it:\n{names}"
    );
    let banned: Vec<&str> = BANNED.into_iter().filter(|name| has(name)).collect();
    assert!(
        banned.is_empty(),
        "{banned:?} came in: `cargo tree --all-features -i` says why"
    );
}
