//! Claims about the mechanisms that need no network.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::{Configs, Discovery, TargetGroup};
use crate::telemetry::Registry;

mod network;

type Groups = watch::Receiver<Arc<Vec<Arc<TargetGroup>>>>;

fn start(yaml: &str, directory: &Path) -> (Discovery, Groups, Registry) {
    let configs: Configs = serde_yaml::from_str(yaml).unwrap();
    let registry = Registry::new();
    let discovery = Discovery::start("j", &configs, directory, &registry).unwrap();
    let targets = discovery.targets();
    (discovery, targets, registry)
}

/// Waits until the addresses are these.
async fn expect(targets: &mut Groups, expected: &[&str]) {
    let mut last = Vec::new();
    let wait = targets.wait_for(|groups| {
        let addresses = groups.iter().flat_map(|group| &group.targets);
        last = addresses
            .map(|target| target["__address__"].clone())
            .collect();
        last == expected
    });
    let came = timeout(Duration::from_mins(1), wait).await.is_ok();
    assert!(came, "{expected:?} did not come, but {last:?}");
}

#[tokio::test]
async fn static_targets_are_there_at_once() {
    let yaml = "static_configs:\n  - {targets: [a:1, b:2], labels: {x: y}}\n  - targets: [c]\n";
    let (discovery, targets, registry) = start(yaml, Path::new(""));
    let groups = Arc::clone(&targets.borrow());
    assert_eq!(groups.len(), 2);
    assert_eq!(groups[0].targets[1]["__address__"], "b:2");
    assert_eq!(groups[0].labels["x"], "y");
    assert_ne!(groups[0].source, groups[1].source);
    let metrics = registry.render();
    let line = "promrelay_discovery_targets{job=\"j\",mechanism=\"static\"} 3";
    assert!(metrics.contains(line), "{metrics}");
    discovery.stop().await;
}

#[tokio::test]
async fn files_are_followed_as_they_come_change_break_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let yaml = "file_sd_configs: [{files: ['t*.json', u.yml], refresh_interval: 20ms}]";
    let (discovery, mut targets, registry) = start(yaml, directory.path());
    std::fs::write(
        path("t1.json"),
        r#"[{"targets": ["a:1"], "labels": {"x": "1"}}]"#,
    )
    .unwrap();
    expect(&mut targets, &["a:1"]).await;
    let group = Arc::clone(&targets.borrow()[0]);
    assert_eq!(
        group.labels["__meta_filepath"],
        path("t1.json").display().to_string()
    );
    assert_eq!(group.labels["x"], "1");
    std::fs::write(path("u.yml"), "- targets: ['b:1']\n- targets: ['b:2']\n").unwrap();
    std::fs::write(path("t2.json"), r#"[{"targets": ["c:1"]}]"#).unwrap();
    std::fs::write(path("other.json"), r#"[{"targets": ["no:1"]}]"#).unwrap();
    expect(&mut targets, &["a:1", "c:1", "b:1", "b:2"]).await;
    // The same name and length, as when a mounted file is swapped.
    for garbage in ["[{", "{}", "[null]", "[{\"target\": []}]", "\u{0}\u{1}", ""] {
        std::fs::write(path("t1.json"), garbage).unwrap();
        std::fs::write(path("u.yml"), "- targets: ['b:3']\n").unwrap();
        expect(&mut targets, &["a:1", "c:1", "b:3"]).await;
        std::fs::write(path("u.yml"), "- targets: ['b:4']\n").unwrap();
        expect(&mut targets, &["a:1", "c:1", "b:4"]).await;
    }
    assert!(
        !registry
            .render()
            .contains("promrelay_discovery_failures_total{job=\"j\",mechanism=\"file\"} 0")
    );
    std::fs::write(path("t1.json"), r#"[{"targets": ["a:2"]}]"#).unwrap();
    std::fs::remove_file(path("t2.json")).unwrap();
    expect(&mut targets, &["a:2", "b:4"]).await;
    discovery.stop().await;
}

#[tokio::test]
async fn five_thousand_targets_come_as_one_list() {
    let directory = tempfile::tempdir().unwrap();
    let groups: Vec<_> = (0..5000)
        .map(|index| serde_json::json!({"targets": [format!("10.0.0.1:{index}")]}))
        .collect();
    let text = serde_json::to_vec(&groups).unwrap();
    std::fs::write(directory.path().join("t.json"), text).unwrap();
    let (discovery, mut targets, _) =
        start("file_sd_configs: [{files: [t.json]}]", directory.path());
    let mut lengths = Vec::new();
    while lengths.last() != Some(&5000) {
        targets.changed().await.unwrap();
        lengths.push(targets.borrow_and_update().len());
    }
    assert_eq!(lengths, [5000]);
    discovery.stop().await;
}

#[test]
fn mistakes_are_told_in_prometheus_words() {
    for (yaml, message) in [
        (
            "static_configs: [{targets: ['http://a/']}]",
            "is not a valid hostname",
        ),
        ("static_configs: [{target: [a]}]", "unknown field"),
        (
            "file_sd_configs: [{files: []}]",
            "must contain at least one path name",
        ),
        ("file_sd_configs: [{}]", "missing field"),
        (
            "file_sd_configs: [{files: [a.txt]}]",
            "is not valid for file discovery",
        ),
        (
            "file_sd_configs: [{files: [a.yml], refresh_interval: 0s}]",
            "must be positive",
        ),
    ] {
        let error = serde_yaml::from_str::<Configs>(yaml)
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{yaml}: {error}");
    }
}
