//! Receivers that do not know 2.0, or perhaps do not.

use http::{HeaderValue, StatusCode};
use promrelay::remote_write::message::ProtobufMessage::{V1, V2};

use super::super::harness::{Relay, series, wait_for};
use super::peer::{Knows, Peer};
use super::{V2_KEY, many, outcome, relay, route, settled};

const NO_FALLBACK: &str = "    protobuf_message: io.prometheus.write.v2.Request\n    \
                           protobuf_message_fallback: false\n    \
                           on_rejection: {min_suspension: 100ms, max_suspension: 200ms}\n";

/// The messages that arrived, in order.
fn messages(peer: &Peer) -> Vec<promrelay::remote_write::message::ProtobufMessage> {
    let arrivals = peer.arrivals("/a").into_iter();
    arrivals.map(|arrival| arrival.message).collect()
}

async fn has_fallen_back(relay: &Relay) -> bool {
    let (_, status) = relay.get("/api/v1/status/routes").await;
    let says_v1 = status.contains("\"protobufMessage\":\"prometheus.WriteRequest\"");
    let metric = relay.metric("promrelay_send_fallback", &[]).await == 1;
    assert_eq!(says_v1, metric, "{status}");
    metric
}

/// A receiver that answers 2.0 so gets every sample as 1.0, each once.
async fn falls_back_and_loses_nothing(status: StatusCode) {
    let peer = Peer::start(Knows::First(status));
    // Whatever version it claims.
    let version = HeaderValue::from_static("2.0.0");
    peer.shared()
        .headers
        .insert("x-prometheus-remote-write-version", version);
    let relay = relay(&[route(&peer, "a", V2_KEY)]).await;
    relay.write(many(3)).await;
    settled(&relay).await;
    assert!(has_fallen_back(&relay).await, "{status}");
    relay.write(vec![series("next", &[], 2, 0.0)]).await;
    settled(&relay).await;
    assert_eq!(messages(&peer), [V2, V1, V1], "{status}");
    assert_eq!(peer.samples("/a").len(), 4, "{status}");
    assert_eq!(outcome(&relay).await, [4, 0, 0], "{status}");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h7_h9_a_receiver_that_swallows_2_0_gets_the_same_batch_as_1_0() {
    falls_back_and_loses_nothing(StatusCode::OK).await;
    falls_back_and_loses_nothing(StatusCode::NO_CONTENT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h8_a_receiver_that_answers_415_or_400_gets_the_same_batch_as_1_0() {
    falls_back_and_loses_nothing(StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    falls_back_and_loses_nothing(StatusCode::BAD_REQUEST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h8_a_400_about_the_samples_is_not_taken_for_an_old_receiver() {
    for knows in [Knows::Both, Knows::BothForgetfully] {
        let peer = Peer::start(knows);
        peer.shared().poison = Some("bad");
        let relay = relay(&[route(&peer, "a", V2_KEY)]).await;
        let mut batch = many(20);
        batch.insert(0, series("bad", &[], 1, 0.0));
        relay.write(batch).await;
        settled(&relay).await;
        assert_eq!(peer.samples("/a").len(), 20, "{knows:?}");
        assert_eq!(outcome(&relay).await, [20, 1, 1], "{knows:?}");
        relay.write(many(2)).await;
        settled(&relay).await;
        assert!(!has_fallen_back(&relay).await, "{knows:?}");
        assert_eq!(messages(&peer).last(), Some(&V2), "{knows:?}");
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h7_h8_without_fallback_the_route_is_suspended_and_keeps_everything() {
    for status in [
        StatusCode::OK,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::BAD_REQUEST,
    ] {
        let peer = Peer::start(Knows::First(status));
        let relay = relay(&[route(&peer, "a", NO_FALLBACK)]).await;
        relay.write(many(3)).await;
        wait_for("it is suspended", async || {
            relay.metric("promrelay_send_suspended", &[]).await == 1
        })
        .await;
        wait_for("a second try", async || peer.arrivals("/a").len() >= 2).await;
        assert_eq!(relay.metric("promrelay_queue_samples", &[]).await, 3);
        assert_eq!(outcome(&relay).await, [0, 0, 0], "{status}");
        // The receiver is renewed.
        peer.shared().knows = Knows::Both;
        settled(&relay).await;
        assert_eq!(peer.samples("/a").len(), 3, "{status}");
        assert!(messages(&peer).iter().all(|message| *message == V2));
        assert_eq!(relay.metric("promrelay_send_suspended", &[]).await, 0);
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_takes_no_1_0_suspends_a_route_that_sends_it() {
    let peer = Peer::start(Knows::Both);
    peer.shared().answer = Some(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let relay = relay(&[route(&peer, "a", "    on_rejection: {suspend_after: 0}\n")]).await;
    relay.write(many(3)).await;
    wait_for("it is suspended", async || {
        relay.metric("promrelay_send_suspended", &[]).await == 1
    })
    .await;
    assert_eq!(relay.metric("promrelay_queue_samples", &[]).await, 3);
    assert_eq!(outcome(&relay).await, [0, 0, 0]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_amid_a_fallback_loses_nothing() {
    let peer = Peer::start(Knows::First(StatusCode::OK));
    let routes = [route(&peer, "a", V2_KEY)];
    let relay = relay(&routes).await;
    relay.write(many(3)).await;
    settled(&relay).await;
    // From here on 1.0 is not taken either, so that a batch waits after it fell back.
    peer.shared().answer = Some(StatusCode::SERVICE_UNAVAILABLE);
    relay.write(vec![series("late", &[], 2, 0.0)]).await;
    wait_for("an attempt", async || messages(&peer).len() > 2).await;
    let directory = relay.stop().await;
    peer.shared().answer = None;
    peer.shared().arrivals.clear();
    let relay = Relay::start_in(directory).await;
    settled(&relay).await;
    assert_eq!(messages(&peer), [V2, V1]);
    assert_eq!(peer.samples("/a"), [("late".to_owned(), 2)]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_configuration_tries_2_0_again() {
    let peer = Peer::start(Knows::First(StatusCode::OK));
    let config = route(&peer, "a", V2_KEY);
    let relay = relay(std::slice::from_ref(&config)).await;
    relay.write(many(1)).await;
    settled(&relay).await;
    assert!(has_fallen_back(&relay).await);
    peer.shared().knows = Knows::Both;
    let config = config.replace("remote_timeout: 2s", "remote_timeout: 3s");
    relay.write_config(&format!("remote_write:\n{config}"));
    assert_eq!(relay.reload().await.0, StatusCode::OK);
    relay.write(many(1)).await;
    settled(&relay).await;
    assert!(!has_fallen_back(&relay).await);
    assert_eq!(messages(&peer), [V2, V1, V2]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_filled_under_one_setting_is_sent_under_another() {
    let peer = Peer::start(Knows::Both);
    let (first, second) = (route(&peer, "a", ""), route(&peer, "a", V2_KEY));
    let address = peer.stop().await;
    let relay = relay(std::slice::from_ref(&first)).await;
    relay.write(many(3)).await;
    let directory = relay.stop().await;
    let config = directory.path().join("promrelay.yml");
    std::fs::write(&config, format!("remote_write:\n{second}")).unwrap();
    let relay = Relay::start_in(directory).await;
    relay.write(vec![series("later", &[], 2, 0.0)]).await;
    let peer = Peer::start_at(address, Knows::Both);
    settled(&relay).await;
    assert_eq!(peer.samples("/a").len(), 4);
    assert!(messages(&peer).iter().all(|message| *message == V2));
    relay.stop().await;
}
