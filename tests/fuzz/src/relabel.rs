//! Relabelling: no panic, labels stay a set, and the same series gives the same outcome.

use promrelay::model::LabelSet;
use promrelay::relabel::{Outcome, RuleConfig, Rules, Scratch};

/// Rules in YAML up to an empty line, then labels, `name=value` on a line each.
pub fn run(bytes: &[u8]) {
    let Ok(input) = str::from_utf8(bytes) else {
        return;
    };
    let (rules, labels) = input.split_once("\n\n").unwrap_or((input, ""));
    let Ok(configs) = serde_yaml::from_str::<Vec<RuleConfig>>(rules) else {
        return;
    };
    let rules = Rules::compile(&configs);
    let mut scratch = Scratch::default();
    let mut first = read(labels);
    let outcome = rules.apply(&mut first, &mut scratch);
    if let Outcome::Dropped { rule } = outcome {
        assert!(rule < rules.len());
    }
    let names: Vec<_> = first.iter().map(|label| label.name).collect();
    assert!(names.is_sorted_by(|left, right| left < right), "{names:?}");
    assert!(first.iter().all(|label| !label.value.is_empty()));
    assert!(
        rules.rewrites() || first == read(labels),
        "filters change nothing"
    );
    let mut second = read(labels);
    assert_eq!(rules.apply(&mut second, &mut scratch), outcome);
    assert_eq!(first, second);
}

fn read(lines: &str) -> LabelSet<'_> {
    let mut labels = LabelSet::new();
    for (name, value) in lines.lines().filter_map(|line| line.split_once('=')) {
        labels.set(name, value);
    }
    labels
}
