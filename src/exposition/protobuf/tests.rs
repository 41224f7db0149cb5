use std::fmt::Write as _;

use prost::Message;

use super::message::{
    Bucket, BucketSpan, Counter, Exemplar, Histogram, LabelPair, Metric, MetricFamily, Quantile,
    Simple, Summary, Timestamp,
};
use super::{DecodeError, Histograms, Parser};
use crate::exposition::{Entry, Series};

fn label(name: &str, value: &str) -> LabelPair {
    LabelPair {
        name: name.into(),
        value: value.into(),
    }
}

fn family(name: &str, metric_type: i32, metric: Metric) -> MetricFamily {
    MetricFamily {
        name: name.into(),
        help: "What it is.".into(),
        metric_type,
        metric: vec![metric],
        unit: String::new(),
    }
}

/// Parses `families` and writes each sample as a line, in the manner of OpenMetrics.
fn lines(families: &[MetricFamily], wanted: Histograms) -> Vec<String> {
    let mut body = Vec::new();
    for family in families {
        family.encode_length_delimited(&mut body).unwrap();
    }
    let mut parser = Parser::new(&body, wanted);
    let mut lines = Vec::new();
    loop {
        match parser.next_entry().unwrap() {
            Entry::Series(series) => lines.push(line(&series, &series.value.to_string())),
            Entry::Histogram(sample) => {
                let counts = format!("native {:?}", sample.histogram.positive_delta);
                lines.push(line(&sample.series, &counts));
            }
            Entry::Type { metric_type, .. } => lines.push(metric_type.as_str().into()),
            Entry::Eof => return lines,
            _ => {}
        }
    }
}

fn line(series: &Series<'_>, value: &str) -> String {
    let labels: Vec<_> = series
        .labels()
        .map(|l| format!("{}={}", l.name, l.value))
        .collect();
    let mut line = format!("{} {value}", labels.join(","));
    if let Some(timestamp_ms) = series.timestamp_ms {
        write!(line, " at {timestamp_ms}").unwrap();
    }
    if let Some(start_timestamp_ms) = series.start_timestamp_ms {
        write!(line, " since {start_timestamp_ms}").unwrap();
    }
    for exemplar in series.exemplars() {
        write!(line, " # {} {:?}", exemplar.value, exemplar.timestamp_ms).unwrap();
    }
    line
}

fn exemplar(value: f64, timestamp: Option<Timestamp>) -> Exemplar {
    Exemplar {
        label: vec![label("trace", "1")],
        value,
        timestamp,
    }
}

const START: Option<Timestamp> = Some(Timestamp {
    seconds: 12,
    nanos: 345_678_901,
});

#[test]
fn simple_types_are_one_series_each() {
    let counter = Metric {
        label: vec![label("b", "2"), label("A", "1")],
        counter: Some(Counter {
            value: 3.0,
            exemplar: Some(exemplar(1.0, None)),
            start: START,
        }),
        timestamp_ms: 5,
        ..Metric::default()
    };
    let gauge = Metric {
        gauge: Some(Simple { value: -1.5 }),
        ..Metric::default()
    };
    let untyped = Metric {
        untyped: Some(Simple { value: 7.0 }),
        ..Metric::default()
    };
    let families = [
        family("c", 0, counter),
        family("g", 1, gauge),
        family("u", 3, untyped),
    ];
    let expected = [
        "counter",
        "A=1,__name__=c,b=2 3 at 5 since 12345 # 1 None",
        "gauge",
        "__name__=g -1.5",
        "unknown",
        "__name__=u 7",
    ];
    assert_eq!(lines(&families, Histograms::Native), expected);
}

#[test]
fn summary_is_count_sum_and_quantiles() {
    let quantile = Quantile {
        quantile: 1.0,
        value: 9.0,
    };
    let summary = Metric {
        summary: Some(Summary {
            count: 2,
            sum: 10.0,
            quantile: vec![quantile],
            start: None,
        }),
        ..Metric::default()
    };
    let expected = [
        "summary",
        "__name__=s_count 2",
        "__name__=s_sum 10",
        "__name__=s,quantile=1.0 9",
    ];
    assert_eq!(
        lines(&[family("s", 2, summary)], Histograms::Native),
        expected
    );
}

fn histogram(native: bool) -> MetricFamily {
    let bucket = Bucket {
        cumulative_count: 1,
        upper_bound: 1e6,
        exemplar: Some(exemplar(2.0, START)),
        cumulative_count_float: 0.0,
    };
    let span = BucketSpan {
        offset: 0,
        length: 2,
    };
    let mut histogram = Histogram {
        count: 3,
        sum: 4.0,
        bucket: vec![bucket],
        ..Histogram::default()
    };
    if native {
        histogram.positive_span = vec![span];
        histogram.positive_delta = vec![1, 1];
    }
    let metric = Metric {
        histogram: Some(histogram),
        ..Metric::default()
    };
    family("h", 4, metric)
}

#[test]
fn histograms_are_native_classic_or_both() {
    let native = "__name__=h native [1, 1] # 2 Some(12345)";
    let classic = [
        "__name__=h_count 3",
        "__name__=h_sum 4",
        "__name__=h_bucket,le=1e+06 1 # 2 Some(12345)",
        "__name__=h_bucket,le=+Inf 3",
    ];
    let check = |is_native, wanted, expected: &[&str]| {
        assert_eq!(
            lines(&[histogram(is_native)], wanted)[1..],
            *expected,
            "{wanted:?}"
        );
    };
    check(true, Histograms::Native, &[native]);
    check(true, Histograms::Classic, &classic);
    check(true, Histograms::Both, &[&[native], &classic[..]].concat());
    check(false, Histograms::Native, &classic);
}

#[test]
fn a_histogram_without_classic_buckets_has_no_classic_series() {
    let mut family = histogram(true);
    let exposed = family.metric[0].histogram.as_mut().unwrap();
    exposed.bucket.clear();
    let native = ["histogram", "__name__=h native [1, 1]"];
    assert_eq!(lines(&[family], Histograms::Both), native);
}

#[test]
fn a_name_ends_in_its_unit_as_in_openmetrics() {
    let read = |name: &str, metric_type, unit: &str| {
        let mut family = family(name, metric_type, Metric::default());
        family.unit = unit.into();
        let body = family.encode_length_delimited_to_vec();
        Parser::new(&body, Histograms::Native)
            .next_entry()
            .map(drop)
    };
    for (name, metric_type) in [("sent_bytes", 1), ("sent_bytes_total", 0), ("bytes", 1)] {
        let is_named = name != "bytes";
        assert_eq!(read(name, metric_type, "bytes").is_ok(), is_named, "{name}");
        assert_eq!(read(name, metric_type, ""), Ok(()));
    }
    let wrong = DecodeError::Unit {
        offset: 0,
        unit: "bytes".into(),
    };
    assert_eq!(read("sent_total", 0, "bytes"), Err(wrong.clone()));
    assert_eq!(read("sent_bytes_total", 1, "bytes"), Err(wrong));
}

#[test]
fn length_beyond_the_body_is_refused() {
    let mut body = histogram(true).encode_length_delimited_to_vec();
    body.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x7f, 1, 2]);
    let offset = body.len() - 7;
    let mut parser = Parser::new(&body, Histograms::Native);
    let error = loop {
        match parser.next_entry() {
            Ok(Entry::Eof) => panic!("the end is cut off"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error, DecodeError::CutOff { offset });
}

proptest::proptest! {
    /// A body with any byte changed, or cut anywhere, gives entries or an error, and ends.
    #[test]
    fn no_changed_byte_panics(at in 0_usize..60, byte: u8, length in 0_usize..200) {
        let mut body = histogram(true).encode_length_delimited_to_vec();
        body.truncate(length);
        if let Some(changed) = body.get_mut(at) {
            *changed = byte;
        }
        let mut parser = Parser::new(&body, Histograms::Both);
        while !matches!(parser.next_entry(), Ok(Entry::Eof) | Err(_)) {}
    }
}
