//! A disk without space: the relay refuses, loses nothing, and goes on when there is space again.

use std::fs;
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use promrelay::remote_write::generated::prometheus::{Label, Sample, TimeSeries, WriteRequest};
use prost::Message as _;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::peers::Peer;
use crate::process::{as_root, eventually, get};
use crate::recorder::{Mood, Recorder};

/// A small file system in memory; unmounted in the end.
struct Volume {
    directory: TempDir,
}

impl Volume {
    /// `None` where mounting is not allowed; where `CI` is set it has to be.
    fn mount(mebibytes: u32) -> Option<Volume> {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path().display().to_string();
        let options = format!("size={mebibytes}m,mode=777");
        let mount = ["mount", "-t", "tmpfs", "-o", &options, "none", &path];
        if as_root(&mount) {
            return Some(Volume { directory });
        }
        assert!(std::env::var_os("CI").is_none(), "cannot mount a tmpfs");
        let skipped = writeln!(stderr(), "SKIPPED, as no file system can be mounted here");
        skipped.expect("standard error takes a line");
        None
    }

    fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let path = self.directory.path().display().to_string();
        as_root(&["umount", "--lazy", &path]);
    }
}

/// A request of so many KiB, about, that does not compress.
fn body(timestamp: i64, series_count: i64) -> Vec<u8> {
    let noise = |_| char::from(rand::random_range(b'!'..=b'~'));
    let series = |number: i64| TimeSeries {
        labels: [
            ("__name__", "noise".to_owned()),
            ("number", number.to_string()),
            ("text", (0..1000).map(noise).collect()),
        ]
        .map(|(name, value)| Label {
            name: name.to_owned(),
            value,
        })
        .into(),
        samples: vec![Sample {
            value: 0.0,
            timestamp,
        }],
        ..TimeSeries::default()
    };
    let request = WriteRequest {
        timeseries: (0..series_count).map(series).collect(),
        ..WriteRequest::default()
    };
    let raw = request.encode_to_vec();
    snap::raw::Encoder::new()
        .compress_vec(&raw)
        .expect("it is small")
}

async fn write(relay: &Peer, timestamp: i64) -> u16 {
    write_some(relay, timestamp, 64).await
}

async fn write_some(relay: &Peer, timestamp: i64, series_count: i64) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.expect("a plain client can be built");
    let request = client.post(relay.url("/api/v1/write"));
    let request = request
        .header("content-encoding", "snappy")
        .header("content-type", "application/x-protobuf")
        .timeout(Duration::from_secs(20))
        .body(body(timestamp, series_count));
    request
        .send()
        .await
        .expect("the relay answers")
        .status()
        .as_u16()
}

/// Writes until the relay refuses; answers how many requests it took.
async fn fill(relay: &Peer, first: i64) -> i64 {
    for timestamp in first..first + 1000 {
        match write(relay, timestamp).await {
            204 => {}
            503 => return timestamp - first,
            other => panic!("the relay answered {other}"),
        }
    }
    panic!("the disk is never full");
}

/// Waits until the relay takes a request again.
async fn resumes(relay: &Peer, timestamp: i64) {
    eventually(
        "the relay takes writes again",
        Duration::from_secs(30),
        async || (write(relay, timestamp).await == 204).then_some(()),
    )
    .await;
}

fn fill_with_ballast(volume: &Path) -> PathBuf {
    let ballast = volume.join("ballast");
    fs::write(&ballast, vec![1; 6 << 20]).expect("there is room for it");
    ballast
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_and_is_over_when_it_is_over() {
    let Some(volume) = Volume::mount(16) else {
        return;
    };
    let ballast = fill_with_ballast(&volume.path());
    let receiver = Recorder::start().await;
    receiver.set_mood(Mood::Refuse);
    let config = format!(
        "remote_write:\n  - {{name: a, url: '{}', queue_config: {{max_backoff: 100ms}}}}\n",
        receiver.url("/a")
    );
    let mut relay = Peer::promrelay_on(&volume.path().join("data"), &config).await;
    let mut taken = fill(&relay, 0).await;
    assert!(taken > 50, "only {taken} requests fit on 10 MiB");
    let failed = get(&relay.url("/metrics"))
        .await
        .expect("metrics are served");
    assert!(failed.contains("promrelay_queue_failed{route=\"a\"} 1\n"));
    // Space comes back from elsewhere.
    fs::remove_file(ballast).expect("the ballast is there");
    resumes(&relay, taken).await;
    taken += 1;
    taken += fill(&relay, taken).await;
    // A crash on a full disk, and a start on it. The journal's space is back then.
    relay.kill_and_restart().await;
    taken += fill(&relay, taken).await;
    // Space comes back because the receiver does.
    receiver.set_mood(Mood::Accept);
    resumes(&relay, taken).await;
    taken += 1;
    let expected = usize::try_from(64 * taken).expect("a small number");
    eventually("all of it arrives", Duration::from_secs(30), async || {
        (receiver.samples("/a").count() >= expected).then_some(())
    })
    .await;
    assert_eq!(receiver.samples("/a").count(), expected, "and nothing else");
    assert!(relay.stop().await.success());
    receiver.assert_orderly();
}

/// What only the journal has of each route needs space in its queue, beside the journal itself:
/// where there is not enough even so, a start fails, takes nothing from anybody, and succeeds when
/// there is some.
#[tokio::test(flavor = "multi_thread")]
async fn many_routes_lose_nothing_by_crashes_on_the_disk_that_they_filled() {
    let Some(volume) = Volume::mount(30) else {
        return;
    };
    let ballast = fill_with_ballast(&volume.path());
    let receiver = Recorder::start().await;
    receiver.set_mood(Mood::Refuse);
    let names = ["/a", "/b", "/c", "/d", "/e", "/f"];
    let route = |name: &&str| {
        let url = receiver.url(name);
        format!("  - {{url: '{url}', queue_config: {{max_backoff: 100ms}}}}\n")
    };
    let config = format!(
        "remote_write:\n{}",
        names.iter().map(route).collect::<String>()
    );
    let mut relay = Peer::promrelay_on(&volume.path().join("data"), &config).await;
    let (mut timestamp, mut expected) = (0, 0);
    for _ in 0..8 {
        // The disk is full most of the time, and what is small still finds room now and then.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            let series_count = [1, 8, 64][rand::random_range(0..3)];
            timestamp += 1;
            match write_some(&relay, timestamp, series_count).await {
                204 => expected += usize::try_from(series_count).expect("a small number"),
                503 => {}
                other => panic!("the relay answered {other}"),
            }
        }
        if !relay.kill_and_try_to_restart().await {
            fs::remove_file(&ballast).expect("the ballast is there");
            relay.kill_and_restart().await;
            break;
        }
    }
    receiver.set_mood(Mood::Accept);
    for name in names {
        eventually("all of it arrives", Duration::from_mins(1), async || {
            (receiver.samples(name).count() >= expected).then_some(())
        })
        .await;
        assert_eq!(receiver.samples(name).count(), expected, "{name}");
    }
    assert!(relay.stop().await.success());
    receiver.assert_orderly();
}
