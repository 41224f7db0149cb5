//! Killed again and again: what was acknowledged arrives, in order, and little of it twice.
//!
//! `PROMRELAY_KILL_ROUNDS` says how often the relay is killed; 20 times without it. The command of
//! the long run:
//!
//! ```console
//! PROMRELAY_KILL_ROUNDS=100 tests/run --test interop crash
//! ```

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use promrelay::remote_write::generated::prometheus::{Label, Sample, TimeSeries, WriteRequest};
use prost::Message as _;
use reqwest::Client;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

use crate::peers::{Peer, promrelay};
use crate::process::eventually;
use crate::recorder::{Mood, Recorder};
use crate::samples::series_text;

const WRITERS: usize = 4;
const SERIES_PER_WRITER: usize = 25;
/// A relay repeats what the receiver took in the last second before a crash, see README; and what
/// it takes to notice that: a machine that is busy saves progress late.
const REPEATED: Duration = Duration::from_secs(5);

/// What the writers know.
#[derive(Default)]
struct Written {
    /// Writer and time of what was acknowledged.
    acknowledged: Vec<(usize, i64)>,
    /// Of what was sent more than once, because an answer did not come: it may be there twice.
    uncertain: HashSet<(usize, i64)>,
}

fn labels(writer: usize, number: usize) -> [(String, String); 3] {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    [
        pair("__name__", "crash_total".to_owned()),
        pair("number", number.to_string()),
        pair("writer", writer.to_string()),
    ]
}

fn text(writer: usize, number: usize) -> String {
    let labels = labels(writer, number);
    series_text(labels.iter().map(|(name, value)| (&**name, &**value)))
}

/// One sample of each series of a writer; its value is its time.
fn body(writer: usize, timestamp: i64) -> Vec<u8> {
    let series = |number| TimeSeries {
        labels: labels(writer, number)
            .map(|(name, value)| Label { name, value })
            .into(),
        samples: vec![Sample {
            value: f64::from(u32::try_from(timestamp).expect("a small number")),
            timestamp,
        }],
        ..TimeSeries::default()
    };
    let request = WriteRequest {
        timeseries: (0..SERIES_PER_WRITER).map(series).collect(),
        ..WriteRequest::default()
    };
    let raw = request.encode_to_vec();
    snap::raw::Encoder::new()
        .compress_vec(&raw)
        .expect("it is small")
}

/// Writes one time after the other, each until it is acknowledged, as Prometheus does.
async fn write(url: String, writer: usize, stop: Arc<AtomicBool>, written: Arc<Mutex<Written>>) {
    let lock = || written.lock().expect("nobody panics with the lock");
    let client = Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .expect("a plain client can be built");
    let mut pause = interval(Duration::from_millis(5));
    for timestamp in 1.. {
        loop {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            pause.tick().await;
            let request = client.post(&url).body(body(writer, timestamp));
            let request = request
                .header("content-encoding", "snappy")
                .header("content-type", "application/x-protobuf")
                .header("x-prometheus-remote-write-version", "0.1.0");
            if let Ok(answer) = request.send().await
                && answer.status().is_success()
            {
                break;
            }
            lock().uncertain.insert((writer, timestamp));
        }
        lock().acknowledged.push((writer, timestamp));
    }
}

fn config(receiver: &Recorder, max_samples: u64, lanes: u64) -> String {
    let route = |name: &str| {
        format!(
            "  - name: {name}\n    url: {}\n    remote_timeout: 1s\n    queue_config:\n      \
             {{batch_send_deadline: 10ms, max_backoff: 100ms, \
             max_samples_per_send: {max_samples}, min_shards: {lanes}, max_shards: {lanes}}}\n",
            receiver.url(&format!("/{name}"))
        )
    };
    let half = "    write_relabel_configs:\n      \
                - {action: keep, source_labels: [number], regex: '.*[02468]'}\n";
    format!("remote_write:\n{}{}{half}", route("all"), route("half"))
}

/// Lets the relay work for a random while, and kills it.
async fn kill(relay: &mut Peer, receiver: &mut Recorder, round: u64) -> Instant {
    // Every mood meets every length of life, with and without a reload, in 60 rounds.
    let mood = match round % 5 {
        0 => Mood::Accept,
        1 => Mood::Slow,
        2 => Mood::Refuse,
        3 => Mood::Hang,
        _ => {
            receiver.down();
            Mood::Accept
        }
    };
    receiver.set_mood(mood);
    // Progress is saved once a second: every fourth life is long enough for that.
    let life_ms = if round % 4 == 1 { 1200..2200 } else { 5..400 };
    let life = Duration::from_millis(rand::random_range(life_ms));
    drop(timeout(life, std::future::pending::<()>()).await);
    if round.is_multiple_of(3) {
        // In the middle of a reload, or what is left of it.
        relay.reconfigure(&config(receiver, 100 + round, 1 + round % 4));
        let reload = Duration::from_millis(rand::random_range(0..20));
        drop(timeout(reload, std::future::pending::<()>()).await);
    }
    let killed = Instant::now();
    relay.kill_and_restart().await;
    if receiver.is_down() {
        receiver.up().await;
    }
    killed
}

/// What is wrong with what arrived on a path.
fn missing(receiver: &Recorder, path: &str, written: &Written) -> usize {
    let arrived = receiver.samples(path);
    let is_wanted = |number: usize| path == "/all" || number.is_multiple_of(2);
    let numbers = (0..SERIES_PER_WRITER).filter(|number| is_wanted(*number));
    let expected = written.acknowledged.iter().flat_map(|(writer, timestamp)| {
        numbers
            .clone()
            .map(|number| (text(*writer, number), *timestamp))
    });
    expected
        .filter(|(series, timestamp)| {
            let value = f64::from(u32::try_from(*timestamp).expect("a small number"));
            let samples = arrived.0.get(series);
            !samples.is_some_and(|samples| samples.contains(&(*timestamp, value.to_bits())))
        })
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_acknowledged_survives_every_kill() {
    let rounds = std::env::var("PROMRELAY_KILL_ROUNDS").map_or(20, |rounds| {
        rounds.parse().expect("PROMRELAY_KILL_ROUNDS is a number")
    });
    let mut receiver = Recorder::start().await;
    let mut relay = Peer::promrelay(&config(&receiver, 100, 4)).await;
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
        writers.spawn(write(relay.url("/api/v1/write"), writer, stop, written));
    }
    let mut kills = Vec::new();
    for round in 0..rounds {
        kills.push(kill(&mut relay, &mut receiver, round).await);
    }
    receiver.set_mood(Mood::Accept);
    stop.store(true, Ordering::Relaxed);
    writers.join_all().await;
    let written: Arc<Mutex<Written>> = written;
    let written = std::mem::take(&mut *written.lock().expect("nobody panics with the lock"));
    let least = 5 * usize::try_from(rounds).expect("a small number");
    assert!(
        written.acknowledged.len() > least,
        "hardly anything was written"
    );
    for path in ["/all", "/half"] {
        let what = format!("everything acknowledged is at {path}");
        eventually(&what, Duration::from_mins(1), async || {
            (missing(&receiver, path, &written) == 0).then_some(())
        })
        .await;
        let arrived = receiver.samples(path).0;
        assert!(
            arrived.len() <= WRITERS * SERIES_PER_WRITER,
            "{} series",
            arrived.len()
        );
        for (timestamp, bits) in arrived.values().flatten() {
            let value = f64::from(u32::try_from(*timestamp).expect("a small number"));
            assert_eq!(value.to_bits(), *bits, "{path}: a sample that nobody wrote");
        }
        assert_repeats(&receiver, path, &kills, &written);
    }
    assert!(relay.stop().await.success());
    receiver.assert_orderly();
}

/// Puts back what was parked of a route.
fn replay(route: &str, storage_path: &Path) {
    let replayed = Command::new(promrelay())
        .args(["queue", "replay", route, "--storage.path"])
        .arg(storage_path)
        .output();
    let replayed = replayed.expect("the program runs");
    let said = String::from_utf8_lossy(&replayed.stderr);
    assert!(replayed.status.success(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_between_two_kills_is_parked_or_still_queued() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let storage_path = directory.path().join("data");
    let receiver = Recorder::start().await;
    receiver.set_mood(Mood::Reject);
    let mut relay = Peer::promrelay_on(&storage_path, &config(&receiver, 100, 4)).await;
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
        writers.spawn(write(relay.url("/api/v1/write"), writer, stop, written));
    }
    for _ in 0..10 {
        let life = Duration::from_millis(rand::random_range(50..600));
        drop(timeout(life, std::future::pending::<()>()).await);
        relay.kill_and_restart().await;
    }
    stop.store(true, Ordering::Relaxed);
    writers.join_all().await;
    let written: Arc<Mutex<Written>> = written;
    let written = std::mem::take(&mut *written.lock().expect("nobody panics with the lock"));
    assert!(
        written.acknowledged.len() > 50,
        "hardly anything was written"
    );
    assert_eq!(receiver.samples("/all").count(), 0, "all was refused");
    let parked = fs::read_dir(storage_path.join("all/parked"));
    let parked = parked.expect("batches are parked").count();
    assert!(parked > 10, "hardly anything was parked: {parked} batches");
    receiver.set_mood(Mood::Accept);
    for route in ["all", "half"] {
        let (what, path) = (format!("all of {route} arrives"), format!("/{route}"));
        eventually(&what, Duration::from_mins(1), async || {
            replay(route, &storage_path);
            (missing(&receiver, &path, &written) == 0).then_some(())
        })
        .await;
    }
    assert!(relay.stop().await.success());
}

/// What arrived twice had arrived shortly before a kill, or after it; or it was written twice.
fn assert_repeats(receiver: &Recorder, path: &str, kills: &[Instant], written: &Written) {
    let written_twice: HashSet<(String, i64)> = written
        .uncertain
        .iter()
        .flat_map(|&(writer, timestamp)| {
            (0..SERIES_PER_WRITER).map(move |number| (text(writer, number), timestamp))
        })
        .collect();
    let repeats = receiver.repeats(path);
    for repeat in &repeats {
        let explains =
            |kill: &&Instant| **kill <= repeat.again && repeat.first + REPEATED >= **kill;
        let known = written_twice.contains(&(repeat.series.clone(), repeat.timestamp_ms));
        assert!(
            known || kills.iter().any(|kill| explains(&kill)),
            "{path}: {} at {} arrived again for no reason",
            repeat.series,
            repeat.timestamp_ms
        );
    }
    let samples = receiver.samples(path).count();
    assert!(
        repeats.len() < 2 * samples,
        "{} repeats of {samples}",
        repeats.len()
    );
}
