//! What operators see of targets, and what limits do to them.

#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::io::Write as _;
use std::process::Command;

use http::StatusCode;
use serde_json::Value;

use super::exposer::{Exposer, Page};
use super::harness::{Receiver, Relay, wait_for};
use super::scraping::{config, wait_end, wait_value};

async fn get(relay: &Relay, path: &str) -> Value {
    let (status, body) = relay.get(path).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["status"], "success");
    answer["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_shown_as_prometheus_shows_them() {
    let (receiver, exposer) = (
        Receiver::start(),
        Exposer::with("# HELP m What.\n# TYPE m gauge\nm 1\n"),
    );
    let address = exposer.address();
    let keys = "    relabel_configs: \
                [{source_labels: [__address__], regex: gone, action: drop}]\n";
    let relay = Relay::start(&config(&receiver, &format!("'{address}', gone"), keys)).await;
    wait_value(&receiver, "__name__=m,", 1.0).await;
    wait_for("it is up", async || {
        get(&relay, "/api/v1/targets").await["activeTargets"][0]["health"] == "up"
    })
    .await;
    let data = get(&relay, "/api/v1/targets").await;
    let active = &data["activeTargets"][0];
    assert_eq!(active["scrapeUrl"], format!("http://{address}/metrics"));
    assert_eq!(active["scrapePool"], "j");
    assert_eq!(active["labels"]["instance"], address.to_string());
    assert_eq!(active["discoveredLabels"]["__scrape_interval__"], "300ms");
    assert_eq!(active["scrapeInterval"], "300ms");
    assert_eq!(active["scrapeTimeout"], "200ms");
    assert_eq!(active["lastError"], "");
    assert!(active["lastScrapeDuration"].as_f64().unwrap() > 0.0);
    let dropped = &data["droppedTargets"][0];
    assert_eq!(dropped["discoveredLabels"]["__address__"], "gone");
    assert_eq!(data["droppedTargetCounts"]["j"], 1);
    let data = get(&relay, "/api/v1/targets?state=active&scrapePool=other").await;
    assert_eq!(data["activeTargets"], Value::Array(Vec::new()));
    let data = get(&relay, "/api/v1/targets?state=dropped").await;
    assert_eq!(data["activeTargets"], Value::Array(Vec::new()));
    let path = "/api/v1/targets/metadata?match_target=%7Bjob%3D~%22j%7Ck%22%7D&metric=m";
    let data = get(&relay, path).await;
    assert_eq!(data[0]["type"], "gauge");
    assert_eq!(data[0]["help"], "What.");
    assert_eq!(data[0]["target"]["job"], "j");
    let data = get(
        &relay,
        "/api/v1/targets/metadata?match_target=%7Bjob!%3D%22j%22%7D",
    )
    .await;
    assert_eq!(data, Value::Array(Vec::new()));
    let (status, _) = relay.get("/api/v1/targets/metadata?match_target=x").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let told = || {
        let arrivals = receiver.arrivals("/w").into_iter();
        let families = arrivals.flat_map(|arrival| arrival.request.metadata);
        families
            .map(|family| family.metric_family_name)
            .collect::<Vec<_>>()
    };
    wait_for("metadata", async || !told().is_empty()).await;
    assert!(told().iter().all(|name| name == "m"), "{:?}", told());
    relay.stop().await;
    exposer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_are_read_up_to_the_limit() {
    let (receiver, exposer) = (Receiver::start(), Exposer::start());
    let gzip = |text: &[u8]| {
        let level = flate2::Compression::default();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        encoder.write_all(text).unwrap();
        let headers = vec![("content-encoding", "gzip"), ("content-type", "text/plain")];
        Page::With(headers, encoder.finish().unwrap())
    };
    exposer.set("/metrics", gzip(b"m 1\n"));
    let keys = "    body_size_limit: 1MiB\n    extra_scrape_metrics: true\n";
    let relay = Relay::start(&config(&receiver, &exposer.address().to_string(), keys)).await;
    wait_value(&receiver, "__name__=m,", 1.0).await;
    wait_value(&receiver, "__name__=scrape_body_size_bytes,", 4.0).await;
    exposer.set("/metrics", gzip(&vec![b'\n'; 1 << 20]));
    wait_value(&receiver, "__name__=scrape_body_size_bytes,", -1.0).await;
    wait_end(&receiver, "__name__=m,").await;
    let data = get(&relay, "/api/v1/targets").await;
    assert_eq!(
        data["activeTargets"][0]["lastError"],
        "body size limit exceeded"
    );
    relay.stop().await;
    exposer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_targets_are_not_scraped() {
    let (receiver, exposer) = (Receiver::start(), Exposer::with("m 1\n"));
    let targets = format!("'{}', 'h:1'", exposer.address());
    let relay = Relay::start(&config(&receiver, &targets, "    target_limit: 1\n")).await;
    wait_value(
        &receiver,
        &format!("__name__=up,instance={}", exposer.address()),
        0.0,
    )
    .await;
    assert!(exposer.requests().is_empty());
    let data = get(&relay, "/api/v1/targets").await.to_string();
    assert!(
        data.contains("target_limit exceeded (number of targets: 2, limit: 1)"),
        "{data}"
    );
    relay.stop().await;
    exposer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tries_each_target_once() {
    let (receiver, exposer) = (Receiver::start(), Exposer::with("m 1\nn 1\n"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("promrelay.yml");
    let targets = format!("'{}', '127.0.0.1:1'", exposer.address());
    std::fs::write(&file, config(&receiver, &targets, "")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_promrelay"));
    command.args(["check", "--scrape"]).arg(&file);
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    let output = ran.unwrap().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let reached = format!(
        "j http://{}/metrics: ok, 2 samples, 2 after relabelling",
        exposer.address()
    );
    assert!(printed.contains(&reached), "{printed}");
    assert!(
        printed.contains("j http://127.0.0.1:1/metrics: cannot connect"),
        "{printed}"
    );
    assert!(!output.status.success());
    exposer.stop().await;
}
