//! Remote write 2.0 between real programs: Prometheus 3 on either side of the relay.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::peers::{ITSELF, Peer, prometheus_3_is_there};
use crate::process::{self, eventually, settles};
use crate::recorder::Recorder;
use crate::samples::{Samples, series_text};

const FIRST: &str = "prometheus.WriteRequest";
const SECOND: &str = "io.prometheus.write.v2.Request";

/// An entry of `remote_write`, in words that Prometheus and promrelay share.
fn entry(name: &str, url: &str, message: &str) -> String {
    format!(
        "  - name: {name}\n    url: {url}\n    remote_timeout: 5s\n    \
         protobuf_message: {message}\n    send_exemplars: true\n    \
         send_native_histograms: true\n    metadata_config: {{send_interval: 1s}}\n    \
         queue_config: {{batch_send_deadline: 1s, max_backoff: 1s}}\n"
    )
}

/// Counters and a histogram in OpenMetrics, with exemplars; it ends with this value.
struct Exemplars {
    address: String,
    _server: JoinSet<std::io::Result<()>>,
}

impl Exemplars {
    async fn start() -> Self {
        let service = Router::new()
            .route("/metrics", get(expose))
            .with_state(Arc::default());
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has one");
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, service).await });
        Self {
            address: address.to_string(),
            _server: server,
        }
    }
}

async fn expose(
    State(scrapes): State<Arc<AtomicU32>>,
) -> ([(&'static str, &'static str); 1], String) {
    let count = scrapes.fetch_add(1, Ordering::Relaxed) + 1;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs_f64();
    let exemplar = format!("# {{trace_id=\"t{count}\"}} 0.{count:03} {now:.3}");
    let mut text =
        String::from("# TYPE requests counter\n# HELP requests Requests, \"all\" of them.\n");
    for handler in 0..20 {
        let labels = format!("handler=\"{handler}\"");
        writeln!(text, "requests_total{{{labels}}} {count} {exemplar}").expect("fits");
    }
    text +=
        "# TYPE wait_seconds histogram\n# UNIT wait_seconds seconds\n# HELP wait_seconds Time.\n";
    writeln!(text, "wait_seconds_bucket{{le=\"1.0\"}} {count} {exemplar}").expect("fits");
    writeln!(text, "wait_seconds_bucket{{le=\"+Inf\"}} {count}").expect("fits");
    writeln!(
        text,
        "wait_seconds_count {count}\nwait_seconds_sum {count}\n# EOF"
    )
    .expect("fits");
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([("content-type", content_type)], text)
}

/// What a Prometheus answers to a query of raw samples.
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Held>,
}

#[derive(Deserialize)]
struct Held {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    #[serde(default)]
    histograms: Vec<(f64, serde_json::Value)>,
}

/// What a Prometheus answers to a query of exemplars.
#[derive(Deserialize)]
struct ExemplarAnswer {
    data: Vec<HeldExemplars>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeldExemplars {
    series_labels: BTreeMap<String, String>,
    exemplars: Vec<HeldExemplar>,
}

#[derive(Deserialize)]
struct HeldExemplar {
    labels: BTreeMap<String, String>,
    value: String,
    timestamp: f64,
}

fn text_of(labels: &BTreeMap<String, String>) -> String {
    let labels = labels.iter();
    series_text(labels.map(|(name, value)| (name.as_str(), value.as_str())))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "milliseconds of this century"
)]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

fn hash_of(value: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    value.hash(&mut hash);
    hash.finish()
}

/// All samples, histograms and exemplars that a Prometheus holds.
async fn held(prometheus: &Peer) -> Option<Samples> {
    let query = "/api/v1/query?query=%7B__name__%3D~%22.%2B%22%7D%5B10m%5D";
    let answer = process::get(&prometheus.url(query)).await?;
    let answer: Answer = serde_json::from_str(&answer).expect("the answer is as documented");
    let mut samples = Samples::default();
    for series in answer.data.result {
        let name = text_of(&series.metric);
        for (seconds, value) in series.values {
            samples.insert(&name, milliseconds(seconds), hash_of(&value));
        }
        for (seconds, histogram) in series.histograms {
            let text = format!("histogram {name}");
            samples.insert(
                &text,
                milliseconds(seconds),
                hash_of(&histogram.to_string()),
            );
        }
    }
    let query = "/api/v1/query_exemplars?query=%7B__name__%3D~%22.%2B%22%7D&start=0&end=9999999999";
    let answer = process::get(&prometheus.url(query)).await?;
    let answer: ExemplarAnswer = serde_json::from_str(&answer).expect("as documented");
    for series in answer.data {
        for exemplar in series.exemplars {
            let own = text_of(&exemplar.labels);
            let text = format!("exemplar {own} of {}", text_of(&series.series_labels));
            let at_ms = milliseconds(exemplar.timestamp);
            samples.insert(&text, at_ms, hash_of(&exemplar.value));
        }
    }
    Some(samples)
}

/// How many texts begin so.
fn count(samples: &Samples, kind: &str) -> usize {
    let texts = samples.0.keys();
    texts.filter(|text| text.starts_with(kind)).count()
}

/// What differs on the path behind a relay from what Prometheus wrote directly.
fn difference(recorder: &Recorder, path: &str, message: &str, cut_ms: i64) -> String {
    let direct = format!("/direct/{message}");
    let (expected, found) = (recorder.samples(&direct), recorder.samples(path));
    let samples = expected.until(cut_ms).difference(&found.until(cut_ms));
    // A family has the name of its series where only 2.0 told of it; and 1.0 never tells of what
    // Prometheus itself says of a target.
    let is_compared = |text: &str| match path {
        "/by-second/first" => !text.starts_with("family"),
        "/by-first/second" => !["up ", "scrape_"]
            .iter()
            .any(|name| text.starts_with(&format!("metadata {name}"))),
        _ => true,
    };
    let others = |path: &str| {
        let mut others = recorder.others(path).until(cut_ms);
        others.0.retain(|text, _| is_compared(text));
        others
    };
    let others = others(&direct).difference(&others(path));
    if samples.is_empty() && others.is_empty() {
        return String::new();
    }
    format!("{path}:\n{samples}{others}")
}

/// Waits until scrapes of this much time arrived, and returns the newest time.
async fn scraped_for(recorder: &Recorder, span_ms: i64) -> i64 {
    eventually("scrapes arrive", Duration::from_secs(90), async || {
        let up = recorder.samples_with("/direct/second", &[("__name__", "up")]);
        (up.span_ms() >= span_ms).then(|| recorder.newest_ms("/direct/second"))?
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_2_0_on_either_side_arrives_what_prometheus_would_have_sent() {
    if !prometheus_3_is_there() {
        return;
    }
    let recorder = Recorder::start().await;
    let exemplars = Exemplars::start().await;
    let (direct, relayed) = (
        Peer::prometheus_3("{}").await,
        Peer::prometheus_3("{}").await,
    );
    let routes = |fed: &str| {
        let url = |message: &str| recorder.url(&format!("/by-{fed}/{message}"));
        entry("first", &url("first"), FIRST) + &entry("second", &url("second"), SECOND)
    };
    let by_first = format!("remote_write:\n{}", routes("first"));
    let by_first = Peer::promrelay(&by_first).await;
    let store = entry("store", &relayed.url("/api/v1/write"), SECOND);
    let by_second = format!("remote_write:\n{}{store}", routes("second"));
    let by_second = Peer::promrelay(&by_second).await;
    let write = |peer: &Peer| peer.url("/api/v1/write");
    let entries = [
        entry("direct-first", &recorder.url("/direct/first"), FIRST),
        entry("direct-second", &recorder.url("/direct/second"), SECOND),
        entry("relay-first", &write(&by_first), FIRST),
        entry("relay-second", &write(&by_second), SECOND),
        entry("direct-store", &write(&direct), SECOND),
    ];
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n  \
         - {{job_name: prometheus, static_configs: [{{targets: ['{ITSELF}']}}]}}\n  \
         - {{job_name: exemplars, static_configs: [{{targets: ['{}']}}]}}\nremote_write:\n{}",
        exemplars.address,
        entries.concat()
    );
    let sender = Peer::prometheus_3(&config).await;
    let cut_ms = scraped_for(&recorder, 25_000).await;

    settles("with and without the relays", async || {
        let paths = ["by-first", "by-second"].map(|fed| {
            let path = |message: &str| format!("/{fed}/{message}");
            difference(&recorder, &path("first"), "first", cut_ms)
                + &difference(&recorder, &path("second"), "second", cut_ms)
        });
        paths.concat()
    })
    .await;
    settles("Prometheus holds", async || {
        match (held(&direct).await, held(&relayed).await) {
            (Some(direct), Some(relayed)) => {
                direct.until(cut_ms).difference(&relayed.until(cut_ms))
            }
            _ => "no answer".to_owned(),
        }
    })
    .await;

    let others = recorder.others("/by-second/second").until(cut_ms);
    assert!(count(&others, "histogram") >= 5, "native histograms");
    assert!(count(&others, "exemplar") >= 100, "exemplars");
    assert!(count(&others, "metadata requests_total 1") >= 1, "metadata");
    assert!(count(&others, "metadata") >= 100, "metadata of all metrics");
    let families = recorder.others("/by-second/first");
    assert!(count(&families, "family wait_seconds 3 ") == 1, "families");
    let held = held(&relayed).await.expect("an answer").until(cut_ms);
    assert!(count(&held, "histogram") >= 5 && count(&held, "exemplar") >= 100);
    assert!(held.series() > 300, "{} series", held.series());
    for peer in [sender, by_first, by_second] {
        assert!(peer.stop().await.success());
    }
    recorder.assert_orderly();
}

/// Debian's stable Prometheus swallows 2.0: it answers 204 and stores nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_prometheus_behind_a_2_0_route_gets_everything_as_1_0() {
    if !crate::peers::installed() || !prometheus_3_is_there() {
        return;
    }
    let (old, exemplars) = (Peer::prometheus("{}").await, Exemplars::start().await);
    let entry_of = |name, peer: &Peer| entry(name, &peer.url("/api/v1/write"), SECOND);
    let relay = Peer::promrelay(&format!("remote_write:\n{}", entry_of("old", &old))).await;
    let recorder = Recorder::start().await;
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n  \
         - {{job_name: exemplars, static_configs: [{{targets: ['{}']}}]}}\nremote_write:\n{}{}",
        exemplars.address,
        entry_of("relay", &relay),
        entry("direct", &recorder.url("/direct/second"), SECOND),
    );
    let sender = Peer::prometheus_3(&config).await;
    let cut_ms = scraped_for(&recorder, 5_000).await;
    settles("the old Prometheus holds", async || {
        let mut expected = Samples::default();
        for (series, samples) in recorder.samples("/direct/second").until(cut_ms).0 {
            for (at_ms, bits) in samples {
                let value = f64::from_bits(bits).to_string();
                expected.insert(&series, at_ms, hash_of(&value));
            }
        }
        assert!(expected.series() >= 20, "{} series", expected.series());
        match held(&old).await {
            Some(held) => {
                let mut held = held.until(cut_ms);
                held.0.retain(|text, _| text.starts_with('{'));
                expected.difference(&held)
            }
            None => "no answer".to_owned(),
        }
    })
    .await;
    let metrics = process::get(&relay.url("/metrics")).await.expect("metrics");
    assert!(
        metrics.contains("promrelay_send_fallback{route=\"old\"} 1"),
        "{metrics}"
    );
    assert!(sender.stop().await.success());
    assert!(relay.stop().await.success());
}
