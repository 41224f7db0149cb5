//! From discovered labels to targets.

use std::time::Duration;

use super::job;
use crate::discovery::{Labels, TargetGroup};
use crate::relabel::Rules;
use crate::scrape::target::{Target, Verdict, from_group};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    pairs.iter().map(owned).collect()
}

/// What one discovered target comes to, as people write it: its labels and URL, `dropped`, or why
/// it is none.
fn check(keys: &str, own: &[(&str, &str)], expected: &str) {
    assert_eq!(shown(keys, own, &[]), expected, "{keys} {own:?}");
}

fn shown(keys: &str, own: &[(&str, &str)], group: &[(&str, &str)]) -> String {
    match verdict(keys, own, group) {
        Ok(Verdict::Active(target)) => {
            let labels = target.labels.iter();
            let labels: Vec<_> = labels
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("{} {}", labels.join(","), target.shown_url())
        }
        Ok(Verdict::Dropped(_)) => "dropped".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn verdict(
    keys: &str,
    own: &[(&str, &str)],
    group: &[(&str, &str)],
) -> Result<Verdict, crate::scrape::target::TargetError> {
    let job = job(&format!("job_name: j\n{keys}"));
    let group = TargetGroup {
        source: "s".to_owned(),
        targets: vec![labels(own)],
        labels: labels(group),
    };
    from_group(&group, &job, &Rules::compile(&job.relabel_configs)).remove(0)
}

fn target(keys: &str, own: &[(&str, &str)]) -> Target {
    match verdict(keys, own, &[]) {
        Ok(Verdict::Active(target)) => target,
        other => panic!("no target: {other:?}"),
    }
}

#[test]
fn labels_become_targets_as_in_prometheus() {
    let address = [("__address__", "h:1")];
    check("", &address, "instance=h:1,job=j http://h:1/metrics");
    check(
        "scheme: https\nmetrics_path: /a b%\nparams: {p: [x, y], q: ['1']}",
        &address,
        "instance=h:1,job=j https://h:1/a%20b%25?p=x&p=y&q=1",
    );
    let own = [
        ("__address__", "h:1"),
        ("__scheme__", "https"),
        ("__metrics_path__", "/m"),
        ("__param_p", "z"),
        ("__meta_x", "y"),
        ("__tmp", "t"),
        ("job", "other"),
        ("instance", "i"),
        ("a", "b"),
        ("empty", ""),
    ];
    check(
        "params: {p: [x, y]}",
        &own,
        "a=b,instance=i,job=other https://h:1/m?p=z&p=y",
    );
    check("", &[], "no address");
    check(
        "",
        &[("__address__", "h/x")],
        "\"h/x\" is not a valid hostname",
    );
    // Prometheus 3 adds no port.
    check(
        "",
        &[("__address__", "h")],
        "instance=h,job=j http://h/metrics",
    );
    assert_eq!(
        shown(
            "",
            &[("__address__", "h:1"), ("a", "own")],
            &[("a", "group"), ("b", "group")]
        ),
        "a=own,b=group,instance=h:1,job=j http://h:1/metrics"
    );
}

#[test]
fn relabelling_decides_about_targets() {
    let keys = "relabel_configs:\n\
        - {source_labels: [__meta_keep], regex: 'no', action: drop}\n\
        - {source_labels: [__meta_pod], target_label: pod}\n\
        - {source_labels: [__meta_port], regex: (.+), target_label: __address__, \
           replacement: 'p:$1'}\n\
        - {source_labels: [__meta_interval], regex: (.+), target_label: __scrape_interval__}\n\
        - {source_labels: [__meta_timeout], regex: (.+), target_label: __scrape_timeout__}\n\
        - {source_labels: [__meta_query], regex: (.+), target_label: __param_q}\n";
    let with = |label, value| [("__address__", "h:1"), (label, value)];
    check(keys, &with("__meta_keep", "no"), "dropped");
    check(
        keys,
        &with("__meta_pod", "x"),
        "instance=h:1,job=j,pod=x http://h:1/metrics",
    );
    check(
        keys,
        &with("__meta_port", "2"),
        "instance=p:2,job=j http://p:2/metrics",
    );
    check(
        keys,
        &with("__meta_query", "a&b"),
        "instance=h:1,job=j http://h:1/metrics?q=a%26b",
    );
    check(
        keys,
        &with("__meta_interval", "0s"),
        "scrape interval cannot be 0",
    );
    check(
        keys,
        &with("__meta_timeout", "0"),
        "scrape timeout cannot be 0",
    );
    check(
        keys,
        &with("__meta_timeout", "2m"),
        "scrape timeout cannot be greater than scrape interval (\"2m\" > \"1m\")",
    );
    let invalid = shown(keys, &with("__meta_interval", "often"), &[]);
    assert!(
        invalid.starts_with("error parsing scrape interval: "),
        "{invalid}"
    );
    let own = [
        ("__address__", "h:1"),
        ("__meta_interval", "15s"),
        ("__meta_timeout", "5s"),
    ];
    let target = target(keys, &own);
    assert_eq!(target.interval, Duration::from_secs(15));
    assert_eq!(target.timeout, Duration::from_secs(5));
    assert!(target.discovered.contains_key("__meta_interval"));
}

#[test]
fn targets_are_told_apart_by_all_labels_and_the_url() {
    let one = target("", &[("__address__", "h:1"), ("__meta_x", "1")]);
    let same = target("", &[("__address__", "h:1"), ("__meta_x", "2")]);
    assert_eq!((one.hash, one.labels_hash), (same.hash, same.labels_hash));
    let path = target("metrics_path: /x", &[("__address__", "h:1")]);
    assert_ne!(one.hash, path.hash);
    assert_eq!(one.labels_hash, path.labels_hash);
    let other = target("", &[("__address__", "h:2")]);
    assert_ne!(one.labels_hash, other.labels_hash);
}

#[test]
fn turns_are_at_the_same_times_whenever_one_asks() {
    let target = target("", &[("__address__", "h:1")]);
    let start = Duration::from_secs(1_700_000_000);
    let first = start + target.offset(start);
    for later_ms in [0, 1, 999, 30_000, 59_999, 60_000, 3_600_001] {
        let now = start + Duration::from_millis(later_ms);
        let turn = now + target.offset(now);
        assert!(turn < now + target.interval);
        let apart = turn.abs_diff(first);
        assert_eq!(
            apart.as_nanos() % target.interval.as_nanos(),
            0,
            "{later_ms}"
        );
    }
}
