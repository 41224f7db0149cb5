//! As many requests in flight as it takes, and every series in order whatever their number.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, interval};

use super::harness::{Answer, Receiver, Relay, series, wait_for};

const SERIES: usize = 40;

fn config(receiver: &Receiver, shards: &str) -> String {
    format!(
        "remote_write:\n  - url: http://{}/all\n    queue_config: {{max_samples_per_send: 20, \
         batch_send_deadline: 20ms, max_backoff: 100ms{shards}}}\n",
        receiver.address()
    )
}

/// One request at a time carries 500 samples a second to it, a quarter of what comes.
fn distant() -> Receiver {
    let receiver = Receiver::start();
    let late = Answer::Late(Duration::from_millis(40));
    receiver.answer("/all", std::iter::repeat_n(late, 100_000));
    receiver
}

/// Writes a sample of each series every 20 ms until `end`; answers how many of each.
async fn write_until(relay: &Relay, mut end: impl AsyncFnMut(Duration) -> bool) -> i64 {
    let (start, mut ticks) = (Instant::now(), interval(Duration::from_millis(20)));
    let mut time = 0;
    while !end(start.elapsed()).await {
        let names = (0..SERIES).map(|number| format!("m{number}"));
        let all = names.map(|name| series(&name, &[], time, 0.0));
        relay.write(all.collect()).await;
        time += 1;
        ticks.tick().await;
    }
    time
}

async fn lanes(relay: &Relay) -> u64 {
    relay.metric("promrelay_send_lanes", &[]).await
}

/// Waits until all has arrived, in order.
async fn assert_arrived(receiver: &Receiver, times: i64) {
    let mut by_series: BTreeMap<_, Vec<_>> = BTreeMap::new();
    wait_for("all samples", async || {
        by_series.clear();
        for (series, time, _) in receiver.samples("/all") {
            by_series.entry(series).or_default().push(time);
        }
        let all = usize::try_from(times).expect("a small number") * SERIES;
        by_series.values().map(Vec::len).sum::<usize>() >= all
    })
    .await;
    assert_eq!(by_series.len(), SERIES);
    for (series, arrived) in by_series {
        assert_eq!(arrived, (0..times).collect::<Vec<_>>(), "{series}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_distant_receiver_gets_more_requests_at_a_time() {
    let receiver = distant();
    let relay = Relay::start(&config(&receiver, "")).await;
    let times = write_until(&relay, async |since| {
        assert!(since < Duration::from_secs(20), "there are no more lanes");
        lanes(&relay).await >= 4
    })
    .await;
    assert_arrived(&receiver, times).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_lanes_as_are_allowed_and_no_more() {
    let receiver = distant();
    let relay = Relay::start(&config(&receiver, ", min_shards: 2, max_shards: 3")).await;
    let (mut seen, mut since_more) = (BTreeSet::new(), None);
    let times = write_until(&relay, async |since| {
        assert!(since < Duration::from_secs(20), "there are no more lanes");
        seen.insert(lanes(&relay).await);
        if seen.len() > 1 {
            since_more.get_or_insert(since);
        }
        since_more.is_some_and(|more| since > more + Duration::from_secs(1))
    })
    .await;
    assert_eq!(seen, BTreeSet::from([2, 3]));
    assert_arrived(&receiver, times).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gathers_in_an_outage_is_sorted_for_a_swift_end_of_it() {
    let receiver = Receiver::start();
    receiver.refuse("m0", StatusCode::SERVICE_UNAVAILABLE);
    let relay = Relay::start(&config(&receiver, "")).await;
    let mut since_more = None;
    let times = write_until(&relay, async |since| {
        assert!(since < Duration::from_secs(20), "there are no more lanes");
        if lanes(&relay).await == 4 {
            since_more.get_or_insert(since);
        }
        since_more.is_some_and(|more| since > more + Duration::from_secs(1))
    })
    .await;
    receiver.relent();
    assert_arrived(&receiver, times).await;
    relay.stop().await;
}
