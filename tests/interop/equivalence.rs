//! Behind the relay arrives what Prometheus itself would have sent there.

use std::fmt::Write as _;
use std::time::Duration;

use crate::exposition::{Exposition, INSTANCE_16, INSTANCE_31};
use crate::peers::{ITSELF, Peer, installed};
use crate::process::{eventually, settles};
use crate::recorder::Recorder;
use crate::routes::{CASES, CONTAINER, EVERYTHING, EXTERNAL, NODE, RENAMED, Route, SHARD};
use crate::samples::STALE;

const ROUTES: [Route; 7] = [CONTAINER, NODE, EVERYTHING, EXTERNAL, RENAMED, SHARD, CASES];

/// What the relay's `external_labels` do, as a rule: a label that is lacking is added. Prometheus
/// has one set of external labels for all that it writes to, so its direct writes need this.
const ADD_CLUSTER: &str =
    "{source_labels: [cluster], regex: '', target_label: cluster, replacement: blue}";

/// Prometheus' own words for what the relay was told, and the relay beside it.
fn prometheus_config(relay: &Peer, recorder: &Recorder, scraped: &str) -> String {
    let mut config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, \
         external_labels: {{replica: prometheus-0}}}}\n\
         scrape_configs:\n{scraped}remote_write:\n{}",
        EVERYTHING.entry("relay", &relay.url("/api/v1/write"), &[])
    );
    for route in ROUTES {
        let url = recorder.url(&format!("/direct/{}", route.name));
        config += &route.entry(route.name, &url, &[ADD_CLUSTER]);
    }
    config
}

fn relay_config(recorder: &Recorder) -> String {
    let mut config = "global: {external_labels: {cluster: blue, replica: relay}}\n\
                      remote_write:\n"
        .to_owned();
    for route in ROUTES {
        let url = recorder.url(&format!("/relayed/{}", route.name));
        config += &route.entry(route.name, &url, &[]);
    }
    config
}

/// The milliseconds for which the fixtures' job was scraped.
fn scraped_ms(recorder: &Recorder) -> i64 {
    let up = [("__name__", "up"), ("job", "node-exporter")];
    recorder.samples_with("/direct/everything", &up).span_ms()
}

/// Waits until scrapes of this much time arrived, and returns the newest time.
async fn scraped_for(recorder: &Recorder, span_ms: i64) -> i64 {
    eventually("scrapes arrive", Duration::from_secs(90), async || {
        (scraped_ms(recorder) >= span_ms).then(|| recorder.newest_ms("/direct/everything"))?
    })
    .await
}

/// What the routes kept until `cut_ms`: equal with and without the relay, or what differs.
fn differences(recorder: &Recorder, cut_ms: i64) -> String {
    let mut text = String::new();
    for route in ROUTES {
        let direct = recorder
            .samples(&format!("/direct/{}", route.name))
            .until(cut_ms);
        let relayed = recorder
            .samples(&format!("/relayed/{}", route.name))
            .until(cut_ms);
        let difference = direct.difference(&relayed);
        if !difference.is_empty() {
            writeln!(text, "route {}:\n{difference}", route.name).expect("fits");
        }
    }
    text
}

fn assert_substantial(recorder: &Recorder, cut_ms: i64) {
    let relayed = |route: &Route| {
        let samples = recorder
            .samples(&format!("/relayed/{}", route.name))
            .until(cut_ms);
        assert!(
            samples.span_ms() >= 30_000,
            "{} spans {} ms",
            route.name,
            samples.span_ms()
        );
        samples
    };
    let (container, everything) = (relayed(&CONTAINER), relayed(&EVERYTHING));
    let expected = [
        (CONTAINER, INSTANCE_16, 12),
        (CONTAINER, INSTANCE_31, 12),
        (NODE, INSTANCE_16, 81),
        (NODE, INSTANCE_31, 76),
    ];
    for (route, instance, series) in expected {
        let path = format!("/relayed/{}", route.name);
        let samples = recorder
            .samples_with(&path, &[("instance", instance)])
            .until(cut_ms);
        assert_eq!(samples.series(), series, "{instance}");
        assert!(
            samples.count() >= series * 20,
            "{instance}: {} samples",
            samples.count()
        );
        assert!(
            samples.span_ms() >= 30_000,
            "{instance}: {} ms",
            samples.span_ms()
        );
    }
    assert!(
        everything.series() > 1000,
        "everything has {} series",
        everything.series()
    );
    for (series, samples) in &container.0 {
        assert!(
            samples.iter().any(|(_, bits)| *bits == STALE),
            "{series} was never stale"
        );
        assert!(
            series.contains(r#"cluster="blue""#),
            "{series} lacks the relay's label"
        );
        assert!(
            series.contains(r#"replica="prometheus-0""#),
            "{series} lost Prometheus' label"
        );
    }
    for route in [EXTERNAL, RENAMED, SHARD, CASES] {
        let kept = relayed(&route).series();
        assert!(kept >= 5, "{} keeps {kept} series", route.name);
    }
    let renamed = relayed(&RENAMED);
    assert!(
        renamed
            .0
            .keys()
            .any(|series| series.contains(" in node-exporter, $\""))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_get_what_prometheus_would_have_sent_them() {
    if !installed() {
        return;
    }
    let recorder = Recorder::start().await;
    let windows = Exposition::start().await;
    let node_exporter = Peer::node_exporter().await;
    let relay = Peer::promrelay(&relay_config(&recorder)).await;
    let scraped = format!(
        "{}  - {{job_name: linux, static_configs: [{{targets: ['{}']}}]}}\n  \
         - {{job_name: prometheus, static_configs: [{{targets: ['{ITSELF}']}}]}}\n",
        windows.jobs(),
        node_exporter.address,
    );
    let prometheus = Peer::prometheus(&prometheus_config(&relay, &recorder, &scraped)).await;

    scraped_for(&recorder, 15_000).await;
    windows.interrupt(&recorder, "/direct/container").await;
    let interrupted_ms = scraped_ms(&recorder);
    let cut_ms = scraped_for(&recorder, (interrupted_ms + 15_000).max(33_000)).await;

    settles("with and without the relay", async || {
        differences(&recorder, cut_ms)
    })
    .await;
    assert_substantial(&recorder, cut_ms);

    assert!(prometheus.stop().await.success());
    assert!(relay.stop().await.success());
    let late = differences(&recorder, cut_ms);
    assert!(late.is_empty(), "after the end:\n{late}");
    recorder.assert_orderly();
}
