//! Sends write requests to any remote-write endpoint, and takes the time of each.
//!
//! Without a rate each connection sends as soon as it is answered. With a rate requests have
//! appointed times, and latency counts from them: a relay that falls behind cannot hide it by
//! slowing the sender down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

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

/// What connections have in common.
#[derive(Debug)]
struct Course {
    plan: Plan,
    start: Instant,
    /// A permit for each request that is due.
    turns: Semaphore,
    /// The number of the next request.
    next: AtomicU64,
}

/// Sends all of `plan`.
///
/// # Panics
/// If a request is refused for good, or too often.
pub(crate) async fn send(plan: Plan) -> Sent {
    let course = Arc::new(Course {
        plan,
        start: Instant::now(),
        turns: Semaphore::new(0),
        next: AtomicU64::new(0),
    });
    let clock = Arc::clone(&course);
    let clock = thread::spawn(move || clock.run());
    let mut connections = JoinSet::new();
    for _ in 0..course.plan.connections {
        connections.spawn(connection(Arc::clone(&course)));
    }
    let (mut latencies, mut refused) = (Vec::new(), 0);
    while let Some(ended) = connections.join_next().await {
        let (more, again) = ended.expect("a connection does not panic");
        latencies.extend(more);
        refused += again;
    }
    clock.join().expect("the clock does not panic");
    latencies.sort_unstable();
    Sent {
        took: course.start.elapsed(),
        refused,
        latencies,
    }
}

impl Course {
    /// Says when requests are due, on a thread of its own: the runtime's timer, which knows
    /// milliseconds only, would make each up to one of them late.
    fn run(&self) {
        if self.plan.rate.is_some() {
            for number in 0..self.plan.requests {
                let wait = self.due(number).saturating_duration_since(Instant::now());
                #[expect(clippy::disallowed_methods, reason = "time is all that it waits for")]
                thread::sleep(wait);
                self.turns.add_permits(1);
            }
        }
        // Nobody has to wait any more, be it to see that nothing is left.
        self.turns.close();
    }

    /// When the request of this number is to be sent.
    fn due(&self, number: u64) -> Instant {
        match self.plan.rate {
            None => Instant::now(),
            Some(rate) => self.start + Duration::from_secs_f64(number as f64 / rate),
        }
    }

    /// The next request as soon as it is due: since when it is, and what it is.
    async fn next(&self) -> Option<(Instant, &Bytes)> {
        if let Ok(permit) = self.turns.acquire().await {
            permit.forget();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let Plan { bodies, first, .. } = &self.plan;
        let body = (first + number) % bodies.len() as u64;
        let body = &bodies[usize::try_from(body).expect("an index of a vector")];
        (number < self.plan.requests).then(|| (self.due(number), body))
    }
}

async fn connection(course: Arc<Course>) -> (Vec<Duration>, u64) {
    let client = Client::builder().no_proxy().build();
    let client = client.expect("a plain client can be built");
    let (mut latencies, mut refused) = (Vec::new(), 0);
    while let Some((due, body)) = course.next().await {
        refused += post(&client, &course.plan.url, body).await;
        latencies.push(due.elapsed());
    }
    (latencies, refused)
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
