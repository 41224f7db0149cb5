//! What a sender of remote write has to do, 1.0 and 2.0, requirement by requirement; the tests are
//! named for them.
//!
//! | requirement of the specifications | where it is tested |
//! |---|---|
//! | G1, G2: POST, snappy, the four headers, in their exact form | `g1_g2_…` |
//! | G3: reserved headers cannot be set | `config::tests::bad`, with `relabel_vectors.json` |
//! | G4: 2.0 is supported, 1.0 for compatibility, chosen by target | `g4_g5_…` |
//! | G5: several series in a request | `g4_g5_…` |
//! | G6: an empty 1.x request first | not done: in 2.0 G2 and H7 take its place |
//! | H1: bodies of 2xx are ignored, errors kept as they are | `h1_…`, `parked::tests` |
//! | H2, H11: 5xx and network errors are sent again | `h2_h3_…`, `delivery`, `send::tests` |
//! | H3: nothing is sent again after 2xx and other 4xx | `h2_h3_…`, `refusals` |
//! | H4, H5: 429 is sent again, `Retry-After` is honoured | `delivery`, `send::tests` |
//! | H6: the `Written` headers, those missing being 0; never for 1.0 | `h6_…`, `send::tests` |
//! | H7: 2xx without a `Written` header is as 415 | `fallback::h7_…` |
//! | H8: 1.0 after 415, and after the 400 of 1.x receivers | `fallback::h8_…` |
//! | H9: the receiver's version is not inferred from its headers | `fallback::h7_h9_…` |
//! | H10: a partial write is not sent again | `h10_…` |

mod fallback;
mod payload;
mod peer;

use http::{HeaderValue, StatusCode};
use promrelay::remote_write::message::ProtobufMessage::{V1, V2};

use self::peer::{Knows, Peer};
use super::harness::{Relay, series, wait_for};

/// The configuration of 2.0.
const V2_KEY: &str = "    protobuf_message: io.prometheus.write.v2.Request\n";

/// A route to `peer` at `/name` with one lane, quick batches, and more of its keys.
fn route(peer: &Peer, name: &str, more: &str) -> String {
    let address = peer.address();
    format!(
        "  - name: {name}\n    url: http://{address}/{name}\n    remote_timeout: 2s\n    \
         queue_config: {{batch_send_deadline: 10ms, max_shards: 1, max_backoff: 100ms}}\n{more}"
    )
}

async fn relay(routes: &[String]) -> Relay {
    Relay::start(&format!("remote_write:\n{}", routes.concat())).await
}

/// Waits until all queues are empty.
async fn settled(relay: &Relay) {
    wait_for("the queues are empty", async || {
        relay.metric("promrelay_queue_samples", &[]).await == 0
    })
    .await;
}

/// Series `m` with so many different labels.
fn many(count: i64) -> Vec<promrelay::remote_write::generated::prometheus::TimeSeries> {
    let one = |number: i64| series("m", &[("n", &number.to_string())], 1, 0.0);
    (0..count).map(one).collect()
}

/// What became of the route's samples: sent, rejected, parked.
async fn outcome(relay: &Relay) -> [u64; 3] {
    [
        relay.metric("promrelay_send_samples_total", &[]).await,
        relay
            .metric("promrelay_send_rejected_samples_total", &[])
            .await,
        relay.metric("promrelay_parked_samples", &[]).await,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_g2_requests_have_the_exact_headers_of_their_message() {
    let peer = Peer::start(Knows::Both);
    let relay = relay(&[route(&peer, "first", ""), route(&peer, "second", V2_KEY)]).await;
    relay.write(vec![series("a", &[], 1, 1.0)]).await;
    settled(&relay).await;
    let v2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    for (path, content_type, version) in [
        ("/first", "application/x-protobuf", "0.1.0"),
        ("/second", v2, "2.0.0"),
    ] {
        let arrivals = peer.arrivals(path);
        assert_eq!(arrivals.len(), 1, "{path}");
        for (name, value) in [
            ("content-encoding", "snappy"),
            ("content-type", content_type),
            ("x-prometheus-remote-write-version", version),
            (
                "user-agent",
                concat!("promrelay/", env!("CARGO_PKG_VERSION")),
            ),
        ] {
            let all: Vec<_> = arrivals[0].headers.get_all(name).iter().collect();
            assert_eq!(all, [value], "{path}: {name}");
        }
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_g5_each_route_sends_its_message_with_several_series() {
    let peer = Peer::start(Knows::Both);
    let relay = relay(&[route(&peer, "first", ""), route(&peer, "second", V2_KEY)]).await;
    relay.write(many(100)).await;
    settled(&relay).await;
    for (path, message) in [("/first", V1), ("/second", V2)] {
        let arrivals = peer.arrivals(path);
        assert!(arrivals.iter().all(|arrival| arrival.message == message));
        assert_eq!(peer.samples(path).len(), 100, "{path}");
        assert_eq!(arrivals.len(), 1, "{path}");
    }
    let (first, second) = (peer.stored("/first"), peer.stored("/second"));
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(
            (&first.labels, &first.samples),
            (&second.labels, &second.samples)
        );
    }
    let (_, status) = relay.get("/api/v1/status/routes").await;
    assert!(
        status.contains("\"protobufMessage\":\"io.prometheus.write.v2.Request\""),
        "{status}"
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_the_body_of_a_success_is_ignored() {
    let peer = Peer::start(Knows::Both);
    // The peer's body says nothing good, and its status is 200.
    peer.shared().answer = Some(StatusCode::OK);
    let relay = relay(&[route(&peer, "a", "")]).await;
    relay.write(many(3)).await;
    settled(&relay).await;
    assert_eq!(peer.arrivals("/a").len(), 1);
    assert_eq!(outcome(&relay).await, [3, 0, 0]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h2_h3_the_same_2_0_request_is_sent_again_after_5xx_and_never_after_4xx() {
    let peer = Peer::start(Knows::Both);
    peer.shared().answer = Some(StatusCode::SERVICE_UNAVAILABLE);
    let relay = relay(&[route(&peer, "a", V2_KEY)]).await;
    relay.write(many(3)).await;
    wait_for("attempts", async || peer.arrivals("/a").len() >= 3).await;
    peer.shared().answer = None;
    settled(&relay).await;
    let arrivals = peer.arrivals("/a");
    assert!(
        arrivals
            .iter()
            .all(|arrival| arrival.series == arrivals[0].series && arrival.message == V2)
    );
    assert_eq!(peer.samples("/a").len(), 3);
    peer.shared().answer = Some(StatusCode::CONFLICT);
    let before = arrivals.len();
    relay.write(many(2)).await;
    settled(&relay).await;
    assert_eq!(peer.arrivals("/a").len(), before + 1);
    assert_eq!(outcome(&relay).await, [3, 2, 2]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h6_written_headers_mean_nothing_in_the_answer_to_a_1_0_request() {
    let peer = Peer::start(Knows::Both);
    let zero = HeaderValue::from_static("0");
    peer.shared()
        .headers
        .insert("x-prometheus-remote-write-samples-written", zero);
    let relay = relay(&[route(&peer, "a", "")]).await;
    relay.write(many(3)).await;
    settled(&relay).await;
    assert_eq!(outcome(&relay).await, [3, 0, 0]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h10_what_is_written_in_part_is_counted_exactly_and_not_sent_again() {
    let peer = Peer::start(Knows::Both);
    peer.shared().poison = Some("bad");
    peer.shared().writes_rest = true;
    let relay = relay(&[route(&peer, "a", V2_KEY)]).await;
    let mut batch = many(40);
    batch.insert(7, series("bad", &[], 1, 0.0));
    batch.insert(9, series("bad", &[("second", "one")], 1, 0.0));
    relay.write(batch).await;
    settled(&relay).await;
    assert_eq!(peer.arrivals("/a").len(), 1);
    // Nobody knows which were refused: all are kept, and counted as the receiver says.
    assert_eq!(outcome(&relay).await, [40, 2, 42]);
    relay.write(many(5)).await;
    settled(&relay).await;
    assert_eq!(outcome(&relay).await, [45, 2, 42]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_2_0_batch_of_which_nothing_is_written_is_halved_down_to_what_is_refused() {
    let peer = Peer::start(Knows::Both);
    peer.shared().poison = Some("bad");
    let relay = relay(&[route(&peer, "a", V2_KEY)]).await;
    let mut batch = many(200);
    batch.insert(77, series("bad", &[], 1, 0.0));
    relay.write(batch).await;
    settled(&relay).await;
    assert_eq!(peer.samples("/a").len(), 200);
    assert_eq!(outcome(&relay).await, [200, 1, 1]);
    let requests = peer.arrivals("/a").len();
    assert!(requests <= 2 * 9 + 1, "{requests} requests");
    relay.stop().await;
}
