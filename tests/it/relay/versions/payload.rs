//! What goes along with samples: metadata, exemplars, native histograms, start timestamps.

use std::collections::BTreeSet;

use http::StatusCode;
use promrelay::remote_write::generated::prometheus::{
    Exemplar, Histogram, MetricMetadata, TimeSeries, WriteRequest,
};
use promrelay::remote_write::generated::write_v2 as v2;
use promrelay::remote_write::message::ProtobufMessage::{V1, V2};
use prost::Message as _;

use super::super::harness::{Relay, compress, series, wait_for};
use super::peer::{Knows, Peer};
use super::{V2_KEY, relay, route, settled};

const GAUGE: i32 = 2;
const HISTOGRAM: i32 = 3;

/// Metadata often, one family a request.
const OFTEN: &str = "    metadata_config: {send_interval: 50ms, max_samples_per_send: 1}\n";
const SOME: &str = "    write_relabel_configs:\n      \
                    - {action: keep, source_labels: [__name__], regex: a|wait_sum}\n";

fn family(name: &str, metric_type: i32) -> MetricMetadata {
    MetricMetadata {
        r#type: metric_type,
        metric_family_name: name.to_owned(),
        help: format!("help of {name}"),
        ..MetricMetadata::default()
    }
}

async fn write(relay: &Relay, request: &WriteRequest) {
    let (status, words, _) = relay.post(compress(&request.encode_to_vec()), &[]).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{words}");
}

/// The families that were told on `path`, in requests of their own.
fn told(peer: &Peer, path: &str) -> BTreeSet<String> {
    let arrivals = peer.arrivals(path).into_iter();
    let told = arrivals.filter(|arrival| !arrival.families.is_empty());
    told.map(|arrival| {
        assert_eq!(arrival.message, V1);
        assert!(arrival.series.is_empty() && arrival.families.len() == 1);
        let (name, _, help) = &arrival.families[0];
        assert_eq!(*help, format!("help of {name}"));
        name.clone()
    })
    .collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_goes_only_to_routes_that_keep_a_series_of_the_family() {
    let peer = Peer::start(Knows::Both);
    let renamed = format!(
        "{OFTEN}{SOME}      - {{source_labels: [__name__], regex: (.*), \
         target_label: __name__, replacement: x_$1}}\n"
    );
    let relay = relay(&[
        route(&peer, "some", &format!("{OFTEN}{SOME}")),
        route(&peer, "renamed", &renamed),
        route(&peer, "all", OFTEN),
        route(&peer, "second", &format!("{V2_KEY}{OFTEN}{SOME}")),
        route(
            &peer,
            "silent",
            "    metadata_config: {send: false, send_interval: 50ms}\n",
        ),
    ])
    .await;
    // Metadata comes apart from the series, as Prometheus sends it.
    let metadata = vec![
        family("a", GAUGE),
        family("b", GAUGE),
        family("wait", HISTOGRAM),
        family("unheard_of", GAUGE),
    ];
    let request = WriteRequest {
        metadata,
        ..WriteRequest::default()
    };
    write(&relay, &request).await;
    let all = ["a", "b", "wait_bucket", "wait_sum"].map(|name| series(name, &[], 1, 1.0));
    relay.write(all.to_vec()).await;
    settled(&relay).await;
    wait_for("metadata", async || {
        told(&peer, "/some").len() == 2
            && told(&peer, "/renamed").len() == 2
            && told(&peer, "/all").len() == 4
    })
    .await;
    assert_eq!(told(&peer, "/some"), names(&["a", "wait"]));
    assert_eq!(told(&peer, "/renamed"), names(&["a", "wait"]));
    assert_eq!(told(&peer, "/second"), names(&[]));
    assert_eq!(told(&peer, "/silent"), names(&[]));
    for told in peer.stored("/second") {
        let expected = match told.name.as_str() {
            "a" => (GAUGE, "help of a".to_owned()),
            "wait_sum" => (HISTOGRAM, "help of wait".to_owned()),
            other => panic!("{other}"),
        };
        assert_eq!(told.metadata, Some(expected));
    }
    assert_eq!(peer.stored("/second").len(), 2);
    let sent = relay.metric("promrelay_send_metadata_total", &["route=\"some\""]);
    assert!(sent.await >= 2);
    assert_eq!(relay.metric("promrelay_metadata_families", &[]).await, 4);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_is_refused_is_counted_and_costs_no_sample() {
    let peer = Peer::start(Knows::Both);
    let relay = relay(&[route(&peer, "a", OFTEN)]).await;
    peer.shared().answer = Some(StatusCode::BAD_REQUEST);
    let request = WriteRequest {
        metadata: vec![family("a", GAUGE)],
        ..WriteRequest::default()
    };
    write(&relay, &request).await;
    wait_for("a failure", async || {
        relay
            .metric("promrelay_send_metadata_failed_total", &[])
            .await
            > 0
    })
    .await;
    peer.shared().answer = None;
    relay.write(vec![series("a", &[], 1, 1.0)]).await;
    settled(&relay).await;
    assert_eq!(peer.samples("/a").len(), 1);
    let rejected = relay.metric("promrelay_send_rejected_samples_total", &[]);
    assert_eq!(rejected.await, 0);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_rules_begin_with_nothing_noted_and_what_is_known_survives_a_reload() {
    let peer = Peer::start(Knows::Both);
    let keep = |name: &str| {
        let rule = format!("{{action: keep, source_labels: [__name__], regex: {name}}}");
        route(
            &peer,
            "r",
            &format!("{OFTEN}    write_relabel_configs: [{rule}]\n"),
        )
    };
    let relay = relay(&[keep("a")]).await;
    let request = WriteRequest {
        timeseries: vec![series("a", &[], 1, 1.0), series("b", &[], 1, 1.0)],
        metadata: vec![family("a", GAUGE), family("b", GAUGE)],
    };
    write(&relay, &request).await;
    wait_for("metadata", async || told(&peer, "/r") == names(&["a"])).await;
    relay.write_config(&format!("remote_write:\n{}", keep("b")));
    assert_eq!(relay.reload().await.0, StatusCode::OK);
    settled(&relay).await;
    peer.shared().arrivals.clear();
    relay.write(vec![series("b", &[], 2, 1.0)]).await;
    wait_for("metadata of b", async || told(&peer, "/r").contains("b")).await;
    peer.shared().arrivals.clear();
    wait_for("metadata again", async || !told(&peer, "/r").is_empty()).await;
    assert_eq!(told(&peer, "/r"), names(&["b"]));
    relay.stop().await;
}

fn exemplar(value: f64) -> Exemplar {
    Exemplar {
        value,
        timestamp: 1,
        ..Exemplar::default()
    }
}

/// A native histogram with nothing in it.
fn histogram() -> Histogram {
    Histogram {
        timestamp: 1,
        ..Histogram::default()
    }
}

/// Series with samples, exemplars and histograms in all combinations that senders write.
fn payloads() -> Vec<TimeSeries> {
    let with = |name: &str, exemplars: &[f64], histograms: usize, samples: bool| {
        let mut series = series(name, &[], 1, 1.0);
        series.exemplars = exemplars.iter().map(|value| exemplar(*value)).collect();
        series.histograms = (0..histograms).map(|_| histogram()).collect();
        series.samples.retain(|_| samples);
        series
    };
    vec![
        with("plain", &[], 0, true),
        with("counter", &[1.0, 2.0], 0, true),
        with("counter", &[3.0], 0, false),
        with("native", &[], 2, false),
        with("native_too", &[4.0], 1, false),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_route_does_not_want_is_removed_and_counted() {
    let peer = Peer::start(Knows::Both);
    let exemplars = "    send_exemplars: true\n";
    let histograms = "    send_native_histograms: true\n";
    // A rule that rewrites takes another way.
    let rewrites = "    write_relabel_configs: [{target_label: z, replacement: z}]\n";
    let relay = relay(&[
        route(&peer, "none", ""),
        route(&peer, "none_rewritten", rewrites),
        route(&peer, "exemplars", exemplars),
        route(&peer, "histograms", histograms),
        route(
            &peer,
            "both_rewritten",
            &format!("{exemplars}{histograms}{rewrites}"),
        ),
        route(&peer, "both", &format!("{exemplars}{histograms}")),
    ])
    .await;
    relay.write(payloads()).await;
    settled(&relay).await;
    for (name, series, exemplars, histograms) in [
        ("none", 2, 0, 0),
        ("none_rewritten", 2, 0, 0),
        ("exemplars", 4, 4, 0),
        ("histograms", 4, 0, 3),
        ("both_rewritten", 5, 4, 3),
        ("both", 5, 4, 3),
    ] {
        let stored = peer.stored(&format!("/{name}"));
        let sum = |count: fn(&super::peer::Told) -> usize| stored.iter().map(count).sum::<usize>();
        let found = (
            stored.len(),
            sum(|told| told.exemplars.len()),
            sum(|told| told.histograms),
            sum(|told| told.samples.len()),
        );
        assert_eq!(found, (series, exemplars, histograms, 2), "{name}");
        let label = format!("route=\"{name}\"");
        let of = async |metric: &str, more: &str| relay.metric(metric, &[&label, more]).await;
        let rule = "rule=\"native_histograms_not_sent\"";
        let dropped = of("promrelay_route_dropped_samples_total", rule).await;
        assert_eq!(dropped, 3 - histograms as u64, "{name}");
        let kept = of("promrelay_route_kept_samples_total", "").await;
        assert_eq!(kept + dropped, 5, "{name}: received = kept + dropped");
        assert_eq!(of("promrelay_send_samples_total", "").await, kept, "{name}");
        let removed = of("promrelay_route_removed_exemplars_total", "").await;
        assert_eq!(removed, 4 - exemplars as u64, "{name}");
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exemplar_that_came_apart_goes_out_with_its_sample_in_2_0() {
    let peer = Peer::start(Knows::Both);
    let more = format!("{V2_KEY}    send_exemplars: true\n    send_native_histograms: true\n");
    let relay = relay(&[route(&peer, "a", &more)]).await;
    relay.write(payloads()).await;
    settled(&relay).await;
    let stored = peer.stored("/a");
    let counter = stored.iter().find(|told| told.name == "counter").unwrap();
    assert_eq!(counter.exemplars, [1.0, 2.0, 3.0]);
    assert!(
        stored
            .iter()
            .all(|told| told.samples.is_empty() != (told.histograms == 0))
    );
    relay.stop().await;
}

/// A 2.0 request with everything that 1.0 cannot carry.
fn second() -> Vec<u8> {
    let symbols = ["", "__name__", "a_sum", "help of a"].map(str::to_owned);
    let request = v2::Request {
        symbols: symbols.to_vec(),
        timeseries: vec![v2::TimeSeries {
            labels_refs: vec![1, 2],
            samples: vec![v2::Sample {
                value: 1.0,
                timestamp: 7,
                start_timestamp: 5,
            }],
            metadata: Some(v2::Metadata {
                r#type: HISTOGRAM,
                help_ref: 3,
                unit_ref: 0,
            }),
            created_timestamp: 6,
            ..v2::TimeSeries::default()
        }],
    };
    let mut raw = request.encode_to_vec();
    // A field that nobody knows yet.
    raw.extend_from_slice(&[0xca, 0x06, 1, b'x']);
    compress(&raw)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_1_0_has_no_place_for_is_counted_and_2_0_gets_all_of_it() {
    let peer = Peer::start(Knows::Both);
    let relay = relay(&[
        route(&peer, "first", OFTEN),
        route(&peer, "second", &format!("{V2_KEY}{OFTEN}")),
    ])
    .await;
    let content_type = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let headers = [
        ("content-type", content_type),
        ("x-prometheus-remote-write-version", "2.0.0"),
    ];
    let (status, words, _) = relay.post(second(), &headers).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{words}");
    settled(&relay).await;
    let (first, second) = (peer.stored("/first"), peer.stored("/second"));
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_eq!(first[0].samples, [(7, 1.0)]);
    assert_eq!(second[0].samples, [(7, 1.0)]);
    assert_eq!(second[0].start_timestamps, [5]);
    let metadata = (HISTOGRAM, "help of a".to_owned());
    assert_eq!(second[0].metadata, Some(metadata));
    wait_for("metadata", async || told(&peer, "/first") == names(&["a"])).await;
    for (route, part, count) in [
        ("first", "start_timestamp", 2),
        ("first", "unknown_field", 1),
        ("second", "start_timestamp", 0),
        ("second", "unknown_field", 0),
    ] {
        let labels = [format!("route=\"{route}\""), format!("part=\"{part}\"")];
        let labels = labels.each_ref().map(String::as_str);
        let left_out = relay.metric("promrelay_send_left_out_total", &labels);
        assert_eq!(left_out.await, count, "{route}: {part}");
    }
    assert!(peer.arrivals("/second").iter().all(|a| a.message == V2));
    relay.stop().await;
}
