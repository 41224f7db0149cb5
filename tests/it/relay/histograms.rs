//! Native histograms and exemplars reach the receiver as the target exposes them.

use promrelay::remote_write::generated::prometheus as wire;
use promrelay::remote_write::generated::prometheus::histogram::{Count, ZeroCount};
use prost::Message as _;

use super::exposer::{Exposer, Page};
use super::harness::{Receiver, Relay, wait_for};
use super::scraping::{STALE, config, wait_end, wait_value};

const PROTOBUF: &str = "application/vnd.google.protobuf; \
                        proto=io.prometheus.client.MetricFamily; encoding=delimited";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const HISTOGRAM: i32 = 4;

/// `io.prometheus.client.MetricFamily`, as far as it is needed here.
#[derive(Clone, PartialEq, prost::Message)]
struct Family {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "3")]
    metric_type: i32,
    #[prost(message, repeated, tag = "4")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<wire::Label>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "2")]
    sum: f64,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    positive_spans: Vec<wire::BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    positive_deltas: Vec<i64>,
    #[prost(message, repeated, tag = "16")]
    exemplars: Vec<Exemplar>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<wire::Label>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(message, optional, tag = "3")]
    timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

fn label(name: &str, value: &str) -> wire::Label {
    wire::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

fn spans() -> Vec<wire::BucketSpan> {
    [(-2, 1), (3, 2)]
        .map(|(offset, length)| wire::BucketSpan { offset, length })
        .into()
}

fn family() -> Family {
    let histogram = Histogram {
        count: 7,
        sum: 12.5,
        schema: 3,
        zero_threshold: 0.001,
        zero_count: 1,
        positive_spans: spans(),
        positive_deltas: vec![1, 2, -1],
        exemplars: vec![Exemplar {
            labels: vec![label("trace_id", "t")],
            value: 1.5,
            timestamp: Some(Timestamp {
                seconds: 1000,
                nanos: 500_000_000,
            }),
        }],
    };
    Family {
        name: "h".to_owned(),
        metric_type: HISTOGRAM,
        metrics: vec![Metric {
            labels: vec![label("a", "b")],
            histogram: Some(histogram),
        }],
    }
}

/// The series of a metric, in every request that arrived.
fn series(receiver: &Receiver, metric: &str) -> Vec<wire::TimeSeries> {
    let arrivals = receiver.arrivals("/w").into_iter();
    let all = arrivals.flat_map(|arrival| arrival.request.timeseries);
    let name = label("__name__", metric);
    all.filter(|series| series.labels.contains(&name)).collect()
}

fn expected_exemplar() -> wire::Exemplar {
    wire::Exemplar {
        labels: vec![label("trace_id", "t")],
        value: 1.5,
        timestamp: 1_000_500,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn native_histograms_arrive_with_their_exemplars_and_end() {
    let (receiver, exposer) = (Receiver::start(), Exposer::start());
    let body = family().encode_length_delimited_to_vec();
    exposer.set("/metrics", Page::Typed(PROTOBUF, body));
    let keys = "    scrape_native_histograms: true\n";
    let relay = Relay::start(&config(&receiver, &exposer.address().to_string(), keys)).await;
    wait_for("a histogram", async || !series(&receiver, "h").is_empty()).await;
    let first = series(&receiver, "h").remove(0);
    assert!(first.labels.contains(&label("a", "b")), "{first:?}");
    assert!(first.samples.is_empty(), "{first:?}");
    assert_eq!(first.exemplars, [expected_exemplar()]);
    let up = series(&receiver, "up").remove(0);
    let expected = wire::Histogram {
        sum: 12.5,
        schema: 3,
        zero_threshold: 0.001,
        positive_spans: spans(),
        positive_deltas: vec![1, 2, -1],
        timestamp: up.samples[0].timestamp,
        count: Some(Count::CountInt(7)),
        zero_count: Some(ZeroCount::ZeroCountInt(1)),
        ..wire::Histogram::default()
    };
    assert_eq!(first.histograms, [expected]);

    exposer.expose("");
    wait_for("its end", async || {
        let last = series(&receiver, "h").pop();
        let last = last.and_then(|series| series.histograms.last().cloned());
        last.is_some_and(|histogram| histogram.sum.to_bits() == STALE)
    })
    .await;
    assert!(series(&receiver, "h").iter().all(|s| s.samples.is_empty()));
    relay.stop().await;
    exposer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exemplars_of_open_metrics_arrive_beside_their_samples() {
    let (receiver, exposer) = (Receiver::start(), Exposer::start());
    let text = "# TYPE c counter\nc_total 3 # {trace_id=\"t\"} 1.5 1000.5\nc_created 999\n\
                # TYPE h histogram\nh_bucket{le=\"+Inf\"} 2 # {trace_id=\"t\"} 1.5 1000.5\n\
                h_count 2\nh_sum 3\n# EOF\n";
    exposer.set("/metrics", Page::Typed(OPEN_METRICS, text.into()));
    let relay = Relay::start(&config(&receiver, &exposer.address().to_string(), "")).await;
    wait_value(&receiver, "__name__=c_total,", 3.0).await;
    wait_value(&receiver, "__name__=h_bucket,", 2.0).await;
    // A series like any other, as Prometheus has it where no feature says otherwise.
    wait_value(&receiver, "__name__=c_created,", 999.0).await;
    for metric in ["c_total", "h_bucket"] {
        let first = series(&receiver, metric).remove(0);
        assert_eq!(first.exemplars, [expected_exemplar()], "{metric}");
    }
    // They stand there at the next scrape, too, and are no news.
    wait_for("another scrape", async || {
        let mut metrics = ["c_total", "h_bucket"].iter();
        metrics.all(|metric| series(&receiver, metric).len() > 1)
    })
    .await;
    for metric in ["c_total", "h_bucket"] {
        let next = series(&receiver, metric).remove(1);
        assert!(next.exemplars.is_empty(), "{metric}");
    }
    exposer.set("/metrics", Page::Typed(OPEN_METRICS, "# EOF\n".into()));
    wait_end(&receiver, "__name__=c_total,").await;
    let last = series(&receiver, "c_total").pop();
    assert!(last.is_some_and(|series| series.exemplars.is_empty()));
    relay.stop().await;
    exposer.stop().await;
}
