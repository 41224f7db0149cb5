//! Connections that take room and bring nothing.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};
use tokio_util::task::TaskTracker;

use super::{Arena, descriptors};
use crate::neighbour::write_request;
use crate::process::eventually;

const CLOSED: &str = "promrelay_http_closed_connections_total";

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections() {
    let descriptors = usize::try_from(descriptors(12_000)).expect("a number of descriptors");
    let arena = Arena::start("", &[]).await;
    let wanted = 10_000.min(descriptors - 1000);
    assert!(
        wanted > 4096,
        "too few descriptors for this test: {descriptors}"
    );
    let mut open = Vec::new();
    for number in 0..wanted {
        let host = u8::try_from(number % 25).expect("a small number") + 1;
        open.extend(arena.connect(host).await);
    }
    let connections = arena.metric("promrelay_http_connections{", "writes").await;
    assert!(connections <= 4200.0, "{connections} are open");
    let pushed_out = arena.metric(CLOSED, "pushed_out").await;
    let timed_out = arena.metric(CLOSED, "header_timeout").await;
    let closed = pushed_out + timed_out;
    assert!(
        closed >= (wanted - 4200) as f64,
        "{pushed_out} and {timed_out}"
    );
    // They do not stay for longer than headers may take.
    eventually("they are closed", Duration::from_secs(30), async || {
        let left = arena.metric("promrelay_http_connections{", "writes").await;
        (left < 100.0).then_some(())
    })
    .await;
    assert!(arena.metric(CLOSED, "header_timeout").await > 3000.0);
    drop(open);
    // One address alone does not get further than its share: the oldest that say nothing give way
    // to those that ask, and of those that ask no more get in.
    let before = arena.metric(CLOSED, "pushed_out").await;
    let mut of_one = Vec::new();
    for _ in 0..600 {
        of_one.extend(arena.connect(200).await);
    }
    for _ in 0..600 {
        of_one.extend(served(arena.connect(200).await.expect("it is accepted")).await);
    }
    assert!(arena.metric(CLOSED, "pushed_out").await >= before + 600.0);
    assert!(arena.metric(CLOSED, "\"peer_connections\"").await >= 88.0);
    drop(of_one);
    arena.end("10,000 idle connections").await;
}

/// The connection, if something that is asked on it is answered.
async fn served(mut stream: TcpStream) -> Option<TcpStream> {
    let asked = stream.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n");
    asked.await.ok()?;
    let mut answer = [0; 1024];
    let read = timeout(Duration::from_secs(20), stream.read(&mut answer)).await;
    let read = read.expect("an answer or the end").ok()?;
    let answer = answer.get(..read)?;
    answer.starts_with(b"HTTP/1.1 200").then_some(stream)
}

/// Keeps writing this byte until the connection is closed or the time is over.
async fn drip(stream: &mut TcpStream, bytes: &[u8], until: Instant) {
    let mut pace = interval(Duration::from_millis(200));
    for byte in bytes.iter().cycle() {
        pace.tick().await;
        if Instant::now() > until || stream.write_all(&[*byte]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_come_byte_by_byte() {
    let arena = Arena::start("", &["--web.read-header-timeout=2s"]).await;
    let until = Instant::now() + Duration::from_secs(5);
    let mut attackers = Vec::new();
    for number in 0..500_u16 {
        let host = u8::try_from(number % 5).expect("a small number") + 1;
        let mut stream = arena.connect(host).await.expect("there is room");
        attackers.push(TaskTracker::new().spawn(async move {
            let head = b"POST /api/v1/write HTTP/1.1\r\nhost: x\r\nx-long: ";
            stream.write_all(head).await?;
            drip(&mut stream, b"a", until).await;
            Ok::<_, std::io::Error>(())
        }));
    }
    for attacker in attackers {
        drop(attacker.await.expect("an attacker does not panic"));
    }
    assert!(arena.metric(CLOSED, "header_timeout").await >= 500.0);
    arena.end("slow headers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_come_byte_by_byte() {
    let arena = Arena::start("receive: {request_timeout: 3s}\n", &[]).await;
    let until = Instant::now() + Duration::from_secs(6);
    let mut attackers = Vec::new();
    // More than there are turns, from few addresses.
    for number in 0..900_u16 {
        let host = u8::try_from(number % 3).expect("a small number") + 1;
        let mut stream = arena.connect(host).await.expect("there is room");
        attackers.push(TaskTracker::new().spawn(async move {
            let head = b"POST /api/v1/write HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n";
            stream.write_all(head).await?;
            drip(&mut stream, b"a", until).await;
            Ok::<_, std::io::Error>(())
        }));
    }
    for attacker in attackers {
        drop(attacker.await.expect("an attacker does not panic"));
    }
    let given_up = arena.metric(CLOSED, "slow_body").await;
    let timed_out = arena
        .metric("promrelay_receive_requests_total", "body_timeout")
        .await;
    assert!(given_up + timed_out >= 100.0, "{given_up} and {timed_out}");
    arena.end("slow bodies").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_cut_off() {
    let arena = Arena::start("", &[]).await;
    let body = write_request(1);
    let mut head = format!(
        "POST /api/v1/write HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    head.extend_from_slice(&body[..body.len() - 1]);
    for number in 0..1000_u16 {
        let host = u8::try_from(number % 5).expect("a small number") + 1;
        let mut stream = arena.connect(host).await.expect("there is room");
        stream.write_all(&head).await.expect("it is taken");
        if number % 2 == 0 {
            stream.set_zero_linger().expect("a reset");
        }
    }
    eventually(
        "each is counted or gone",
        Duration::from_secs(20),
        async || {
            let left = arena.metric("promrelay_http_connections{", "writes").await;
            (left < 50.0).then_some(())
        },
    )
    .await;
    arena.end("bodies cut off").await;
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a small frame")
        .to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Reads until the connection is closed.
async fn is_closed(mut stream: TcpStream) -> bool {
    let mut buffer = vec![0; 64 * 1024];
    let closing = async { while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {} };
    timeout(Duration::from_secs(20), closing).await.is_ok()
}

/// [CVE-2023-44487](https://nvd.nist.gov/vuln/detail/CVE-2023-44487), and headers without end.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_reset_at_once_and_headers_without_end() {
    let arena = Arena::start("", &[]).await;
    let mut preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    preface.extend(frame(4, 0, 0, &[]));
    // POST, http, /, and the authority x.
    let headers = [0x83, 0x86, 0x84, 0x41, 0x01, b'x'];
    for host in 1..=5 {
        let mut resets = preface.clone();
        for stream in (1..20_000).step_by(2) {
            resets.extend(frame(1, 4, stream, &headers));
            resets.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
        }
        let mut stream = arena.connect(host).await.expect("there is room");
        drop(stream.write_all(&resets).await);
        assert!(is_closed(stream).await, "resets");
        let mut endless = preface.clone();
        endless.extend(frame(1, 0, 1, &headers));
        for _ in 0..10_000 {
            // A header `y` of 200 bytes that is not put into the table.
            let mut more = vec![0x00, 0x01, b'y', 0x7f, 0x49];
            more.resize(5 + 200, b'z');
            endless.extend(frame(9, 0, 1, &more));
        }
        let mut stream = arena.connect(host).await.expect("there is room");
        drop(stream.write_all(&endless).await);
        assert!(is_closed(stream).await, "continuations");
    }
    assert!(arena.metric(CLOSED, "malformed").await >= 5.0);
    arena.end("rapid resets").await;
}
