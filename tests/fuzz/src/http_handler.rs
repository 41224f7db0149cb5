//! The relay's listener: whatever arrives, it answers what is a request, and goes on.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use promrelay::admin::Lifecycle;
use promrelay::app::{App, Options, WebOptions};
use promrelay::telemetry::Registry;

/// A relay with rules of most kinds, and a receiver that is not there.
const CONFIG: &str = "
global: {external_labels: {cluster: blue}}
queue: {max_bytes: 8MiB, on_full: drop_oldest, durability: async, parked_max_bytes: 1MiB}
receive: {max_body_size: 1MiB, max_decoded_size: 4MiB, request_timeout: 1s}
remote_write:
  - {name: all, url: 'http://127.0.0.1:9/all'}
  - name: some
    url: http://127.0.0.1:9/some
    write_relabel_configs:
      - {action: keep, source_labels: [job, __name__], regex: 'node;(a|b.*)'}
      - {action: labeldrop, regex: x.*}
      - {target_label: y, source_labels: [a, b], regex: '(.*);(.+)', replacement: $2-$1}
";
/// Longer ones only take longer.
const MAX_BYTES: usize = 64 << 10;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// After a zero the bytes are a write request, which is compressed and posted; else they are what
/// a client writes to a connection.
pub fn run(bytes: &[u8]) {
    if bytes.len() > MAX_BYTES {
        return;
    }
    match bytes.split_first() {
        Some((0, request)) => {
            let body = snap::raw::Encoder::new()
                .compress_vec(request)
                .expect("it is small");
            let head = format!(
                "POST /api/v1/write HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\
                 content-encoding: snappy\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let answer = exchange(&[head.as_bytes(), &body].concat(), Then::Listen);
            let status = answer.get(..12).unwrap_or_default();
            let allowed: [&[u8]; 4] = [
                b"HTTP/1.1 204",
                b"HTTP/1.1 400",
                b"HTTP/1.1 413",
                b"HTTP/1.1 503",
            ];
            assert!(
                allowed.contains(&status),
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
        _ => drop(exchange(bytes, Then::End)),
    }
    let healthy = exchange(
        b"GET /-/healthy HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n",
        Then::Listen,
    );
    assert!(
        healthy.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&healthy)
    );
}

/// What a client does when it has written everything.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Listen,
    /// It says that nothing follows, which can end the work on a request.
    End,
}

/// What the relay answers to `bytes` until it closes the connection.
fn exchange(bytes: &[u8], then: Then) -> Vec<u8> {
    let mut stream = TcpStream::connect(relay()).expect("the relay listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // It may have answered and closed before it was told everything.
    let written = stream.write_all(bytes);
    if then == Then::End && written.is_ok() {
        drop(stream.shutdown(Shutdown::Write));
    }
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("no end within {PATIENCE:?}")
        }
        Ok(_) | Err(_) => answer,
    }
}

/// The relay of this process, which is started once and never stopped.
fn relay() -> SocketAddr {
    static RELAY: OnceLock<SocketAddr> = OnceLock::new();
    *RELAY.get_or_init(|| {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let directory = tempfile::tempdir().expect("a directory");
                let config_file = directory.path().join("promrelay.yml");
                std::fs::write(&config_file, CONFIG).expect("the file is written");
                let options = Options {
                    config_file,
                    listen_address: (Ipv4Addr::LOCALHOST, 0).into(),
                    storage_path: directory.path().join("data"),
                    web: WebOptions {
                        lifecycle: Lifecycle::Enabled,
                        ..WebOptions::default()
                    },
                };
                let app = App::start(options, Registry::new())
                    .await
                    .expect("the relay starts");
                sender.send(app.address()).expect("somebody waits for it");
                std::future::pending::<()>().await;
            });
        });
        receiver.recv().expect("the relay's address")
    })
}
