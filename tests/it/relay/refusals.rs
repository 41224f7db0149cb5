//! What a receiver refuses for good.

use std::time::Duration;

use http::StatusCode;
use promrelay::remote_write::generated::prometheus::TimeSeries;
use tokio::time::interval;

use super::harness::{Answer, Receiver, Relay, series, wait_for};

/// One route to `receiver` at `/a` with one lane, quick batches, and more of its keys.
fn config(receiver: &Receiver, more: &str) -> String {
    let address = receiver.address();
    format!(
        "remote_write:\n  - name: a\n    url: http://{address}/a\n    remote_timeout: 2s\n    \
         queue_config: {{batch_send_deadline: 10ms, max_shards: 1, max_backoff: 100ms}}\n{more}"
    )
}

fn many(count: i64) -> Vec<TimeSeries> {
    let one = |number: i64| series("m", &[("n", &number.to_string())], 1, 0.0);
    (0..count).map(one).collect()
}

/// Waits until the queue of the only route is empty.
async fn settled(relay: &Relay) {
    wait_for("the queue is empty", async || {
        relay.metric("promrelay_queue_samples", &[]).await == 0
    })
    .await;
}

async fn parked(relay: &Relay) -> u64 {
    relay.metric("promrelay_parked_samples", &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_series_that_is_refused_is_parked() {
    for code in [400, 413, 422] {
        let receiver = Receiver::start();
        receiver.refuse("poison", StatusCode::from_u16(code).unwrap());
        let relay = Relay::start(&config(&receiver, "")).await;
        let mut batch = many(500);
        batch.insert(337, series("poison", &[], 1, 0.0));
        batch.insert(338, series("poison", &[("second", "one")], 1, 0.0));
        relay.write(batch).await;
        settled(&relay).await;
        assert_eq!(receiver.samples("/a").len(), 500, "{code}");
        assert_eq!(parked(&relay).await, 2, "{code}");
        let requests = receiver.arrivals("/a").len();
        assert!(requests <= 2 * 2 * 9 + 1, "{code}: {requests} requests");
        let rejected = relay.metric("promrelay_send_rejected_samples_total", &[]);
        assert_eq!(rejected.await, 2);
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_effort_of_splitting_is_bounded_and_nothing_is_lost() {
    let receiver = Receiver::start();
    receiver.refuse("m", StatusCode::BAD_REQUEST);
    let more = "    on_rejection: {max_split_requests: 6}\n";
    let relay = Relay::start(&config(&receiver, more)).await;
    relay.write(many(300)).await;
    settled(&relay).await;
    assert_eq!(receiver.arrivals("/a").len(), 7);
    assert_eq!(parked(&relay).await, 300);
    assert_eq!(receiver.samples("/a"), []);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_batch_that_is_not_split_is_sent_once_and_parked_whole() {
    let receiver = Receiver::start();
    receiver.answer("/a", [Answer::Status(StatusCode::CONFLICT)]);
    let relay = Relay::start(&config(&receiver, "")).await;
    relay.write(many(3)).await;
    settled(&relay).await;
    assert_eq!(receiver.arrivals("/a").len(), 1);
    assert_eq!(parked(&relay).await, 3);
    relay.write(vec![series("next", &[], 2, 0.0)]).await;
    wait_for("the next batch", async || receiver.samples("/a").len() == 1).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_suspends_the_route_instead_of_parking_the_backlog() {
    let receiver = Receiver::start();
    receiver.refuse("m", StatusCode::UNAUTHORIZED);
    let more = "    on_rejection: {suspend_after: 2, min_suspension: 200ms, max_suspension: 1s}\n";
    let relay = Relay::start(&config(&receiver, more)).await;
    for (timestamp, tries) in (0..10).zip([1, 2, 3, 3, 3, 3, 3, 3, 3, 3]) {
        relay.write(vec![series("m", &[], timestamp, 0.0)]).await;
        // Each is a batch of its own.
        wait_for("an attempt", async || {
            receiver.arrivals("/a").len() >= tries
        })
        .await;
    }
    let suspended = "promrelay_send_suspended";
    wait_for("it is suspended", async || {
        relay.metric(suspended, &[]).await == 1
    })
    .await;
    assert_eq!(parked(&relay).await, 2);
    assert_eq!(relay.metric("promrelay_queue_samples", &[]).await, 8);
    // The same request is not repeated within the pause.
    let before = receiver.arrivals("/a").len();
    let mut clock = interval(Duration::from_millis(1200));
    clock.tick().await;
    clock.tick().await;
    let tries = receiver.arrivals("/a").len() - before;
    assert!((1..=4).contains(&tries), "{tries} tries in 1.2 s");
    receiver.relent();
    settled(&relay).await;
    assert_eq!(relay.metric(suspended, &[]).await, 0);
    let arrived: Vec<i64> = receiver
        .samples("/a")
        .iter()
        .map(|sample| sample.1)
        .collect();
    assert_eq!(arrived, (2..10).collect::<Vec<_>>());
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_that_differ_suspend_the_route_all_the_same() {
    let receiver = Receiver::start();
    let answers = [401, 403, 404, 403, 401].map(|code| StatusCode::from_u16(code).unwrap());
    receiver.answer("/a", answers.map(Answer::Status));
    let more = "    on_rejection: {suspend_after: 2, min_suspension: 50ms, max_suspension: 50ms}\n";
    let relay = Relay::start(&config(&receiver, more)).await;
    for (timestamp, tries) in (0..).zip(1..=3) {
        relay.write(vec![series("m", &[], timestamp, 0.0)]).await;
        wait_for("an attempt", async || {
            receiver.arrivals("/a").len() >= tries
        })
        .await;
    }
    settled(&relay).await;
    assert_eq!(parked(&relay).await, 2);
    assert_eq!(
        receiver.samples("/a").len(),
        1,
        "the third is delivered in the end"
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_were_on_their_way_do_not_lengthen_a_suspension() {
    let receiver = Receiver::start();
    receiver.refuse("m", StatusCode::UNAUTHORIZED);
    let more = "    on_rejection: {suspend_after: 0, min_suspension: 1s, max_suspension: 1h}\n";
    let lanes = "min_shards: 32, max_shards: 32";
    let relay = Relay::start(&config(&receiver, more).replace("max_shards: 1", lanes)).await;
    // A batch in each lane, all sent before the first was answered.
    relay.write(many(2000)).await;
    let suspended = "promrelay_send_suspended";
    wait_for("it is suspended", async || {
        relay.metric(suspended, &[]).await == 1
    })
    .await;
    receiver.relent();
    // Doubled 32 times the first pause would be an hour.
    let delivered = wait_for("delivery", async || receiver.samples("/a").len() == 2000);
    let delivered = tokio::time::timeout(Duration::from_secs(8), delivered).await;
    assert!(
        delivered.is_ok(),
        "the pause was longer than the first one is"
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_configuration_ends_a_suspension() {
    let receiver = Receiver::start();
    receiver.refuse("m", StatusCode::NOT_FOUND);
    let more = "    on_rejection: {suspend_after: 0, min_suspension: 1h, max_suspension: 1h}\n";
    let config = config(&receiver, more);
    let relay = Relay::start(&config).await;
    relay.write(many(5)).await;
    let suspended = "promrelay_send_suspended";
    wait_for("it is suspended", async || {
        relay.metric(suspended, &[]).await == 1
    })
    .await;
    receiver.relent();
    relay.write_config(&config.replace("/a\n", "/right\n"));
    assert_eq!(relay.reload().await.0, StatusCode::OK);
    wait_for("delivery", async || receiver.samples("/right").len() == 5).await;
    assert_eq!(parked(&relay).await, 0);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_route_lets_the_relay_stop_and_keeps_its_data() {
    let receiver = Receiver::start();
    receiver.refuse("m", StatusCode::FORBIDDEN);
    let more = "    on_rejection: {suspend_after: 0, min_suspension: 1h, max_suspension: 1h}\n";
    let relay = Relay::start(&config(&receiver, more)).await;
    relay.write(many(5)).await;
    let suspended = "promrelay_send_suspended";
    wait_for("it is suspended", async || {
        relay.metric(suspended, &[]).await == 1
    })
    .await;
    let stopped = tokio::time::timeout(Duration::from_secs(5), relay.stop()).await;
    receiver.relent();
    let relay = Relay::start_in(stopped.expect("it stops in time")).await;
    wait_for("delivery", async || receiver.samples("/a").len() == 5).await;
    relay.stop().await;
}
