//! From bodies to requests.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;

use super::job;
use crate::exposition::{Entry, text};
use crate::model::{Label, LabelSet};
use crate::relabel::{Rules, Scratch};
use crate::remote_write::generated::prometheus::WriteRequest;
use crate::remote_write::v1::encode_labels;
use crate::scrape::blocks::{Block, Blocks};
use crate::scrape::cache::{Cache, Known, Occurrence, Slot, Success, Told};
use crate::scrape::encode::Kind;
use crate::scrape::error::ScrapeError;
use crate::scrape::hashes::{Spelling, hash_labels};
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
            let slot = match cache.look_up(spelling) {
                Known::Series(slot, _) => slot,
                // What stands behind a colon is how the target spells it; the labels are the same.
                _ => add(cache, spelling, name.split(':').next().unwrap()),
            };
            cache.track(slot, Kind::Float);
        }
        if success == Success::No {
            cache.fail();
        }
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let text = |bytes: &[u8]| text(&bytes[bytes.len() - 1..]);
        let mut ended: Vec<_> = cache
            .ended(0)
            .iter()
            .map(|(labels, _)| text(labels))
            .collect();
        ended.sort_unstable();
        cache.close(success, told);
        ended
    }
}

/// Adds a series whose one label has this value.
fn add(cache: &mut Cache, spelling: Spelling, value: &str) -> Slot {
    let mut labels = Vec::new();
    let label = Label { name: "n", value };
    encode_labels([label].into_iter(), &mut labels);
    let added = cache.add_series(spelling, &labels, hash_labels(&labels));
    added.expect("there is room")
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
    let mut heir = Play(Cache::inherit(play.0, &[]));
    assert_eq!(heir.scrape(&["c"], Yes, Told::No), ["e"]);
    assert_eq!(heir.scrape(&["c"], Yes, Told::Yes), ["e"]);
    assert_eq!(heir.scrape(&[], Yes, Told::Yes), ["c"]);
}

#[test]
fn a_spelling_is_known_from_scrape_to_scrape() {
    let mut cache = Cache::default();
    let (kept, dropped) = (Spelling::of(b"kept"), Spelling::of(b"dropped"));
    cache.begin();
    assert_eq!(cache.look_up(kept), Known::New);
    let slot = add(&mut cache, kept, "k");
    cache.add_dropped(dropped);
    assert_eq!(cache.look_up(dropped), Known::Dropped);
    assert_eq!(cache.look_up(kept), Known::Series(slot, Occurrence::Again));
    cache.close(Success::Yes, Told::Yes);
    cache.begin();
    assert_eq!(cache.look_up(kept), Known::Series(slot, Occurrence::First));
    let mut labels = Vec::new();
    cache.labels(slot).write(&mut labels);
    assert_eq!(labels, b"\x0a\x06\x0a\x01n\x12\x01k");
    cache.close(Success::Yes, Told::Yes);
    cache.begin();
    assert_eq!(
        cache.look_up(dropped),
        Known::New,
        "it was not in the last body"
    );
}

#[test]
fn series_are_found_in_any_order_and_then_in_the_new_one() {
    let mut cache = Cache::default();
    let mut scrape = |names: &str| {
        cache.begin();
        let mut strays = false;
        for name in names.split(' ') {
            let spelling = Spelling::of(name.as_bytes());
            let slot = match cache.look_up(spelling) {
                Known::Series(slot, Occurrence::First) => slot,
                Known::New => add(&mut cache, spelling, name),
                other => panic!("{name} is {other:?}"),
            };
            cache.track(slot, Kind::Float);
            let mut labels = Vec::new();
            cache.labels(slot).write(&mut labels);
            assert!(labels.ends_with(name.as_bytes()), "{name}: {labels:?}");
            strays = cache.strays();
        }
        let ended = cache.ended(0).len();
        cache.close(Success::Yes, Told::Yes);
        (strays, ended)
    };
    assert_eq!(scrape("a b c d"), (true, 0));
    assert_eq!(scrape("a b c d"), (false, 0));
    // One goes, one comes, two change places.
    assert_eq!(scrape("a d e b"), (true, 1));
    assert_eq!(scrape("a d e b"), (false, 0));
    assert_eq!(scrape("d"), (true, 3));
    assert_eq!(scrape("d"), (false, 0));
    let many: Vec<_> = (0..3000).map(|number| format!("s{number}")).collect();
    assert_eq!(scrape(&many.join(" ")), (true, 1));
    assert_eq!(scrape(&many[1000..].join(" ")), (true, 1000));
    assert_eq!(scrape(&many[..2000].join(" ")), (true, 1000));
    assert_eq!(scrape(&many[..2000].join(" ")), (false, 0));
}

#[test]
fn labels_are_packed_and_come_back_as_they_were() {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let target = [("b", "1"), ("c", "2"), ("d", "3")].map(owned);
    let cases: [&[(&str, &str)]; 9] = [
        &[("__name__", "m"), ("b", "1"), ("c", "2"), ("d", "3")],
        &[("a", "x"), ("b", "1"), ("bb", "y"), ("c", "2"), ("d", "3")],
        &[("b", "1"), ("c", "2"), ("d", "3"), ("e", "z")],
        &[("b", "own"), ("c", "2"), ("exported_b", "1")],
        &[("b", "1"), ("c", "own"), ("d", "3")],
        &[("d", "3")],
        &[("x", "y")],
        &[("b", "1"), ("d", "3")],
        &[],
    ];
    let mut blocks = Blocks::new(&target);
    let mut added = Vec::new();
    for case in cases {
        let labels = case.iter().map(|&(name, value)| Label { name, value });
        let mut encoded = Vec::new();
        encode_labels(labels, &mut encoded);
        added.push((blocks.add(&encoded).unwrap(), encoded));
    }
    let check = |blocks: &Blocks, added: &[(Block, Vec<u8>)]| {
        for (block, encoded) in added {
            let mut written = b"before".to_vec();
            blocks.get(*block).write(&mut written);
            assert_eq!(blocks.get(*block).len(), encoded.len());
            assert_eq!(written, [b"before", encoded.as_slice()].concat());
        }
    };
    check(&blocks, &added);
    // Much is not in use any more: the rest moves.
    let label = [b"\x0a\x07\x0a\x01n\x12\x02".as_slice(), b"xx"].concat();
    for _ in 0..1000 {
        blocks.add(&label).unwrap();
    }
    added.remove(0);
    let before = added[3].0;
    blocks.compact(added.iter_mut().map(|(block, _)| block));
    assert_ne!(added[3].0, before, "nothing moved");
    check(&blocks, &added);
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
