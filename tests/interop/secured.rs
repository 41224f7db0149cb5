//! Routes to a receiver over TLS, from outside: who trusts whom, and that nothing is lost
//! meanwhile.
//!
//! The receiver is another relay, which passes on what gets in.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::certificates::{Authority, Validity};
use crate::guarded::{Guarded, TLS};
use crate::neighbour::write_request;
use crate::peers::Peer;
use crate::process::{eventually, get};
use crate::recorder::Recorder;
use crate::routes::EVERYTHING;

/// A receiver with these keys in its `tls_server_config`, and behind it what it passes on.
async fn receiver(keys: &str) -> (Recorder, Guarded) {
    let recorder = Recorder::start().await;
    let entry = EVERYTHING.entry("a", &recorder.url("/a"), &[]);
    let web = format!("{TLS}{keys}}}\n");
    let guarded = Guarded::start(&format!("remote_write:\n{entry}"), &web).await;
    let (directory, names) = (guarded.relay.directory(), ["relay.example"]);
    let issue = |authority: &Authority, validity, name: &str| {
        authority.issue(&names, validity).write(directory, name);
    };
    issue(&guarded.authority, Validity::Now, "right");
    issue(&guarded.authority, Validity::Past, "expired");
    let other = Authority::new("another one");
    issue(&other, Validity::Now, "wrong");
    fs::write(directory.join("other.crt"), other.pem()).expect("a file can be written");
    (recorder, guarded)
}

/// A relay with a route for each of these: a name, the receiver's host, and its `tls_config`. The
/// files are the receiver's.
async fn relay(guarded: &Guarded, routes: &[(&str, &str, &str)]) -> Peer {
    let directory = guarded.relay.directory().display();
    let entries = routes.iter().map(|(name, host, tls)| {
        let url = format!("https://{host}:{}/api/v1/write", guarded.port());
        let via = format!("{{target_label: via, replacement: {name}}}");
        let tls = tls.replace("_file: ", &format!("_file: {directory}/"));
        let entry = EVERYTHING.entry(name, &url, &[&via]);
        format!("{entry}    tls_config: {{{tls}}}\n")
    });
    let entries: String = entries.collect();
    Peer::promrelay_on(Path::new("data"), &format!("remote_write:\n{entries}")).await
}

async fn write(relay: &Peer, number: u64) {
    let client = reqwest::Client::builder().no_proxy().build();
    let request = client.expect("a client").post(relay.url("/api/v1/write"));
    let request = request.header("content-encoding", "snappy");
    let answer = request.body(write_request(number)).send().await;
    assert_eq!(answer.expect("an answer").status(), 204);
}

/// How often the route has tried in vain, and how many samples wait.
async fn failed_and_waiting(relay: &Peer, route: &str) -> (u64, u64) {
    let metrics = get(&relay.url("/metrics")).await.expect("metrics");
    let label = format!("route=\"{route}\"");
    let sum = |name: &str| {
        let lines = metrics.lines().filter(|line| line.contains(&label));
        let lines = lines.filter(|line| line.starts_with(&format!("{name}{{")));
        let value = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
        lines.filter_map(value).sum()
    };
    (
        sum("promrelay_send_retries_total"),
        sum("promrelay_queue_samples"),
    )
}

/// Checks that of these routes the first ones deliver both samples and the others keep both.
async fn come_and_stay(recorder: &Recorder, relay: &Peer, coming: &[&str], staying: &[&str]) {
    write(relay, 1).await;
    write(relay, 2).await;
    let arrived = |via: &str| recorder.samples_with("/a", &[("via", via)]).count();
    for via in coming {
        eventually(via, Duration::from_secs(30), async || {
            (arrived(via) == 2).then_some(())
        })
        .await;
    }
    for route in staying {
        eventually(route, Duration::from_secs(30), async || {
            let (failed, waiting) = failed_and_waiting(relay, route).await;
            (failed >= 2 && waiting == 2).then_some(())
        })
        .await;
        assert_eq!(arrived(route), 0, "{route}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_trusts_the_authority_that_it_is_told_to_and_no_other() {
    let (recorder, guarded) = receiver("").await;
    let routes = [
        ("own", "localhost", "ca_file: ca.crt"),
        (
            "named",
            "127.0.0.1",
            "ca_file: ca.crt, server_name: localhost",
        ),
        ("careless", "127.0.0.1", "insecure_skip_verify: true"),
        ("newest", "localhost", "ca_file: ca.crt, min_version: TLS13"),
        // The authorities that the system trusts do not know this one.
        ("system", "localhost", ""),
        ("other", "localhost", "ca_file: other.crt"),
        ("misnamed", "127.0.0.1", "ca_file: ca.crt"),
        (
            "renamed",
            "localhost",
            "ca_file: ca.crt, server_name: other.example",
        ),
    ];
    let relay = relay(&guarded, &routes).await;
    let coming = ["own", "named", "careless", "newest"];
    let staying = ["system", "other", "misnamed", "renamed"];
    come_and_stay(&recorder, &relay, &coming, &staying).await;
    assert!(relay.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_shows_its_certificate_and_delivers_all_once_that_is_taken() {
    let auth = ", client_ca_file: ca.crt, client_auth_type: RequireAndVerifyClientCert";
    let (recorder, guarded) = receiver(auth).await;
    let shows =
        |name: &str| format!("ca_file: ca.crt, cert_file: {name}.crt, key_file: {name}.key");
    let (right, wrong, expired) = (shows("right"), shows("wrong"), shows("expired"));
    let routes = [
        ("right", "localhost", right.as_str()),
        ("wrong", "localhost", wrong.as_str()),
        ("expired", "localhost", expired.as_str()),
        ("none", "localhost", "ca_file: ca.crt"),
    ];
    let relay = relay(&guarded, &routes).await;
    come_and_stay(&recorder, &relay, &["right"], &["wrong", "expired", "none"]).await;
    // The files are read again, and what had to wait is delivered.
    for name in ["wrong", "expired"] {
        let identity = guarded.authority.issue(&["relay.example"], Validity::Now);
        identity.write(guarded.relay.directory(), name);
        eventually(name, Duration::from_mins(1), async || {
            let arrived = recorder.samples_with("/a", &[("via", name)]).count();
            (arrived == 2).then_some(())
        })
        .await;
    }
    recorder.assert_orderly();
    let (_, waiting) = failed_and_waiting(&relay, "none").await;
    assert_eq!(waiting, 2, "who shows none still waits");
    assert!(relay.stop().await.success());
}
