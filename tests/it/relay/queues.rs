//! `promrelay queue`, beside a running relay and on the files of a stopped one.

#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::path::Path;
use std::process::Command;

use http::StatusCode;
use promrelay::queue::{Options, Queue, Record};

use super::harness::{Receiver, Relay, series, wait_for};

/// Runs `promrelay queue` and answers what it printed; its words if it failed.
async fn queue(storage_path: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promrelay"));
    command.arg("queue").arg("--storage.path").arg(storage_path);
    command.args(arguments);
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    let output = ran.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

/// A route `name` to `receiver` at `/name`, which parks what is refused.
fn route(receiver: &Receiver, name: &str) -> String {
    let address = receiver.address();
    format!(
        "  - name: {name}\n    url: http://{address}/{name}\n    \
         queue_config: {{batch_send_deadline: 10ms, max_backoff: 100ms}}\n"
    )
}

async fn count(relay: &Relay, name: &str, route: &str) -> u64 {
    relay.metric(name, &[&format!("route=\"{route}\"")]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_batches_are_listed_shown_and_replayed_beside_a_running_relay() {
    let receiver = Receiver::start();
    receiver.refuse("bad", StatusCode::BAD_REQUEST);
    let relay = Relay::start(&format!("remote_write:\n{}", route(&receiver, "a"))).await;
    let path = relay.storage_path();
    relay
        .write(vec![series("bad", &[("x", "y\"")], 1_700_000_000_000, 1.5)])
        .await;
    wait_for("it is parked", async || {
        count(&relay, "promrelay_parked_samples", "a").await == 1
    })
    .await;
    let listed = queue(&path, &["list"]).await.unwrap();
    let row: Vec<_> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        (row[0], row[1], row[5]),
        ("a", "running", "1.0GiB"),
        "{listed}"
    );
    assert_eq!((row[7], row[8]), ("1", "1"), "{listed}");
    let shown = queue(&path, &["show", "a", "--parked"]).await.unwrap();
    assert!(shown.starts_with("# refused with 400, "), "{shown}");
    assert!(
        shown.ends_with("\nbad{x=\"y\\\"\"} 1.5 1700000000000\n"),
        "{shown}"
    );
    let shown = queue(&path, &["show", "a", "--parked", "--limit=0"]);
    let shown = shown.await.unwrap();
    assert!(shown.contains("# and more"), "{shown}");
    let nothing = queue(&path, &["replay", "a", "--status=422"])
        .await
        .unwrap();
    assert!(nothing.starts_with("0 parked"), "{nothing}");
    receiver.relent();
    let replayed = queue(&path, &["replay", "a", "--status=400", "--since=1h"]).await;
    assert!(replayed.unwrap().starts_with("1 parked batches, 1 samples"));
    wait_for("delivery", async || receiver.samples("/a").len() == 1).await;
    assert_eq!(count(&relay, "promrelay_parked_samples", "a").await, 0);
    let returned = "promrelay_queue_returned_samples_total";
    assert_eq!(count(&relay, returned, "a").await, 1);
    let unknown = queue(&path, &["replay", "b"]).await.unwrap_err();
    assert!(unknown.contains("no queue of a route b"), "{unknown}");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_works_on_the_queues_without_the_token() {
    let receiver = Receiver::start();
    let relay = Relay::start(&format!("remote_write:\n{}", route(&receiver, "a"))).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let purge = r#"{"command":"purge","route":"a"}"#;
    for token in ["", "0123456789abcdef0123456789abcdef"] {
        let request = client.post(relay.url("/api/v1/queues")).bearer_auth(token);
        let request = request.header("content-type", "application/json");
        let response = request.body(purge).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{token}");
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_on_parked_batches_never_purges_the_queue() {
    let receiver = Receiver::start();
    receiver.refuse("m", StatusCode::INTERNAL_SERVER_ERROR);
    let relay = Relay::start(&format!("remote_write:\n{}", route(&receiver, "a"))).await;
    let path = relay.storage_path();
    relay.write(vec![series("m", &[], 1, 0.0)]).await;
    for condition in ["--status=400", "--since=1h", "--until=0"] {
        for action in ["purge", "show"] {
            let refused = queue(&path, &[action, "a", condition]).await;
            let refused = refused.expect_err(condition);
            assert!(refused.contains("--parked"), "{refused}");
        }
    }
    assert_eq!(count(&relay, "promrelay_queue_samples", "a").await, 1);
    let purged = queue(&path, &["purge", "a", "--parked", "--status=400"]).await;
    assert!(purged.unwrap().starts_with("0 batches"));
    assert_eq!(count(&relay, "promrelay_queue_samples", "a").await, 1);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_route_says_so_where_queues_are_listed() {
    let receiver = Receiver::start();
    receiver.refuse("m", StatusCode::UNAUTHORIZED);
    let suspending = "    on_rejection: {suspend_after: 0}\n";
    let config = format!("remote_write:\n{}{suspending}", route(&receiver, "a"));
    let relay = Relay::start(&config).await;
    let path = relay.storage_path();
    relay.write(vec![series("m", &[], 1, 0.0)]).await;
    wait_for("it is suspended", async || {
        count(&relay, "promrelay_send_suspended", "a").await == 1
    })
    .await;
    let listed = queue(&path, &["list"]).await.unwrap();
    let row: Vec<_> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        (row[0], row[1], row[2]),
        ("a", "suspended", "1"),
        "{listed}"
    );
    assert!(
        listed.contains("# a: the receiver answers every batch with 401"),
        "{listed}"
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_name_of_a_route_has_its_queue() {
    let receiver = Receiver::start();
    // The first three are files beside the queues.
    let names = ["lock", "api", "api.new", "CON", "con", "a%2fb", "a/b", ".."];
    let address = receiver.address();
    let route = |name| format!("  - {{name: '{name}', url: 'http://{address}/x'}}\n");
    let routes: String = names.map(route).concat();
    let relay = Relay::start(&format!("remote_write:\n{routes}")).await;
    let path = relay.storage_path();
    relay.write(vec![series("m", &[], 1, 0.0)]).await;
    let listed = queue(&path, &["list"]).await.unwrap();
    let rows = listed.lines().skip(1);
    let mut found: Vec<_> = rows.map(|row| row.split(' ').next().unwrap()).collect();
    let mut expected = names.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{listed}");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_somebody_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("mine")).unwrap();
    let refused = queue(directory.path(), &["list"]).await.unwrap_err();
    assert!(
        refused.contains("is not the storage directory"),
        "{refused}"
    );
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 1, "nothing was made there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_reaches_the_batch_that_is_being_retried() {
    let receiver = Receiver::start();
    receiver.refuse("m", StatusCode::INTERNAL_SERVER_ERROR);
    let relay = Relay::start(&format!("remote_write:\n{}", route(&receiver, "a"))).await;
    let path = relay.storage_path();
    relay.write(vec![series("m", &[], 1, 0.0)]).await;
    wait_for("an attempt", async || !receiver.arrivals("/a").is_empty()).await;
    let shown = queue(&path, &["show", "a", "--format=json"]).await.unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["labels"]["__name__"], "m");
    let purged = queue(&path, &["purge", "a"]).await.unwrap();
    assert!(purged.starts_with("1 batches, 1 samples"), "{purged}");
    wait_for("it is counted", async || {
        let labels = ["route=\"a\"", "reason=\"purged\""];
        let dropped = relay.metric("promrelay_queue_dropped_samples_total", &labels);
        dropped.await == 1
    })
    .await;
    receiver.relent();
    relay.write(vec![series("next", &[], 2, 0.0)]).await;
    wait_for("the next", async || receiver.samples("/a").len() == 1).await;
    assert_eq!(count(&relay, "promrelay_queue_samples", "a").await, 0);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_of_a_renamed_route_is_reported_and_moved() {
    let receiver = Receiver::start();
    receiver.refuse("m", StatusCode::INTERNAL_SERVER_ERROR);
    let both = [route(&receiver, "old"), route(&receiver, "other")].concat();
    let relay = Relay::start(&format!("remote_write:\n{both}")).await;
    let path = relay.storage_path();
    for timestamp in 0..20 {
        relay.write(vec![series("m", &[], timestamp, 0.0)]).await;
    }
    let renamed = format!("remote_write:\n{}", route(&receiver, "new"));
    relay.write_config(&renamed);
    assert_eq!(relay.reload().await.0, StatusCode::OK);
    let orphaned = "promrelay_queue_orphaned_samples";
    assert_eq!(count(&relay, orphaned, "old").await, 20);
    let refused = queue(&path, &["move", "new", "old"]).await.unwrap_err();
    assert!(refused.contains("route new is running"), "{refused}");
    let moved = queue(&path, &["move", "old", "new"]).await.unwrap();
    assert!(moved.contains("20 samples"), "{moved}");
    assert_eq!(count(&relay, orphaned, "old").await, 0);
    // What is known of a route that is gone adds up, too.
    let moved = ["route=\"old\"", "reason=\"moved\""];
    let dropped = "promrelay_queue_dropped_samples_total";
    assert_eq!(relay.metric(dropped, &moved).await, 20);
    assert_eq!(count(&relay, "promrelay_queue_samples", "old").await, 0);
    assert_eq!(count(&relay, "promrelay_queue_samples", "other").await, 20);
    let purged = queue(&path, &["purge", "other"]).await.unwrap();
    assert!(purged.contains("20 samples"), "{purged}");
    let purged = ["route=\"other\"", "reason=\"purged\""];
    assert_eq!(relay.metric(dropped, &purged).await, 20);
    assert_eq!(count(&relay, "promrelay_queue_samples", "other").await, 0);
    relay.write_config(&format!("remote_write:\n{both}"));
    assert_eq!(relay.reload().await.0, StatusCode::OK);
    let recovered = "promrelay_queue_recovered_samples";
    assert_eq!(
        count(&relay, recovered, "old").await,
        0,
        "it comes back empty"
    );
    for timestamp in 0..20 {
        relay.write(vec![series("m", &[], timestamp, 0.0)]).await;
    }
    relay.write_config(&renamed);
    assert_eq!(relay.reload().await.0, StatusCode::OK);
    assert!(queue(&path, &["purge", "old"]).await.is_ok());
    let directory = relay.stop().await;
    // The other one's is moved while nothing runs.
    let moved = queue(&path, &["move", "other", "new"]).await.unwrap();
    assert!(moved.contains("20 samples"), "{moved}");
    let listed = queue(&path, &["list", "--format=json"]).await.unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed["route"], &listed["queuedSamples"]),
        (&"new".into(), &40.into())
    );
    receiver.relent();
    let relay = Relay::start_in(directory).await;
    wait_for("all of it", async || receiver.samples("/new").len() == 40).await;
    let timestamps: Vec<i64> = receiver.samples("/new").iter().map(|s| s.1).collect();
    assert_eq!(timestamps, (0..20).chain(0..20).collect::<Vec<_>>());
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_version_has_queued_waits_for_it() {
    let receiver = Receiver::start();
    let relay = Relay::start(&format!("remote_write:\n{}", route(&receiver, "a"))).await;
    receiver.refuse("before", StatusCode::SERVICE_UNAVAILABLE);
    relay.write(vec![series("before", &[], 1, 1.0)]).await;
    let storage_path = relay.storage_path();
    let directory = relay.stop().await;
    receiver.relent();
    let (queue, _recovery) = Queue::open(&storage_path.join("a"), Options::default()).unwrap();
    // As a block begins, but of a version that does not exist yet.
    let record = Record {
        stream: promrelay::send::stream(4, 0),
        weight: 7,
        appended_ms: 0,
        bytes: &[99, 1, 1, 1],
    };
    let size = Queue::stored_size(record.bytes.len());
    let receipt = queue.append(queue.reserve(size).unwrap(), &[record]);
    receipt.durable().await.unwrap();
    queue.close().await.unwrap();
    let relay = Relay::start_in(directory).await;
    wait_for("the route waits", async || {
        count(&relay, "promrelay_send_suspended", "a").await == 1
    })
    .await;
    assert_eq!(
        receiver.samples("/a").len(),
        1,
        "what is before it goes out"
    );
    assert_eq!(count(&relay, "promrelay_queue_samples", "a").await, 7);
    let unreadable = "promrelay_send_unreadable_samples_total";
    assert_eq!(count(&relay, unreadable, "a").await, 0);
}
