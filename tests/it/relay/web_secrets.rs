//! The same of a web configuration: users' hashes, tokens and keys, while all goes wrong.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;

use super::harness::wait_for;
use super::secrets::{RUN, Running, assert_clean, output};

const ROUTES: &str = "remote_write: [{name: a, url: 'http://127.0.0.1:1/a'}]\n";
/// A hash, with the canary in it.
const HASH: &str = "$2y$04$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mrs3cr3tpZ/VcEd00UAV/LDe";

/// A web configuration with every secret that it can have but a key, and these keys.
fn web(more: &str) -> String {
    let alice = bcrypt::hash("s3cr3t-password", 4).unwrap();
    format!(
        "basic_auth_users: {{alice: {alice}, bob: {HASH}}}\n\
         bearer_tokens: [s3cr3t-bearer]\nbearer_tokens_file: secret-file\n{more}"
    )
}

/// How many times the words have been logged.
fn logged(relay: &Running, words: &str) -> usize {
    relay.log().matches(words).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_web_configuration_is_printed_or_served() {
    let relay = Running::start_behind(ROUTES, Some(&web("")), Some("s3cr3t-bearer")).await;
    let basic = |shown: &str| format!("Basic {}", STANDARD.encode(shown));
    for (authorization, expected) in [
        (basic("alice:s3cr3t-password"), StatusCode::OK),
        ("Bearer s3cr3t-file".to_owned(), StatusCode::OK),
        (basic("alice:s3cr3t-wrong"), StatusCode::UNAUTHORIZED),
        (basic("s3cr3t-user:x"), StatusCode::UNAUTHORIZED),
        (basic("bob:s3cr3t"), StatusCode::UNAUTHORIZED),
        ("Bearer s3cr3t".to_owned(), StatusCode::UNAUTHORIZED),
        ("s3cr3t".to_owned(), StatusCode::UNAUTHORIZED),
    ] {
        let (status, body) = relay.get_as(&authorization).await;
        assert_eq!(status, expected, "{authorization}");
        assert_clean("/metrics", &body);
    }
    // A change that is put in force, one that has a mistake, and one that opens the door.
    for (text, words) in [
        (
            web("rate_limit: {interval: 1ms, burst: 1000}\n"),
            "put a changed web configuration",
        ),
        (
            web("http_server_config: s3cr3t\n"),
            "kept the web configuration as it was",
        ),
        (String::new(), "kept the web configuration as it was"),
    ] {
        let before = logged(&relay, words);
        fs::write(relay.directory.path().join("web.yml"), text).unwrap();
        wait_for(words, async || logged(&relay, words) > before).await;
    }
    for path in [
        "/",
        "/metrics",
        "/api/v1/status/config",
        "/api/v1/status/routes",
        "/api/v1/queues",
        "/api/v1/targets",
    ] {
        let (status, body) = relay.get(path).await;
        assert!(status.is_success() && body.len() > 10, "{path}: {body}");
        assert_clean(path, &body);
        assert!(!body.contains(&relay.token), "{path} tells the token");
    }
    relay.assert_log_is_clean();
}

/// Web configurations with one mistake each, at or near a canary.
const MISTAKES: &[&str] = &[
    "basic_auth_users: s3cr3t",
    "basic_auth_users: [s3cr3t]",
    "basic_auth_users: {alice: s3cr3t}",
    "basic_auth_users: {alice: [s3cr3t]}",
    "basic_auth_users: {alice: {s3cr3t: 1}}",
    "basic_auth_users: {alice: \"s3cr3t}",
    "basic_auth_users: {alice: $2y$10$s3cr3t}",
    "basic_auth_users: {alice: $2y$17$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mrs3cr3tpZ/VcEd00UAV/LDe}",
    // As `htpasswd` prints it, where a space is wanted behind the colon.
    "basic_auth_users: {'alice:$2y$10$s3cr3t': }",
    "basic_auth_users:\n  alice:$2y$10$s3cr3t",
    "basic_auth_users: {'alice:s3cr3t': HASH}",
    "basic_auth_users: {alice: $(PROMRELAY_CANARY)}",
    "basic_auth_users: {alice: $(PROMRELAY_CANARY)$(UNSET_CANARY)}",
    "bearer_tokens: s3cr3t",
    "bearer_tokens: {s3cr3t: 1}",
    "bearer_tokens: [[s3cr3t]]",
    "bearer_tokens: [s3cr3t, ' ']",
    "bearer_tokens: [*s3cr3t]",
    "bearer_tokens: [!s3cr3t x]",
    "bearer_tokens: [\"\\qs3cr3t\"]",
    "bearer_token: s3cr3t",
    "{bearer_tokens: [s3cr3t], bearer_tokens_file: nowhere}",
    "tls_server_config: s3cr3t",
    "tls_server_config: {key: s3cr3t}",
    "tls_server_config: {key: [s3cr3t]}",
    "tls_server_config: {key: s3cr3t, cert: c}",
    "tls_server_config: {key_file: secret-file, cert_file: secret-file}",
    "tls_server_config: {key: s3cr3t, key_file: secret-file, cert: c}",
    "tls_server_config: {key: \"-----BEGIN PRIVATE KEY-----\\ns3cr3t\\n\
     -----END PRIVATE KEY-----\", cert: c}",
];

#[test]
fn no_mistake_of_a_web_configuration_is_told_with_the_secret_that_it_is_in() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("promrelay.yml", ROUTES);
    write("secret-file", "s3cr3t-file\n");
    for text in MISTAKES {
        let text = text.replace("HASH", HASH);
        write("web.yml", &text);
        let words = output(directory.path(), &["check", "--web.config.file=web.yml"]);
        assert!(words.contains("web.yml:"), "{text}: {words}");
        assert!(
            !words.contains(": ok"),
            "nothing is wrong with {text}: {words}"
        );
        assert_clean(&format!("check of {text}"), &words);
        let all = [RUN, &["--web.config.file=web.yml"]].concat();
        let words = output(directory.path(), &all);
        assert!(words.contains("mistakes"), "{text}: {words}");
        assert_clean(&format!("run with {text}"), &words);
    }
}
