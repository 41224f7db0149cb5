//! The rules and dashboards of `config/monitoring`.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{ErrorKind, Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/monitoring")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The metrics of README's table, which another test compares with `/metrics`.
fn exposed() -> BTreeSet<String> {
    let readme = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let rows = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `promrelay_"));
    rows.filter_map(|row| row.split_once('`'))
        .map(|(name, _)| format!("promrelay_{name}"))
        .collect()
}

/// The words of a text that begin as metrics of a program do; a recorded series, which has a colon
/// before or after the word, is none.
fn named<'a>(text: &'a str, program: &str) -> BTreeSet<&'a str> {
    text.split(|char: char| !(char.is_ascii_alphanumeric() || "_:".contains(char)))
        .filter(|word| word.starts_with(program) && !word.contains(':'))
        .collect()
}

#[test]
fn every_metric_that_rules_and_dashboards_name_is_exposed() {
    let exposed = exposed();
    let mut found = 0;
    for entry in fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        let text = text(&path);
        for name in named(&text, "promrelay_") {
            let ends = ["_bucket", "_sum", "_count"];
            let family = ends.iter().find_map(|end| name.strip_suffix(end));
            let is_there =
                exposed.contains(name) || family.is_some_and(|family| exposed.contains(family));
            assert!(is_there, "{}: there is no {name}", path.display());
            found += 1;
        }
    }
    assert!(found > 30, "only {found} names were found");
}

#[test]
fn every_windows_metric_that_is_named_is_of_some_version_of_the_exporter() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let versions = ["0.16.0", "0.31"]
        .map(|version| text(&root.join(format!("tests/fixtures/windows_exporter-{version}.prom"))));
    let exposed: BTreeSet<&str> = versions
        .iter()
        .flat_map(|version| named(version, "windows_"))
        // Of 0.30.0 to 0.30.5 only.
        .chain(["windows_system_boot_time_timestamp_seconds"])
        .collect();
    let mut found = 0;
    for file in [
        "recording.yml",
        "grafana-nodes.json",
        "sumologic-queries.md",
    ] {
        let text = text(&directory().join(file));
        for name in named(&text, "windows_") {
            let is_there = exposed.contains(name) || name == "windows_exporter";
            assert!(is_there, "{file}: no version has {name}");
            found += 1;
        }
    }
    assert!(found > 10, "only {found} names were found");
}

#[test]
fn every_alert_has_a_case_that_fires_and_one_that_does_not() {
    let alerts = text(&directory().join("alerts.yml"));
    let cases = ["tests.yml", "tests-daily.yml"].map(|name| text(&directory().join(name)));
    let cases = cases.concat();
    let alerts: Vec<&str> = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        for what in ["fires", "stays quiet"] {
            let case = format!("- name: {alert} {what}\n");
            assert!(cases.contains(&case), "there is no case: {alert} {what}");
        }
    }
}

#[test]
fn dashboards_are_json_with_panels() {
    for name in ["grafana-promrelay.json", "grafana-nodes.json"] {
        let dashboard: serde_json::Value =
            serde_json::from_str(&text(&directory().join(name))).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
        assert_eq!(ids.len(), panels.len(), "{name}: each panel has its own id");
        assert!(panels.iter().all(|panel| {
            let targets = panel["targets"].as_array().unwrap();
            targets.iter().all(|target| target["expr"].is_string())
        }));
    }
}

#[test]
fn promtool_accepts_the_rules_and_their_tests() {
    for arguments in [
        &["check", "rules", "alerts.yml", "recording.yml"][..],
        &["test", "rules", "tests.yml", "tests-daily.yml"],
    ] {
        let run = Command::new("promtool")
            .args(arguments)
            .current_dir(directory())
            .output();
        let output = match run {
            Err(error) if error.kind() == ErrorKind::NotFound && env::var_os("CI").is_none() => {
                // Not eprintln!, which the test runner keeps to itself when a test passes.
                writeln!(stderr(), "SKIPPED, as promtool is not installed").unwrap();
                return;
            }
            run => run.expect("promtool runs"),
        };
        let words = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&words)
        );
    }
}
