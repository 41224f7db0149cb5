//! The table decides as the rules do: for arbitrary rules, series, bounds and reloads.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::config::VerdictConfig;
use super::super::verdict::{Decision, VerdictTable};
use super::{LIMITS, decider, request};
use crate::model::{Label, LabelSet};
use crate::relabel::{Outcome, RuleConfig, Rules, Scratch};
use crate::remote_write::v1::{Series, Walker};
use crate::settings::ByteSize;

const NAMES: [&str; 5] = ["__name__", "cluster", "job", "pod", "zone"];
const VALUES: [&str; 9] = [
    "",
    "a",
    "ab",
    "b",
    "p1",
    "p2",
    "x;y",
    "abcdefghijklmnopqrst1",
    "abcdefghijklmnopqrst2",
];
const REGEXES: [&str; 12] = [
    "a",
    "a|b|p1",
    "a.*",
    "(.*)",
    ".+",
    "",
    "p([0-9])",
    "(a|p)(.*)",
    "[^b]*",
    ".*;p.",
    "job|po(d)",
    "(?i)AB",
];
const REPLACEMENTS: [&str; 5] = ["$1", "a", "", "p$1", "${1}b"];
const TARGETS: [&str; 4] = ["job", "pod", "new", "$1"];

/// One rule of any action, in YAML.
fn any_rule() -> impl Strategy<Value = String> {
    let one_of = |texts: &'static [&'static str]| prop::sample::select(texts);
    let sources = prop::sample::subsequence(NAMES.to_vec(), 1..=2);
    let action = one_of(&[
        "keep",
        "keep",
        "drop",
        "drop",
        "keepequal",
        "dropequal",
        "replace",
        "replace",
        "hashmod",
        "labelmap",
        "labeldrop",
        "labelkeep",
        "lowercase",
        "uppercase",
    ]);
    let parts = (
        action,
        sources,
        one_of(&REGEXES),
        one_of(&REPLACEMENTS),
        one_of(&TARGETS),
    );
    parts.prop_map(|(action, sources, regex, replacement, target)| {
        let sources = format!("source_labels: [{}]", sources.join(", "));
        let regex = format!("regex: '{regex}'");
        let rest = match action {
            "keep" | "drop" => format!("{sources}, {regex}"),
            "keepequal" | "dropequal" | "lowercase" | "uppercase" => {
                format!("{sources}, target_label: pod")
            }
            "replace" => {
                format!(
                    "{sources}, {regex}, target_label: '{target}', replacement: '{replacement}'"
                )
            }
            "hashmod" => format!("{sources}, modulus: 2, target_label: pod"),
            "labelmap" => format!("{regex}, replacement: 'a$1'"),
            _ => regex,
        };
        format!("{{action: {action}, {rest}}}")
    })
}

/// The rules of one route.
fn any_rules() -> impl Strategy<Value = Rules> {
    prop::collection::vec(any_rule(), 0..4).prop_map(|rules| {
        let yaml = format!("[{}]", rules.join(", "));
        let rules: Vec<RuleConfig> = serde_yaml::from_str(&yaml).expect(&yaml);
        Rules::compile(&rules)
    })
}

/// Labels, sorted by name, none empty, at least one.
type AnySeries = Vec<(&'static str, &'static str)>;

fn any_value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&VALUES[..])
}

fn series_of(values: [&'static str; 4]) -> AnySeries {
    let values = std::iter::once("m").chain(values);
    let labels = NAMES.into_iter().zip(values);
    labels.filter(|(_, value)| !value.is_empty()).collect()
}

fn any_series() -> impl Strategy<Value = AnySeries> {
    [any_value(), any_value(), any_value(), any_value()].prop_map(series_of)
}

/// Series of which each differs from the one before it in two values at the most, as those of a
/// sender do; and whether its labels are sent backwards.
fn any_walk() -> impl Strategy<Value = Vec<(AnySeries, bool)>> {
    let edits = prop::collection::vec((0usize..4, any_value()), 0..=2);
    let steps = prop::collection::vec((edits, prop::bool::weighted(0.1)), 1..40);
    steps.prop_map(|steps| {
        let mut values = ["a"; 4];
        let step = |(edits, is_backwards): (Vec<(usize, &'static str)>, bool)| {
            for (at, value) in edits {
                values[at] = value;
            }
            (series_of(values), is_backwards)
        };
        steps.into_iter().map(step).collect()
    })
}

/// What the rules make of a series without any table.
fn outcome(rules: &Rules, series: &[(&str, &str)], external: &[(String, String)]) -> Outcome {
    let labels = series.iter().map(|&(name, value)| Label { name, value });
    let mut set: LabelSet<'_> = labels.collect();
    for (name, value) in external {
        if !set.contains(name) {
            set.set(name.as_str(), value.as_str());
        }
    }
    rules.apply(&mut set, &mut Scratch::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// A table lives as long as its rules: a reload is a new table, and the series are the same.
    #[test]
    fn whatever_the_rules_series_bounds_and_reloads(
        reloads in prop::collection::vec(prop::collection::vec(any_rules(), 1..5), 1..4),
        series in any_walk(),
        external in prop::option::of(prop::sample::select(&["a", "b"][..])),
        max_entries in 1usize..20,
        max_bytes in 1u64..4000,
        per_request in 1usize..12,
    ) {
        let external: Vec<_> =
            external.iter().map(|value| ("cluster".to_owned(), (*value).to_owned())).collect();
        let bounds = VerdictConfig { max_entries, max_bytes: ByteSize::new(max_bytes) };
        for routes in &reloads {
            let decider = Arc::new(decider(routes, &external));
            let mut table = VerdictTable::new(decider, bounds);
            // Twice, so that what was remembered or forgotten is asked for again.
            let twice: Vec<_> = series.iter().chain(&series).collect();
            for together in twice.chunks(per_request) {
                let sent = together.iter().map(|(labels, is_backwards)| match is_backwards {
                    true => labels.iter().rev().copied().collect(),
                    false => labels.clone(),
                });
                let sent: Vec<AnySeries> = sent.collect();
                let request = request(sent.iter().map(Vec::as_slice));
                let mut walker = Walker::new(&request, LIMITS);
                let (mut recent, mut read) = (table.start_request(), Series::default());
                for (labels, _) in together {
                    walker.next_part(&mut read).unwrap();
                    let id = table.look_up(&read.labels, &mut recent);
                    for (rules, &decision) in routes.iter().zip(table.verdict(id).decisions()) {
                        let expected = outcome(rules, labels, &external);
                        match (expected, decision) {
                            (Outcome::Kept, Decision::Kept) | (_, Decision::Open) => {}
                            (Outcome::Dropped { rule }, Decision::Dropped(by)) => {
                                prop_assert_eq!(rule, by);
                            }
                            (outcome, decision) => {
                                prop_assert!(false, "{outcome:?} but {decision:?} for {labels:?}");
                            }
                        }
                    }
                }
            }
            let (size, activity) = (table.size(), table.take_activity());
            prop_assert_eq!(activity.hits + activity.misses, twice.len() as u64);
            prop_assert_eq!(size.entries as u64 + activity.evictions, activity.misses);
        }
    }

    /// Rules that change labels are run on what the table keeps, without those that decide, and
    /// with a memory of what they made: the outcome is that of all rules each time.
    #[test]
    fn rewriting_what_is_kept_is_as_good_as_running_all_rules(
        rules in any_rules(),
        series in prop::collection::vec(any_series(), 1..20),
    ) {
        let mut scratch = Scratch::default();
        for labels in series.iter().chain(&series) {
            let set = || -> LabelSet<'_> {
                labels.iter().map(|&(name, value)| Label { name, value }).collect()
            };
            let (mut all, mut kept) = (set(), set());
            if rules.apply(&mut all, &mut Scratch::default()) == Outcome::Kept {
                rules.rewrite(&mut kept, &mut scratch);
                prop_assert_eq!(all, kept);
            }
        }
    }
}
