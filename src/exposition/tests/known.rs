//! Series that the caller knows are not read again, and nothing else changes.

use std::collections::HashSet;
use std::fs;

use super::{Format, read_index};
use crate::exposition::{Entry, openmetrics, text};

/// The same when every series that the format ever yielded is known: whatever is read again of a
/// series without its labels must be the same sample.
fn check(body: &[u8], format: Format) {
    let samples = |known: &HashSet<Vec<u8>>| {
        let knows = |spelling: &[u8]| known.contains(spelling);
        let mut text = text::Parser::new(body);
        let mut openmetrics = openmetrics::Parser::new(body, openmetrics::Created::Series);
        let mut samples = Vec::new();
        loop {
            let entry = match format {
                Format::Text => text.next_entry_with(knows),
                _ => openmetrics.next_entry_with(knows),
            };
            match entry {
                Ok(Entry::Eof) => return (samples, None),
                Ok(Entry::Series(series)) => {
                    assert!(!series.is_known || series.labels().len() == 0);
                    let exemplars = series.exemplars().len();
                    let bits = series.value.to_bits();
                    let sample = (
                        series.exposed.to_vec(),
                        bits,
                        series.timestamp_ms,
                        exemplars,
                    );
                    samples.push((sample, series.is_known));
                }
                Ok(_) => {}
                Err(error) => return (samples, Some(error)),
            }
        }
    };
    let (read, error) = samples(&HashSet::new());
    let known = read.iter().map(|(sample, _)| sample.0.clone()).collect();
    let (again, error_again) = samples(&known);
    assert_eq!(error, error_again);
    let strip = |samples: &[(_, bool)]| -> Vec<_> {
        samples
            .iter()
            .map(|(sample, _)| Clone::clone(sample))
            .collect()
    };
    assert_eq!(strip(&read), strip(&again));
    assert!(read.iter().all(|(_, is_known)| !is_known));
}

#[test]
fn what_is_known_is_not_read_again() {
    let body = b"m{a=\"b\"} 1\nm 2\nm {a=\"c\"} 3\nm{a=\"} \"} 4 5\n{\"m.n\"} 6\n";
    let mut parser = text::Parser::new(body);
    let mut known = Vec::new();
    while let Ok(Entry::Series(series)) = parser.next_entry_with(|_| true) {
        known.push((series.exposed.escape_ascii().to_string(), series.value));
    }
    // Whoever knows everything gets guesses; the fourth is a wrong one, and what follows no value.
    assert_eq!(known[0], (r#"m{a=\"b\"}"#.to_owned(), 1.0));
    assert_eq!(known[1], ("m".to_owned(), 2.0));
    assert_eq!(known.len(), 3);
    check(body, Format::Text);
}

#[test]
fn vectors_are_the_same_where_all_series_are_known() {
    let (root, index) = read_index();
    let mut checked = 0;
    for vector in &index.vectors {
        let format = match vector.format.as_str() {
            "text" => Format::Text,
            "openmetrics" => Format::OpenMetrics,
            _ => continue,
        };
        check(&fs::read(root.join(&vector.file)).unwrap(), format);
        checked += 1;
    }
    assert!(checked >= 182, "only {checked} vectors");
}
