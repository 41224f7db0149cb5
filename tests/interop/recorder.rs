//! A remote-write receiver that keeps what it gets and can fail in every way.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout};

use crate::messages::{self, Series};
use crate::process::{eventually, free_port};
use crate::samples::{Samples, label_text, series_text};

const BODY_BYTES_MAX: usize = 64 << 20;
/// How long a slow receiver takes.
const SLOW: Duration = Duration::from_millis(100);

/// What the recorder does with a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mood {
    /// Keeps it and answers 204.
    Accept,
    /// Keeps nothing and answers 503.
    Refuse,
    /// Keeps nothing and answers 400.
    Reject,
    /// Keeps nothing and never answers.
    Hang,
    /// Keeps it and answers 204 a tenth of a second later.
    Slow,
}

/// A sample that arrived more than once.
#[derive(Debug)]
pub(crate) struct Repeat {
    pub(crate) series: String,
    pub(crate) timestamp_ms: i64,
    /// When it arrived first.
    pub(crate) first: Instant,
    /// When it arrived again.
    pub(crate) again: Instant,
}

/// The receiver, on a runtime of its own: when that ends, all its connections end.
pub(crate) struct Recorder {
    address: SocketAddr,
    runtime: Option<Runtime>,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    mood: Mood,
    /// By URL path.
    received: BTreeMap<String, Received>,
    /// Requests that the specification does not allow.
    violations: Vec<String>,
}

#[derive(Default)]
struct Received {
    /// Milliseconds and bits of the value, in order of arrival, by series.
    series: BTreeMap<String, Vec<(i64, u64)>>,
    /// When each of them arrived.
    times: BTreeMap<String, Vec<Instant>>,
    newest_ms: Option<i64>,
    /// Histograms, exemplars and metadata; see [`messages`].
    others: Samples,
}

impl Recorder {
    /// A recorder that accepts.
    pub(crate) async fn start() -> Recorder {
        let shared = Shared {
            mood: Mood::Accept,
            received: BTreeMap::new(),
            violations: Vec::new(),
        };
        let mut recorder = Recorder {
            address: SocketAddr::from(([127, 0, 0, 1], free_port())),
            runtime: None,
            shared: Arc::new(Mutex::new(shared)),
        };
        recorder.up().await;
        recorder
    }

    /// Listens again, on the same port.
    pub(crate) async fn up(&mut self) {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime can be built");
        let router = Router::new()
            .fallback(record)
            .with_state(Arc::clone(&self.shared));
        let address = self.address;
        let bound = eventually(
            "the port is free again",
            Duration::from_secs(10),
            async || std::net::TcpListener::bind(address).ok(),
        )
        .await;
        bound
            .set_nonblocking(true)
            .expect("a listener can be made non-blocking");
        let serve = async move {
            let listener = TcpListener::from_std(bound).expect("a listener can be registered");
            axum::serve(listener, router).await
        };
        drop(runtime.spawn(serve));
        self.runtime = Some(runtime);
    }

    /// Stops listening and cuts all connections.
    pub(crate) fn down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Whether it listens no more.
    pub(crate) fn is_down(&self) -> bool {
        self.runtime.is_none()
    }

    /// Changes what is done with requests from now on.
    pub(crate) fn set_mood(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// The URL of a path that begins with `/`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What arrived on a path.
    pub(crate) fn samples(&self, path: &str) -> Samples {
        self.samples_with(path, &[])
    }

    /// What arrived on a path of the series that have these labels.
    pub(crate) fn samples_with(&self, path: &str, labels: &[(&str, &str)]) -> Samples {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| label_text(name, value))
            .collect();
        let mut samples = Samples::default();
        let shared = self.lock();
        let Some(received) = shared.received.get(path) else {
            return samples;
        };
        for (series, arrived) in &received.series {
            if labels.iter().all(|label| series.contains(label)) {
                samples
                    .0
                    .insert(series.clone(), arrived.iter().copied().collect());
            }
        }
        samples
    }

    /// The histograms, exemplars and metadata that arrived on a path, each as text.
    pub(crate) fn others(&self, path: &str) -> Samples {
        let shared = self.lock();
        let received = shared.received.get(path);
        received
            .map(|received| received.others.clone())
            .unwrap_or_default()
    }

    /// What arrived on a path more than once.
    pub(crate) fn repeats(&self, path: &str) -> Vec<Repeat> {
        let shared = self.lock();
        let mut repeats = Vec::new();
        for (series, arrived) in &shared.received[path].series {
            let mut seen = HashMap::new();
            for ((timestamp_ms, _), again) in
                arrived.iter().zip(&shared.received[path].times[series])
            {
                let first = *seen.entry(*timestamp_ms).or_insert(*again);
                if first != *again {
                    repeats.push(Repeat {
                        series: series.clone(),
                        timestamp_ms: *timestamp_ms,
                        first,
                        again: *again,
                    });
                }
            }
        }
        repeats
    }

    /// The newest timestamp that arrived on a path in any of its series.
    pub(crate) fn newest_ms(&self, path: &str) -> Option<i64> {
        self.lock().received.get(path)?.newest_ms
    }

    /// Fails when a request broke the specification, or when a sample arrived after a newer one of
    /// its series, unless it had arrived before: a batch whose answer was lost is sent again.
    pub(crate) fn assert_orderly(&self) {
        let shared = self.lock();
        let shown: Vec<_> = shared.violations.iter().take(10).collect();
        assert!(
            shown.is_empty(),
            "{} violations: {shown:#?}",
            shared.violations.len()
        );
        for (path, received) in &shared.received {
            for (series, arrived) in &received.series {
                if let Some((newest_ms, late_ms)) = reordered(arrived) {
                    panic!("{path} {series}: {late_ms} arrived after {newest_ms}");
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared
            .lock()
            .expect("nobody panics while holding the lock")
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.down();
    }
}

async fn record(
    State(shared): State<Arc<Mutex<Shared>>>,
    request: Request<Body>,
) -> (StatusCode, HeaderMap, String) {
    let mood = shared
        .lock()
        .expect("nobody panics while holding the lock")
        .mood;
    match mood {
        Mood::Accept => {}
        Mood::Refuse => {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, "told to refuse".to_owned());
        }
        Mood::Reject => return refusal(StatusCode::BAD_REQUEST, "told to reject".to_owned()),
        Mood::Hang => std::future::pending().await,
        Mood::Slow => drop(timeout(SLOW, std::future::pending::<()>()).await),
    }
    let path = request.uri().path().to_owned();
    let headers = request.headers().clone();
    let Ok(body) = to_bytes(request.into_body(), BODY_BYTES_MAX).await else {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, String::new());
    };
    let read = messages::read(&headers, &body, BODY_BYTES_MAX);
    let mut shared = shared.lock().expect("nobody panics while holding the lock");
    match read {
        Ok(request) => {
            for series in &request.series {
                keep(&mut shared, &path, series);
            }
            let received = shared.received.entry(path).or_default();
            for (text, at_ms, bits) in &request.others {
                received.others.insert(text, *at_ms, *bits);
            }
            (StatusCode::NO_CONTENT, request.written, String::new())
        }
        Err(problem) => {
            shared.violations.push(format!("{path}: {problem}"));
            refusal(StatusCode::BAD_REQUEST, problem)
        }
    }
}

fn refusal(status: StatusCode, words: String) -> (StatusCode, HeaderMap, String) {
    (status, HeaderMap::new(), words)
}

fn keep(shared: &mut Shared, path: &str, series: &Series) {
    let text = series_text(
        series
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    if !series.labels.is_sorted_by(|a, b| a.0 < b.0) {
        shared
            .violations
            .push(format!("{path}: labels not sorted or repeated in {text}"));
    }
    if series
        .labels
        .iter()
        .any(|(name, value)| name.is_empty() || value.is_empty())
    {
        shared
            .violations
            .push(format!("{path}: empty label in {text}"));
    }
    let received = shared.received.entry(path.to_owned()).or_default();
    let samples = series.samples.iter().copied();
    let newest_ms = samples.clone().map(|(timestamp_ms, _)| timestamp_ms).max();
    received.newest_ms = received.newest_ms.max(newest_ms);
    let times = received.times.entry(text.clone()).or_default();
    times.extend(samples.clone().map(|_| Instant::now()));
    received.series.entry(text).or_default().extend(samples);
}

/// A timestamp that was newest when an older one arrived for the first time, and the older one.
fn reordered(arrived: &[(i64, u64)]) -> Option<(i64, i64)> {
    let mut seen = HashSet::new();
    let mut newest_ms = i64::MIN;
    for sample in arrived {
        if seen.insert(*sample) {
            if sample.0 < newest_ms {
                return Some((newest_ms, sample.0));
            }
            newest_ms = sample.0;
        }
    }
    None
}

#[test]
fn a_late_sample_is_found_and_a_repeated_one_is_not() {
    assert_eq!(reordered(&[(1, 0), (2, 0), (1, 0), (2, 0), (3, 0)]), None);
    assert_eq!(reordered(&[(1, 0), (3, 0), (2, 0)]), Some((3, 2)));
}
