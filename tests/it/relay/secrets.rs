//! Canaries in every place of a configuration that takes a secret, looked for in everything that
//! the relay prints and serves while all goes wrong.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use promrelay::http::Server;
use promrelay::remote_write::generated::prometheus::WriteRequest;
use prost::Message as _;
use tempfile::TempDir;

use super::harness::{series, wait_for};

/// What every canary begins with.
const CANARY: &str = "s3cr3t";
pub(super) const RUN: &[&str] = &[
    "run",
    "--web.listen-address=127.0.0.1:0",
    "--log.level=debug",
];
/// Keys of a route's client, each with a canary.
const CLIENTS: &[&str] = &[
    "basic_auth: {username: u, password: s3cr3t-password}",
    "basic_auth: {username: u, password_file: secret-file}",
    "basic_auth: {username: u, password: $(PROMRELAY_CANARY)}",
    "authorization: {credentials: s3cr3t-credentials}",
    "authorization: {credentials_file: secret-file}",
    "bearer_token: s3cr3t-token",
    "http_headers: {X-A: {secrets: [s3cr3t-header]}, X-B: {files: [secret-file]}}",
    "oauth2: {client_id: i, client_secret: s3cr3t-client, token_url: 'http://u:s3cr3t-t@IDP/ok', \
     endpoint_params: {password: s3cr3t-param}}",
    "oauth2: {client_id: i, client_secret: s3cr3t-client, token_url: 'http://u:s3cr3t-t@IDP/no', \
     endpoint_params: {password: s3cr3t-param}}",
    "proxy_url: http://u:s3cr3t-proxy@127.0.0.1:1\n    proxy_connect_header: {X: [s3cr3t-pch]}",
    "proxy_url: http://u:s3cr3t-proxy@IDP\n    proxy_connect_header: {X: [s3cr3t-pch]}",
    "headers: {X-Token: s3cr3t-own}",
    "authorization: {credentials_file: s3cr3t-is-no-name/of-a-file}",
];

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A server that tells everybody what it was told, with the status that the path names.
fn echo() -> Server {
    let answer = async |request: Request| {
        let path = request.uri().path().to_owned();
        if path.ends_with("/ok") {
            return (
                StatusCode::OK,
                "{\"access_token\":\"s3cr3t-access\"}".to_owned(),
            );
        }
        let mut words = String::from("what you said: ");
        for value in request.headers().values() {
            write!(words, "{} ", value.to_str().unwrap()).unwrap();
        }
        let code = path.rsplit('/').next().unwrap_or_default();
        (code.parse().unwrap_or(StatusCode::FORBIDDEN), words)
    };
    let service = Router::new().fallback(answer);
    Server::start((Ipv4Addr::LOCALHOST, 0).into(), service).unwrap()
}

/// A configuration with every canary, for routes, jobs and discovery.
fn configuration(server: &Server) -> String {
    let address = server.address().to_string();
    let mut text = String::from("remote_write:\n");
    for (at, client) in CLIENTS.iter().enumerate() {
        let (client, code) = (client.replace("IDP", &address), [400, 401, 500][at % 3]);
        writeln!(
            text,
            "  - name: r{at}\n    url: http://u:s3cr3t-url@{address}/r{at}/{code}\n    \
             queue_config: {{batch_send_deadline: 1ms}}\n    {client}"
        )
        .unwrap();
    }
    writeln!(
        text,
        "scrape_configs:\n  - job_name: j\n    \
         basic_auth: {{username: u, password: s3cr3t-j}}\n    \
         scrape_interval: 100ms\n    scrape_timeout: 100ms\n    \
         proxy_url: http://u:s3cr3t-proxy@127.0.0.1:1\n    \
         static_configs: [{{targets: ['{address}']}}]\n    http_sd_configs:\n      \
         - url: http://u:s3cr3t-sd@{address}/500\n        refresh_interval: 1s\n        \
         authorization: {{credentials: s3cr3t-sd-a}}\n    kubernetes_sd_configs:\n      \
         - role: pod\n        api_server: http://u:s3cr3t-k8s@{address}\n        \
         bearer_token: s3cr3t-k8s-b"
    )
    .unwrap();
    text
}

fn run(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promrelay"));
    command
        .current_dir(directory)
        .args(arguments)
        .env("PROMRELAY_CANARY", "s3cr3t-environment")
        .stdin(Stdio::null());
    command
}

pub(super) fn output(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments).output().unwrap();
    let all = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// No canary, neither plain nor as the user `u` would show it in `basic_auth`. The name of a file
/// is no secret, even one that looks like it.
pub(super) fn assert_clean(what: &str, text: &str) {
    let text = text.replace("s3cr3t-is-no-name", "");
    let lines = text.lines().filter(|line| {
        let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || "+/=".contains(c)));
        let mut decoded = words.filter_map(|word| STANDARD.decode(word).ok());
        let canary = CANARY.as_bytes();
        line.contains(CANARY)
            || decoded.any(|bytes| bytes.windows(canary.len()).any(|window| window == canary))
    });
    let leaks: Vec<&str> = lines.collect();
    assert!(
        leaks.is_empty(),
        "{what} tells a secret:\n{}",
        leaks.join("\n")
    );
}

/// A relay as a process of its own, all of whose words are kept.
pub(super) struct Running {
    child: Killed,
    pub(super) directory: TempDir,
    client: reqwest::Client,
    url: String,
    pub(super) token: String,
    /// What it shows with each request, if that takes something.
    bearer: Option<&'static str>,
}

impl Running {
    async fn start(configuration: &str) -> Self {
        Self::start_behind(configuration, None, None).await
    }

    /// The same behind a web configuration, for whoever shows `bearer`.
    pub(super) async fn start_behind(
        configuration: &str,
        web: Option<&str>,
        bearer: Option<&'static str>,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("promrelay.yml"), configuration).unwrap();
        fs::write(path.join("secret-file"), "s3cr3t-file\n").unwrap();
        let log = fs::File::create(path.join("log")).unwrap();
        let mut command = run(path, RUN);
        if let Some(web) = web {
            fs::write(path.join("web.yml"), web).unwrap();
            command.arg("--web.config.file=web.yml");
        }
        let child = command
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let child = Killed(child);
        let api = || fs::read_to_string(path.join("data/api")).unwrap_or_default();
        wait_for("the relay", async || !api().is_empty()).await;
        let api: serde_json::Value = serde_json::from_str(&api()).unwrap();
        let text = |key: &str| api[key].as_str().unwrap().to_owned();
        let running = Self {
            child,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            url: text("url"),
            token: text("token"),
            bearer,
            directory,
        };
        let ready = async || running.get("/-/ready").await.0 == StatusCode::OK;
        wait_for("the relay to be ready", ready).await;
        running
    }

    pub(super) async fn get(&self, path: &str) -> (StatusCode, String) {
        let mut request = self.client.get(format!("{}{path}", self.url));
        if let Some(bearer) = self.bearer {
            request = request.bearer_auth(bearer);
        }
        Self::answer(request).await
    }

    /// The same as somebody else.
    pub(super) async fn get_as(&self, authorization: &str) -> (StatusCode, String) {
        let request = self.client.get(format!("{}/metrics", self.url));
        Self::answer(request.header("authorization", authorization)).await
    }

    async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, String) {
        let mut response = request.send().await.unwrap();
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            text.extend_from_slice(&chunk);
        }
        (
            response.status(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    async fn write(&self) {
        let request = WriteRequest {
            timeseries: vec![series("a", &[], 1, 1.0)],
            ..WriteRequest::default()
        };
        let mut encoder = snap::raw::Encoder::new();
        let body = encoder.compress_vec(&request.encode_to_vec()).unwrap();
        let request = self.client.post(format!("{}/api/v1/write", self.url));
        let written = request.body(body).send().await.unwrap();
        assert_eq!(written.status(), StatusCode::NO_CONTENT);
    }

    pub(super) fn assert_log_is_clean(&self) {
        let log = self.log();
        assert!(!log.contains(&self.token), "the log tells the token");
        assert_clean("the log", &log);
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// The soft limit on core dumps, and the hard one.
    fn core_limits(&self) -> [String; 2] {
        let limits = fs::read_to_string(format!("/proc/{}/limits", self.child.0.id())).unwrap();
        let mut lines = limits.lines();
        let core = lines.find_map(|line| line.strip_prefix("Max core file size"));
        let mut words = core.unwrap().split_whitespace().map(str::to_owned);
        [words.next().unwrap(), words.next().unwrap()]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_printed_or_served_while_all_goes_wrong() {
    let server = echo();
    let relay = Running::start(&configuration(&server)).await;
    relay.write().await;
    // Every route has failed, each in its way.
    wait_for("failures", async || {
        let log = relay.log();
        let routes = (0..CLIENTS.len()).map(|at| format!("route=r{at} "));
        let others = ["job=j", "mechanism=http", "mechanism=kubernetes"];
        let mut words = routes.chain(others.map(str::to_owned));
        words.all(|word| log.contains(&word))
    })
    .await;
    for path in [
        "/metrics",
        "/api/v1/status/config",
        "/api/v1/status/routes",
        "/api/v1/status/buildinfo",
        "/api/v1/queues",
        "/api/v1/targets",
    ] {
        let (status, body) = relay.get(path).await;
        assert!(status.is_success() && body.len() > 10, "{path}: {body}");
        assert_clean(path, &body);
        assert!(!body.contains(&relay.token), "{path} tells the token");
    }
    let (_, config) = relay.get("/api/v1/status/config").await;
    let hidden = config.matches("<secret>").count();
    assert!(hidden >= CLIENTS.len(), "{config}");
    let [soft, hard] = relay.core_limits();
    assert!(soft == "1" || hard == "0", "core dumps of {soft} bytes");
    let queue = |arguments: &[&str]| {
        let all = [&["queue", "--storage.path=data"], arguments].concat();
        assert_clean("promrelay queue", &output(relay.directory.path(), &all));
    };
    queue(&["list"]);
    for at in 0..CLIENTS.len() {
        queue(&["show", &format!("r{at}"), "--parked"]);
    }
    relay.assert_log_is_clean();
}

/// Files with one mistake each, at or near a canary.
const MISTAKES: &[&str] = &[
    "{basic_auth: s3cr3t}",
    "{basic_auth: {password: [s3cr3t]}}",
    "{basic_auth: {password: {s3cr3t: 1}}}",
    "{basic_auth: {password: s3cr3t, password_file: x}}",
    "{basic_auth: {password: !s3cr3t x}}",
    "{basic_auth: {password: *s3cr3t}}",
    "{basic_auth: {password: \"s3cr3t}}",
    "{basic_auth: {password: '%s3cr3t}}",
    "{basic_auth: {password: @s3cr3t}}",
    "{basic_auth: {password: `s3cr3t}}",
    "{basic_auth: {password: \"\\qs3cr3t\"}}",
    "{basic_auth: {password: s3cr3t: x}}",
    "{authorization: {type: Basic, credentials: s3cr3t}}",
    "{authorization: s3cr3t}",
    "{authorization: [s3cr3t]}",
    "{bearer_token: [s3cr3t]}",
    "{bearer_token: s3cr3t, bearer_token_file: x}",
    "{bearer_token: s3cr3t, authorization: {credentials: s3cr3t}}",
    "{oauth2: {client_secret: s3cr3t}}",
    "{oauth2: {client_id: i, client_secret: [s3cr3t], token_url: 'http://t/'}}",
    "{oauth2: {client_id: i, client_secret: s3cr3t, token_url: 's3cr3t:x'}}",
    "{oauth2: {client_id: i, token_url: 'http://u:s3cr3t@'}}",
    "{oauth2: {client_id: i, token_url: 'http://t/', endpoint_params: {a: [s3cr3t]}}}",
    "{tls_config: {key: s3cr3t}}",
    "{tls_config: {key: s3cr3t, cert: c}}",
    "{tls_config: {key: [s3cr3t]}}",
    "{proxy_url: 'http://u:s3cr3t@'}",
    "{proxy_url: 'u:s3cr3t@h'}",
    "{proxy_url: 's3cr3t:u@h'}",
    "{proxy_url: 'http://u:s3cr3t@h:port'}",
    "{proxy_connect_header: {X: [s3cr3t]}}",
    "{proxy_connect_header: {X: s3cr3t}}",
    "{http_headers: {X: {secrets: s3cr3t}}}",
    "{http_headers: {X: s3cr3t}}",
    "{http_headers: {X: {secrets: [\"s3cr3t\\n\"]}}}",
    "{http_headers: {Authorization: {secrets: [s3cr3t]}}}",
    "{basic_auth: {password: $(PROMRELAY_CANARY)$(UNSET_CANARY)}}",
    "{basic_auth: $(PROMRELAY_CANARY)}",
    "{sigv4: {secret_key: s3cr3t}}",
    "{azuread: {oauth: {client_secret: s3cr3t}}}",
];
/// Those that only routes have.
const MISTAKES_OF_ROUTES: &[&str] = &[
    "{headers: {X-Token: [s3cr3t]}}",
    "{headers: {X-Token: \"s3cr3t\\n\"}}",
    "{headers: s3cr3t}",
    "{headers: {Authorization: s3cr3t}}",
];

#[test]
fn no_mistake_is_told_with_the_secret_that_it_is_in() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("promrelay.yml");
    let of_route = |keys: &str| {
        let keys = keys.strip_prefix('{').unwrap();
        format!("remote_write: [{{name: a, url: 'http://u:s3cr3t@a/b', {keys}]\n")
    };
    let of_job = |keys: &str| {
        let keys = keys.strip_prefix('{').unwrap();
        format!("remote_write: [{{url: 'http://a/b'}}]\nscrape_configs: [{{job_name: j, {keys}]\n")
    };
    let files = MISTAKES
        .iter()
        .flat_map(|keys| [of_route(keys), of_job(keys)])
        .chain(MISTAKES_OF_ROUTES.iter().map(|keys| of_route(keys)));
    for text in files {
        fs::write(&file, &text).unwrap();
        let words = output(directory.path(), &["check", "promrelay.yml"]);
        assert_clean(&format!("check of {text}"), &words);
        assert!(words.len() > 20, "{text}{words}");
        // What `check` lets pass cannot be set up, or nothing is wrong with it.
        if words.contains(": ok, ") {
            assert!(text.contains("cert: c"), "nothing is wrong with {text}");
            let words = output(directory.path(), RUN);
            assert!(words.contains("TLS"), "{words}");
            assert_clean(&format!("run with {text}"), &words);
        }
    }
}
