//! From bodies to requests.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;

use super::job;
use crate::exposition::{Entry, text};
use crate::model::LabelSet;
use crate::relabel::{Rules, Scratch};
use crate::remote_write::generated::prometheus::WriteRequest;
use crate::scrape::cache::{Cache, Kind, Known, Occurrence, Spelling, Success, Told, hash_labels};
use crate::scrape::error::ScrapeError;
use crate::scrape::label::label;
use crate::scrape::metadata::{Book, Due, Family};
use crate::scrape::protocol::{Escaping, Protocol, accept_header};
use crate::scrape::status::rfc3339;

/// The labels of the series that `line` exposes, of a target with `a="t"`, `instance="i"`.
fn labelled(keys: &str, line: &str) -> Result<Option<String>, ScrapeError> {
    let job = job(&format!("job_name: j\n{keys}"));
    let rules = Rules::compile(&job.metric_relabel_configs);
    let target =
        [("a", "t"), ("instance", "i")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut parser = text::Parser::new(line);
    let Ok(Entry::Series(series)) = parser.next_entry() else {
        panic!("{line} is no series");
    };
    let set = label(&series, &target, &job, &rules, &mut Scratch::default())?;
    Ok(set.map(|set| show(&set)))
}

fn show(set: &LabelSet<'_>) -> String {
    let labels = set.iter();
    let labels: Vec<_> = labels
        .map(|label| format!("{}={}", label.name, label.value))
        .collect();
    labels.join(",")
}

fn check(keys: &str, line: &str, expected: Option<&str>) {
    let labels = labelled(keys, line).unwrap();
    assert_eq!(labels.as_deref(), expected, "{keys} {line}");
}

#[test]
fn the_target_wins_or_the_series() {
    let honor = "honor_labels: true";
    check("", "m 1", Some("__name__=m,a=t,instance=i"));
    check(
        "",
        "m{a=\"s\"} 1",
        Some("__name__=m,a=t,exported_a=s,instance=i"),
    );
    check(honor, "m{a=\"s\"} 1", Some("__name__=m,a=s,instance=i"));
    check(honor, "m{a=\"\"} 1", Some("__name__=m,instance=i"));
    check("", "m{a=\"\"} 1", Some("__name__=m,a=t,instance=i"));
    check(
        "",
        "m{a=\"s\",exported_a=\"e\"} 1",
        Some("__name__=m,a=t,exported_a=e,exported_exported_a=s,instance=i"),
    );
    let drop = "metric_relabel_configs: [{source_labels: [__name__], regex: m, action: drop}]";
    check(drop, "m 1", None);
    let all = "metric_relabel_configs: [{regex: '.*', action: labeldrop}]";
    check(all, "m 1", None);
}

#[test]
fn series_that_cannot_be_stored_fail_the_scrape() {
    let error = |keys: &str, line: &str| labelled(keys, line).unwrap_err().to_string();
    let nameless = "metric_relabel_configs: [{regex: __name__, action: labeldrop}]";
    assert_eq!(
        error(nameless, "m 1"),
        "missing metric name (__name__ label)"
    );
    assert_eq!(
        error("", "m{b=\"1\",b=\"2\"} 1"),
        "label name \"b\" is not unique"
    );
    assert_eq!(
        error("label_limit: 3", "m{b=\"1\"} 1"),
        "label_limit exceeded (metric: m, number of labels: 4, limit: 3)"
    );
    assert!(labelled("label_limit: 4", "m{b=\"1\"} 1").is_ok());
    assert_eq!(
        error("label_name_length_limit: 8", "m{abcdefghi=\"1\"} 1"),
        "label_name_length_limit exceeded (metric: m, label name: abcdefghi, length: 9, limit: 8)"
    );
    assert_eq!(
        error("label_value_length_limit: 2", "m{b=\"123\"} 1"),
        "label_value_length_limit exceeded (metric: m, label name: b, value: \"123\", length: 3, \
         limit: 2)"
    );
}

/// Plays scrapes: each is the series it has, and what it says of those that ended.
struct Play(Cache);

impl Play {
    fn scrape(&mut self, series: &[&str], success: Success, told: Told) -> Vec<String> {
        let cache = &mut self.0;
        cache.begin();
        for name in series {
            let spelling = Spelling::of(name.as_bytes());
            if let Known::New = cache.look_up(spelling) {
                // What stands behind a colon is how the target spells it; the labels are the same.
                let labels = name.split(':').next().unwrap().as_bytes();
                cache.add_series(spelling, labels, hash_labels(labels));
            }
            cache.track(spelling, Kind::Float);
        }
        if success == Success::No {
            cache.fail();
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut ended: Vec<_> = cache
            .ended()
            .iter()
            .map(|(labels, _)| text(labels))
            .collect();
        ended.sort_unstable();
        cache.close(success, told);
        ended
    }
}

#[test]
fn each_end_is_told_once() {
    use Success::{No, Yes};
    let mut play = Play(Cache::default());
    assert_eq!(play.scrape(&["a", "b:1", "b:2"], Yes, Told::Yes), [""; 0]);
    assert_eq!(play.scrape(&["b:2", "c"], Yes, Told::Yes), ["a"]);
    // Not told because a queue was full: said again, unless it came back.
    assert_eq!(play.scrape(&["c"], Yes, Told::No), ["b"]);
    assert_eq!(play.scrape(&["c", "d"], Yes, Told::No), ["b"]);
    assert_eq!(play.scrape(&["b:2", "c"], Yes, Told::Yes), ["d"]);
    // A scrape that fails after `c`: all end, and `c` too.
    assert_eq!(play.scrape(&["c"], No, Told::Yes), ["b", "c"]);
    assert_eq!(play.scrape(&[], No, Told::Yes), [""; 0]);
    assert_eq!(play.scrape(&["c", "e"], Yes, Told::Yes), [""; 0]);
    // Another task goes on with the target, which has no `e` any more.
    let mut heir = Play(Cache::inherit(play.0));
    assert_eq!(heir.scrape(&["c"], Yes, Told::No), ["e"]);
    assert_eq!(heir.scrape(&["c"], Yes, Told::Yes), ["e"]);
    assert_eq!(heir.scrape(&[], Yes, Told::Yes), ["c"]);
}

#[test]
fn a_spelling_is_known_from_scrape_to_scrape() {
    let mut cache = Cache::default();
    let (kept, dropped) = (Spelling::of(b"kept"), Spelling::of(b"dropped"));
    cache.begin();
    assert!(matches!(cache.look_up(kept), Known::New));
    cache.add_series(kept, b"labels", 7);
    cache.add_dropped(dropped);
    assert!(matches!(cache.look_up(dropped), Known::Dropped));
    let again = Known::Series {
        hash: 7,
        occurrence: Occurrence::Again,
    };
    assert_eq!(format!("{:?}", cache.look_up(kept)), format!("{again:?}"));
    cache.close(Success::Yes, Told::Yes);
    cache.begin();
    let first = Known::Series {
        hash: 7,
        occurrence: Occurrence::First,
    };
    assert_eq!(format!("{:?}", cache.look_up(kept)), format!("{first:?}"));
    assert_eq!(cache.labels(kept), Some(b"labels".as_slice()));
    cache.close(Success::Yes, Told::Yes);
    cache.begin();
    assert!(
        matches!(cache.look_up(dropped), Known::New),
        "it was not in the last body"
    );
}

#[test]
fn a_family_is_written_once_a_minute() {
    let book = Book::default();
    let start = tokio::time::Instant::now();
    let family = Family {
        metric: "m".to_owned(),
        help: "what it is".to_owned(),
        ..Family::default()
    };
    let (first, due) = book.enter(&family, start);
    assert_eq!(due, Due::Now);
    book.written([&*first].into_iter(), start);
    let (second, due) = book.enter(&family, start + Duration::from_secs(59));
    assert_eq!(due, Due::Later);
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(
        book.enter(&family, start + Duration::from_mins(1)).1,
        Due::Now
    );
    let mut other = family.clone();
    other.help.push('!');
    assert_eq!(book.enter(&other, start).1, Due::Now);
    let mut request = Vec::new();
    family.encode(&mut request);
    let request = WriteRequest::decode(request.as_slice()).unwrap();
    assert_eq!(request.metadata[0].metric_family_name, "m");
    assert_eq!(request.metadata[0].help, "what it is");
}

#[test]
fn protobuf_is_asked_for_where_native_histograms_are_wanted() {
    let job = job("job_name: j\nscrape_native_histograms: true\n");
    let header = accept_header(&job.protocols, job.escaping);
    assert!(
        header.starts_with(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;q=0.6,application/openmetrics-text"
        ),
        "{header}"
    );
    assert_eq!(
        accept_header(&[Protocol::PrometheusText100], Escaping::Dots),
        "text/plain;version=1.0.0;escaping=dots;q=0.2,*/*;q=0.1"
    );
}

#[test]
fn times_are_shown_as_rfc_3339() {
    let at = |seconds, nanos| std::time::UNIX_EPOCH + Duration::new(seconds, nanos);
    for (time, expected) in [
        (at(0, 0), "1970-01-01T00:00:00.000000000Z"),
        (at(951_782_400, 5), "2000-02-29T00:00:00.000000005Z"),
        (at(4_107_542_399, 0), "2100-02-28T23:59:59.000000000Z"),
        (at(1_735_689_599, 0), "2024-12-31T23:59:59.000000000Z"),
    ] {
        assert_eq!(rfc3339(time), expected);
    }
}
