//! `promrelay sink`: a stand-in for a receiver.
//!
//! Answers as fluentd does (200 and nothing else to what it can read, 400 to what it cannot) on
//! every path, and prints what arrives per path.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::post;
use clap::Args;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use tokio::time::{Instant, interval};

use crate::http::{Server, read_bounded};
use crate::model::METRIC_NAME;
use crate::remote_write::snappy;
use crate::remote_write::v1::{Labels, Limits, Part, Series, Walker};

/// The same limit that fluentd has, in bytes.
const BODY_BYTES: u64 = 32 * 1024 * 1024;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
const DECODED_BYTES: u64 = 512 * 1024 * 1024;
/// Distinct series that are counted per path; beyond that the count stays.
const SERIES_PER_PATH: usize = 1_000_000;
const PATHS: usize = 1000;
const LIMITS: Limits = Limits {
    labels_per_series: 1000,
    label_name_bytes: 64 * 1024,
    label_value_bytes: 1024 * 1024,
};

/// Arguments of `sink`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to listen.
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9888"
    )]
    listen_address: SocketAddr,
    /// Print each series as it arrives instead of a summary per path.
    #[arg(long)]
    series: bool,
    /// How often the summary is printed, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    every: u64,
}

/// What arrived on one path.
#[derive(Debug, Default, Clone)]
pub(super) struct Arrived {
    /// Requests that could be read.
    pub(super) requests: u64,
    /// Samples and histograms.
    pub(super) samples: u64,
    /// Distinct series, by a hash of their labels.
    series: std::collections::HashSet<u64>,
}

impl Arrived {
    /// How many distinct series arrived.
    pub(super) fn series(&self) -> usize {
        self.series.len()
    }
}

/// Counts what arrives, by path. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Sink {
    paths: Arc<Mutex<BTreeMap<String, Arrived>>>,
    print_series: bool,
}

impl Sink {
    /// The HTTP service: every path, POST only.
    pub(super) fn service(&self) -> Router {
        let state = self.clone();
        Router::new()
            .route("/", post(receive))
            .route("/{*path}", post(receive))
            .with_state(state)
    }

    /// What has arrived so far, by path.
    pub(super) fn arrived(&self) -> BTreeMap<String, Arrived> {
        self.paths
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn read(&self, path: &str, body: &[u8]) -> Result<(), String> {
        let mut buffer = Vec::new();
        let request = snappy::decompress(body, DECODED_BYTES, &mut buffer)
            .map_err(|error| error.to_string())?;
        let mut walker = Walker::new(request, LIMITS);
        let mut series = Series::default();
        let (mut hashes, mut samples, mut lines) = (Vec::new(), 0, String::new());
        while let Some(part) = walker
            .next_part(&mut series)
            .map_err(|error| error.to_string())?
        {
            if !matches!(part, Part::Series) {
                continue;
            }
            samples += series.samples;
            let mut encoded = Vec::new();
            crate::remote_write::v1::encode_labels(series.labels.iter(), &mut encoded);
            hashes.push(xxhash_rust::xxh3::xxh3_64(&encoded));
            if self.print_series {
                let shown = show(&series.labels);
                writeln!(lines, "{path} {shown} samples={}", series.samples)
                    .expect("writing to a string does not fail");
            }
        }
        print(&lines);
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if paths.len() >= PATHS && !paths.contains_key(path) {
            return Ok(());
        }
        let arrived = paths.entry(path.to_owned()).or_default();
        arrived.requests += 1;
        arrived.samples += samples;
        let room = SERIES_PER_PATH.saturating_sub(arrived.series.len());
        arrived.series.extend(hashes.into_iter().take(room));
        Ok(())
    }
}

async fn receive(State(sink): State<Sink>, request: Request) -> (StatusCode, String) {
    let (parts, body) = request.into_parts();
    let announced = parts.headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse().ok());
    let body = match read_bounded(body, announced, BODY_BYTES, BODY_TIME).await {
        Ok(body) => body,
        Err(error) => return (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
    };
    let path = parts.uri.path().to_owned();
    let read = tokio::task::spawn_blocking(move || sink.read(&path, &body)).await;
    match read {
        Ok(Ok(())) => (StatusCode::OK, String::new()),
        Ok(Err(problem)) => (StatusCode::BAD_REQUEST, problem),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(serve(arguments))
}

async fn serve(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let sink = Sink {
        print_series: arguments.series,
        ..Sink::default()
    };
    let server = Server::start(arguments.listen_address, sink.service())?;
    print(&format!(
        "listening on http://{}, every path\n",
        server.address()
    ));
    let mut tick = interval(Duration::from_secs(arguments.every.max(1)));
    let (start, mut printed) = (Instant::now(), 0);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            result = tokio::signal::ctrl_c() => {
                result?;
                break;
            }
        }
        let arrived = sink.arrived();
        let requests = arrived.values().map(|arrived| arrived.requests).sum();
        if requests != printed && !arguments.series {
            print(&format!(
                "after {} s\n{}",
                start.elapsed().as_secs(),
                table(&arrived)
            ));
        }
        printed = requests;
    }
    print(&table(&sink.arrived()));
    server.stop(Duration::from_secs(1)).await;
    Ok(ExitCode::SUCCESS)
}

/// What arrived, a line per path.
pub(super) fn table(arrived: &BTreeMap<String, Arrived>) -> String {
    let width = arrived.keys().map(String::len).max().unwrap_or_default();
    let mut table = String::new();
    for (path, arrived) in arrived {
        let (requests, series, samples) = (arrived.requests, arrived.series(), arrived.samples);
        writeln!(
            table,
            "  {path:width$}  {series:>8} series  {samples:>10} samples  {requests:>6} requests"
        )
        .expect("writing to a string does not fail");
    }
    table
}

/// A series as people write it: `name{label="value"}`.
fn show(labels: &Labels<'_>) -> String {
    let name = labels
        .iter()
        .find(|label| label.name == METRIC_NAME)
        .map_or("", |label| label.value);
    let others = labels.iter().filter(|label| label.name != METRIC_NAME);
    let others: Vec<_> = others
        .map(|label| format!("{}={:?}", label.name, label.value))
        .collect();
    format!("{name}{{{}}}", others.join(", "))
}

/// Writes to stdout; if that is closed there is nobody left to tell.
fn print(text: &str) {
    if try_print(text).is_err() {
        std::process::exit(0);
    }
}

/// Writes to stdout.
pub(super) fn try_print(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
