//! What the relay takes and what it refuses.

use std::time::Duration;

use http::StatusCode;
use promrelay::remote_write::generated::prometheus::{
    Label, MetricMetadata, TimeSeries, WriteRequest,
};
use promrelay::remote_write::snappy::{Compressor, join};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::harness::{Receiver, Relay, body, compress, series, wait_for};

async fn relay(receiver: &Receiver, more: &str) -> Relay {
    let address = receiver.address();
    Relay::start(&format!(
        "{more}remote_write:\n  - url: http://{address}/all\n    \
         queue_config: {{batch_send_deadline: 10ms}}\n    \
         metadata_config: {{send_interval: 50ms}}\n"
    ))
    .await
}

/// A request, and the answer to it: the status and a part of the words.
struct Case {
    body: Vec<u8>,
    content_type: &'static str,
    encoding: &'static str,
    status: u16,
    words: &'static str,
}

fn case(body: Vec<u8>, status: u16, words: &'static str) -> Case {
    Case {
        body,
        content_type: "application/x-protobuf",
        encoding: "snappy",
        status,
        words,
    }
}

fn typed(content_type: &'static str, status: u16, words: &'static str) -> Case {
    Case {
        content_type,
        ..case(body(vec![series("a", &[], 1, 1.0)]), status, words)
    }
}

fn cases() -> Vec<Case> {
    let mut twice = series("a", &[("x", "1")], 1, 1.0);
    twice.labels.push(Label {
        name: "x".into(),
        value: "2".into(),
    });
    let nameless = series("a", &[("", "x")], 1, 1.0);
    let many: Vec<_> = (0..300).map(|number| number.to_string()).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "x")).collect();
    // Field 15, 100 KiB.
    let mut unknown = vec![0x7a, 0x80, 0xa0, 0x06];
    unknown.resize(4 + 100 * 1024, 0);
    vec![
        case(
            body(vec![series("a", &many, 1, 1.0)]),
            400,
            "301 labels are over the limit of 256",
        ),
        case(compress(&unknown), 400, "unknown fields are over the limit"),
        typed("application/x-protobuf", 204, ""),
        case(compress(&[]), 204, ""),
        typed("", 204, ""),
        typed(
            "Application/X-Protobuf ; proto=\"prometheus.WriteRequest\"",
            204,
            "",
        ),
        typed("application/json", 415, "application/json"),
        typed(
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
            400,
            "prometheus.WriteRequest",
        ),
        Case {
            encoding: "gzip",
            ..typed("application/x-protobuf", 415, "gzip")
        },
        case(vec![], 400, "snappy"),
        case(b"\xff\x06\0\0sNaPpY".to_vec(), 400, "snappy"),
        case(vec![0xff, 0xff, 0x7f, 0], 400, "cannot be"),
        case(vec![0xff, 0xff, 0xff, 0x7f, 0], 413, "over the limit"),
        case(vec![0; 2 << 20], 413, "over the limit"),
        case(compress(b"\x0a\xff"), 400, "cut off"),
        case(body(vec![TimeSeries::default()]), 400, "series 0"),
        case(
            body(vec![series("b", &[], 1, 1.0), twice]),
            400,
            "series 1 ({__name__=\"a\"",
        ),
        case(body(vec![nameless]), 400, "name is empty"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_with_what_and_where() {
    let receiver = Receiver::start();
    let relay = relay(
        &receiver,
        "receive: {max_body_size: 1MiB, max_decoded_size: 2MiB}\n",
    )
    .await;
    for (index, case) in cases().into_iter().enumerate() {
        let headers = [
            ("content-type", case.content_type),
            ("content-encoding", case.encoding),
        ];
        let (status, words, _) = relay.post(case.body, &headers).await;
        assert_eq!(status.as_u16(), case.status, "case {index}: {words}");
        assert!(words.contains(case.words), "case {index}: {words}");
    }
    let invalid = relay
        .metric("promrelay_receive_requests_total", &["code=\"400\""])
        .await;
    assert_eq!(invalid, 10);
    assert_eq!(
        relay.metric("promrelay_received_samples_total", &[]).await,
        3
    );
    relay.stop().await;
}

/// Who takes all of a request gets it as the sender compressed it, who takes a part gets that.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_route_takes_whole_is_not_compressed_again() {
    let receiver = Receiver::start();
    let address = receiver.address();
    let relay = Relay::start(&format!(
        "remote_write:\n  - url: http://{address}/all\n    \
         queue_config: {{batch_send_deadline: 10ms}}\n  - url: http://{address}/part\n    \
         queue_config: {{batch_send_deadline: 10ms}}\n    \
         write_relabel_configs: [{{action: drop, source_labels: [n], regex: '7'}}]\n"
    ))
    .await;
    let numbers: Vec<_> = (0..100).map(|number: i32| number.to_string()).collect();
    let one = |number: &String| series("a", &[("job", "windows"), ("n", number)], 1, 1.0);
    let raw = WriteRequest {
        timeseries: numbers.iter().map(one).collect(),
        ..WriteRequest::default()
    }
    .encode_to_vec();
    // In two parts that know nothing of each other: nobody would compress it so again.
    let (left, right) = raw.split_at(raw.len() / 2);
    let mut compressor = Compressor::default();
    let parts = [left, right].map(|part| compressor.elements(part).to_vec());
    let body = join(raw.len() as u64, parts.iter().map(Vec::as_slice));
    relay.post(body.clone(), &[]).await;
    for (path, series) in [("/all", 100), ("/part", 99)] {
        wait_for(path, async || receiver.samples(path).len() == series).await;
    }
    assert_eq!(receiver.arrivals("/all")[0].body, body);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_invalid_series_leaves_nothing_of_its_request() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let bad = vec![series("a", &[], 1, 1.0), TimeSeries::default()];
    assert_eq!(relay.post(body(bad), &[]).await.0, StatusCode::BAD_REQUEST);
    relay.write(vec![series("b", &[], 2, 1.0)]).await;
    wait_for("the good one", async || receiver.samples("/all").len() == 1).await;
    assert_eq!(receiver.samples("/all")[0].0, "__name__=b");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unsorted_labels_are_sorted_and_metadata_is_told() {
    let receiver = Receiver::start();
    let relay = relay(
        &receiver,
        "global: {external_labels: {cluster: blue, x: never}}\n",
    )
    .await;
    let metadata = MetricMetadata {
        metric_family_name: "a".into(),
        help: "h".into(),
        ..Default::default()
    };
    let request = WriteRequest {
        timeseries: vec![series("a", &[("x", "1"), ("c", "2")], 1, 1.0)],
        metadata: vec![metadata.clone()],
    };
    let (status, words, _) = relay.post(compress(&request.encode_to_vec()), &[]).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{words}");
    wait_for("the sample", async || receiver.samples("/all").len() == 1).await;
    assert_eq!(
        receiver.samples("/all")[0].0,
        "__name__=a,c=2,cluster=blue,x=1"
    );
    wait_for("the metadata", async || {
        receiver
            .arrivals("/all")
            .iter()
            .any(|arrival| arrival.request.metadata == [metadata.clone()])
    })
    .await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_and_keeps_nothing_on_any_route() {
    let receiver = Receiver::start();
    let address = receiver.stop().await;
    let relay = Relay::start(&format!(
        "remote_write:\n  - {{name: large, url: \"http://{address}/large\"}}\n  \
         - {{name: small, url: \"http://{address}/small\", queue: {{max_bytes: 1MiB}}}}\n"
    ))
    .await;
    let large = "x".repeat(3000);
    let mut accepted = 0;
    let refused = loop {
        let value: String = large
            .chars()
            .rev()
            .chain(accepted.to_string().chars())
            .collect();
        let (status, words, headers) = relay
            .post(
                body(vec![series(
                    &format!("m{accepted}"),
                    &[("x", &value)],
                    1,
                    1.0,
                )]),
                &[],
            )
            .await;
        if status != StatusCode::NO_CONTENT {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{words}");
            assert_eq!(headers["retry-after"], "1");
            break words;
        }
        accepted += 1;
        assert!(accepted < 100_000, "the queue never filled");
    };
    assert!(
        refused.contains("route small") && refused.contains("full"),
        "{refused}"
    );
    for route in ["route=\"large\"", "route=\"small\""] {
        assert_eq!(
            relay.metric("promrelay_queue_samples", &[route]).await,
            accepted,
            "{route}"
        );
    }
    assert_eq!(
        relay.metric("promrelay_received_samples_total", &[]).await,
        accepted
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_trickles_does_not_hold_up_another() {
    let receiver = Receiver::start();
    let more = "receive: {max_requests_in_flight: 2, request_timeout: 500ms}\n";
    let relay = relay(&receiver, more).await;
    let address = relay.url("").trim_start_matches("http://").to_owned();
    let mut slow = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx";
    slow.write_all(head.as_bytes()).await.unwrap();
    relay.write(vec![series("a", &[], 1, 1.0)]).await;
    let mut answer = vec![0; 12];
    timeout(Duration::from_secs(10), slow.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, b"HTTP/1.1 503");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_no_queue_will_ever_hold_is_too_large() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "queue: {max_bytes: 1MiB}\n").await;
    let noise = || -> String {
        let noise = (0..50_000).map(|_| char::from(rand::random_range(b'!'..=b'~')));
        noise.collect()
    };
    let many = (0..40).map(|_| series("m", &[("x", &noise())], 1, 1.0));
    let (status, words, _) = relay.post(body(many.collect()), &[]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{words}");
    let few = (0..5).map(|_| series("m", &[("x", &noise())], 1, 1.0));
    relay.write(few.collect()).await;
    relay.stop().await;
}
