//! Sends write requests to any remote-write endpoint, and takes the time of each.
//!
//! Without a rate each connection sends as soon as it is answered. With a rate requests have
//! appointed times, and latency counts from them: a relay that falls behind cannot hide it by
//! slowing the sender down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Client;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// How long to wait before a refused request is sent again.
const PAUSE: Duration = Duration::from_millis(20);
/// How often one request may be refused.
const ATTEMPTS: u32 = 500;

/// What to send.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) url: String,
    /// Sent in turn, the first again after the last.
    pub(crate) bodies: Arc<Vec<Bytes>>,
    /// Where in `bodies` to begin.
    pub(crate) first: u64,
    pub(crate) requests: u64,
    pub(crate) connections: usize,
    /// Requests per second, or as many as are answered.
    pub(crate) rate: Option<f64>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) took: Duration,
    /// Answers that asked to come back.
    pub(crate) refused: u64,
    /// Of each request, sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Sent {
    /// The latency that `percent` of the requests did not exceed.
    pub(crate) fn latency(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let index = (self.latencies.len() * percent / 100).min(last);
        self.latencies.get(index).copied().unwrap_or_default()
    }
}

/// Sends all of `plan`.
///
/// # Panics
/// If a request is refused for good, or too often.
pub(crate) async fn send(plan: Plan) -> Sent {
    let start = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let plan = Arc::new(plan);
    let mut connections = JoinSet::new();
    for _ in 0..plan.connections {
        let (plan, next) = (Arc::clone(&plan), Arc::clone(&next));
        connections.spawn(connection(plan, next, start));
    }
    let (mut latencies, mut refused) = (Vec::new(), 0);
    while let Some(ended) = connections.join_next().await {
        let (more, again) = ended.expect("a connection does not panic");
        latencies.extend(more);
        refused += again;
    }
    latencies.sort_unstable();
    Sent {
        took: start.elapsed(),
        refused,
        latencies,
    }
}

async fn connection(plan: Arc<Plan>, next: Arc<AtomicU64>, start: Instant) -> (Vec<Duration>, u64) {
    let client = Client::builder().no_proxy().build();
    let client = client.expect("a plain client can be built");
    let (mut latencies, mut refused) = (Vec::new(), 0);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.requests {
            return (latencies, refused);
        }
        let due = match plan.rate {
            None => Instant::now(),
            Some(rate) => start + Duration::from_secs_f64(number as f64 / rate),
        };
        sleep_until(due).await;
        let body = (plan.first + number) % plan.bodies.len() as u64;
        let body = &plan.bodies[usize::try_from(body).expect("an index of a vector")];
        refused += post(&client, &plan.url, body).await;
        latencies.push(due.elapsed());
    }
}

/// Sends one request until it is taken; answers how often it was not.
async fn post(client: &Client, url: &str, body: &Bytes) -> u64 {
    for attempt in 0..ATTEMPTS {
        let request = client
            .post(url)
            .header("content-encoding", "snappy")
            .header("content-type", "application/x-protobuf")
            .header("x-prometheus-remote-write-version", "0.1.0")
            .body(body.clone());
        let answer = request.send().await.expect("the endpoint answers");
        let status = answer.status();
        if status.is_success() {
            return u64::from(attempt);
        }
        assert!(
            status.is_server_error() || status.as_u16() == 429,
            "the endpoint answers {status}"
        );
        sleep(PAUSE).await;
    }
    panic!("the endpoint takes nothing");
}
