//! The vectors in `tests/fixtures/relabel_vectors.json` are Prometheus' own test cases. Those on
//! the legacy scheme of names are left out: here, as in Prometheus since 3.0, a name is any UTF-8.

mod decision;
mod labelmap;

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Outcome, RuleConfig, Rules, Scratch, case};
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
/// written as null here.
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
            .or_insert(Value::Null);
        let parsed: Result<RuleConfig, _> = serde_json::from_value(rule.clone());
        match vector["error_contains"].as_str() {
            Some(expected) if !expected.is_empty() => {
                let error = parsed.expect_err(&rule.to_string()).to_string();
                assert!(error.contains(expected), "{rule}: {error}");
            }
            _ => assert!(parsed.is_ok(), "{rule}: {parsed:?}"),
        }
    }
}

#[test]
fn rules_are_written_as_they_were_read() {
    for vector in vectors("yaml_roundtrip") {
        let yaml = vector["yaml"].as_str().unwrap();
        let read: RuleConfig = serde_yaml::from_str(yaml).expect(yaml);
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
            for entry in entries {
                rule_lists(entry, found);
            }
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
        let config: serde_yaml::Value = serde_yaml::from_str(yaml).expect(yaml);
        let mut lists = Vec::new();
        rule_lists(&config, &mut lists);
        assert!(!lists.is_empty(), "{file}");
        for list in lists {
            let parsed: Result<Vec<RuleConfig>, _> = serde_yaml::from_value(list);
            let error = parsed.expect_err(file.as_str().unwrap()).to_string();
            // Prometheus also names the list that an empty rule stands in.
            let expected = if expected.starts_with("empty or null") {
                "empty or null relabeling rule"
            } else {
                expected
            };
            assert!(error.contains(expected), "{file}: {error}");
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

/// Whether Prometheus takes each of these was asked of Prometheus itself.
#[test]
fn rules_are_refused_exactly_where_prometheus_refuses_them() {
    let keepequal = "requires only 'source_labels' and `target_label`, and no other fields";
    let labeldrop = "labeldrop action requires only 'regex', and no other fields";
    for (rule, expected) in [
        ("action: KeEp, regex: x", None),
        (
            "action: keep, modulus: 8, target_label: x, replacement: y",
            None,
        ),
        ("action: keep, regex: ~", None),
        ("regex: 200, target_label: 'yes', replacement: 8080", None),
        (
            "action: lowercase, target_label: a, replacement: $1, regex: x",
            None,
        ),
        (
            "action: keepequal, source_labels: [a], target_label: b, separator: ;",
            None,
        ),
        (
            "action: keepequal, target_label: b, regex: (.*)",
            Some(keepequal),
        ),
        (
            "action: dropequal, target_label: b, regex: null",
            Some(keepequal),
        ),
        ("action: labeldrop", None),
        ("action: labeldrop, source_labels: null", None),
        ("action: labeldrop, source_labels: []", Some(labeldrop)),
        ("action: labeldrop, separator: null", Some(labeldrop)),
        (
            "action: keep, source_labels: ['']",
            Some("\"\" is not a valid label name"),
        ),
        (
            "action: kep",
            Some("unknown relabel action \"kep\", did you mean `keep`?"),
        ),
        ("action: ''", Some("unknown relabel action \"\"")),
        (
            "action: labelmap, replacement: ''",
            Some("\"\" is invalid 'replacement'"),
        ),
        (
            "action: labelmap, replacement: null",
            Some("\"\" is invalid 'replacement'"),
        ),
        ("action: keep, foo: a", Some("unknown field `foo`")),
        (
            "action: hashmod, target_label: a, modulus: -1",
            Some("expected u64"),
        ),
        (
            "action: keep, source_labels: a",
            Some("expected a sequence"),
        ),
        ("action: keep, regex: [a]", Some("expected a string")),
    ] {
        let read = serde_yaml::from_str::<RuleConfig>(&format!("{{{rule}}}"));
        match (read, expected) {
            (Ok(_), None) => {}
            (Err(error), Some(expected)) => {
                assert!(error.to_string().contains(expected), "{rule}: {error}");
            }
            (read, _) => panic!("{rule}: {read:?}"),
        }
    }
}

#[test]
fn rules_do_what_prometheus_does() {
    let labels = Labels::from([("a", "foo"), ("b", "bar")].map(|(n, v)| (n.into(), v.into())));
    for (rule, name, expected) in [
        // A null regex is the empty one, not the default.
        (
            "source_labels: [a], regex: null, target_label: c, replacement: x",
            "c",
            "",
        ),
        (
            "source_labels: [no], regex: null, target_label: c, replacement: x",
            "c",
            "x",
        ),
        ("source_labels: [a, b], target_label: c", "c", "foo;bar"),
        (
            "source_labels: [a, b], separator: null, target_label: c",
            "c",
            "foobar",
        ),
        ("target_label: a, replacement: ''", "a", ""),
        ("target_label: c, replacement: $$x", "c", "$x"),
        (
            "source_labels: [a], regex: (f)(.*), target_label: $2, replacement: $1",
            "oo",
            "f",
        ),
        ("source_labels: [a], regex: x, target_label: a", "a", "foo"),
        ("action: labelmap, regex: a|b, replacement: c", "c", "bar"),
        ("action: labelmap, regex: (.), replacement: b", "b", "bar"),
        (
            "action: labelmap, regex: (.), replacement: $1$1",
            "bb",
            "bar",
        ),
        (
            "action: labelmap, regex: (a)|(b), replacement: b$2",
            "b",
            "foo",
        ),
        (
            "action: labelmap, regex: (a)|(b), replacement: b$2",
            "bb",
            "bar",
        ),
        ("action: labelkeep, regex: b", "a", ""),
        (
            "action: hashmod, source_labels: [a], target_label: c, modulus: 1",
            "c",
            "0",
        ),
        (
            "action: uppercase, source_labels: [a, b], target_label: a",
            "a",
            "FOO;BAR",
        ),
    ] {
        let (outcome, after) = apply(&rules(&format!("[{{{rule}}}]")), &labels);
        assert_eq!(outcome, Outcome::Kept, "{rule}");
        let value = after.get(name).map_or("", String::as_str);
        assert_eq!(value, expected, "{rule}");
    }
}

#[test]
fn case_is_mapped_one_character_to_one() {
    for (text, lower, upper) in [
        ("bAr1", "bar1", "BAR1"),
        ("Straße", "straße", "STRAßE"),
        ("ΟΔΟΣ", "οδοσ", "ΟΔΟΣ"),
        ("İı", "iı", "İI"),
        ("ǆǅ", "ǆǆ", "ǄǄ"),
        ("ﬁ", "ﬁ", "ﬁ"),
        ("ᾀᾳ", "ᾀᾳ", "ᾈᾼ"),
        ("ſ", "ſ", "S"),
    ] {
        assert_eq!(case::lower(text), lower, "{text}");
        assert_eq!(case::upper(text), upper, "{text}");
    }
}

#[test]
fn steps_say_what_was_looked_at() {
    let rules = rules(
        "[{target_label: env, replacement: x}, \
          {action: labelkeep, regex: 'job|__name__'}, \
          {action: keep, source_labels: [job, __name__], regex: node;windows_.*}]",
    );
    let label = |name, value| Label { name, value };
    let set = LabelSet::from_iter([label("__name__", "up"), label("job", "node")]);
    let steps = rules.explain(set);
    let said: Vec<_> = steps
        .iter()
        .map(|step| (step.summary.as_str(), step.value.as_deref(), step.kept))
        .collect();
    let keep = "keep if job;__name__ matches \"node;windows_.*\"";
    assert_eq!(
        said,
        [
            ("replace: env = \"x\"", None, true),
            (
                "labelkeep: remove labels not matching \"job|__name__\"",
                None,
                true
            ),
            (
                format!("{keep}: \"node;up\" does not match").as_str(),
                Some("node;up"),
                false
            ),
        ]
    );
    assert_eq!(rules.iter().last().unwrap().to_string(), keep);
}
