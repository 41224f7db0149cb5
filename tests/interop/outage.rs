//! A receiver that is down, refuses or hangs: nothing is lost, nothing is reordered, and the other
//! route does not wait for it.

use std::time::Duration;

use crate::exposition::Exposition;
use crate::peers::{Peer, installed};
use crate::process::{eventually, settles};
use crate::recorder::{Mood, Recorder};
use crate::routes::EVERYTHING;

/// Waits until the unharmed route has brought scrapes of this much more time.
async fn healthy_for(healthy: &Recorder, seconds: i64) -> i64 {
    let newest = || healthy.newest_ms("/healthy").unwrap_or_default();
    let start_ms = eventually(
        "the unharmed route delivers",
        Duration::from_secs(30),
        async || Some(newest()).filter(|newest_ms| *newest_ms > 0),
    )
    .await;
    let limit = Duration::from_secs(30);
    eventually("the unharmed route goes on", limit, async || {
        Some(newest()).filter(|newest_ms| *newest_ms >= start_ms + seconds * 1000)
    })
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
    let prometheus = Peer::prometheus(&format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n{}remote_write:\n{}{}",
        windows.jobs(),
        EVERYTHING.entry("relay", &relay.url("/api/v1/write"), &[]),
        EVERYTHING.entry("direct", &healthy.url("/direct"), &[]),
    ))
    .await;

    healthy_for(&healthy, 3).await;
    wounded.down();
    let before = wounded.samples("/wounded");
    assert!(
        before.series() > 200,
        "only {} series before the outage",
        before.series()
    );
    healthy_for(&healthy, 10).await;
    wounded.up().await;
    healthy_for(&healthy, 3).await;
    wounded.set_mood(Mood::Refuse);
    healthy_for(&healthy, 3).await;
    wounded.set_mood(Mood::Hang);
    healthy_for(&healthy, 5).await;
    wounded.set_mood(Mood::Accept);
    let cut_ms = healthy_for(&healthy, 3).await;

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
