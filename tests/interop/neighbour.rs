//! A good client beside the bad ones: it writes all the time and says how long it had to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use promrelay::remote_write::generated::prometheus::{Label, Sample, TimeSeries, WriteRequest};
use prost::Message as _;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::task::TaskTracker;

/// How often it writes.
const PACE: Duration = Duration::from_millis(20);

/// How many requests it makes at the least.
const REQUESTS: usize = 20;

/// The body of a request with one sample.
pub(crate) fn write_request(number: u64) -> Vec<u8> {
    let labels = [("__name__", "good"), ("job", "neighbour")];
    let label = |(name, value): (&str, &str)| Label {
        name: name.into(),
        value: value.into(),
    };
    let series = TimeSeries {
        labels: labels.into_iter().map(label).collect(),
        samples: vec![Sample {
            value: 1.0,
            timestamp: i64::try_from(number).unwrap_or_default(),
        }],
        ..TimeSeries::default()
    };
    compress(vec![series])
}

/// The body of a request with these series.
pub(crate) fn compress(timeseries: Vec<TimeSeries>) -> Vec<u8> {
    let request = WriteRequest {
        timeseries,
        ..WriteRequest::default()
    };
    let raw = request.encode_to_vec();
    snap::raw::Encoder::new()
        .compress_vec(&raw)
        .expect("a request is not larger than snappy takes")
}

/// How long a client waited.
#[derive(Debug)]
pub(crate) struct Waits {
    pub(crate) median: Duration,
    pub(crate) longest: Duration,
}

/// The good client.
pub(crate) struct Neighbour {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<Duration>>,
}

impl Neighbour {
    /// Begins to write to the relay at `address`, every other time on a new connection.
    pub(crate) fn start(address: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let url = format!("http://{address}/api/v1/write");
        Self {
            task: TaskTracker::new().spawn(write(url, Arc::clone(&stop))),
            stop,
        }
    }

    /// Stops it.
    ///
    /// # Panics
    /// If a request was not answered with 204.
    pub(crate) async fn stop(self) -> Waits {
        self.stop.store(true, Ordering::Relaxed);
        let mut waits = self.task.await.expect("every request was taken");
        waits.sort_unstable();
        Waits {
            median: waits[waits.len() / 2],
            longest: waits[waits.len() - 1],
        }
    }
}

async fn write(url: String, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let client = || {
        let builder = reqwest::Client::builder().no_proxy();
        builder
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client")
    };
    let kept = client();
    let mut waits = Vec::new();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) || waits.len() < REQUESTS {
        pace.tick().await;
        let number = waits.len() as u64;
        let one = if number.is_multiple_of(2) {
            kept.clone()
        } else {
            client()
        };
        let start = Instant::now();
        let request = one.post(&url).header("content-encoding", "snappy");
        let answer = request.body(write_request(number)).send().await;
        let status = answer.map(|answer| answer.status().as_u16());
        assert!(matches!(status, Ok(204)), "request {number}: {status:?}");
        waits.push(start.elapsed());
    }
    waits
}
