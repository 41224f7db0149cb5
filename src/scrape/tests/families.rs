//! What bodies say of metric families, and what they said before.

use std::sync::Arc;

use proptest::prelude::*;
use tokio::time::Instant;

use super::super::families::{Listener, Said};
use super::super::metadata::{Book, Family, INTERVAL};
use crate::exposition::{Entry, MetricType, text};

/// Lines of which some say the same in other words, or nearly the same.
const LINES: [&str; 28] = [
    "# HELP a one\n",
    "# HELP a one\n# TYPE a counter\n",
    "# HELP a one\n# TYPE a counter\n",
    "# HELP a one\n# TYPE a histogram\n",
    "# HELP b two\n# TYPE b untyped\n",
    "# HELP b two\n# TYPE b untyped\n",
    "# HELP b  two\n# TYPE b untyped\n",
    "# HELP b\ttwo\n#  TYPE b\tuntyped\n",
    "# HELP c \\\\n\n# TYPE c gauge\n",
    "# HELP c \\n\n# TYPE c gauge\n",
    "# HELP c \n\n# TYPE c gauge\n",
    "# HELP c 1\\nb 2\n# TYPE c gauge\n",
    "# HELP c 1\nb 2\n# TYPE c gauge\n",
    "# TYPE \"\" gauge\n",
    "# HELP a two\n",
    "# HELP \"a-b\" x\n# TYPE \"a-b\" gauge\n",
    "# HELP a-b x\n# TYPE a gauge\n",
    "# HELP a-b x\n# TYPE a-b gauge\n",
    "# TYPE a counter\n",
    "# TYPE a gauge\n",
    "# TYPE a gauge\n# HELP a one\n",
    "# TYPE d histogram\n",
    "# TYPE d histogram\n",
    "# HELP é é\n# TYPE d histogram\n",
    "# comment\n",
    "x{le=\"1.0\"} 1\n",
    "a_bucket{le=\"2\"} 1\n",
    "\n",
];

/// What a body says after what was said `before`: its families, and its other entries as far as
/// the body is one.
fn listen(body: &str, before: &Said, recalls: bool) -> (Vec<Family>, Vec<String>, Said) {
    let book = Book::default();
    let mut listener = Listener::new(&book, before.clone(), Instant::now());
    let mut parser = text::Parser::new(body);
    let mut entries = Vec::new();
    loop {
        let is_said = |family: &Family| {
            parser.take_metadata(&family.metric, &family.help, family.metric_type)
        };
        if recalls && listener.hears_expected(is_said) {
            continue;
        }
        match parser.next_entry() {
            Ok(Entry::Type {
                metric,
                metric_type,
            }) => listener.family_of(metric).metric_type = metric_type,
            Ok(Entry::Help { metric, text }) => {
                listener.family_of(metric).help = text.into_owned();
            }
            Ok(Entry::Eof) => break,
            Ok(Entry::Series(series)) => {
                let family = listener.metric();
                let labels: Vec<_> = series.labels().collect();
                entries.push(format!("{family}: {labels:?}"));
            }
            Ok(_) => {}
            Err(error) => {
                entries.push(error.to_string());
                break;
            }
        }
    }
    let said = listener.close(&mut Vec::new());
    let families = said.families.iter().map(|family| Family::clone(family));
    (families.collect(), entries, said)
}

fn any_body() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&LINES[..]), 0..8).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    /// What is recognised as what was said before is what would have been read.
    #[test]
    fn what_is_recalled_is_what_is_said(bodies in prop::collection::vec(any_body(), 1..4)) {
        let mut before = Said::default();
        // The same again, so that there is something to recall.
        for body in bodies.iter().flat_map(|body| [body, body]) {
            let (families, entries, said) = listen(body, &before, true);
            let (read, read_entries, _) = listen(body, &before, false);
            prop_assert_eq!(families, read);
            prop_assert_eq!(entries, read_entries);
            before = said;
        }
    }
}

const BODY: &str = "# HELP a one\n# TYPE a counter\na 1\n# TYPE b untyped\nb 1\n";

/// How many families of [`BODY`] are recalled from `before` at a time, and what it says then.
fn recalled(before: &Said, now: Instant) -> (usize, Said) {
    let book = Book::default();
    let mut listener = Listener::new(&book, before.clone(), now);
    let mut parser = text::Parser::new(BODY);
    let mut recalled = 0;
    loop {
        let is_said = |family: &Family| {
            parser.take_metadata(&family.metric, &family.help, family.metric_type)
        };
        if listener.hears_expected(is_said) {
            recalled += 1;
        } else if parser.next_entry() == Ok(Entry::Eof) {
            break;
        }
    }
    (recalled, listener.close(&mut Vec::new()))
}

/// As most exporters do, body after body. Once a minute they are read, to be written again.
#[test]
fn families_that_are_said_as_usual_are_not_read_again() {
    let (_, _, said) = listen(BODY, &Said::default(), true);
    let (count, again) = recalled(&said, Instant::now());
    assert_eq!(count, 2);
    assert!(Arc::ptr_eq(&said.families, &again.families));
    assert_eq!(recalled(&said, Instant::now() + INTERVAL).0, 0);
}

/// What OpenMetrics said of units is not what text says.
#[test]
fn a_family_with_a_unit_is_not_recalled_from_text() {
    let book = Book::default();
    let mut listener = Listener::new(&book, Said::default(), Instant::now());
    let family = listener.family_of("a");
    (family.metric_type, family.unit) = (MetricType::Counter, "seconds".to_owned());
    "one".clone_into(&mut family.help);
    let said = listener.close(&mut Vec::new());
    assert_eq!(recalled(&said, Instant::now()).0, 0);
}
