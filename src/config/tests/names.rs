//! Names of routes that have none: distinct, and the same tomorrow.

use std::collections::{BTreeMap, BTreeSet};

use super::{accepted, pasted};

/// The names of entries, by the entries.
fn names<'e>(entries: &[&'e str]) -> BTreeMap<&'e str, String> {
    let config = accepted(&format!(
        "remote_write:
  - {}
",
        entries.join(
            "
  - "
        )
    ));
    let names = config.routes.into_iter().map(|route| route.name);
    entries.iter().copied().zip(names).collect()
}

const A: &str = "{url: 'http://h/x/same', write_relabel_configs: [{action: keep, regex: a}]}";
const B: &str = "{url: 'http://h/x/same', write_relabel_configs: [{action: keep, regex: b}]}";
const C: &str = "{url: 'http://other/same'}";
const D: &str = "{url: 'http://h/d'}";
const E: &str = "{url: 'http://h/d', name: e}";

#[test]
fn a_name_is_the_last_segment_of_the_path_or_the_host() {
    for (url, name) in [
        ("http://h:9/a/b", "b"),
        ("http://h:9/a/b/", "b"),
        ("http://h:9/a/b?c=d", "b"),
        ("http://h:9", "h"),
        ("http://h:9/", "h"),
    ] {
        let entry = format!("{{url: '{url}'}}");
        assert_eq!(names(&[&entry])[entry.as_str()], name, "{url}");
    }
}

#[test]
fn order_does_not_matter() {
    let forward = names(&[A, B, C, D, E]);
    assert_eq!(forward, names(&[E, D, C, B, A]));
    assert_eq!(forward.values().collect::<BTreeSet<_>>().len(), 5);
    assert_eq!((forward[D].as_str(), forward[E].as_str()), ("d", "e"));
}

#[test]
fn neighbours_do_not_matter_to_who_has_a_suffix() {
    let many = names(&[A, B, C, D]);
    let few = names(&[A, B]);
    assert_eq!((&many[A], &many[B]), (&few[A], &few[B]));
}

#[test]
fn rules_do_not_matter_where_the_url_tells_routes_apart() {
    let edited = A.replace("regex: a", "regex: a|z");
    assert_eq!(names(&[A, C])[A], names(&[&edited, C])[edited.as_str()]);
}

#[test]
fn a_given_name_is_never_taken_by_a_derived_one() {
    let given = "{url: 'http://z/z', name: d}";
    let names = names(&[D, given]);
    assert_eq!(names[given], "d");
    assert!(names[D].starts_with("d-"), "{}", names[D]);
}

#[test]
fn the_charts_names_are_pinned() {
    // A change of these is a change of everybody's queues.
    let config = accepted(&pasted("tests/fixtures/sumologic-chart-2.2-values.yaml"));
    let names: Vec<_> = config
        .routes
        .iter()
        .map(|route| route.name.as_str())
        .collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 31);
    let shared = ["prometheus.metrics.state", "prometheus.metrics.container"];
    let is_shared = |name: &&str| shared.iter().any(|shared| name.starts_with(shared));
    let suffixed: Vec<_> = names.into_iter().filter(is_shared).collect();
    assert_eq!(suffixed, PINNED);
}

const PINNED: [&str; 4] = [
    "prometheus.metrics.state-514f60f1",
    "prometheus.metrics.state-dd22cd8e",
    "prometheus.metrics.container-2bbfa097",
    "prometheus.metrics.container-b5d0e52f",
];
