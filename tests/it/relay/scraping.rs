//! What is scraped arrives, with the labels, values and ends that Prometheus would give it.

use http::StatusCode;

use super::exposer::{Exposer, Page};
use super::harness::{Receiver, Relay, wait_for};

/// The value that ends a series.
pub(super) const STALE: u64 = 0x7ff0_0000_0000_0002;

/// A configuration with one job, whose further keys are `keys`, and a route to `/w`.
pub(super) fn config(receiver: &Receiver, targets: &str, keys: &str) -> String {
    format!(
        "global: {{scrape_interval: 300ms, scrape_timeout: 200ms}}\n\
         remote_write:\n  - url: http://{}/w\n    \
         queue_config: {{batch_send_deadline: 5ms}}\n    \
         send_exemplars: true\n    send_native_histograms: true\n    \
         metadata_config: {{send_interval: 100ms}}\n\
         scrape_configs:\n  - job_name: j\n    \
         static_configs: [{{targets: [{targets}]}}]\n{keys}",
        receiver.address()
    )
}

/// The samples that arrived of series that contain `part`.
pub(super) fn of(receiver: &Receiver, part: &str) -> Vec<(String, i64, f64)> {
    let mut samples = receiver.samples("/w");
    samples.retain(|(series, ..)| series.contains(part));
    samples
}

/// The last value of the one series that contains `part`.
pub(super) fn last(receiver: &Receiver, part: &str) -> Option<f64> {
    of(receiver, part).last().map(|(.., value)| *value)
}

pub(super) fn ended(receiver: &Receiver, part: &str) -> bool {
    last(receiver, part).is_some_and(|value| value.to_bits() == STALE)
}

pub(super) async fn wait_value(receiver: &Receiver, part: &str, value: f64) {
    wait_for(part, async || {
        last(receiver, part).is_some_and(|last| (last - value).abs() < 1e-9)
    })
    .await;
}

pub(super) async fn wait_end(receiver: &Receiver, part: &str) {
    wait_for(&format!("the end of {part}"), async || {
        ended(receiver, part)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_scraped_with_its_labels() {
    let (receiver, exposer) = (Receiver::start(), Exposer::with("m{a=\"b\",job=\"x\"} 3\n"));
    let address = exposer.address();
    let relay = Relay::start(&config(&receiver, &address.to_string(), "")).await;
    let series = format!("__name__=m,a=b,exported_job=x,instance={address},job=j");
    wait_value(&receiver, &series, 3.0).await;
    for (name, value) in [
        ("up", 1.0),
        ("scrape_samples_scraped", 1.0),
        ("scrape_samples_post_metric_relabeling", 1.0),
        ("scrape_series_added", 0.0),
    ] {
        let series = format!("__name__={name},instance={address},job=j");
        wait_value(&receiver, &series, value).await;
    }
    let times: Vec<_> = of(&receiver, "__name__=up").iter().map(|s| s.1).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    let (path, headers) = exposer.requests().remove(0);
    assert_eq!(path, "/metrics");
    let header = |name| headers.get(name).unwrap().to_str().unwrap();
    assert_eq!(header("x-prometheus-scrape-timeout-seconds"), "0.2");
    assert_eq!(header("accept-encoding"), "gzip");
    assert_eq!(
        header("accept"),
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
         application/openmetrics-text;version=0.0.1;q=0.4,\
         text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
         text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
    );
    assert!(header("user-agent").starts_with("promrelay/"));
    relay.stop().await;
    exposer.stop().await;
}

/// What a target says again of its metrics holds for the series that it adds, and what it says
/// anew is told.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_again_of_a_metric_holds_for_new_series() {
    let head = "# HELP h some\n# TYPE h histogram\n";
    let exposer = Exposer::with(&format!("{head}h_bucket{{le=\"1\"}} 1\n"));
    let receiver = Receiver::start();
    let relay = Relay::start(&config(&receiver, &exposer.address().to_string(), "")).await;
    wait_value(&receiver, "le=1.0", 1.0).await;
    let more = "h_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 2\n";
    exposer.expose(&format!("{head}{more}"));
    wait_value(&receiver, "le=2.0", 2.0).await;
    exposer.expose(&format!("{}{more}", head.replace("some", "other")));
    wait_for("the new text", async || {
        let arrivals = receiver.arrivals("/w");
        let mut metadata = arrivals
            .iter()
            .flat_map(|arrival| &arrival.request.metadata);
        metadata.any(|family| family.metric_family_name == "h" && family.help == "other")
    })
    .await;
    relay.stop().await;
    exposer.stop().await;
}

/// As in Prometheus: the target is there, its series end, and none is new when they come back.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_body_ends_all_series_and_forgets_none() {
    let (receiver, exposer) = (Receiver::start(), Exposer::with("a 1\n"));
    let relay = Relay::start(&config(&receiver, &exposer.address().to_string(), "")).await;
    wait_value(&receiver, "__name__=scrape_series_added,", 0.0).await;
    exposer.expose("");
    wait_end(&receiver, "__name__=a,").await;
    let before = of(&receiver, "__name__=scrape_series_added,").len();
    exposer.expose("a 2\n");
    wait_value(&receiver, "__name__=a,", 2.0).await;
    let scrapes = of(&receiver, "__name__=scrape_series_added,");
    assert!(
        scrapes[before..].iter().all(|scrape| scrape.2 == 0.0),
        "{scrapes:?}"
    );
    assert!(of(&receiver, "__name__=up,").iter().all(|up| up.2 > 0.5));
    relay.stop().await;
    exposer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_that_is_gone_ends() {
    let (receiver, exposer) = (Receiver::start(), Exposer::with("a 1\nb 1\n"));
    let relay = Relay::start(&config(&receiver, &exposer.address().to_string(), "")).await;
    wait_value(&receiver, "__name__=b,", 1.0).await;
    exposer.expose("a 2\n");
    wait_end(&receiver, "__name__=b,").await;
    wait_value(&receiver, "__name__=a,", 2.0).await;
    exposer.expose("a 2\nb 3\n");
    wait_value(&receiver, "__name__=b,", 3.0).await;
    let ends = of(&receiver, "__name__=b,");
    let ends = ends.iter().filter(|sample| sample.2.to_bits() == STALE);
    assert_eq!(ends.count(), 1);
    // The ends that a stop brings are queued; what is not on its way yet follows with the next
    // start.
    let config = config(&receiver, "", "");
    let (routes, _) = config.split_once("scrape_configs").unwrap();
    relay.write_config(routes);
    let relay = Relay::start_in(relay.stop().await).await;
    wait_end(&receiver, "__name__=a,").await;
    wait_end(&receiver, "__name__=up,").await;
    relay.stop().await;
    exposer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_scrape_ends_all_series_and_is_down() {
    let (receiver, exposer) = (Receiver::start(), Exposer::with("a 1\nb 1\n"));
    let keys = "    body_size_limit: 100KiB\n    sample_limit: 2\n";
    let relay = Relay::start(&config(&receiver, &exposer.address().to_string(), keys)).await;
    let gzip = |bytes: &[u8]| {
        let headers = vec![("content-encoding", "gzip"), ("content-type", "text/plain")];
        Page::With(headers, bytes.to_vec())
    };
    let bad = [
        ("garbage", Page::Text("a 1\nthis is no metric\n".to_owned())),
        ("no format", Page::Typed("text/html", b"a 1\n".to_vec())),
        ("no metrics", Page::Status(StatusCode::SERVICE_UNAVAILABLE)),
        ("a page without an end", Page::Endless),
        ("a page that hangs", Page::Hang),
        ("a reset", Page::Reset),
        ("a loop", Page::Redirect("/metrics")),
        ("too many samples", Page::Text("a 1\nb 1\nc 1\n".to_owned())),
        (
            "a label twice",
            Page::Text("a{x=\"1\",x=\"2\"} 1\n".to_owned()),
        ),
        ("no gzip", gzip(b"a 1\n")),
    ];
    for (what, page) in bad {
        exposer.expose("a 1\nb 1\n");
        wait_value(&receiver, "__name__=up,", 1.0).await;
        wait_value(&receiver, "__name__=a,", 1.0).await;
        exposer.set("/metrics", page);
        wait_value(&receiver, "__name__=up,", 0.0).await;
        wait_end(&receiver, "__name__=a,").await;
        wait_end(&receiver, "__name__=b,").await;
        assert!(ended(&receiver, "__name__=a,"), "{what}");
    }
    let (_, targets) = relay.get("/api/v1/targets").await;
    assert!(targets.contains("body is not valid gzip"), "{targets}");
    let failed = relay.metric("promrelay_scrape_scrapes_total", &["outcome=\"timeout\""]);
    assert!(failed.await >= 1);
    relay.stop().await;
    exposer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn series_with_their_own_timestamps_do_not_end_unless_tracked() {
    for (keys, ends) in [
        ("", false),
        ("    track_timestamps_staleness: true\n", true),
    ] {
        let (receiver, exposer) = (Receiver::start(), Exposer::with("a 1 1000\nb 1\n"));
        let relay = Relay::start(&config(&receiver, &exposer.address().to_string(), keys)).await;
        // Other series, so maybe other lanes.
        wait_value(&receiver, "__name__=a,", 1.0).await;
        wait_value(&receiver, "__name__=b,", 1.0).await;
        assert_eq!(of(&receiver, "__name__=a,")[0].1, 1000);
        exposer.expose("c 1\n");
        wait_end(&receiver, "__name__=b,").await;
        if ends {
            // Another series, so maybe another lane: it need not come with b's.
            wait_end(&receiver, "__name__=a,").await;
        }
        assert_eq!(ended(&receiver, "__name__=a,"), ends);
        relay.stop().await;
        exposer.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_the_series_of_a_target_that_stays() {
    let (receiver, exposer) = (Receiver::start(), Exposer::with("a 1\nb 1\nc 1\n"));
    let target = exposer.address().to_string();
    let relay = Relay::start(&config(&receiver, &target, "")).await;
    wait_value(&receiver, "__name__=b,", 1.0).await;
    // Another rule: the job starts anew, b is gone, and a and c go on.
    let keys = "    metric_relabel_configs: \
                [{source_labels: [__name__], regex: b, action: drop}]\n";
    relay.write_config(&config(&receiver, &target, keys));
    assert_eq!(relay.reload().await.0, StatusCode::OK);
    wait_end(&receiver, "__name__=b,").await;
    exposer.expose("a 5\nb 1\nc 5\n");
    wait_value(&receiver, "__name__=c,", 5.0).await;
    let ends = of(&receiver, "__name__=a,");
    assert!(ends.iter().all(|sample| sample.2.to_bits() != STALE));
    // The job is gone.
    let without = config(&receiver, &target, "").replace("job_name: j", "job_name: k");
    relay.write_config(&without);
    assert_eq!(relay.reload().await.0, StatusCode::OK);
    wait_end(&receiver, &format!("__name__=a,instance={target},job=j")).await;
    wait_value(
        &receiver,
        &format!("__name__=up,instance={target},job=k"),
        1.0,
    )
    .await;
    wait_end(&receiver, &format!("__name__=up,instance={target},job=j")).await;
    for (job, targets) in [("job=\"j\"", 0), ("job=\"k\"", 1)] {
        let labels = [job];
        let known = relay.metric("promrelay_discovery_targets", &labels);
        assert_eq!(known.await, targets, "{job}");
    }
    relay.stop().await;
    exposer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_no_longer_listed_ends() {
    let (receiver, exposer) = (Receiver::start(), Exposer::with("a 1\n"));
    let other = Exposer::with("o 1\n");
    let both = format!("'{}', '{}'", exposer.address(), other.address());
    let relay = Relay::start(&config(&receiver, &both, "")).await;
    wait_value(&receiver, "__name__=a,", 1.0).await;
    wait_value(&receiver, "__name__=o,", 1.0).await;
    relay.write_config(&config(&receiver, &other.address().to_string(), ""));
    assert_eq!(relay.reload().await.0, StatusCode::OK);
    wait_end(&receiver, "__name__=a,").await;
    let up = format!("__name__=up,instance={}", exposer.address());
    wait_end(&receiver, &up).await;
    assert!(!ended(&receiver, "__name__=o,"));
    relay.stop().await;
    exposer.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_does_not_stop_scraping() {
    let (receiver, exposer) = (Receiver::start(), Exposer::with("a 1\n"));
    // More than the queue takes, and hard to compress.
    let noise = |seed: u64| {
        let line = |i: u64| {
            format!(
                "n{{x=\"{:x}\"}} 1\n",
                (i + seed).wrapping_mul(0x9e37_79b9_7f4a)
            )
        };
        (0..40_000).map(line).collect::<String>()
    };
    receiver.answer("/w", std::iter::repeat_n(super::harness::Answer::Hang, 64));
    let config = config(&receiver, &exposer.address().to_string(), "")
        .replace("scrape_interval: 300ms", "scrape_interval: 1s")
        .replace("queue_config:", "remote_timeout: 1s\n    queue_config:")
        + "queue: {max_bytes: 1MiB}\n";
    let relay = Relay::start(&config).await;
    exposer.expose(&noise(0));
    wait_for("samples that are not stored", async || {
        exposer.expose(&noise(exposer.requests().len() as u64 * 50_000));
        relay
            .metric("promrelay_scrape_not_stored_samples_total", &["job=\"j\""])
            .await
            > 0
    })
    .await;
    let before = exposer.requests().len();
    wait_for("another scrape", async || {
        exposer.requests().len() > before + 1
    })
    .await;
    relay.stop().await;
    exposer.stop().await;
}

/// As in Prometheus, whose storage refuses them: receivers rely on the order of a series' samples.
#[tokio::test(flavor = "multi_thread")]
async fn a_sample_that_is_older_than_the_last_of_its_series_is_left_out() {
    let now = i64::try_from(
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis(),
    )
    .unwrap();
    let (receiver, exposer) = (Receiver::start(), Exposer::start());
    exposer.expose(&format!("m 1 {now}\n"));
    let relay = Relay::start(&config(&receiver, &exposer.address().to_string(), "")).await;
    wait_value(&receiver, "__name__=m,", 1.0).await;
    exposer.expose(&format!("m 2 {}\n", now - 5000));
    wait_for("what is left out", async || {
        let name = "promrelay_scrape_left_out_samples_total";
        relay.metric(name, &["out_of_order"]).await > 1
    })
    .await;
    exposer.expose(&format!("m 3 {}\n", now + 1000));
    wait_value(&receiver, "__name__=m,", 3.0).await;
    assert!(of(&receiver, "__name__=m,").iter().all(|m| m.1 >= now));
    assert!(of(&receiver, "__name__=up,").iter().all(|up| up.2 > 0.5));
    relay.stop().await;
    exposer.stop().await;
}
