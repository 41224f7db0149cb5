//! The vectors: bodies with what Prometheus' own parsers make of them.
//!
//! `tests/fixtures/exposition/index.json` lists them. Where Prometheus says good, the entries are
//! its entries, to the bit; where it says bad, the entries before the error are, and then comes an
//! error. Its messages are not compared: they tell which token its lexer stumbled over.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::{
    ContentTypeError, Entry, Exemplar, Format, ParseError, Reason, Series, openmetrics, text,
};
use crate::model::Label;

mod known;

#[derive(Deserialize)]
struct Index {
    content_types: Vec<Choice>,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Choice {
    content_type: String,
    fallback_scrape_protocol: Option<String>,
    parser: Option<String>,
    error_contains: Option<String>,
}

#[derive(Deserialize)]
struct Vector {
    file: String,
    format: String,
    prometheus: String,
}

#[derive(Deserialize)]
struct Expected {
    entries: Vec<Recorded>,
}

/// An entry, ours or Prometheus', in the shape of the recorded files.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Recorded {
    kind: String,
    metric: String,
    text: String,
    labels: Vec<(String, String)>,
    /// Only for people: `bits` has the value.
    #[serde(rename = "v")]
    _value: IgnoredAny,
    bits: String,
    #[serde(rename = "t")]
    timestamp_ms: Option<i64>,
    #[serde(rename = "st")]
    start_timestamp_ms: Option<i64>,
    exemplars: Vec<RecordedExemplar>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct RecordedExemplar {
    labels: Vec<(String, String)>,
    #[serde(rename = "v", deserialize_with = "number")]
    value: f64,
    #[serde(rename = "t")]
    timestamp_ms: Option<i64>,
}

fn number<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    let text = String::deserialize(source)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// What a body yields: entries, and the error that ended them.
type Outcome = (Vec<Recorded>, Option<ParseError>);

fn parse_text(body: &[u8]) -> Outcome {
    let mut parser = text::Parser::new(body);
    collect(|| parser.next_entry().map(record))
}

fn parse_openmetrics(body: &[u8]) -> Outcome {
    let mut parser = openmetrics::Parser::new(body, openmetrics::Created::Starts);
    collect(|| parser.next_entry().map(record))
}

fn collect(mut next: impl FnMut() -> Result<Recorded, ParseError>) -> Outcome {
    let mut recorded = Vec::new();
    loop {
        match next() {
            Ok(entry) if entry.kind == "eof" => return (recorded, None),
            Ok(entry) => recorded.push(entry),
            Err(error) => return (recorded, Some(error)),
        }
    }
}

fn record(entry: Entry<'_>) -> Recorded {
    let plain = |kind: &str, metric: &str, text: &str| Recorded {
        kind: kind.into(),
        metric: metric.into(),
        text: text.into(),
        ..Recorded::default()
    };
    match entry {
        Entry::Series(series) => record_series(&series),
        Entry::Type {
            metric,
            metric_type,
        } => plain("type", metric, metric_type.as_str()),
        Entry::Help { metric, text } => plain("help", metric, &text),
        Entry::Unit { metric, unit } => plain("unit", metric, unit),
        Entry::Comment(text) => plain("comment", "", &text),
        Entry::Histogram(_) => plain("histogram", "", ""),
        Entry::Eof => plain("eof", "", ""),
    }
}

fn record_series(series: &Series<'_>) -> Recorded {
    Recorded {
        kind: "series".into(),
        metric: String::from_utf8_lossy(series.exposed).into_owned(),
        labels: series.labels().map(own).collect(),
        bits: format!("{:016x}", series.value.to_bits()),
        timestamp_ms: series.timestamp_ms,
        start_timestamp_ms: series.start_timestamp_ms,
        exemplars: series.exemplars().iter().map(record_exemplar).collect(),
        ..Recorded::default()
    }
}

fn record_exemplar(exemplar: &Exemplar<'_>) -> RecordedExemplar {
    RecordedExemplar {
        labels: exemplar.labels().map(own).collect(),
        value: exemplar.value,
        timestamp_ms: exemplar.timestamp_ms,
    }
}

fn own(label: Label<'_>) -> (String, String) {
    (label.name.into(), label.value.into())
}

fn read_index() -> (PathBuf, Index) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exposition");
    let index = fs::read(root.join("index.json")).unwrap();
    (root, serde_json::from_slice(&index).unwrap())
}

/// Runs all vectors of `format` and lists what differs, so that one run shows everything.
fn check_vectors(format: &str, at_least: usize, parse: impl Fn(&[u8]) -> Outcome) {
    let (root, index) = read_index();
    let vectors: Vec<_> = index
        .vectors
        .iter()
        .filter(|v| v.format == format)
        .collect();
    assert!(vectors.len() >= at_least, "only {} vectors", vectors.len());
    let mut differences = String::new();
    for vector in vectors {
        let body = fs::read(root.join(&vector.file)).unwrap();
        let expected = fs::read(root.join(format!("{}.expected.json", vector.file))).unwrap();
        let mut expected: Expected = serde_json::from_slice(&expected).unwrap();
        for entry in &mut expected.entries {
            // Prometheus counts blanks before an opening brace to the series' spelling.
            entry.metric = entry.metric.trim_start_matches('\t').into();
        }
        let (entries, error) = parse(&body);
        let lines = body.split(|&byte| byte == b'\n').count();
        let located = error
            .as_ref()
            .is_none_or(|error| (1..=lines).contains(&error.line));
        let same = entries == expected.entries;
        if !same || !located || error.is_some() != (vector.prometheus == "bad") {
            let at = entries
                .iter()
                .zip(&expected.entries)
                .take_while(|(a, b)| a == b)
                .count();
            writeln!(
                differences,
                "{}: {error:?}; entry {at}: {:?}, not {:?}",
                vector.file,
                entries.get(at),
                expected.entries.get(at),
            )
            .unwrap();
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}

#[test]
fn text_vectors_give_prometheus_entries() {
    check_vectors("text", 91, parse_text);
}

#[test]
fn openmetrics_vectors_give_prometheus_entries() {
    check_vectors("openmetrics", 91, parse_openmetrics);
}

#[test]
fn content_types_choose_the_parser_that_prometheus_chooses() {
    let cases = read_index().1.content_types;
    assert!(cases.len() >= 20, "only {} content types", cases.len());
    for case in cases {
        let chosen = Format::from_content_type(&case.content_type);
        let fallback = case.fallback_scrape_protocol.map(|protocol| {
            if protocol.starts_with("PrometheusText") {
                "text"
            } else if protocol.starts_with("OpenMetrics") {
                "openmetrics"
            } else {
                "protobuf"
            }
        });
        assert_eq!(
            chosen.is_err(),
            case.error_contains.is_some(),
            "{}",
            case.content_type
        );
        let parser = chosen.ok().map(|format| match format {
            Format::Text => "text",
            Format::OpenMetrics => "openmetrics",
            Format::Protobuf => "protobuf",
        });
        assert_eq!(
            parser.or(fallback),
            case.parser.as_deref(),
            "{}",
            case.content_type
        );
    }
}

#[test]
fn content_type_parameters_are_well_formed() {
    let good = ["text/plain;", "Text/Plain ; a=\"x;\\\"\" ; b=c;"];
    let bad = [
        "text/plain; a",
        "text/plain; a=",
        "text/plain; a=\"b",
        "text/plain; a=b c=d",
        "text",
    ];
    for text in good {
        assert_eq!(Format::from_content_type(text), Ok(Format::Text), "{text}");
    }
    for text in bad {
        let malformed = ContentTypeError::Malformed(text.into());
        assert_eq!(Format::from_content_type(text), Err(malformed), "{text}");
    }
}

fn error_of(outcome: Outcome) -> (usize, Reason) {
    let error = outcome.1.expect("the body is broken");
    (error.line, error.reason)
}

#[test]
fn errors_tell_the_line() {
    let (line, reason) = error_of(parse_text(b"# a\n\na 1\nb{c=\"\n\"} 1\nd e\nf 1\n"));
    assert_eq!((line, reason), (6, Reason::Number("e".into())));
    let (line, reason) = error_of(parse_openmetrics(b"a 1\nb 2\n"));
    assert_eq!((line, reason), (3, Reason::EofMissing));
}

#[test]
fn windows_exporter_bodies_are_read_to_the_end() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for file in ["windows_exporter-0.16.0.prom", "windows_exporter-0.31.prom"] {
        let body = fs::read(root.join(file)).unwrap();
        let samples = body
            .split(|&b| b == b'\n')
            .filter(|l| !l.is_empty() && l[0] != b'#');
        let (entries, error) = parse_text(&body);
        let series = entries.iter().filter(|entry| entry.kind == "series");
        assert_eq!(error, None, "{file}");
        assert_eq!(series.count(), samples.count(), "{file}");
    }
}

/// A metric of many lines without `_created` is looked over once, not once per line: this takes
/// minutes otherwise.
#[test]
fn looking_for_a_start_is_linear() {
    let mut body = String::from("# TYPE h histogram\n");
    for bucket in 0..50_000 {
        writeln!(body, "h_bucket{{le=\"{bucket}\"}} 1").unwrap();
    }
    let (entries, error) = parse_openmetrics((body + "# EOF\n").as_bytes());
    assert_eq!((entries.len(), error), (50_001, None));
}

#[test]
fn bounds_have_the_spelling_of_go() {
    let cases = [
        ("1", "1.0"),
        ("1e6", "1e+06"),
        ("100000", "100000.0"),
        ("1234567.5", "1.2345675e+06"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("0x1p-3", "0.125"),
        ("-0", "0.0"),
        ("inf", "+Inf"),
        ("-Infinity", "-Inf"),
        ("nan", "NaN"),
        ("1_0", "1_0"),
        ("fast", "fast"),
    ];
    for (exposed, canonical) in cases {
        let body = format!("# TYPE a summary\na{{quantile=\"{exposed}\"}} 1");
        let entries = parse_text(body.as_bytes()).0;
        assert_eq!(entries[1].labels[1].1, canonical, "{exposed}");
    }
}

/// What looks a little like one of the formats.
const BODIES: &str = r#"([a-c_0-9{}"=, #\\\n\t.]|# (TYPE|HELP|UNIT|EOF) ?|_created|\PC){0,120}"#;

proptest::proptest! {
    /// Whatever is sent, parsing ends and does not panic.
    #[test]
    fn no_body_panics(body in BODIES) {
        parse_text(body.as_bytes());
        parse_openmetrics(body.as_bytes());
    }

    /// A good body stays good or fails, but ends, whatever byte of it is changed.
    #[test]
    fn no_changed_byte_panics(at in 0_usize..3092, byte: u8) {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exposition");
        let file = root.join("data/prometheus-textparse/TestOpenMetricsParse.om");
        let mut body = fs::read(file).unwrap();
        body[at] = byte;
        parse_text(&body);
        parse_openmetrics(&body);
    }
}
