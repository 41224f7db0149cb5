//! A receiver that is down, refuses or hangs, and a relay that is killed: nothing is lost, nothing
//! is reordered, and no other route waits.

use std::time::Duration;

use crate::exposition::Exposition;
use crate::peers::{Peer, installed};
use crate::process::{eventually, settles};
use crate::recorder::{Mood, Recorder};
use crate::routes::EVERYTHING;

/// Waits until a path has brought scrapes of this much more time, and returns the newest time.
async fn advances(recorder: &Recorder, path: &str, seconds: i64) -> i64 {
    let what = format!("{path} delivers {seconds} s of scrapes");
    let mut start_ms = None;
    eventually(&what, Duration::from_mins(1), async || {
        let newest_ms = recorder.newest_ms(path)?;
        let start_ms = *start_ms.get_or_insert(newest_ms);
        Some(newest_ms).filter(|newest_ms| *newest_ms >= start_ms + seconds * 1000)
    })
    .await
}

/// A Prometheus that writes the fixture to the relay, and directly to `direct`.
async fn sender(windows: &Exposition, relay: &Peer, direct: &str) -> Peer {
    Peer::prometheus(&format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n{}remote_write:\n{}{}",
        windows.jobs(),
        EVERYTHING.entry("relay", &relay.url("/api/v1/write"), &[]),
        EVERYTHING.entry("direct", direct, &[]),
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_loses_and_reorders_nothing() {
    if !installed() {
        return;
    }
    let mut wounded = Recorder::start().await;
    let healthy = Recorder::start().await;
    let windows = Exposition::start().await;
    let relay = Peer::promrelay(&format!(
        "remote_write:\n{}{}",
        EVERYTHING.entry("wounded", &wounded.url("/wounded"), &[]),
        EVERYTHING.entry("healthy", &healthy.url("/healthy"), &[]),
    ))
    .await;
    let prometheus = sender(&windows, &relay, &healthy.url("/direct")).await;

    advances(&healthy, "/healthy", 3).await;
    wounded.down();
    let before = wounded.samples("/wounded");
    assert!(
        before.series() > 500,
        "only {} series before the outage",
        before.series()
    );
    advances(&healthy, "/healthy", 10).await;
    wounded.up().await;
    advances(&healthy, "/healthy", 3).await;
    wounded.set_mood(Mood::Refuse);
    advances(&healthy, "/healthy", 3).await;
    wounded.set_mood(Mood::Hang);
    advances(&healthy, "/healthy", 5).await;
    wounded.set_mood(Mood::Accept);
    let cut_ms = advances(&healthy, "/healthy", 3).await;

    settles("after the outage", async || {
        let direct = healthy.samples("/direct").until(cut_ms);
        assert!(direct.span_ms() >= 25_000, "{} ms", direct.span_ms());
        let through = healthy.samples("/healthy").until(cut_ms);
        let late = wounded.samples("/wounded").until(cut_ms);
        direct.difference(&through) + &direct.difference(&late)
    })
    .await;
    assert!(prometheus.stop().await.success());
    assert!(relay.stop().await.success());
    healthy.assert_orderly();
    wounded.assert_orderly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_relay_loses_nothing_it_acknowledged() {
    if !installed() {
        return;
    }
    let receiver = Recorder::start().await;
    let windows = Exposition::start().await;
    let config =
        "remote_write:\n".to_owned() + &EVERYTHING.entry("relayed", &receiver.url("/relayed"), &[]);
    let mut relay = Peer::promrelay(&config).await;
    let direct = Recorder::start().await;
    let prometheus = sender(&windows, &relay, &direct.url("/direct")).await;

    advances(&receiver, "/relayed", 3).await;
    receiver.set_mood(Mood::Refuse);
    advances(&direct, "/direct", 5).await;
    // What the relay acknowledged in these seconds is nowhere else.
    relay.kill_and_restart().await;
    advances(&direct, "/direct", 3).await;
    receiver.set_mood(Mood::Accept);
    advances(&receiver, "/relayed", 3).await;
    relay.kill_and_restart().await;
    let cut_ms = advances(&direct, "/direct", 3).await;

    settles("after the crashes", async || {
        let expected = direct.samples("/direct").until(cut_ms);
        assert!(expected.span_ms() >= 15_000, "{} ms", expected.span_ms());
        expected.difference(&receiver.samples("/relayed").until(cut_ms))
    })
    .await;
    assert!(prometheus.stop().await.success());
    assert!(relay.stop().await.success());
    receiver.assert_orderly();
}
