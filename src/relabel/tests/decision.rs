//! The analysis of what decides, held against the rules themselves.

use proptest::prelude::*;

use super::super::{Outcome, Reads};
use super::{Labels, apply, rules};
use crate::model::Label;

fn reads(yaml: &str) -> Vec<String> {
    match rules(yaml).decision() {
        Reads::Names(names) => names.into_iter().collect(),
        Reads::Everything => vec!["<everything>".to_owned()],
    }
}

#[test]
fn only_labels_that_decide_are_read() {
    let keep = "{action: keep, source_labels: [job, __name__], regex: x}";
    for (rules, expected) in [
        (format!("[{keep}]"), vec!["__name__", "job"]),
        (
            format!("[{keep}, {{action: labelmap, regex: (.*), replacement: x_$1}}]"),
            vec!["__name__", "job"],
        ),
        (
            format!("[{{action: labeldrop, regex: pod}}, {keep}]"),
            vec!["__name__", "job"],
        ),
        (
            format!("[{{source_labels: [pod], target_label: job}}, {keep}]"),
            vec!["__name__", "job", "pod"],
        ),
        (
            format!("[{{source_labels: [pod], target_label: other}}, {keep}]"),
            vec!["__name__", "job"],
        ),
        (
            format!("[{{source_labels: [pod], target_label: $1}}, {keep}]"),
            vec!["<everything>"],
        ),
        (
            "[{action: labelmap, regex: container_name, replacement: container}, \
              {action: drop, source_labels: [container], regex: POD}]"
                .to_owned(),
            vec!["container", "container_name"],
        ),
        (
            format!("[{{action: labelmap, regex: a.*, replacement: job}}, {keep}]"),
            vec!["<everything>"],
        ),
        (
            "[{action: keepequal, source_labels: [a], target_label: b}]".to_owned(),
            vec!["a", "b"],
        ),
        (String::from("[]"), vec![]),
    ] {
        assert_eq!(reads(&rules), expected, "{rules}");
    }
}

const NAMES: [&str; 5] = ["a", "b", "c", "job", "pod"];

fn any_rule() -> impl Strategy<Value = String> {
    let name = prop::sample::select(&NAMES[..]);
    let regex =
        prop::sample::select(&["a", "x|y", "(.*)", ".*o.*", "(a|b)", "p(o)d", ".+", "a)|(b"][..]);
    let target = prop::sample::select(&["a", "b", "job", "$1"][..]);
    let replacement = prop::sample::select(&["$1", "x", "", "a", "job"][..]);
    let (from, to) = (name.clone(), name);
    (0..11usize, from, to, regex, target, replacement).prop_map(
        |(action, from, to, regex, target, replacement)| match action {
            0 | 1 => format!("{{action: keep, source_labels: [{from}, {to}], regex: '{regex}'}}"),
            2 => format!("{{action: drop, source_labels: [{from}], regex: '{regex}'}}"),
            3 => format!("{{action: keepequal, source_labels: [{from}], target_label: {to}}}"),
            4 => format!("{{action: dropequal, source_labels: [{from}], target_label: {to}}}"),
            5 => format!(
                "{{action: hashmod, source_labels: [{from}], target_label: {to}, modulus: 2}}"
            ),
            6 => format!("{{action: labeldrop, regex: '{regex}'}}"),
            7 => format!("{{action: labelkeep, regex: '{regex}'}}"),
            8 if replacement.is_empty() => format!("{{action: labelmap, regex: '{regex}'}}"),
            8 => format!("{{action: labelmap, regex: '{regex}', replacement: '{replacement}'}}"),
            9 => format!("{{action: uppercase, source_labels: [{from}], target_label: {to}}}"),
            _ => format!(
                "{{source_labels: [{from}], regex: '{regex}', target_label: '{target}', \
                 replacement: '{replacement}'}}"
            ),
        },
    )
}

fn any_labels() -> impl Strategy<Value = Labels> {
    let value = prop::sample::select(&["a", "x", "y", "foo", "ab"][..]);
    let name = prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
    prop::collection::btree_map(name, value.prop_map(str::to_owned), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn labels_that_are_not_read_do_not_decide(
        list in prop::collection::vec(any_rule(), 0..5),
        labels in any_labels(),
    ) {
        let rules = rules(&format!("[{}]", list.join(", ")));
        if let Reads::Names(names) = rules.decision() {
            let mut read = labels.clone();
            read.retain(|name, _| names.contains(name));
            prop_assert_eq!(apply(&rules, &labels).0, apply(&rules, &read).0);
        }
    }

    #[test]
    fn explaining_ends_where_applying_ends(
        list in prop::collection::vec(any_rule(), 1..5),
        labels in any_labels(),
    ) {
        let rules = rules(&format!("[{}]", list.join(", ")));
        let (outcome, after) = apply(&rules, &labels);
        let set = labels.iter().map(|(name, value)| Label { name, value });
        let steps = rules.explain(set.collect());
        let last = steps.last().unwrap();
        let dropped = Outcome::Dropped { rule: last.rule };
        let explained = if last.kept { Outcome::Kept } else { dropped };
        prop_assert_eq!(explained, outcome);
        let owned = |label: Label<'_>| (label.name.to_owned(), label.value.to_owned());
        prop_assert_eq!(last.labels.iter().map(owned).collect::<Labels>(), after);
    }
}
