//! From the relay to the receivers.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::harness::{Answer, Receiver, Relay, series, wait_for};

/// A route to `receiver` at `path` with quick batches, and more of its keys.
fn route(receiver: &Receiver, name: &str, more: &str) -> String {
    let address = receiver.address();
    format!(
        "  - name: {name}\n    url: http://{address}/{name}\n    remote_timeout: 2s\n    \
         queue_config: {{batch_send_deadline: 10ms, max_backoff: 100ms, min_shards: 4, \
         max_shards: 4}}\n{more}"
    )
}

const KEEP_A: &str =
    "    write_relabel_configs: [{action: keep, source_labels: [__name__], regex: a.*}]\n";

#[tokio::test(flavor = "multi_thread")]
async fn series_go_to_the_routes_that_keep_them_with_the_protocols_headers() {
    let receiver = Receiver::start();
    let (a, all) = (route(&receiver, "a", KEEP_A), route(&receiver, "all", ""));
    let relay = Relay::start(&format!("remote_write:\n{a}{all}")).await;
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    relay
        .write(vec![
            series("a1", &[], 1, 1.0),
            series("b1", &[("x", "y")], 2, stale),
        ])
        .await;
    wait_for("both routes", async || receiver.samples("/all").len() == 2).await;
    wait_for("route a", async || receiver.samples("/a").len() == 1).await;
    assert_eq!(receiver.samples("/a"), [("__name__=a1".to_owned(), 1, 1.0)]);
    let all = receiver.samples("/all");
    let b1 = all
        .iter()
        .find(|(series, ..)| series == "__name__=b1,x=y")
        .unwrap();
    assert_eq!(b1.2.to_bits(), stale.to_bits());
    let headers = &receiver.arrivals("/a")[0].headers;
    for (name, value) in [
        ("content-encoding", "snappy"),
        ("content-type", "application/x-protobuf"),
        ("x-prometheus-remote-write-version", "0.1.0"),
        (
            "user-agent",
            concat!("promrelay/", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        assert_eq!(headers[name], value);
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_adds_up() {
    let receiver = Receiver::start();
    let rules = "    write_relabel_configs:\n      \
                 - {action: drop, source_labels: [x], regex: 0}\n      \
                 - {action: keep, source_labels: [__name__], regex: a}\n      \
                 - {action: labelkeep, regex: x|__name__}\n      \
                 - {action: labeldrop, regex: .*}\n";
    let nothing = route(&receiver, "nothing", rules);
    let (a, all) = (route(&receiver, "a", KEEP_A), route(&receiver, "all", ""));
    let config = format!("global: {{external_labels: {{z: e}}}}\nremote_write:\n{a}{all}{nothing}");
    let relay = Relay::start(&config).await;
    receiver.answer("/all", [Answer::Status(StatusCode::CONFLICT)]);
    for time in 0..50 {
        let x = (time % 3).to_string();
        let series = vec![
            series("a", &[("x", &x)], time, 1.0),
            series("b", &[("x", &x)], time, 2.0),
        ];
        relay.write(series).await;
    }
    wait_for("all to be settled", async || {
        relay.metric("promrelay_queue_samples", &[]).await == 0
    })
    .await;
    let total = relay.metric("promrelay_received_samples_total", &[]).await;
    assert_eq!(total, 100);
    for route in ["a", "all", "nothing"] {
        let label = format!("route=\"{route}\"");
        let of = async |name: &str| relay.metric(name, &[&label]).await;
        let kept = of("promrelay_route_kept_samples_total").await;
        let dropped = of("promrelay_route_dropped_samples_total").await;
        let sent = of("promrelay_send_samples_total").await;
        let rejected = of("promrelay_send_rejected_samples_total").await;
        assert_eq!(total, kept + dropped, "{route}");
        assert_eq!(kept, sent + rejected, "{route}");
        assert_eq!(rejected > 0, route == "all");
        let path = format!("/{route}");
        assert_eq!(receiver.samples(&path).len() as u64, sent, "{route}");
    }
    let by_rule = async |rule: &str| {
        let labels = ["route=\"nothing\"", &format!("rule=\"{rule}\"")];
        relay
            .metric("promrelay_route_dropped_samples_total", &labels)
            .await
    };
    assert_eq!(by_rule("0").await, 34);
    assert_eq!(by_rule("1").await, 33);
    assert_eq!(by_rule("no_labels_left").await, 33);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_per_series_holds_while_requests_fail() {
    let receiver = Receiver::start();
    let relay = Relay::start(&format!("remote_write:\n{}", route(&receiver, "all", ""))).await;
    let failing = [
        Answer::Status(StatusCode::INTERNAL_SERVER_ERROR),
        Answer::Status(StatusCode::OK),
        Answer::Status(StatusCode::TOO_MANY_REQUESTS),
    ];
    receiver.answer("/all", failing.into_iter().cycle().take(90));
    let names: Vec<_> = (0..20).map(|index| format!("m{index}")).collect();
    for time in 0..60 {
        relay
            .write(
                names
                    .iter()
                    .map(|name| series(name, &[], time, 0.0))
                    .collect(),
            )
            .await;
    }
    wait_for("all samples", async || {
        receiver.samples("/all").len() >= 1200
    })
    .await;
    let mut by_series: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (series, time, _) in receiver.samples("/all") {
        by_series.entry(series).or_default().push(time);
    }
    assert_eq!(by_series.len(), 20);
    for (series, times) in by_series {
        assert_eq!(times, (0..60).collect::<Vec<_>>(), "{series}");
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_honoured() {
    let receiver = Receiver::start();
    let relay = Relay::start(&format!("remote_write:\n{}", route(&receiver, "all", ""))).await;
    receiver.answer("/all", [Answer::RetryAfter("1")]);
    let start = Instant::now();
    relay.write(vec![series("a", &[], 1, 1.0)]).await;
    wait_for("the second attempt", async || {
        receiver.samples("/all").len() == 1
    })
    .await;
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(receiver.arrivals("/all").len(), 2);
    relay.stop().await;
}

/// Followed as a GET, a 302 would end in a 200 that delivered nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_that_loses_the_body_is_not_taken_for_delivery() {
    let receiver = Receiver::start();
    let relay = Relay::start(&format!("remote_write:\n{}", route(&receiver, "all", ""))).await;
    let (found, kept) = (StatusCode::FOUND, StatusCode::PERMANENT_REDIRECT);
    receiver.answer(
        "/all",
        [
            Answer::Redirect(found, "/login".to_owned()),
            Answer::Redirect(kept, "/moved".to_owned()),
        ],
    );
    relay.write(vec![series("a", &[], 1, 1.0)]).await;
    wait_for("the sample", async || receiver.samples("/moved").len() == 1).await;
    assert!(receiver.arrivals("/login").is_empty());
    assert_eq!(receiver.arrivals("/all").len(), 2);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_a_silent_and_a_refusing_route_do_not_delay_the_others() {
    let (receiver, dead) = (Receiver::start(), Receiver::start());
    let mut config = String::from("remote_write:\n");
    for name in ["good", "silent", "refusing"] {
        config += &route(&receiver, name, "");
    }
    config += &route(&dead, "dead", "");
    dead.stop().await;
    receiver.answer("/silent", vec![Answer::Hang; 1000]);
    receiver.answer(
        "/refusing",
        vec![Answer::Status(StatusCode::BAD_REQUEST); 1000],
    );
    let relay = Relay::start(&config).await;
    let start = Instant::now();
    for time in 0..20 {
        relay.write(vec![series("a", &[], time, 1.0)]).await;
    }
    wait_for("the good route", async || {
        receiver.samples("/good").len() == 20
    })
    .await;
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    wait_for("the rejections", async || {
        let labels = ["route=\"refusing\"", "code=\"400\""];
        relay
            .metric("promrelay_send_rejected_samples_total", &labels)
            .await
            == 20
    })
    .await;
    wait_for("retries of the dead one", async || {
        let labels = ["route=\"dead\"", "reason=\"connect\""];
        relay.metric("promrelay_send_retries_total", &labels).await > 0
    })
    .await;
    wait_for("retries of the silent one", async || {
        let labels = ["route=\"silent\"", "reason=\"timeout\""];
        relay.metric("promrelay_send_retries_total", &labels).await > 0
    })
    .await;
    assert_eq!(
        relay
            .metric("promrelay_queue_samples", &["route=\"dead\""])
            .await,
        20
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_delivered_after_a_restart_in_order() {
    let receiver = Receiver::start();
    let config = format!("remote_write:\n{}", route(&receiver, "all", ""));
    let address = receiver.stop().await;
    let relay = Relay::start(&config).await;
    for time in 0..30 {
        relay.write(vec![series("a", &[], time, 1.0)]).await;
    }
    let directory = relay.stop().await;
    let receiver = Receiver::start_at(address);
    let relay = Relay::start_in(directory).await;
    assert_eq!(
        relay.metric("promrelay_queue_recovered_samples", &[]).await,
        30
    );
    for time in 30..40 {
        relay.write(vec![series("a", &[], time, 1.0)]).await;
    }
    wait_for("all samples", async || receiver.samples("/all").len() == 40).await;
    let times: Vec<_> = receiver
        .samples("/all")
        .iter()
        .map(|&(_, time, _)| time)
        .collect();
    assert_eq!(times, (0..40).collect::<Vec<_>>());
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_joined_up_to_their_limit() {
    let receiver = Receiver::start();
    let config = format!(
        "remote_write:\n  - url: http://{}/all\n    queue_config: {{max_samples_per_send: 10, \
         batch_send_deadline: 300ms, max_shards: 1}}\n",
        receiver.address()
    );
    let relay = Relay::start(&config).await;
    for time in 0..8 {
        relay
            .write(
                (0..4)
                    .map(|index| series(&format!("m{index}"), &[], time, 0.0))
                    .collect(),
            )
            .await;
    }
    wait_for("all samples", async || receiver.samples("/all").len() == 32).await;
    let sizes: Vec<_> = receiver
        .arrivals("/all")
        .iter()
        .map(|arrival| arrival.request.timeseries.len())
        .collect();
    assert!(sizes.iter().all(|&size| size <= 10), "{sizes:?}");
    assert!(sizes.len() <= 6, "{sizes:?}");
    relay.stop().await;
}
