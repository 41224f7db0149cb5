//! Real receivers take what the relay sends, and give it back as it was written.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::exposition::{Exposition, INSTANCE_16};
use crate::peers::{Peer, installed};
use crate::process::{eventually, get, settles};
use crate::recorder::Recorder;
use crate::routes::{CONTAINER, EVERYTHING, NODE};
use crate::samples::{STALE, Samples, series_text};

/// One series as VictoriaMetrics exports it; it writes a value that JSON lacks as text or null.
#[derive(Deserialize)]
struct Exported {
    metric: BTreeMap<String, String>,
    values: Vec<serde_json::Value>,
    timestamps: Vec<i64>,
}

/// The answer of Prometheus to a query for raw samples.
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

fn labels(metric: &BTreeMap<String, String>) -> String {
    series_text(
        metric
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    )
}

/// Text in which Prometheus and VictoriaMetrics write a sample's value.
fn parse(value: &str) -> f64 {
    match value {
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        _ => value
            .parse()
            .unwrap_or_else(|error| panic!("the value {value:?}: {error}")),
    }
}

/// All samples that Prometheus has of some jobs.
async fn ask_prometheus(prometheus: &Peer) -> Option<Samples> {
    let query = "/api/v1/query?query=%7Bjob%3D~%22node-exporter%7Codd%22%7D%5B10m%5D";
    let answer = get(&prometheus.url(query)).await?;
    let answer: Answer = serde_json::from_str(&answer).expect("the answer has its documented form");
    let mut samples = Samples::default();
    for series in answer.data.result {
        let name = labels(&series.metric);
        for (seconds, value) in series.values {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "milliseconds of this century"
            )]
            let timestamp_ms = (seconds * 1000.0).round() as i64;
            samples.insert(&name, timestamp_ms, parse(&value).to_bits());
        }
    }
    Some(samples)
}

/// All samples that VictoriaMetrics has of a job, except those it exports as null.
async fn ask_victoria_metrics(victoria_metrics: &Peer) -> Option<Samples> {
    let query = "/api/v1/export?match%5B%5D=%7Bjob%3D%22node-exporter%22%7D";
    let lines = get(&victoria_metrics.url(query)).await?;
    let mut samples = Samples::default();
    for line in lines.lines() {
        let series: Exported = serde_json::from_str(line).expect("a line is a series");
        let name = labels(&series.metric);
        for (value, timestamp_ms) in series.values.iter().zip(series.timestamps) {
            match value {
                serde_json::Value::Null => {}
                serde_json::Value::String(text) => {
                    samples.insert(&name, timestamp_ms, decimal(parse(text)));
                }
                value => {
                    let value = value.as_f64().expect("a value is a number");
                    samples.insert(&name, timestamp_ms, decimal(value));
                }
            }
        }
    }
    Some(samples)
}

/// The bits of a value in 14 digits, as many as the fixture has: VictoriaMetrics stores decimals.
fn decimal(value: f64) -> u64 {
    parse(&format!("{value:.13e}")).to_bits()
}

/// What a query shows of samples: no end of a series, and every NaN alike.
fn queried(mut samples: Samples) -> Samples {
    for set in samples.0.values_mut() {
        let shown = set
            .iter()
            .filter(|(_, bits)| *bits != STALE)
            .map(|(timestamp_ms, bits)| {
                let value = f64::from_bits(*bits);
                (
                    *timestamp_ms,
                    if value.is_nan() {
                        f64::NAN.to_bits()
                    } else {
                        *bits
                    },
                )
            });
        *set = shown.collect();
    }
    samples
}

fn in_decimal(mut samples: Samples) -> Samples {
    for set in samples.0.values_mut() {
        *set = set
            .iter()
            .map(|(at, bits)| (*at, decimal(f64::from_bits(*bits))))
            .collect();
    }
    samples
}

/// Waits until scrapes of this much time arrived, and returns the newest time.
async fn scraped_for(recorder: &Recorder, span_ms: i64) -> i64 {
    eventually("scrapes arrive", Duration::from_secs(90), async || {
        let up = recorder.samples_with("/direct", &[("__name__", "up")]);
        (up.span_ms() >= span_ms).then(|| recorder.newest_ms("/direct"))?
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_and_victoria_metrics_hold_what_was_written() {
    if !installed() {
        return;
    }
    let recorder = Recorder::start().await;
    let windows = Exposition::start().await;
    let receiver = Peer::prometheus("{}").await;
    let victoria_metrics = Peer::victoria_metrics().await;
    let config = "remote_write:\n".to_owned()
        + &EVERYTHING.entry("prometheus", &receiver.url("/api/v1/write"), &[])
        + &EVERYTHING.entry("victoria", &victoria_metrics.url("/api/v1/write"), &[])
        // Beside them, so that a request concerns several routes in different ways.
        + &CONTAINER.entry("container", &recorder.url("/container"), &[])
        + &NODE.entry("node", &recorder.url("/node"), &[]);
    let relay = Peer::promrelay(&config).await;
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n{}remote_write:\n{}{}",
        windows.jobs(),
        EVERYTHING.entry("relay", &relay.url("/api/v1/write"), &[]),
        EVERYTHING.entry("direct", &recorder.url("/direct"), &[]),
    );
    let sender = Peer::prometheus(&config).await;
    scraped_for(&recorder, 8_000).await;
    windows.interrupt(&recorder, "/container").await;
    let cut_ms = scraped_for(&recorder, 20_000).await;

    settles("Prometheus holds", async || {
        let expected = queried(recorder.samples("/direct").until(cut_ms));
        assert!(
            expected.series() > 500,
            "only {} series were written",
            expected.series()
        );
        match ask_prometheus(&receiver).await {
            Some(held) => expected.difference(&queried(held.until(cut_ms))),
            None => "no answer".to_owned(),
        }
    })
    .await;
    settles("VictoriaMetrics holds", async || {
        let expected = queried(
            recorder
                .samples_with("/direct", &[("job", "node-exporter")])
                .until(cut_ms),
        );
        assert!(
            expected.series() > 500,
            "only {} series were written",
            expected.series()
        );
        match ask_victoria_metrics(&victoria_metrics).await {
            Some(held) => in_decimal(expected).difference(&held.until(cut_ms)),
            None => "no answer".to_owned(),
        }
    })
    .await;
    assert_eq!(
        recorder
            .samples_with("/container", &[("instance", INSTANCE_16)])
            .series(),
        12
    );
    assert_eq!(
        recorder
            .samples_with("/node", &[("instance", INSTANCE_16)])
            .series(),
        81
    );
    assert!(sender.stop().await.success());
    assert!(relay.stop().await.success());
    recorder.assert_orderly();
}
