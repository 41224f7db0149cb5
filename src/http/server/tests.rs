//! What a listener lets strangers do.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use futures_util::stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};

use super::{Limits, ListenerMetrics, Options, Server};
use crate::telemetry::Registry;

const PATIENCE: Duration = Duration::from_secs(20);
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// A server with small limits, and what it counts.
struct Setup {
    server: Server,
    registry: Registry,
}

impl Setup {
    fn start(limits: Limits) -> Self {
        let registry = Registry::new();
        let endless = || async {
            let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
            Body::from_stream(stream::repeat_with(move || Ok::<_, String>(chunk.clone())))
        };
        let service = Router::new()
            .route("/", get(async || "here"))
            .route(
                "/read",
                post(async |body: Bytes| format!("{} bytes", body.len())),
            )
            .route("/endless", get(endless));
        let options = Options {
            limits,
            metrics: ListenerMetrics::new(&registry, "writes"),
            web: None,
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::open(address, service, options).unwrap();
        Self { server, registry }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.address()).await.unwrap()
    }

    fn closed(&self, reason: &str) -> bool {
        let line = format!(
            "promrelay_http_closed_connections_total{{listener=\"writes\",reason=\"{reason}\"}} 1"
        );
        self.registry.render().lines().any(|known| known == line)
    }

    /// Waits until it is counted.
    async fn counts(&self, reason: &str) {
        let mut poll = interval(Duration::from_millis(5));
        let counted = async {
            while !self.closed(reason) {
                poll.tick().await;
            }
        };
        let counted = timeout(PATIENCE, counted).await;
        assert!(counted.is_ok(), "{reason}:\n{}", self.registry.render());
    }
}

fn limits() -> Limits {
    Limits {
        header_time: Duration::from_millis(150),
        body_time: Duration::from_millis(150),
        write_time: Duration::from_millis(100),
        ..Limits::default()
    }
}

/// What comes until the connection is closed.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset ends it, too.
    drop(
        timeout(PATIENCE, stream.read_to_end(&mut bytes))
            .await
            .expect("it is closed"),
    );
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What comes first.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let read = timeout(PATIENCE, stream.read(&mut bytes)).await;
    let read = read.expect("an answer in time").unwrap_or_default();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let setup = Setup::start(limits());
    let mut stream = setup.connect().await;
    assert_eq!(rest(&mut stream).await, "");
    setup.counts("header_timeout").await;
}

#[tokio::test]
async fn headers_that_come_byte_by_byte_do_not_keep_a_connection() {
    let setup = Setup::start(limits());
    let mut stream = setup.connect().await;
    let start = Instant::now();
    let mut drip = interval(Duration::from_millis(20));
    for byte in [GET, GET, GET]
        .concat()
        .iter()
        .filter(|byte| **byte != b'\r')
    {
        drip.tick().await;
        let byte = if *byte == b'\n' { b'a' } else { *byte };
        if stream.write_all(&[byte]).await.is_err() || setup.closed("header_timeout") {
            break;
        }
    }
    setup.counts("header_timeout").await;
    assert!(start.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_connection_may_idle_for_longer_than_headers_take() {
    let setup = Setup::start(Limits {
        idle_time: Duration::from_millis(600),
        ..limits()
    });
    let mut stream = setup.connect().await;
    stream.write_all(GET).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    let start = Instant::now();
    assert_eq!(rest(&mut stream).await, "");
    assert!(
        start.elapsed() >= Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
    setup.counts("idle").await;
}

#[tokio::test]
async fn a_body_that_does_not_come_does_not_keep_a_connection() {
    let setup = Setup::start(limits());
    let mut stream = setup.connect().await;
    let head = b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc";
    stream.write_all(head).await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
    setup.counts("body_timeout").await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_gives_its_turn_back() {
    let setup = Setup::start(Limits {
        requests: 1,
        ..limits()
    });
    let mut stream = setup.connect().await;
    stream
        .write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    let mut other = setup.connect().await;
    other.write_all(GET).await.unwrap();
    assert!(answer(&mut other).await.starts_with("HTTP/1.1 200"));
    setup.counts("write_timeout").await;
}

#[tokio::test]
async fn health_waits_for_no_turn() {
    let setup = Setup::start(Limits {
        requests: 1,
        ..Limits::default()
    });
    let mut stream = setup.connect().await;
    let endless = b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(endless).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    let mut probe = setup.connect().await;
    let healthy = b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n";
    probe.write_all(healthy).await.unwrap();
    // This service does not know the path, but it is asked.
    assert!(answer(&mut probe).await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn one_connection_too_many_is_closed() {
    let setup = Setup::start(Limits {
        connections_per_peer: 2,
        ..Limits::default()
    });
    let mut good = [setup.connect().await, setup.connect().await];
    let mut third = setup.connect().await;
    assert_eq!(rest(&mut third).await, "");
    setup.counts("peer_connections").await;
    for stream in &mut good {
        stream.write_all(GET).await.unwrap();
        assert!(answer(stream).await.starts_with("HTTP/1.1 200"));
    }
    drop(good);
    let mut poll = interval(Duration::from_millis(5));
    let served = async {
        loop {
            poll.tick().await;
            let mut stream = setup.connect().await;
            if stream.write_all(GET).await.is_ok() && answer(&mut stream).await.contains("200") {
                return;
            }
        }
    };
    timeout(PATIENCE, served)
        .await
        .expect("there is room again");
}

#[tokio::test]
async fn headers_have_a_bound() {
    let setup = Setup::start(Limits {
        header_bytes: 16 * 1024,
        ..Limits::default()
    });
    let mut stream = setup.connect().await;
    let long = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "y".repeat(32 * 1024)
    );
    drop(stream.write_all(long.as_bytes()).await);
    let said = rest(&mut stream).await;
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 431"),
        "{said}"
    );
    setup.counts("malformed").await;
}

#[tokio::test]
async fn a_chunked_request_is_the_last_of_its_connection() {
    let setup = Setup::start(Limits::default());
    let mut stream = setup.connect().await;
    let request = "POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\
                   transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(GET).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.contains("1 bytes"), "{said}");
    assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");
}

#[tokio::test]
async fn stopping_ends_what_idles_and_finishes_what_is_in_hand() {
    let setup = Setup::start(Limits::default());
    let mut idle = setup.connect().await;
    idle.write_all(GET).await.unwrap();
    assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"));
    let mut busy = setup.connect().await;
    let head = b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nab";
    busy.write_all(head).await.unwrap();
    let finish = async {
        assert_eq!(rest(&mut idle).await, "");
        busy.write_all(b"c").await.unwrap();
        rest(&mut busy).await
    };
    let stop = setup.server.stop(PATIENCE);
    let ((), said) = tokio::join!(stop, finish);
    assert!(said.contains("3 bytes"), "{said}");
}

#[tokio::test]
async fn stopping_does_not_wait_for_longer_than_it_may() {
    let setup = Setup::start(Limits::default());
    let mut busy = setup.connect().await;
    busy.write_all(b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nab")
        .await
        .unwrap();
    let stop = setup.server.stop(Duration::from_millis(50));
    timeout(PATIENCE, stop).await.expect("it stops");
    assert_eq!(rest(&mut busy).await, "");
}
