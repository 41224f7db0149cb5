//! A route's HTTP client: credentials, tokens, proxies, and secrets that come late.

#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::path::Path;

use http::StatusCode;

use super::harness::{Answer, Receiver, Relay, series, wait_for};

/// A relay with one route, and what else its file says of it.
async fn relay(receiver: &Receiver, more: &str) -> Relay {
    let directory = tempfile::tempdir().unwrap();
    let config = format!(
        "remote_write:\n  - name: all\n    url: http://{}/all\n    remote_timeout: 2s\n    \
         queue_config: {{batch_send_deadline: 10ms, max_backoff: 100ms}}\n    {more}\n",
        receiver.address()
    );
    std::fs::write(directory.path().join("promrelay.yml"), config).unwrap();
    std::fs::write(directory.path().join("here"), " from-a-file\n").unwrap();
    Relay::start_in(directory).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_has_every_way_to_show_who_it_is() {
    let receiver = Receiver::start();
    let cases = [
        (
            "basic_auth: {username_file: here, password: p}",
            "authorization",
            "Basic ZnJvbS1hLWZpbGU6cA==",
        ),
        (
            "authorization: {type: X, credentials_file: here}",
            "authorization",
            "X from-a-file",
        ),
        ("bearer_token: old", "authorization", "Bearer old"),
        (
            "headers: {X-Scope-OrgID: tenant}",
            "x-scope-orgid",
            "tenant",
        ),
        (
            "http_headers: {X-Key: {files: [here]}}",
            "x-key",
            "from-a-file",
        ),
    ];
    for (at, (more, name, expected)) in cases.into_iter().enumerate() {
        let relay = relay(&receiver, more).await;
        relay.write(vec![series("a", &[], 1, 1.0)]).await;
        wait_for(more, async || receiver.arrivals("/all").len() > at).await;
        let headers = receiver.arrivals("/all").remove(at).headers;
        assert_eq!(headers[name].to_str().unwrap(), expected, "{more}");
        assert_eq!(headers["content-encoding"], "snappy");
        assert_eq!(headers["x-prometheus-remote-write-version"], "0.1.0");
        relay.stop().await;
    }
}

/// What waits is sent when the secret is there, without a reload.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_read_is_waited_for() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "authorization: {credentials_file: late}").await;
    relay.write(vec![series("a", &[], 1, 1.0)]).await;
    wait_for("a retry", async || {
        let labels = ["route=\"all\"", "reason=\"credentials\""];
        relay.metric("promrelay_send_retries_total", &labels).await > 0
    })
    .await;
    assert!(receiver.arrivals("/all").is_empty());
    write_beside(&relay, "late", "come");
    wait_for("the sample", async || receiver.samples("/all").len() == 1).await;
    assert_eq!(
        receiver.arrivals("/all")[0].headers["authorization"],
        "Bearer come"
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_and_samples_do_not_follow_a_redirect_to_another_host() {
    let (receiver, other) = (Receiver::start(), Receiver::start());
    let elsewhere = format!("http://localhost:{}/all", other.address().port());
    for secret in [
        "authorization: {credentials: s3cr3t}",
        "headers: {X-Token: s3cr3t}",
        "http_headers: {Cookie: {secrets: [s3cr3t]}}",
    ] {
        let before = receiver.samples("/all").len();
        let answer = Answer::Redirect(StatusCode::TEMPORARY_REDIRECT, elsewhere.clone());
        receiver.answer("/all", [answer]);
        let relay = relay(&receiver, secret).await;
        relay.write(vec![series("a", &[], 1, 1.0)]).await;
        // It is tried again where it belongs, and nothing is lost.
        wait_for(secret, async || receiver.samples("/all").len() > before).await;
        let labels = ["reason=\"redirect\""];
        assert_eq!(
            relay.metric("promrelay_send_retries_total", &labels).await,
            1
        );
        relay.stop().await;
    }
    assert!(other.arrivals("/all").is_empty());
}

fn write_beside(relay: &Relay, name: &str, text: &str) {
    let directory = relay.storage_path();
    let directory = directory.parent().unwrap_or(Path::new(""));
    std::fs::write(directory.join(name), text).unwrap();
}
