//! A relay, and a receiver that records what arrives and answers as it is told.

#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use http::{HeaderMap, StatusCode};
use promrelay::admin::Lifecycle;
use promrelay::app::{App, Options, WebOptions};
use promrelay::http::Server;
use promrelay::remote_write::generated::prometheus::{Label, Sample, TimeSeries, WriteRequest};
use promrelay::telemetry::Registry;
use prost::Message as _;
use tempfile::TempDir;
use tokio::time::{Instant, interval, timeout};

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);

/// A relay on a free port, with a directory of its own.
pub(super) struct Relay {
    app: App,
    directory: TempDir,
    client: reqwest::Client,
}

impl Relay {
    pub(super) async fn start(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("promrelay.yml"), config).unwrap();
        Self::start_in(directory).await
    }

    /// The same with a web configuration, and options of how to listen.
    pub(super) async fn start_with(config: &str, web: &str, options: WebOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("promrelay.yml"), config).unwrap();
        let file = directory.path().join("web.yml");
        std::fs::write(&file, web).unwrap();
        let options = WebOptions {
            config_file: Some(file),
            ..options
        };
        Self::start_listening(directory, options).await
    }

    pub(super) async fn start_in(directory: TempDir) -> Self {
        let options = WebOptions {
            lifecycle: Lifecycle::Enabled,
            ..WebOptions::default()
        };
        Self::start_listening(directory, options).await
    }

    async fn start_listening(directory: TempDir, web: WebOptions) -> Self {
        let options = Options {
            config_file: directory.path().join("promrelay.yml"),
            listen_address: loopback(),
            storage_path: directory.path().join("data"),
            web,
        };
        let app = App::start(options, Registry::new()).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            app,
            directory,
            client,
        }
    }

    /// Stops the relay and leaves its directory for the next one.
    pub(super) async fn stop(self) -> TempDir {
        self.app.stop().await;
        self.directory
    }

    pub(super) fn write_config(&self, config: &str) {
        std::fs::write(self.directory.path().join("promrelay.yml"), config).unwrap();
    }

    /// Where its queues are.
    pub(super) fn storage_path(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.app.address())
    }

    /// Writes series and expects to be told that they are durable.
    pub(super) async fn write(&self, series: Vec<TimeSeries>) {
        let (status, words, _) = self.post(body(series), &[]).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{words}");
    }

    /// Posts a body with the usual headers, changed by `headers` (an empty value removes one).
    pub(super) async fn post(
        &self,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> (StatusCode, String, HeaderMap) {
        let mut all = BTreeMap::from([
            ("content-type", "application/x-protobuf"),
            ("content-encoding", "snappy"),
            ("x-prometheus-remote-write-version", "0.1.0"),
        ]);
        all.extend(headers.iter().copied());
        let mut request = self.client.post(self.url("/api/v1/write")).body(body);
        for (name, value) in all.into_iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        (status, text(response).await, headers)
    }

    /// The URL of a path for operators.
    pub(super) fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.app.admin_address())
    }

    pub(super) async fn get(&self, path: &str) -> (StatusCode, String) {
        let response = self.client.get(self.url(path)).send().await.unwrap();
        (response.status(), text(response).await)
    }

    pub(super) async fn reload(&self) -> (StatusCode, String) {
        let response = self
            .client
            .post(self.url("/-/reload"))
            .send()
            .await
            .unwrap();
        (response.status(), text(response).await)
    }

    /// The sum of all samples of the metric `name` whose labels include `labels`, in whole numbers.
    pub(super) async fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        let (_, metrics) = self.get("/metrics").await;
        let of_name = metrics.lines().filter(|line| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label))
        });
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        let sum = of_name.map(value).fold(0.0, |sum, value| sum + value);
        format!("{sum:.0}").parse().unwrap()
    }
}

async fn text(mut response: reqwest::Response) -> String {
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).unwrap()
}

/// One request that arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    /// As it came, compressed.
    pub(super) body: Bytes,
    pub(super) request: WriteRequest,
    pub(super) answer: StatusCode,
}

/// What the receiver answers next.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Status(StatusCode),
    RetryAfter(&'static str),
    Redirect(StatusCode, String),
    /// Accepts the request and never answers it.
    Hang,
    /// Accepts it after a while.
    Late(Duration),
}

#[derive(Clone, Default)]
struct Records {
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    answers: Arc<Mutex<BTreeMap<String, VecDeque<Answer>>>>,
    /// Metrics by name that make it refuse any request, and with what.
    refused: Arc<Mutex<BTreeMap<String, StatusCode>>>,
}

/// A receiver of remote write: 200 on every path, unless told otherwise.
pub(super) struct Receiver {
    server: Server,
    records: Records,
}

impl Receiver {
    pub(super) fn start() -> Self {
        Self::start_at(loopback())
    }

    pub(super) fn start_at(address: SocketAddr) -> Self {
        let records = Records::default();
        let service = Router::new().fallback(receive).with_state(records.clone());
        Self {
            server: Server::start(address, service).unwrap(),
            records,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(super) async fn stop(self) -> SocketAddr {
        let address = self.server.address();
        self.server.stop(Duration::from_millis(100)).await;
        address
    }

    /// Gives these answers to the next requests on `path`.
    pub(super) fn answer(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        let mut all = self.records.answers.lock().unwrap();
        all.entry(path.to_owned()).or_default().extend(answers);
    }

    /// Refuses every request with a series of the metric `name` in it.
    pub(super) fn refuse(&self, name: &str, status: StatusCode) {
        let mut refused = self.records.refused.lock().unwrap();
        refused.insert(name.to_owned(), status);
    }

    /// Refuses nothing any more.
    pub(super) fn relent(&self) {
        self.records.refused.lock().unwrap().clear();
    }

    pub(super) fn arrivals(&self, path: &str) -> Vec<Arrival> {
        let arrivals = self.records.arrivals.lock().unwrap();
        arrivals
            .iter()
            .filter(|arrival| arrival.path == path)
            .cloned()
            .collect()
    }

    /// The samples that were accepted on `path`, as (series, timestamp, value), as they came.
    pub(super) fn samples(&self, path: &str) -> Vec<(String, i64, f64)> {
        let accepted = self
            .arrivals(path)
            .into_iter()
            .filter(|arrival| arrival.answer.is_success());
        let series = accepted.flat_map(|arrival| arrival.request.timeseries);
        series
            .flat_map(|series| {
                let name = show(&series);
                series
                    .samples
                    .into_iter()
                    .map(move |s| (name.clone(), s.timestamp, s.value))
            })
            .collect()
    }
}

async fn receive(State(records): State<Records>, request: Request) -> (StatusCode, HeaderMap) {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let body: Bytes = to_bytes(body, 64 << 20).await.unwrap();
    let next = records
        .answers
        .lock()
        .unwrap()
        .get_mut(&path)
        .and_then(VecDeque::pop_front);
    let mut headers = HeaderMap::new();
    let mut answer = match next {
        None => StatusCode::OK,
        Some(Answer::Status(status)) => status,
        Some(Answer::RetryAfter(value)) => {
            headers.insert("retry-after", value.parse().unwrap());
            StatusCode::SERVICE_UNAVAILABLE
        }
        Some(Answer::Redirect(status, target)) => {
            headers.insert("location", target.parse().unwrap());
            status
        }
        Some(Answer::Hang) => std::future::pending().await,
        Some(Answer::Late(wait)) => {
            let _late = timeout(wait, std::future::pending::<()>()).await;
            StatusCode::OK
        }
    };
    let length = snap::raw::decompress_len(&body).unwrap();
    let mut raw = vec![0; length];
    snap::raw::Decoder::new()
        .decompress(&body, &mut raw)
        .unwrap();
    let request = WriteRequest::decode(raw.as_slice()).unwrap();
    for label in request.timeseries.iter().flat_map(|series| &series.labels) {
        let refused = records.refused.lock().unwrap();
        let status = refused.get(&label.value);
        answer = status
            .filter(|_| label.name == "__name__")
            .copied()
            .unwrap_or(answer);
    }
    let arrival = Arrival {
        path,
        headers: parts.headers,
        body,
        request,
        answer,
    };
    records.arrivals.lock().unwrap().push(arrival);
    (answer, headers)
}

/// A series `name{label="value"}` with one sample.
pub(super) fn series(
    name: &str,
    labels: &[(&str, &str)],
    timestamp: i64,
    value: f64,
) -> TimeSeries {
    let mut all = vec![("__name__", name)];
    all.extend(labels);
    let label = |(name, value): (&str, &str)| Label {
        name: name.into(),
        value: value.into(),
    };
    TimeSeries {
        labels: all.into_iter().map(label).collect(),
        samples: vec![Sample { value, timestamp }],
        ..TimeSeries::default()
    }
}

/// A series as people write it.
pub(super) fn show(series: &TimeSeries) -> String {
    let labels = series
        .labels
        .iter()
        .map(|label| format!("{}={}", label.name, label.value));
    labels.collect::<Vec<_>>().join(",")
}

/// The body of a request with these series.
pub(super) fn body(timeseries: Vec<TimeSeries>) -> Vec<u8> {
    compress(
        &WriteRequest {
            timeseries,
            ..WriteRequest::default()
        }
        .encode_to_vec(),
    )
}

pub(super) fn compress(raw: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(raw).unwrap()
}

/// Waits until `condition` holds.
pub(super) async fn wait_for(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    let mut poll = interval(Duration::from_millis(10));
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "{what} did not come true");
        poll.tick().await;
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}
