//! Changing the configuration of a running relay.

use std::time::Duration;

use http::StatusCode;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::harness::{Answer, Receiver, Relay, series, wait_for};

fn config(receiver: &Receiver, routes: &[&str]) -> String {
    let address = receiver.address();
    let route = |name: &&str| {
        format!(
            "  - {{name: {name}, url: \"http://{address}/{name}\", \
             queue_config: {{batch_send_deadline: 10ms}}}}\n"
        )
    };
    format!(
        "remote_write:\n{}",
        routes.iter().map(route).collect::<String>()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_route_gets_what_comes_after_the_reload_and_a_removed_one_nothing() {
    let receiver = Receiver::start();
    let relay = Relay::start(&config(&receiver, &["a", "b"])).await;
    relay.write(vec![series("m", &[], 1, 1.0)]).await;
    wait_for("both routes", async || {
        receiver.samples("/a").len() == 1 && receiver.samples("/b").len() == 1
    })
    .await;
    relay.write_config(&config(&receiver, &["c", "a"]));
    assert_eq!(relay.reload().await, (StatusCode::OK, String::new()));
    relay.write(vec![series("m", &[], 2, 1.0)]).await;
    wait_for("the new route", async || receiver.samples("/c").len() == 1).await;
    wait_for("the old route", async || receiver.samples("/a").len() == 2).await;
    assert_eq!(receiver.samples("/b").len(), 1);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_reload_starts_runs_where_the_relay_does_and_not_with_connections() {
    let receiver = Receiver::start();
    let relay = Relay::start(&config(&receiver, &["a"])).await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let names: Vec<_> = (0..20).map(|number| format!("route-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    relay.write_config(&config(&receiver, &names));
    assert_eq!(relay.reload().await, (StatusCode::OK, String::new()));
    assert!(tasks() >= before + 20, "{before} and then {}", tasks());
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_a_metric_says_so() {
    let receiver = Receiver::start();
    let relay = Relay::start(&config(&receiver, &["a"])).await;
    let hash = relay.metric("promrelay_config_hash", &[]).await;
    relay.write_config("remote_write:\n  - {url: \"http://x/a\", remote_timout: 1s}\n");
    let (status, words) = relay.reload().await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        words.contains(":2:25:") && words.contains("remote_timeout"),
        "{words}"
    );
    assert_eq!(
        relay
            .metric("promrelay_config_last_reload_successful", &[])
            .await,
        0
    );
    relay.write(vec![series("m", &[], 1, 1.0)]).await;
    wait_for("the route as it was", async || {
        receiver.samples("/a").len() == 1
    })
    .await;
    relay.write_config(&config(&receiver, &["a", "b"]));
    assert_eq!(relay.reload().await.0, StatusCode::OK);
    assert_eq!(
        relay
            .metric("promrelay_config_last_reload_successful", &[])
            .await,
        1
    );
    assert_ne!(relay.metric("promrelay_config_hash", &[]).await, hash);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_under_load_refuse_no_request_and_lose_no_sample() {
    let receiver = Receiver::start();
    let relay = Relay::start(&config(&receiver, &["a", "b"])).await;
    let writes = async {
        for time in 0..200 {
            relay.write(vec![series("m", &[], time, 1.0)]).await;
        }
    };
    let reloads = async {
        for round in 0..10 {
            let (address, lanes) = (receiver.address(), 1 + round % 3);
            let rules = "write_relabel_configs: [{target_label: round, replacement: x}]";
            let changed = format!(
                "remote_write:\n  - {{name: a, url: \"http://{address}/a\", {rules}, \
                 queue_config: {{batch_send_deadline: 10ms, min_shards: {lanes}, \
                 max_shards: {lanes}}}}}\n"
            );
            relay.write_config(&changed);
            assert_eq!(relay.reload().await.0, StatusCode::OK);
            relay.write_config(&config(&receiver, &["b", "a"]));
            assert_eq!(relay.reload().await.0, StatusCode::OK);
        }
    };
    futures_util::join!(writes, reloads);
    wait_for("all samples", async || receiver.samples("/a").len() >= 200).await;
    let times: Vec<_> = receiver
        .samples("/a")
        .iter()
        .map(|&(_, time, _)| time)
        .collect();
    let mut sorted = times.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..200).collect::<Vec<_>>());
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_status_answer() {
    let receiver = Receiver::start();
    let relay = Relay::start(&config(&receiver, &["a"])).await;
    assert_eq!(relay.get("/-/healthy").await.0, StatusCode::OK);
    assert_eq!(relay.get("/-/ready").await.0, StatusCode::OK);
    assert!(
        relay
            .get("/api/v1/status/routes")
            .await
            .1
            .contains("\"route\":\"a\"")
    );
    assert!(
        relay
            .get("/api/v1/status/config")
            .await
            .1
            .contains("remote_write")
    );
    assert!(
        relay
            .get("/api/v1/status/buildinfo")
            .await
            .1
            .contains("version")
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_goes_on_without_its_client_and_the_route_that_left_can_come_back() {
    let receiver = Receiver::start();
    let both = config(&receiver, &["a", "b"]).replace("{name: b", "{remote_timeout: 2s, name: b");
    let relay = Relay::start(&both).await;
    receiver.answer("/b", [Answer::Hang, Answer::Hang]);
    relay.write(vec![series("m", &[], 1, 1.0)]).await;
    wait_for("a request that hangs", async || {
        relay
            .metric("promrelay_send_in_flight_requests", &["\"b\""])
            .await
            == 1
    })
    .await;
    relay.write_config(&config(&receiver, &["a"]));
    // The reload waits for the request that hangs; its client does not wait for the reload.
    let impatient = timeout(Duration::from_millis(200), relay.reload()).await;
    assert!(impatient.is_err(), "{impatient:?}");
    relay.write_config(&both);
    assert_eq!(relay.reload().await, (StatusCode::OK, String::new()));
    relay.write(vec![series("m", &[], 2, 1.0)]).await;
    wait_for("both samples", async || receiver.samples("/b").len() >= 2).await;
    let arrived: Vec<i64> = receiver
        .samples("/b")
        .iter()
        .map(|sample| sample.1)
        .collect();
    assert_eq!(arrived, [1, 2]);
    wait_for("everything adds up", async || {
        let of = async |name: &str| relay.metric(name, &["\"b\""]).await;
        of("promrelay_queue_recovered_samples").await == 0
            && of("promrelay_route_kept_samples_total").await == 2
            && of("promrelay_send_samples_total").await == 2
            && of("promrelay_queue_samples").await == 0
    })
    .await;
    relay.stop().await;
}

/// Whoever removes a route often does so because its receiver is dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_route_whose_receiver_hangs_holds_nothing_up() {
    let receiver = Receiver::start();
    let both = config(&receiver, &["a", "b"]);
    let relay = Relay::start(&both).await;
    receiver.answer("/b", [Answer::Hang]);
    relay.write(vec![series("m", &[], 1, 1.0)]).await;
    let in_flight = async || {
        let name = "promrelay_send_in_flight_requests";
        relay.metric(name, &["\"b\""]).await
    };
    wait_for("a request that hangs", async || in_flight().await == 1).await;
    relay.write_config(&config(&receiver, &["a"]));
    // The request would be waited for for 30 s.
    let reloaded = timeout(Duration::from_secs(10), relay.reload()).await;
    assert_eq!(reloaded, Ok((StatusCode::OK, String::new())));
    // What was cut off stayed in the queue.
    relay.write_config(&both);
    assert_eq!(relay.reload().await, (StatusCode::OK, String::new()));
    wait_for("the sample", async || receiver.samples("/b").len() == 1).await;
    wait_for("nothing in flight", async || in_flight().await == 0).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_url_is_tried_at_once_whatever_the_old_one_asked_for() {
    let receiver = Receiver::start();
    let one = |path: &str| config(&receiver, &["a"]).replace("/a\"", path);
    let relay = Relay::start(&one("/wrong\"")).await;
    receiver.answer("/wrong", [Answer::RetryAfter("300")]);
    relay.write(vec![series("m", &[], 1, 1.0)]).await;
    wait_for("a refusal", async || {
        relay
            .metric("promrelay_send_retries_total", &["\"a\""])
            .await
            > 0
    })
    .await;
    relay.write_config(&one("/right\""));
    assert_eq!(relay.reload().await, (StatusCode::OK, String::new()));
    wait_for("the sample", async || receiver.samples("/right").len() == 1).await;
    assert_eq!(receiver.arrivals("/wrong").len(), 1);
    relay.stop().await;
}
