//! Bodies that are not what they say, or more than one wants.
//!
//! `PROMRELAY_LABEL_SETS` says how many distinct label sets are written; two million without it.
//! The command of the long run:
//!
//! ```console
//! PROMRELAY_LABEL_SETS=10000000 tests/run --test interop label_sets -- --nocapture
//! ```

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use futures_util::{StreamExt as _, stream};
use promrelay::http::Server;
use promrelay::remote_write::generated::prometheus::{Label, Sample, TimeSeries};
use tokio::time::Instant;

use super::Arena;
use crate::neighbour::compress;
use crate::process::eventually;

/// Distinct label sets that are written at the least, in requests of [`SERIES`] each.
const LABEL_SETS: usize = 2_000_000;
const SERIES: usize = 10_000;

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}

fn snappy(raw: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new()
        .compress_vec(raw)
        .expect("not too large")
}

impl Arena {
    /// Posts a body as remote write, and returns the status.
    pub(super) async fn post(&self, body: Vec<u8>) -> u16 {
        let client = reqwest::Client::builder()
            .no_proxy()
            .local_address(std::net::IpAddr::from([127, 0, 66, 1]))
            .timeout(Duration::from_mins(1))
            .build()
            .expect("a client");
        let request = client.post(self.relay.url("/api/v1/write")).body(body);
        let answer = request.header("content-encoding", "snappy").send().await;
        answer.map_or(0, |answer| answer.status().as_u16())
    }
}

/// Blocks that announce more than they hold, less than they hold, and as much as they may.
fn bombs() -> Vec<(&'static str, Vec<u8>, u16)> {
    let honest = snappy(&[0; 1024]);
    let announced = |length: u64| [varint(length), honest[2..].to_vec()].concat();
    let zeros = |mib: usize| snappy(&vec![0; mib << 20]);
    vec![
        ("announces 4 GiB", announced(u64::from(u32::MAX)), 413),
        ("announces 2^63", announced(1 << 63), 413),
        ("announces 127 MiB", announced(127 << 20), 400),
        ("announces one byte", announced(1), 400),
        ("holds 127 MiB of zeros", zeros(127), 400),
        ("holds 256 MiB of zeros", zeros(256), 413),
    ]
}

/// Messages with lengths that cannot be, and messages in messages.
fn messages() -> Vec<(&'static str, Vec<u8>, u16)> {
    let length = |number: u64| [vec![0x0a], varint(number)].concat();
    let mut nested = Vec::new();
    for _ in 0..2_000 {
        nested = [length(nested.len() as u64), nested].concat();
    }
    let groups = vec![0x0b; 100_000];
    let label = |bytes: usize| TimeSeries {
        labels: vec![Label {
            name: "__name__".into(),
            value: "x".repeat(bytes),
        }],
        samples: vec![Sample::default()],
        ..TimeSeries::default()
    };
    vec![
        ("a length of 2^63", snappy(&length(1 << 63)), 400),
        ("a length of 2^64 - 1", snappy(&length(u64::MAX)), 400),
        (
            "a length of 11 bytes",
            snappy(&[vec![0x0a], vec![0xff; 11]].concat()),
            400,
        ),
        ("2,000 messages in each other", snappy(&nested), 400),
        ("100,000 groups in each other", snappy(&groups), 400),
        ("a label of 1 MiB", compress(vec![label(1 << 20)]), 400),
        ("a label of 100 MiB", compress(vec![label(100 << 20)]), 400),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_lie() {
    let arena = Arena::start("", &[]).await;
    for (name, body, status) in bombs().into_iter().chain(messages()) {
        // Eight at a time, each of them twice.
        let posts = (0..16).map(|_| arena.post(body.clone()));
        let found: Vec<u16> = stream::iter(posts).buffer_unordered(8).collect().await;
        assert_eq!(found, [status; 16], "{name}");
    }
    // As many as there are processors are worked on, each with 128 MiB at the most, twice while a
    // buffer grows; bodies come on top of that.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let (peak, limit) = (arena.peak_mib(), 300 + 256 * processors as u64);
    assert!(peak < limit, "{peak} MiB");
    arena.end("bodies that lie").await;
}

/// So many series whose labels nobody has seen before.
fn label_sets(from: usize) -> Vec<u8> {
    let series = |number: usize| TimeSeries {
        labels: vec![
            Label {
                name: "__name__".into(),
                value: format!("m{number}"),
            },
            Label {
                name: "job".into(),
                value: format!("j{number}"),
            },
        ],
        samples: vec![Sample::default()],
        ..TimeSeries::default()
    };
    compress((from..from + SERIES).map(series).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn label_sets_without_end() {
    let sets = std::env::var("PROMRELAY_LABEL_SETS").map_or(LABEL_SETS, |sets| {
        sets.parse().expect("PROMRELAY_LABEL_SETS is a number")
    });
    assert!(sets >= LABEL_SETS, "the bounds below are for more");
    let arena = Arena::start("", &[]).await;
    // One request and what it takes, to compare with.
    assert_eq!(arena.post(label_sets(0)).await, 204);
    let start = Instant::now();
    let posts = (1..sets / SERIES).map(|request| {
        let body = tokio::task::spawn_blocking(move || label_sets(request * SERIES));
        let arena = &arena;
        async move { arena.post(body.await.expect("a body")).await }
    });
    let statuses: Vec<u16> = stream::iter(posts).buffer_unordered(2).collect().await;
    assert!(statuses.iter().all(|status| *status == 204), "{statuses:?}");
    let misses = arena
        .metric("promrelay_verdict_lookups_total", "miss")
        .await;
    let took = start.elapsed();
    assert!(misses >= sets as f64, "{misses}");
    assert!(arena.metric("promrelay_verdict_evictions_total", "").await > 1e6);
    let peak = arena.peak_mib();
    eprintln!("{sets} label sets: {took:?}, {peak} MiB");
    assert!(peak < 400, "{peak} MiB");
    // A tenth of what a processor that does nothing else takes.
    let least = Duration::from_micros(20) * u32::try_from(sets).expect("less than 4 billion");
    assert!(took < least, "{took:?}");
    arena.end("label sets without end").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_never_ends() {
    let line = Bytes::from("a_metric{label=\"value\"} 1\n".repeat(4000));
    let endless = move || {
        let line = line.clone();
        let lines = stream::repeat_with(move || Ok::<_, std::io::Error>(line.clone()));
        async move { Body::from_stream(lines) }
    };
    let service = Router::new().fallback(endless);
    let target = Server::start(([127, 0, 0, 1], 0).into(), service).expect("a port");
    let scrape = format!(
        "scrape_configs:\n  - job_name: endless\n    scrape_interval: 2s\n    \
         scrape_timeout: 1s\n    static_configs: [{{targets: ['{}']}}]\n",
        target.address()
    );
    let arena = Arena::start(&scrape, &[]).await;
    eventually("some scrapes", Duration::from_secs(20), async || {
        let scrapes = arena
            .metric("promrelay_scrape_scrapes_total", "endless")
            .await;
        (scrapes >= 2.0).then_some(())
    })
    .await;
    let fine = arena
        .metric("promrelay_scrape_scrapes_total", "outcome=\"ok\"")
        .await;
    assert!(fine < 1.0, "an endless body is no success");
    let peak = arena.peak_mib();
    assert!(peak < 1200, "{peak} MiB");
    arena.end("a target that never ends").await;
}
