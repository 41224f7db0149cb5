//! Requests in forms that two parties could read in two ways, and paths that lead out.

use std::fs;

use futures_util::future::join_all;

use super::Arena;
use crate::neighbour::write_request;
use crate::peers::Peer;

/// A request with these lines after the first, and this body.
fn request(lines: &str, body: &str) -> Vec<u8> {
    format!("POST /api/v1/write HTTP/1.1\r\nhost: x\r\n{lines}\r\n{body}").into_bytes()
}

/// What another party could take for a request of its own.
const SMUGGLED: &str = "GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n";

/// A request, and what is odd about it.
type Odd = (&'static str, Vec<u8>);

/// The body of a request to the other party, behind an empty one in chunks.
fn chunked() -> String {
    format!("0\r\n\r\n{SMUGGLED}")
}

fn with_odd_headers() -> Vec<Odd> {
    let chunked = chunked();
    vec![
        (
            "two lengths",
            request("content-length: 4\r\ncontent-length: 5\r\n", "abcde"),
        ),
        (
            "a list of lengths",
            request("content-length: 4, 5\r\n", "abcde"),
        ),
        ("a signed length", request("content-length: +4\r\n", "abcd")),
        (
            "a length in hexadecimal",
            request("content-length: 0x4\r\n", "abcd"),
        ),
        (
            "a folded header",
            request("content-length:\r\n 4\r\n", "abcd"),
        ),
        (
            "a folded name",
            request("x: y\r\n transfer-encoding: chunked\r\n", &chunked),
        ),
        (
            "a space before the colon",
            request("transfer-encoding : chunked\r\n", &chunked),
        ),
        (
            "another encoding",
            request("transfer-encoding: xchunked\r\n", &chunked),
        ),
        (
            "an encoding after chunked",
            request("transfer-encoding: chunked, gzip\r\n", &chunked),
        ),
    ]
}

fn with_odd_chunks() -> Vec<Odd> {
    let chunked = chunked();
    let length = chunked.len();
    vec![
        (
            "a length and chunks",
            request(
                &format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
                &chunked,
            ),
        ),
        (
            "chunks and a length",
            request(
                &format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
                &chunked,
            ),
        ),
        (
            "a chunk with a bare line feed",
            request(
                "transfer-encoding: chunked\r\n",
                &format!("0\n\n{SMUGGLED}"),
            ),
        ),
        (
            "a chunk size that overflows",
            request(
                "transfer-encoding: chunked\r\n",
                &format!("10000000000000000\r\n{SMUGGLED}"),
            ),
        ),
        (
            "a carriage return alone",
            request("content-length: 0\rx: y\r\n", SMUGGLED),
        ),
        (
            "a byte that is none of a header",
            request("x\0y: z\r\n", SMUGGLED),
        ),
        ("HTTP/1.0 with chunks", {
            let text = String::from_utf8(request("transfer-encoding: chunked\r\n", &chunked));
            text.expect("a text")
                .replace("HTTP/1.1", "HTTP/1.0")
                .into_bytes()
        }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_can_be_read_in_two_ways() {
    let arena = Arena::start("", &[]).await;
    let cases = [with_odd_headers(), with_odd_chunks()].concat();
    let answers = cases.iter().map(|(_, bytes)| arena.say(bytes));
    let answers = join_all(answers).await;
    for ((name, _), said) in cases.iter().zip(answers) {
        // Whatever the first is answered: what stands in its body is never answered.
        assert!(said.matches("HTTP/1.").count() <= 1, "{name}: {said}");
        assert!(!said.contains("healthy"), "{name}: {said}");
        assert!(!said.starts_with("HTTP/1.1 2"), "{name} was taken: {said}");
    }
    // Requests that can be read in one way only, one after the other, are both answered.
    let twice = [SMUGGLED, SMUGGLED].concat();
    assert_eq!(
        arena
            .say(twice.as_bytes())
            .await
            .matches("is healthy")
            .count(),
        2
    );
    arena.end("ambiguous requests").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_names_that_lead_out() {
    let arena = Arena::start("", &[]).await;
    let paths = [
        "/../../../etc/passwd",
        "/api/v1/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/queues/../../etc/passwd",
        "//etc/passwd",
        "/\\..\\etc\\passwd",
        "http://other/../etc/passwd",
    ];
    for path in paths {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let said = arena.say(request.as_bytes()).await;
        let fine = ["HTTP/1.1 404", "HTTP/1.1 400"]
            .iter()
            .any(|line| said.starts_with(line));
        assert!(fine && !said.contains("root:"), "{path}: {said}");
    }
    let directory = arena.relay.directory();
    let outside = directory.join("outside");
    fs::create_dir(&outside).expect("a directory");
    fs::write(outside.join("file"), "still here").expect("a file");
    let api = fs::read_to_string(directory.join("data/api")).expect("the relay's file");
    let token = api
        .split('"')
        .find(|part| part.len() == 32)
        .expect("a token");
    let names = [
        "../outside",
        "..",
        ".",
        "/etc",
        "a/../../outside",
        "a\\u0000",
        "%2e%2e",
    ];
    for name in names {
        for command in [
            format!("\"purge\",\"route\":\"{name}\",\"parked\":true,\"filter\":{{}}"),
            format!("\"purge\",\"route\":\"{name}\",\"parked\":false,\"filter\":{{}}"),
            format!("\"move\",\"from\":\"{name}\",\"to\":\"a\""),
            format!("\"move\",\"from\":\"a\",\"to\":\"{name}\""),
        ] {
            let command = format!("{{\"command\":{command}}}");
            let post = format!(
                "POST /api/v1/queues HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/json\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{command}",
                command.len()
            );
            let said = arena.say(post.as_bytes()).await;
            assert!(said.starts_with("HTTP/1.1 4"), "{command}: {said}");
            assert!(!said.contains("HTTP/1.1 401"), "the token is right: {said}");
        }
    }
    let left = fs::read_to_string(outside.join("file")).expect("it is still there");
    assert_eq!(left, "still here");
    let inside = fs::read_dir(directory.join("data")).expect("the queues");
    let inside: Vec<_> = inside
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert!(
        inside.len() < 8,
        "nothing was made of these names: {inside:?}"
    );
    arena.end("paths that lead out").await;
}

/// A route's name is a directory's name only once it was escaped.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_whose_name_leads_out_stays_within_the_storage() {
    let config = "remote_write: [{name: '../../out', url: 'http://127.0.0.1:1/a'}]";
    let relay = Peer::promrelay_with(config, &[], &[]).await;
    let body = write_request(1);
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let request = client.post(relay.url("/api/v1/write")).body(body);
    let answer = request.header("content-encoding", "snappy").send().await;
    assert_eq!(answer.expect("an answer").status(), 204);
    let directory = relay.directory();
    assert!(!directory.join("../out").exists() && !directory.join("../../out").exists());
    let entries = fs::read_dir(directory.join("data")).expect("the storage");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names: Vec<_> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    assert!(names.iter().any(|name| name.contains("%2")), "{names:?}");
}
