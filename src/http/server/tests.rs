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
use crate::http::{Settings, Web};
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
        Self::open(limits, None)
    }

    /// The same for those only who show `token`.
    fn open(limits: Limits, token: Option<&str>) -> Self {
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
            web: token.map(|token| {
                let token = token.to_owned().into();
                Web::new(Settings::for_token(&token), None)
            }),
            ..Options::default()
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::open(address, service, options).unwrap();
        Self { server, registry }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.address()).await.unwrap()
    }

    fn closed(&self, reason: &str) -> bool {
        self.closed_times(reason) == 1
    }

    fn closed_times(&self, reason: &str) -> usize {
        let name = "promrelay_http_closed_connections_total";
        let start = format!("{name}{{listener=\"writes\",reason=\"{reason}\"}} ");
        let metrics = self.registry.render();
        let count = metrics.lines().find_map(|line| line.strip_prefix(&start));
        count
            .and_then(|count| count.parse().ok())
            .unwrap_or_default()
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
    for _ in 0..2 {
        for stream in &mut good {
            stream.write_all(GET).await.unwrap();
            assert!(answer(stream).await.starts_with("HTTP/1.1 200"));
        }
        let mut third = setup.connect().await;
        assert_eq!(rest(&mut third).await, "");
    }
    let refused = setup.closed_times("peer_connections");
    assert_eq!(refused, 2);
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
async fn connections_that_say_nothing_do_not_keep_their_own_address_out() {
    let setup = Setup::start(Limits {
        connections_per_peer: 2,
        ..Limits::default()
    });
    let mut silent = [setup.connect().await, setup.connect().await];
    let mut late = setup.connect().await;
    late.write_all(GET).await.unwrap();
    assert!(answer(&mut late).await.starts_with("HTTP/1.1 200"));
    assert_eq!(rest(&mut silent[0]).await, "", "the oldest one gave way");
    setup.counts("pushed_out").await;
    silent[1].write_all(GET).await.unwrap();
    assert!(answer(&mut silent[1]).await.starts_with("HTTP/1.1 200"));
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

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

/// The next frame that comes: its kind and what is in it.
async fn next_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.unwrap();
    (head[3], payload)
}

#[tokio::test]
async fn a_stranger_is_refused_over_http2_before_the_body_has_come() {
    let setup = Setup::open(Limits::default(), Some("t"));
    let mut stream = setup.connect().await;
    // POST, http, /, and the authority x; a body is to follow.
    let headers = frame(1, 4, 1, &[0x83, 0x86, 0x84, 0x41, 0x01, b'x']);
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let start = Instant::now();
    let all = [&hello[..], &frame(4, 0, 0, &[]), &headers].concat();
    stream.write_all(&all).await.unwrap();
    let mut settings = Vec::new();
    let answer = async {
        loop {
            match next_frame(&mut stream).await {
                (4, payload) => settings.extend(payload),
                (1, payload) => return payload,
                _ => {}
            }
        }
    };
    let answer = timeout(PATIENCE, answer).await.expect("an answer");
    // The bodies of HTTP/1 are waited for, for two seconds.
    assert!(
        start.elapsed() < Duration::from_millis(1900),
        "{:?}",
        start.elapsed()
    );
    // A status that is not in the table of HPACK, plain or in Huffman's code.
    assert!(answer.starts_with(&[0x48]), "{answer:?}");
    let told = |key: u16| {
        let mut pairs = settings.chunks(6);
        let pair = pairs.find(|pair| pair.starts_with(&key.to_be_bytes()))?;
        Some(u32::from_be_bytes(pair[2..].try_into().unwrap()))
    };
    assert_eq!(told(3), Some(32), "streams");
    assert_eq!(told(4), Some(256 * 1024), "the window of a stream");
    assert_eq!(told(6), Some(16 * 1024), "headers");
    let refused = "promrelay_http_refused_requests_total{listener=\"writes\",\
                   reason=\"unauthorized\"} 1";
    assert!(setup.registry.render().contains(refused));
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
