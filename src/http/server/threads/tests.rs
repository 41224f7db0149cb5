//! Which threads serve, seen by clients.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use metrics::Gauge;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};

use super::super::{ListenerMetrics, Options, Server};
use super::{BUSY_LOOKS, CALM_LOOKS, Judge, STUCK, ServedBy, Serving, Shares, Threads};
use crate::http::read_response;
use crate::telemetry::Registry;

/// Long, for where all processors are busy no thread gets most of one.
const PATIENCE: Duration = Duration::from_mins(1);
const THE_THREAD: &str = "connections";

/// A server that says which thread serves, or keeps it busy for a while.
fn start(registry: &Registry) -> Server {
    let name = || std::thread::current().name().unwrap_or_default().to_owned();
    let busy = async || {
        let end = Instant::now() + Duration::from_millis(200);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    };
    let service = Router::new()
        .route("/", get(async move || name()))
        .route("/busy", get(busy));
    let options = Options {
        metrics: ListenerMetrics::new(registry, "writes"),
        serving: Serving::OneThreadIfEnough,
        ..Options::default()
    };
    Server::open((Ipv4Addr::LOCALHOST, 0).into(), service, options).unwrap()
}

fn threads(registry: &Registry) -> String {
    let start = "promrelay_http_threads{listener=\"writes\"} ";
    let metrics = registry.render();
    let value = metrics.lines().find_map(|line| line.strip_prefix(start));
    value.unwrap_or_default().to_owned()
}

/// A client that opens a connection when it has none.
struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Client {
    fn new(server: &Server) -> Self {
        Self {
            address: server.address(),
            stream: None,
        }
    }

    /// Answers what a path says, and whether the connection ends with that.
    async fn ask(&mut self, path: &str) -> (String, bool) {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.address).await.unwrap(),
        };
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = vec![0; 4096];
        let read = timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap();
        let answer = String::from_utf8_lossy(&bytes[..read.unwrap()]);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        let is_last = head.contains("connection: close");
        if is_last {
            let rest = timeout(PATIENCE, stream.read(&mut [0])).await.unwrap();
            assert_eq!(rest.unwrap(), 0, "it is closed");
        } else {
            self.stream = Some(stream);
        }
        (body.to_owned(), is_last)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_move_with_an_answer_that_says_so() {
    let registry = Registry::new();
    let server = start(&registry);
    let mut client = Client::new(&server);
    assert_eq!(client.ask("/").await, (THE_THREAD.into(), false));
    assert_eq!(client.ask("/").await, (THE_THREAD.into(), false));
    assert_eq!(threads(&registry), "1");

    server.shared.threads.set(ServedBy::Workers);
    assert_eq!(client.ask("/").await, (THE_THREAD.into(), true));
    let (by, is_last) = client.ask("/").await;
    assert!(by != THE_THREAD && !is_last, "{by}");
    assert_eq!(threads(&registry), "2");

    server.shared.threads.set(ServedBy::OneThread);
    let (by, is_last) = client.ask("/").await;
    assert!(by != THE_THREAD && is_last, "{by}");
    assert_eq!(client.ask("/").await, (THE_THREAD.into(), false));
    assert_eq!(threads(&registry), "1");
    server.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_http2_move_as_well() {
    let registry = Registry::new();
    let server = start(&registry);
    let client = reqwest::Client::builder().http2_prior_knowledge();
    let client = client.build().unwrap();
    let url = format!("http://{}/", server.address());
    let ask = async || {
        let response = client.get(&url).send().await.unwrap();
        read_response(response, 1024).await
    };
    assert_eq!(ask().await, THE_THREAD);
    server.shared.threads.set(ServedBy::Workers);
    let mut poll = interval(Duration::from_millis(5));
    let moved = async {
        while ask().await == THE_THREAD {
            poll.tick().await;
        }
    };
    timeout(PATIENCE, moved).await.unwrap();
    server.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_is_busy_is_not_enough() {
    let registry = Registry::new();
    let server = start(&registry);
    let mut client = Client::new(&server);
    assert_eq!(client.ask("/").await.0, THE_THREAD);
    let moved = async {
        while threads(&registry) == "1" {
            client.ask("/busy").await;
        }
    };
    timeout(PATIENCE, moved).await.unwrap();
    client.ask("/").await;
    assert_ne!(client.ask("/").await.0, THE_THREAD);
    server.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_dropped_ends_its_thread_and_what_it_serves() {
    let registry = Registry::new();
    let server = start(&registry);
    let mut client = Client::new(&server);
    assert_eq!(client.ask("/").await.0, THE_THREAD);
    let tasks = server.shared.tasks.clone();
    tasks.close();
    let handle = server.shared.threads.runtime(ServedBy::OneThread).clone();
    drop(server);
    timeout(PATIENCE, tasks.wait()).await.unwrap();
    // What comes to a runtime that has ended is cancelled.
    let mut poll = interval(Duration::from_millis(5));
    let ended = async {
        while handle.spawn(async {}).await.is_ok() {
            poll.tick().await;
        }
    };
    timeout(PATIENCE, ended).await.unwrap();
}

#[tokio::test]
async fn with_one_worker_there_is_no_other_thread() {
    let threads = Threads::new(Serving::OneThreadIfEnough, Gauge::noop());
    assert_eq!(threads.serving(), ServedBy::Workers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_is_stuck_when_it_is_not_heard_of_and_not_when_it_idles() {
    let registry = Registry::new();
    let server = start(&registry);
    let mut client = Client::new(&server);
    let (start, mut poll) = (Instant::now(), interval(Duration::from_millis(100)));
    while start.elapsed() < STUCK + Duration::from_millis(500) {
        poll.tick().await;
        assert_eq!(client.ask("/").await, (THE_THREAD.into(), false));
    }
    let (release, stuck) = std::sync::mpsc::channel::<()>();
    let runtime = server.shared.threads.runtime(ServedBy::OneThread).clone();
    runtime.spawn(async move { stuck.recv() });
    let moved = async {
        while server.shared.threads.serving() == ServedBy::OneThread {
            poll.tick().await;
        }
    };
    timeout(PATIENCE, moved).await.unwrap();
    assert_ne!(Client::new(&server).ask("/").await.0, THE_THREAD);
    drop(release);
    server.stop(PATIENCE).await;
}

fn shares(of_thread: f64, busy: f64, of_process: f64) -> Shares {
    Shares {
        of_thread,
        of_process,
        busy,
    }
}

#[test]
fn one_thread_is_not_enough_if_it_is_busy_for_a_second() {
    use ServedBy::{OneThread, Workers};

    for busy in [shares(0.8, 0.85, 0.9), shares(0.6, 0.99, 1.9)] {
        let mut judge = Judge::default();
        for _ in 0..3 {
            for _ in 1..BUSY_LOOKS {
                assert_eq!(judge.decide(OneThread, &busy), OneThread);
            }
            assert_eq!(judge.decide(OneThread, &shares(0.7, 0.9, 2.0)), OneThread);
        }
        for _ in 1..BUSY_LOOKS {
            assert_eq!(judge.decide(OneThread, &busy), OneThread);
        }
        assert_eq!(judge.decide(OneThread, &busy), Workers);
    }
}

#[test]
fn one_thread_is_enough_again_after_a_calm_minute() {
    use ServedBy::{OneThread, Workers};

    let mut judge = Judge::default();
    let mut minute = |usual, last| {
        for _ in 1..CALM_LOOKS {
            assert_eq!(judge.decide(Workers, &shares(0.0, 0.0, usual)), Workers);
        }
        judge.decide(Workers, &shares(0.0, 0.0, last))
    };
    assert_eq!(minute(0.6, 0.0), Workers);
    assert_eq!(minute(0.4, 2.0), OneThread, "a moment does not count");
    assert_eq!(minute(0.6, 0.0), Workers, "each minute is a new one");
}
