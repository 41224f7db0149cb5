//! The vectors in `tests/fixtures/relabel_vectors.json` are Prometheus' own test cases.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::{Outcome, Reads, RuleConfig, Rules, Scratch};
use crate::model::{Label, LabelSet};

const VECTORS: &str = include_str!("../../tests/fixtures/relabel_vectors.json");

fn vectors(section: &str) -> Vec<Value> {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    vectors[section].as_array().unwrap().clone()
}

fn rules(yaml: &str) -> Rules {
    Rules::compile(&serde_yaml::from_str::<Vec<RuleConfig>>(yaml).unwrap())
}

type Labels = BTreeMap<String, String>;

fn apply(rules: &Rules, labels: &Labels) -> (Outcome, Labels) {
    let mut set: LabelSet<'_> = labels
        .iter()
        .map(|(name, value)| Label { name, value })
        .collect();
    let outcome = rules.apply(&mut set, &mut Scratch::default());
    let owned = |label: Label<'_>| (label.name.to_owned(), label.value.to_owned());
    let after = set.iter().map(owned).collect();
    (outcome, after)
}

fn check_vector(vector: &Value, rules: &Rules) {
    let name = &vector["name"];
    let input: Labels = serde_json::from_value(vector["input"].clone()).unwrap();
    let (outcome, after) = apply(rules, &input);
    assert_eq!(
        outcome != Outcome::Kept,
        vector["drop"].as_bool().unwrap(),
        "{name}"
    );
    if outcome == Outcome::Kept {
        let output: Labels = serde_json::from_value(vector["output"].clone()).unwrap();
        assert_eq!(after, output, "{name}");
    }
    let set = input
        .iter()
        .map(|(name, value)| Label { name, value })
        .collect();
    let steps = rules.explain(set);
    assert_eq!(
        steps.iter().all(|step| step.kept),
        outcome == Outcome::Kept,
        "{name}"
    );
}

#[test]
fn prometheus_process_vectors_give_prometheus_results() {
    let vectors = vectors("process");
    assert!(vectors.len() >= 34);
    for vector in vectors {
        check_vector(&vector, &rules(vector["rules_yaml"].as_str().unwrap()));
    }
}

#[test]
fn prometheus_benchmark_rules_give_prometheus_results() {
    for vector in vectors("process_yaml") {
        check_vector(&vector, &rules(vector["rules_yaml"].as_str().unwrap()));
    }
}

/// The vectors take rules with nothing filled in; an omitted action, which YAML fills in, is
/// written as the empty one here.
#[test]
fn prometheus_validate_vectors_are_judged_alike() {
    for vector in vectors("validate") {
        if vector["name_validation_scheme"] != "utf8" {
            continue;
        }
        let mut rule = vector["rule"].clone();
        rule.as_object_mut()
            .unwrap()
            .entry("action")
            .or_insert("".into());
        let parsed: Result<RuleConfig, _> = serde_json::from_value(rule.clone());
        match vector["error_contains"].as_str() {
            Some(expected) if !expected.is_empty() => {
                let error = parsed.expect_err(&rule.to_string()).to_string();
                assert!(error.contains(expected), "{rule}: {error}");
            }
            _ => drop(parsed.expect(&rule.to_string())),
        }
    }
}

#[test]
fn rules_are_written_as_they_were_read() {
    for vector in vectors("yaml_roundtrip") {
        let yaml = vector["yaml"].as_str().unwrap();
        let read: Result<RuleConfig, _> = serde_yaml::from_str(yaml);
        let Ok(read) = read else {
            // One vector is a rule that only parses where rules are not validated.
            assert!(yaml.contains("keepequal"), "{yaml}");
            continue;
        };
        let written = serde_yaml::to_string(&read).unwrap();
        let before: serde_yaml::Value = serde_yaml::from_str(yaml).unwrap();
        let after: serde_yaml::Value = serde_yaml::from_str(&written).unwrap();
        assert_eq!(before, after);
    }
}

/// Every list of rules that stands anywhere in a configuration.
fn rule_lists(config: &serde_yaml::Value, found: &mut Vec<serde_yaml::Value>) {
    match config {
        serde_yaml::Value::Mapping(mapping) => {
            for (key, value) in mapping {
                if key
                    .as_str()
                    .is_some_and(|key| key.ends_with("relabel_configs"))
                {
                    found.push(value.clone());
                } else {
                    rule_lists(value, found);
                }
            }
        }
        serde_yaml::Value::Sequence(entries) => {
            entries.iter().for_each(|entry| rule_lists(entry, found));
        }
        _ => {}
    }
}

#[test]
fn prometheus_bad_rules_are_refused_in_its_words() {
    let mut refused = 0;
    for vector in vectors("bad_configs") {
        if vector["mentions_relabel"] != true {
            continue;
        }
        let (file, yaml) = (&vector["file"], vector["yaml"].as_str().unwrap());
        let expected = vector["error_contains"].as_str().unwrap();
        if expected.contains("!!binary") {
            // Tags are refused where the file is read, whatever they stand on.
            continue;
        }
        let Ok(config) = serde_yaml::from_str::<serde_yaml::Value>(yaml) else {
            continue;
        };
        let mut lists = Vec::new();
        rule_lists(&config, &mut lists);
        assert!(!lists.is_empty(), "{file}");
        for list in lists {
            let parsed: Result<Vec<RuleConfig>, _> = serde_yaml::from_value(list);
            let error = parsed.expect_err(file.as_str().unwrap()).to_string();
            // A null rule is refused by the YAML layer, in other words.
            let other_words = expected.contains("empty or null");
            assert!(other_words || error.contains(expected), "{file}: {error}");
            refused += 1;
        }
    }
    assert!(refused >= 25, "{refused}");
}

#[test]
fn operators_spelling_is_read_alike() {
    let prometheus = rules("[{source_labels: [a], target_label: b, regex: (.*)}]");
    let operator = rules("[{sourceLabels: [a], targetLabel: b, regex: (.*)}]");
    let labels = Labels::from([("a".to_owned(), "1".to_owned())]);
    assert_eq!(apply(&prometheus, &labels), apply(&operator, &labels));
    assert_eq!(apply(&operator, &labels).1["b"], "1");
}

#[test]
fn an_unknown_action_suggests_the_closest() {
    let error = serde_yaml::from_str::<RuleConfig>("action: kep")
        .unwrap_err()
        .to_string();
    assert!(error.contains("did you mean `keep`?"), "{error}");
}

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
    let regex = prop::sample::select(&["a", "x|y", "(.*)", ".*o.*", "(a|b)", "p(o)d", ".+"][..]);
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
    #![proptest_config(ProptestConfig::with_cases(2000))]

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
}
