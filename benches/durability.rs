//! What durability costs: `fsync` against `async`, through the whole relay, by how many requests
//! come at the same time.
//!
//! ```console
//! cargo bench --bench durability            # seconds per measurement: BENCH_SECONDS=1
//! ```
//! A relay with two routes and a receiver that takes everything run in this process; writers send
//! requests of 2,000 series, of which each route keeps a tenth. The two are measured in turns, on
//! the disk of the build directory, and the medians of the turns are shown; what part of `async` it
//! is, is taken within each turn, since machines are busy now and idle then.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench shows its result, and waits for the tasks that it spawns"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use axum::Router;
use promrelay::app::{App, Options, WebOptions};
use promrelay::http::Server;
use promrelay::remote_write::generated::prometheus::{Label, Sample, TimeSeries, WriteRequest};
use promrelay::telemetry::Registry;
use prost::Message as _;
use tokio::time::Instant;

const TURNS: usize = 9;
const SERIES: usize = 2000;
const CONCURRENT: [usize; 4] = [1, 8, 16, 64];

/// What a measurement found.
#[derive(Clone, Copy, Debug)]
struct Found {
    requests_per_s: f64,
    median: Duration,
    p99: Duration,
}

#[tokio::main]
async fn main() {
    let seconds = std::env::var("BENCH_SECONDS").map_or(1, |seconds| {
        seconds.parse().expect("BENCH_SECONDS is a number")
    });
    let length = Duration::from_secs(seconds);
    println!("concurrent  durability  requests/s  samples/s     p50 ms   p99 ms   of async");
    for concurrent in CONCURRENT {
        let mut found = [Vec::new(), Vec::new()];
        for _ in 0..TURNS {
            for (durability, found) in ["fsync", "async"].into_iter().zip(&mut found) {
                found.push(measure(durability, concurrent, length).await);
            }
        }
        let mut parts: Vec<_> = found[0]
            .iter()
            .zip(&found[1])
            .map(|(fsync, relaxed)| fsync.requests_per_s / relaxed.requests_per_s)
            .collect();
        parts.sort_by(f64::total_cmp);
        let part = parts[parts.len() / 2];
        let [fsync, relaxed] = found.map(median);
        for (name, found, part) in [("fsync", fsync, part), ("async", relaxed, 1.0)] {
            println!(
                "{concurrent:>10}  {name:>10}  {:>10.0}  {:>9.0}  {:>9.2}  {:>7.2}  {:>8.0}%",
                found.requests_per_s,
                found.requests_per_s * SERIES as f64,
                found.median.as_secs_f64() * 1e3,
                found.p99.as_secs_f64() * 1e3,
                100.0 * part,
            );
        }
    }
}

fn median(mut found: Vec<Found>) -> Found {
    found.sort_by(|a, b| a.requests_per_s.total_cmp(&b.requests_per_s));
    found[found.len() / 2]
}

async fn measure(durability: &str, concurrent: usize, length: Duration) -> Found {
    let directory =
        tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory can be made");
    let receiver = Server::start(loopback(), Router::new().fallback(async || "")).expect("a port");
    let app = start(directory.path(), durability, receiver.address()).await;
    let url = format!("http://{}/api/v1/write", app.address());
    let end = Instant::now() + length;
    let writers = (0..concurrent).map(|writer| tokio::spawn(write(url.clone(), writer, end)));
    let writers: Vec<_> = writers.collect();
    let start = Instant::now();
    let mut latencies = Vec::new();
    for writer in writers {
        latencies.extend(writer.await.expect("a writer does not panic"));
    }
    let took = start.elapsed().as_secs_f64();
    app.stop().await;
    receiver.stop(Duration::from_millis(100)).await;
    latencies.sort_unstable();
    Found {
        requests_per_s: latencies.len() as f64 / took,
        median: latencies[latencies.len() / 2],
        p99: latencies[latencies.len() * 99 / 100],
    }
}

async fn start(directory: &Path, durability: &str, receiver: SocketAddr) -> App {
    let route = |name: &str, job: &str| {
        format!(
            "  - name: {name}\n    url: http://{receiver}/{name}\n    \
             write_relabel_configs:\n      \
             - {{action: keep, source_labels: [job, __name__], \
             regex: '{job};metric_.*'}}\n"
        )
    };
    let config = format!(
        "queue: {{durability: {durability}}}\nremote_write:\n{}{}",
        route("one", "job-1"),
        route("two", "job-2")
    );
    let config_file = directory.join("promrelay.yml");
    std::fs::write(&config_file, config).expect("a file can be written");
    let options = Options {
        config_file,
        listen_address: loopback(),
        storage_path: directory.join("data"),
        web: WebOptions::default(),
    };
    App::start(options, Registry::new())
        .await
        .expect("the relay starts")
}

/// Sends one request after the other until `end`; answers how long each took.
async fn write(url: String, writer: usize, end: Instant) -> Vec<Duration> {
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.expect("a plain client can be built");
    let body = bytes::Bytes::from(body(writer));
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        let request = client
            .post(&url)
            .header("content-encoding", "snappy")
            .header("content-type", "application/x-protobuf")
            .header("x-prometheus-remote-write-version", "0.1.0")
            .body(body.clone());
        let answer = request.send().await.expect("the relay answers");
        assert_eq!(answer.status(), 204);
        latencies.push(start.elapsed());
    }
    latencies
}

fn body(writer: usize) -> Vec<u8> {
    let series = |number: usize| TimeSeries {
        labels: [
            ("__name__", format!("metric_{}", number % 200)),
            ("instance", format!("host-{writer}.example:9100")),
            ("job", format!("job-{}", number % 10)),
            ("number", number.to_string()),
            ("region", "westeurope".to_owned()),
        ]
        .map(|(name, value)| Label {
            name: name.to_owned(),
            value,
        })
        .into(),
        samples: vec![Sample {
            value: number as f64,
            timestamp: 1_700_000_000_000,
        }],
        ..TimeSeries::default()
    };
    let request = WriteRequest {
        timeseries: (0..SERIES).map(series).collect(),
        ..WriteRequest::default()
    };
    let raw = request.encode_to_vec();
    snap::raw::Encoder::new()
        .compress_vec(&raw)
        .expect("it is small")
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}
