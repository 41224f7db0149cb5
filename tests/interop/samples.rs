//! What arrived, in a form that can be compared and read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The value that ends a series.
pub(crate) const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Differences that are shown at most.
const SHOWN_MAX: usize = 20;

/// A set of samples (milliseconds, bits of the value) for each series (its labels as text).
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Samples(pub(crate) BTreeMap<String, BTreeSet<(i64, u64)>>);

impl Samples {
    /// Adds one sample.
    pub(crate) fn insert(&mut self, series: &str, timestamp_ms: i64, bits: u64) {
        self.0
            .entry(series.to_owned())
            .or_default()
            .insert((timestamp_ms, bits));
    }

    /// The samples up to a time, without the series that have none.
    pub(crate) fn until(mut self, cut_ms: i64) -> Samples {
        for samples in self.0.values_mut() {
            samples.retain(|(timestamp_ms, _)| *timestamp_ms <= cut_ms);
        }
        self.0.retain(|_, samples| !samples.is_empty());
        self
    }

    /// The number of series.
    pub(crate) fn series(&self) -> usize {
        self.0.len()
    }

    /// The number of samples.
    pub(crate) fn count(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Milliseconds from the oldest to the newest sample.
    pub(crate) fn span_ms(&self) -> i64 {
        let times = || {
            self.0
                .values()
                .flatten()
                .map(|(timestamp_ms, _)| *timestamp_ms)
        };
        times().max().unwrap_or_default() - times().min().unwrap_or_default()
    }

    /// What `actual` lacks and what it has too much, series by series; nothing when they are equal.
    pub(crate) fn difference(&self, actual: &Samples) -> String {
        let none = BTreeSet::new();
        let names: BTreeSet<&String> = self.0.keys().chain(actual.0.keys()).collect();
        let mut text = String::new();
        let mut differing = 0;
        for name in names {
            let expected = self.0.get(name).unwrap_or(&none);
            let found = actual.0.get(name).unwrap_or(&none);
            if expected == found {
                continue;
            }
            differing += 1;
            if differing <= SHOWN_MAX {
                let lost: Vec<_> = expected.difference(found).take(3).map(show).collect();
                let added: Vec<_> = found.difference(expected).take(3).map(show).collect();
                let (before, after) = (expected.len(), found.len());
                writeln!(text, "  {name}: {before} expected, {after} found").expect("fits");
                writeln!(text, "    lacks {lost:?}, has besides {added:?}").expect("fits");
            }
        }
        if differing > 0 {
            writeln!(text, "  {differing} series differ").expect("fits");
        }
        text
    }
}

fn show((timestamp_ms, bits): &(i64, u64)) -> String {
    format!("{} ({bits:#x}) at {timestamp_ms}", f64::from_bits(*bits))
}

/// Labels as one line, sorted by name: `{__name__="up",job="node"}`.
pub(crate) fn series_text<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut labels: Vec<_> = labels.collect();
    labels.sort_unstable();
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| label_text(name, value))
        .collect();
    format!("{{{}}}", labels.join(","))
}

/// A label as it stands in the text of a series.
pub(crate) fn label_text(name: &str, value: &str) -> String {
    format!("{name}={value:?}")
}

#[test]
fn a_difference_names_what_is_lacking_and_what_is_too_much() {
    let mut expected = Samples::default();
    expected.insert("a", 1, 1);
    expected.insert("a", 2, 2);
    let mut actual = expected.clone();
    assert_eq!(expected.difference(&actual), "");
    actual.insert("a", 2, 3);
    actual.insert("b", 2, 2);
    let text = expected.difference(&actual);
    assert!(text.contains("a: 2 expected, 3 found"), "{text}");
    assert!(text.contains("b: 0 expected, 1 found"), "{text}");
    assert!(text.contains("2 series differ"), "{text}");
    assert!(
        actual
            .difference(&expected)
            .contains("b: 1 expected, 0 found")
    );
    assert_eq!(actual.until(1).difference(&expected.until(1)), "");
}
