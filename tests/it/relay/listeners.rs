//! What is reached where, and by whom.

use std::net::Ipv4Addr;
use std::time::Duration;

use http::StatusCode;
use promrelay::admin::Lifecycle;
use promrelay::app::WebOptions;
use promrelay::http::Limits;
use reqwest::Method;

use super::harness::{Receiver, Relay, body, series};

fn config(receiver: &Receiver) -> String {
    let address = receiver.address();
    format!("remote_write:\n  - {{name: a, url: 'http://{address}/a'}}\n")
}

fn apart() -> WebOptions {
    WebOptions {
        admin_address: Some((Ipv4Addr::LOCALHOST, 0).into()),
        ..WebOptions::default()
    }
}

async fn status(method: Method, url: String) -> StatusCode {
    let client = reqwest::Client::builder().no_proxy().build();
    let request = client.expect("a client").request(method, url);
    request.send().await.expect("an answer").status()
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_do_not_reach_what_is_for_operators() {
    let receiver = Receiver::start();
    let relay = Relay::start_with(&config(&receiver), "{}", apart()).await;
    relay.write(vec![series("m", &[], 1, 1.0)]).await;
    let (get, post) = (Method::GET, Method::POST);
    // Path, and what it is for senders and for operators.
    let cases: [(&Method, &str, u16, u16); 11] = [
        (&get, "/-/healthy", 200, 200),
        (&get, "/-/ready", 200, 200),
        (&get, "/", 404, 200),
        (&get, "/metrics", 404, 200),
        (&get, "/api/v1/status/config", 404, 200),
        (&get, "/api/v1/status/routes", 404, 200),
        (&get, "/api/v1/targets", 404, 200),
        (&get, "/api/v1/queues", 404, 200),
        (&post, "/api/v1/queues", 404, 401),
        (&post, "/-/reload", 404, 403),
        (&post, "/api/v1/write", 400, 404),
    ];
    for (method, path, senders, operators) in cases {
        let found = status(method.clone(), relay.url(path)).await;
        assert_eq!(found, senders, "{method} {path} for senders");
        let found = status(method.clone(), relay.admin_url(path)).await;
        assert_eq!(found, operators, "{method} {path} for operators");
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_is_there_only_with_the_lifecycle() {
    let receiver = Receiver::start();
    for (lifecycle, expected) in [(Lifecycle::Disabled, 403_u16), (Lifecycle::Enabled, 200)] {
        let options = WebOptions {
            lifecycle,
            ..WebOptions::default()
        };
        let relay = Relay::start_with(&config(&receiver), "{}", options).await;
        assert_eq!(relay.reload().await.0, expected, "{lifecycle:?}");
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_nowhere_and_take_nothing_of_the_rate() {
    let receiver = Receiver::start();
    let hash = bcrypt::hash("sesame", 4).unwrap();
    let web = format!(
        "basic_auth_users: {{alice: {hash}}}\nbearer_tokens: [token]\n\
         rate_limit: {{interval: 1h, burst: 3}}\n\
         http_server_config: {{headers: {{X-Content-Type-Options: nosniff}}}}\n"
    );
    let relay = Relay::start_with(&config(&receiver), &web, WebOptions::default()).await;
    for path in ["/-/healthy", "/metrics", "/api/v1/write", "/nowhere"] {
        for method in [Method::GET, Method::POST] {
            let found = status(method.clone(), relay.url(path)).await;
            assert_eq!(found, StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
    let request = body(vec![series("m", &[], 1, 1.0)]);
    let post = |authorization| {
        let headers = [("authorization", authorization)];
        let (relay, request) = (&relay, request.clone());
        async move { relay.post(request, &headers).await }
    };
    let (refused, words, headers) = post("Bearer other").await;
    assert_eq!((refused.as_u16(), words.as_str()), (401, "Unauthorized\n"));
    let challenges: Vec<_> = headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, ["Basic", "Bearer"]);
    assert_eq!(headers["x-content-type-options"], "nosniff");
    // alice:sesame, twice: it is remembered.
    let alice = "Basic YWxpY2U6c2VzYW1l";
    for authorization in ["Bearer token", alice, alice] {
        assert_eq!(post(authorization).await.0, StatusCode::NO_CONTENT);
    }
    let (status, _, headers) = post("Bearer token").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let later: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3000..=3600).contains(&later), "{later}");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_paid_for_by_who_comes_next() {
    let receiver = Receiver::start();
    let web = "rate_limit: {bytes_per_second: 10B}\n";
    let relay = Relay::start_with(&config(&receiver), web, WebOptions::default()).await;
    let request = body(vec![series(
        "a_long_name_for_a_metric",
        &[("x", "y")],
        1,
        1.0,
    )]);
    let (status, words, _) = relay.post(request.clone(), &[]).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{words}");
    let (status, _, headers) = relay.post(request, &[]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(headers.contains_key("retry-after"));
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_does_not_get_in() {
    let receiver = Receiver::start();
    let options = WebOptions {
        limits: Limits {
            connections_per_peer: 1,
            header_time: Duration::from_secs(20),
            ..Limits::default()
        },
        ..WebOptions::default()
    };
    let relay = Relay::start_with(&config(&receiver), "{}", options).await;
    // The harness' client keeps its connection.
    relay.write(vec![series("m", &[], 1, 1.0)]).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(client.get(relay.url("/-/ready")).send().await.is_err());
    let name = "promrelay_http_closed_connections_total";
    let refused = relay.metric(name, &["peer_connections"]).await;
    assert!(refused >= 1);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn one_thread_serves_writes_while_it_is_enough() {
    let receiver = Receiver::start();
    let relay = Relay::start_with(&config(&receiver), "{}", WebOptions::default()).await;
    relay.write(vec![series("m", &[], 1, 1.0)]).await;
    assert_eq!(relay.metric("promrelay_http_threads", &["writes"]).await, 1);
    relay.stop().await;
}
