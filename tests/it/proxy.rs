//! The proxy as a process: its memory under load, and that it stops when it is told to.

#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use promrelay::http::Server;
use tokio::time::timeout;

/// What the proxy may take, in KiB.
const LIMIT_KIB: u64 = 20 * 1024;
const PATIENCE: Duration = Duration::from_mins(2);

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// 4 MiB in pieces, far more than an exporter has.
async fn large() -> Response {
    let piece = Bytes::from(vec![b'#'; 64 << 10]);
    let pieces = stream::iter((0..64).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    Response::new(Body::from_stream(pieces))
}

/// A line `name: 123 kB` of the process' status.
fn kib(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_holds_in_its_memory_under_load() {
    let service = Router::new().fallback(large);
    let exporter = Server::start((Ipv4Addr::LOCALHOST, 0).into(), service).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_promrelay"))
        .args(["proxy", "--web.listen-address=127.0.0.1:0"])
        .env("PROXY_HOSTIP", "127.0.0.1")
        .env("PROXY_PORT", exporter.address().port().to_string())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut log = BufReader::new(child.0.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    let address = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("address="));
    let address = address
        .unwrap_or_else(|| panic!("no address in {line}"))
        .to_owned();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let scrape = async || {
        let sent = client.get(format!("http://{address}/metrics")).send().await;
        let Ok(mut response) = sent else {
            return 0;
        };
        let mut length = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            length += chunk.len();
        }
        length
    };
    let load = async {
        let mut complete = 0;
        for _ in 0..10 {
            let lengths = join_all((0..64).map(|_| scrape())).await;
            complete += lengths
                .into_iter()
                .filter(|length| *length == 4 << 20)
                .count();
        }
        complete
    };
    let complete = timeout(PATIENCE, load).await.unwrap();
    assert!(complete >= 100, "only {complete} scrapes went through");
    let (peak, now) = (kib(child.0.id(), "VmHWM"), kib(child.0.id(), "VmRSS"));
    let private = kib(child.0.id(), "RssAnon");
    println!("{complete} scrapes; peak {peak} KiB, now {now} KiB, of these its own {private} KiB");
    // A debug build's code is larger than all else: of it, only what is written to counts here.
    let taken = if cfg!(debug_assertions) {
        private
    } else {
        peak
    };
    assert!(
        taken > 0 && taken < LIMIT_KIB,
        "the proxy takes {taken} KiB"
    );
}
