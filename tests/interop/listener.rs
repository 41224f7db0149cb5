//! The listener from outside: curl and Prometheus with TLS, certificates, users and tokens.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::certificates::{Authority, Identity, Validity};
use crate::exposition::Exposition;
use crate::guarded::{Guarded, TLS};
use crate::neighbour::write_request;
use crate::peers::{Peer, installed, promrelay};
use crate::process::eventually;
use crate::recorder::Recorder;
use crate::routes::EVERYTHING;

/// Keys of a `tls_server_config`, and who gets in: who has no certificate, the right one, one of
/// another authority, an expired one, one with another name.
fn policies() -> Vec<(String, [bool; 5])> {
    let (ca, san) = (
        "client_ca_file: ca.crt, client_auth_type:",
        "client_allowed_sans:",
    );
    vec![
        (
            "client_auth_type: NoClientCert".to_owned(),
            [true, true, true, true, true],
        ),
        (
            "client_auth_type: RequestClientCert".to_owned(),
            [true, true, true, true, true],
        ),
        (
            "client_auth_type: RequireAnyClientCert".to_owned(),
            [false, true, true, true, true],
        ),
        (
            format!("{ca} VerifyClientCertIfGiven"),
            [true, true, false, false, true],
        ),
        (
            format!("{ca} RequireAndVerifyClientCert"),
            [false, true, false, false, true],
        ),
        (
            format!("{ca} RequireAndVerifyClientCert, {san} [x, sender.example]"),
            [false, true, false, false, false],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_show_the_certificates_that_the_file_asks_for() {
    let receiver = Recorder::start().await;
    let config = format!(
        "remote_write:\n{}",
        EVERYTHING.entry("a", &receiver.url("/a"), &[])
    );
    let guarded = Guarded::start(&config, &format!("{TLS}}}")).await;
    let directory = guarded.relay.directory();
    let names = ["sender.example"];
    guarded
        .authority
        .issue(&names, Validity::Now)
        .write(directory, "right");
    guarded
        .authority
        .issue(&names, Validity::Past)
        .write(directory, "expired");
    let other = Authority::new("another one");
    other.issue(&names, Validity::Now).write(directory, "wrong");
    guarded
        .authority
        .issue(&["other.example"], Validity::Now)
        .write(directory, "unnamed");

    assert_eq!(guarded.curl("localhost", &[]), Some(200));
    assert_eq!(
        guarded.curl("stranger.example", &[]),
        None,
        "curl looks at names"
    );
    for (keys, expected) in policies() {
        guarded
            .reconfigure(&format!("{TLS}, {keys}}}"), "success")
            .await;
        let found = [
            guarded.curl("localhost", &[]),
            guarded.with_certificate("right"),
            guarded.with_certificate("wrong"),
            guarded.with_certificate("expired"),
            guarded.with_certificate("unnamed"),
        ];
        assert_eq!(
            found.map(|status| status == Some(200)),
            expected,
            "{keys}: {found:?}"
        );
    }
    let refused = guarded
        .metric(
            "promrelay_http_closed_connections_total",
            "reason=\"handshake\"",
        )
        .await;
    assert!(refused >= 9.0, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_protocols_and_headers_are_those_of_the_file() {
    let guarded = Guarded::start(
        "remote_write: [{name: a, url: 'http://127.0.0.1:1/a'}]",
        &format!("{TLS}, min_version: TLS13}}"),
    )
    .await;
    let up_to_12 = ["--tls-max", "1.2"];
    assert_eq!(guarded.curl("localhost", &up_to_12), None);
    assert_eq!(guarded.curl("localhost", &["--tlsv1.3"]), Some(200));
    let suite = "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]";
    let web = format!(
        "{TLS}, max_version: TLS12, {suite}}}\nhttp_server_config:\n  http2: false\n  \
         headers: {{X-Frame-Options: deny}}\n"
    );
    guarded.reconfigure(&web, "success").await;
    assert_eq!(guarded.curl("localhost", &["--tlsv1.3"]), None);
    let other_suite = [
        "--ciphers",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "--tls-max",
        "1.2",
    ];
    assert_eq!(guarded.curl("localhost", &other_suite), None);
    let headers = guarded.path("headers");
    let dump = headers.display().to_string();
    let asked = ["--http2", "--dump-header", &dump, up_to_12[0], up_to_12[1]];
    assert_eq!(guarded.curl("localhost", &asked), Some(200));
    let headers = fs::read_to_string(headers).expect("curl wrote the headers");
    assert!(headers.starts_with("HTTP/1.1 200"), "{headers}");
    assert!(headers.contains("x-frame-options: deny"), "{headers}");
    guarded.reconfigure(&format!("{TLS}}}"), "success").await;
    assert_eq!(
        guarded.curl("localhost", &["--http2", "--dump-header", &dump]),
        Some(200)
    );
    let headers = fs::read_to_string(dump).expect("curl wrote the headers");
    assert!(headers.starts_with("HTTP/2 200"), "{headers}");
}

/// Writes as fast as it is answered, on one connection or a new one each time, and counts.
async fn load(url: String, ca: Vec<u8>, pooled: bool, stop: Arc<AtomicBool>) -> (u64, Vec<String>) {
    let ca = reqwest::Certificate::from_pem(&ca).expect("a certificate");
    let client = || {
        let builder = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([ca.clone()]);
        builder
            .timeout(Duration::from_secs(10))
            .build()
            .expect("a client")
    };
    let kept = client();
    let (mut written, mut failed) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let one = if pooled { kept.clone() } else { client() };
        let (body, request) = (write_request(written), one.post(&url));
        let request = request
            .header("content-encoding", "snappy")
            .bearer_auth("letmein");
        match request.body(body).send().await {
            Ok(answer) if answer.status() == 204 => written += 1,
            other => failed.push(format!("{other:?}")),
        }
    }
    (written, failed)
}

/// It is counted, and the relay goes on as it was.
async fn what_cannot_be_used_changes_nothing(guarded: &Guarded, host: &str) {
    let asks = || guarded.curl(host, &["--header", "Authorization: Bearer letmein"]);
    let key = fs::read(guarded.path("server.key")).expect("a key");
    for (name, content) in [
        ("server.key", "nothing"),
        ("web.yml", ""),
        ("web.yml", "{}"),
    ] {
        let label = "result=\"failure\"";
        let before = guarded
            .metric("promrelay_web_config_reloads_total", label)
            .await;
        fs::write(guarded.path(name), content).expect("a file can be written");
        eventually("it is counted", Duration::from_secs(20), async || {
            let count = guarded
                .metric("promrelay_web_config_reloads_total", label)
                .await;
            (count > before).then_some(())
        })
        .await;
        assert_eq!(asks(), Some(200), "after {name} was {content:?}");
        assert_eq!(guarded.curl("localhost", &[]), Some(401));
        fs::write(guarded.path("server.key"), &key).expect("a file can be written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_users_change_under_load_without_a_failed_request() {
    let receiver = Recorder::start().await;
    let config = format!(
        "remote_write:\n{}",
        EVERYTHING.entry("a", &receiver.url("/a"), &[])
    );
    let web = format!("{TLS}}}\nbearer_tokens: [letmein]\n");
    let guarded = Guarded::start(&config, &web).await;
    let url = format!("https://localhost:{}/api/v1/write", guarded.port());
    let stop = Arc::new(AtomicBool::new(false));
    let ca = guarded.authority.pem().into_bytes();
    let load =
        |pooled| TaskTracker::new().spawn(load(url.clone(), ca.clone(), pooled, Arc::clone(&stop)));
    let loads = [load(true), load(true), load(false), load(false)];
    let asks = |host: &str| guarded.curl(host, &["--header", "Authorization: Bearer letmein"]);
    let mut last = "first.example".to_owned();
    for round in 0..4 {
        assert_eq!(asks(&last), Some(200));
        let next = format!("next-{round}.example");
        let identity: Identity = guarded
            .authority
            .issue(&["localhost", &next], Validity::Now);
        identity.write(guarded.relay.directory(), "server");
        eventually(&next, Duration::from_secs(20), async || {
            (asks(&next) == Some(200)).then_some(())
        })
        .await;
        assert_eq!(
            asks(&last),
            None,
            "the old certificate is not shown any more"
        );
        last = next;
    }
    what_cannot_be_used_changes_nothing(&guarded, &last).await;
    guarded
        .reconfigure(&format!("{web}# as it was\n"), "success")
        .await;
    stop.store(true, Ordering::Relaxed);
    let mut total = 0;
    for load in loads {
        let (written, failed) = load.await.expect("a load does not panic");
        assert!(
            failed.is_empty(),
            "{} of {written}: {:?}",
            failed.len(),
            failed.first()
        );
        assert!(written > 50, "only {written} requests");
        total += written;
    }
    assert!(total > 500, "only {total} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_gets_in_with_what_it_has_and_not_without() {
    if !installed() {
        return;
    }
    let receiver = Recorder::start().await;
    let windows = Exposition::start().await;
    let config = format!(
        "remote_write:\n{}",
        EVERYTHING.entry("a", &receiver.url("/a"), &[])
    );
    let hash = bcrypt::hash("sesame", 8).expect("a hash");
    let auth = "client_ca_file: ca.crt, client_auth_type: RequireAndVerifyClientCert";
    let web = format!("{TLS}, {auth}}}\nbasic_auth_users: {{alice: {hash}}}\nbearer_tokens: [t]\n");
    let guarded = Guarded::start(&config, &web).await;
    let directory = guarded.relay.directory();
    let names = ["prometheus.example"];
    guarded
        .authority
        .issue(&names, Validity::Now)
        .write(directory, "right");
    let other = Authority::new("another one");
    other.issue(&names, Validity::Now).write(directory, "wrong");
    let entry = |via: &str, certificate: &str, credentials: &str| {
        let path = |name: &str| directory.join(name).display().to_string();
        format!(
            "  - url: https://localhost:{}/api/v1/write\n    name: {via}\n    {credentials}\n    \
             queue_config: {{batch_send_deadline: 500ms}}\n    \
             tls_config: {{ca_file: {}, cert_file: {}, key_file: {}}}\n    \
             write_relabel_configs: [{{target_label: via, replacement: {via}}}]\n",
            guarded.port(),
            path("ca.crt"),
            path(&format!("{certificate}.crt")),
            path(&format!("{certificate}.key")),
        )
    };
    let alice = "basic_auth: {username: alice, password: sesame}";
    let prometheus = Peer::prometheus(&format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n{}remote_write:\n{}{}{}{}",
        windows.jobs(),
        entry("basic", "right", alice),
        entry("bearer", "right", "authorization: {credentials: t}"),
        entry(
            "password",
            "right",
            "basic_auth: {username: alice, password: open}"
        ),
        entry("authority", "wrong", alice),
    ))
    .await;
    let arrived = |via: &str| receiver.samples_with("/a", &[("via", via)]).series();
    eventually("both arrive", Duration::from_secs(30), async || {
        (arrived("basic") > 500 && arrived("bearer") > 500).then_some(())
    })
    .await;
    eventually("the others tried", Duration::from_secs(30), async || {
        let refused = "promrelay_http_refused_requests_total";
        let closed = "promrelay_http_closed_connections_total";
        let passwords = guarded.metric(refused, "reason=\"unauthorized\"").await;
        let certificates = guarded.metric(closed, "reason=\"handshake\"").await;
        (passwords > 0.0 && certificates > 0.0).then_some(())
    })
    .await;
    assert_eq!((arrived("password"), arrived("authority")), (0, 0));
    drop(prometheus);
}

/// Runs a command of promrelay's in a directory; says how it ended and what it printed.
fn command(directory: &Path, arguments: &[&str]) -> (bool, String) {
    let program = fs::canonicalize(promrelay()).expect("the program exists");
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relays_own_commands_get_in_behind_tls_and_users() {
    let authority = Authority::new("an authority");
    let server = authority.issue(&["localhost"], Validity::Now);
    let tls =
        format!("{TLS}, client_ca_file: ca.crt, client_auth_type: RequireAndVerifyClientCert}}\n");
    for web in [tls.as_str(), "bearer_tokens: [t]\n"] {
        let files = [
            ("web.yml", web),
            ("ca.crt", &authority.pem()),
            ("server.crt", &server.certificate),
            ("server.key", &server.key),
        ];
        let flags = ["--web.config.file=web.yml".to_owned()];
        let config = "remote_write: [{name: a, url: 'http://127.0.0.1:1/a'}]";
        let relay = Peer::promrelay_with(config, &files, &flags).await;
        let directory = relay.directory();
        let (fine, said) = command(directory, &["healthcheck", "--storage.path=data"]);
        assert!(fine, "{web}: {said}");
        let live = ["healthcheck", "--live", "--storage.path=data"];
        let (fine, said) = command(directory, &live);
        assert!(fine, "{web}: {said}");
        let (fine, said) = command(directory, &["queue", "list", "--storage.path=data"]);
        assert!(fine, "{web}: {said}");
        let address = format!("--web.listen-address={}", relay.address);
        let (fine, said) = command(directory, &["healthcheck", &address]);
        assert!(!fine, "without the token: {said}");
        let (fine, said) = command(directory, &["check", "--web.config.file=web.yml"]);
        assert!(fine && said.contains("web.yml: ok"), "{said}");
    }
}
