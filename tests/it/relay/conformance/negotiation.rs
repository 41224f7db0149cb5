//! A: methods, content types, encodings, versions.

use http::StatusCode;
use promrelay::remote_write::generated::prometheus::WriteRequest;
use prost::Message as _;

use super::requests::{Builder, SECOND, post, refuse, relay, write, written};
use crate::relay::harness::{Receiver, body, compress, series, wait_for};

const FIRST: &str = "application/x-protobuf";

fn up() -> Builder {
    Builder::default().sample(&[("__name__", "up")], 1, 1.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_nothing_but_a_post_is_a_write() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let (status, _) = relay.get("/api/v1/write").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_the_content_type_alone_says_which_message_it_is() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let first = body(vec![series("first", &[], 1, 1.0)]);
    for version in ["2.0.0", "0.1.0", "nonsense"] {
        let version = ("x-prometheus-remote-write-version", version);
        let headers = [("content-type", FIRST), version];
        let (status, words, _) = relay.post(first.clone(), &headers).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{version:?}: {words}");
        let headers = [("content-type", SECOND), version];
        let (status, words, _) = relay.post(up().body(), &headers).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{version:?}: {words}");
    }
    // The other message reads as an empty request. It is not accepted to be lost.
    let (status, words, zero) = post(&relay, first).await;
    assert_eq!((status, zero), (StatusCode::BAD_REQUEST, Some([0; 3])));
    assert!(words.contains("prometheus.WriteRequest"), "{words}");
    let (status, words, _) = relay.post(up().body(), &[("content-type", FIRST)]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(words.contains("2.0 request"), "{words}");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_content_types_are_read_as_rfc_9110_has_them() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    for content_type in [
        "application/x-protobuf; proto=io.prometheus.write.v2.Request",
        "Application/X-Protobuf ;\tPROTO=\"io.prometheus.write.v2.Request\"",
        "application/x-protobuf;a=\"; proto=x\";proto=io.prometheus.write.v2.Request",
    ] {
        let headers = [
            ("content-type", content_type),
            ("content-encoding", "Snappy"),
        ];
        let (status, words, headers) = relay.post(up().body(), &headers).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{content_type}: {words}");
        assert_eq!(written(&headers), Some([1, 0, 0]), "{content_type}");
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_both_messages_are_taken_on_one_path_and_counted_apart() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    relay.write(vec![series("first", &[], 1, 1.0)]).await;
    write(&relay, &up(), [1, 0, 0]).await;
    wait_for("both", async || receiver.samples("/all").len() == 2).await;
    for message in ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"] {
        let label = format!("message=\"{message}\"");
        let labels = [label.as_str(), "code=\"204\""];
        let name = "promrelay_receive_requests_total";
        assert_eq!(relay.metric(name, &labels).await, 1, "{message}");
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_the_configuration_can_narrow_what_is_taken() {
    let receiver = Receiver::start();
    let more = "receive: {protobuf_messages: [io.prometheus.write.v2.Request]}\n";
    let relay = relay(&receiver, more).await;
    write(&relay, &up(), [1, 0, 0]).await;
    let (status, words, _) = relay.post(body(vec![series("a", &[], 1, 1.0)]), &[]).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(words.contains("prometheus.WriteRequest"), "{words}");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_any_other_type_message_or_encoding_is_415_whatever_the_body() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let mut corrupt = up().body();
    corrupt[0] = b'0';
    for (content_type, encoding) in [
        ("application/json", "snappy"),
        ("image/png", "snappy"),
        (
            "application/x-protobuf;proto=io.prometheus.write.v3.Request",
            "snappy",
        ),
        (SECOND, "gzip"),
        (SECOND, "deflate"),
        (SECOND, "zstd"),
        (FIRST, "gzip"),
    ] {
        let headers = [
            ("content-type", content_type),
            ("content-encoding", encoding),
        ];
        let (status, words, headers) = relay.post(corrupt.clone(), &headers).await;
        assert_eq!(
            status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{content_type} {encoding}"
        );
        assert_ne!(words, "");
        assert_eq!(written(&headers), None, "nothing was negotiated");
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a6_snappy_is_the_block_format_and_a_missing_encoding_means_it() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let framed = b"\xff\x06\0\0sNaPpY\x01\x08\0\0\0\0\0\0abcd".to_vec();
    let (status, words, zero) = post(&relay, framed).await;
    assert_eq!(
        (status, zero),
        (StatusCode::BAD_REQUEST, Some([0; 3])),
        "{words}"
    );
    let headers = [("content-type", SECOND), ("content-encoding", "")];
    let (status, words, _) = relay.post(up().body(), &headers).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{words}");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_the_version_header_may_be_missing_or_odd() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    for version in ["", "0.1.0", "3.0.0", "x"] {
        let version = ("x-prometheus-remote-write-version", version);
        let headers = [("content-type", SECOND), version];
        let (status, words, _) = relay.post(up().body(), &headers).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{version:?}: {words}");
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a9_unknown_fields_and_both_generations_of_start_timestamps_are_read() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let mut request = up();
    request.0.timeseries[0].created_timestamp = 5;
    request.0.timeseries[0].samples[0].start_timestamp = 6;
    let series = request.series(&[("__name__", "h")]);
    let mut histogram = super::requests::histogram(3, 3);
    histogram.start_timestamp = 7;
    series.histograms.push(histogram);
    let mut raw = request.0.encode_to_vec();
    // Field 100: a string.
    raw.extend_from_slice(b"\xa2\x06\x03new");
    let (status, words, written) = post(&relay, compress(&raw)).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{words}");
    assert_eq!(written, Some([1, 1, 0]));
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_a_request_has_bounds_before_and_after_its_references_are_resolved() {
    let receiver = Receiver::start();
    let more = "receive: {max_body_size: 64KiB, max_decoded_size: 1MiB}\n";
    let relay = relay(&receiver, more).await;
    let (status, _, zero) = post(&relay, vec![0; 65 * 1024]).await;
    assert_eq!(
        (status, zero),
        (StatusCode::PAYLOAD_TOO_LARGE, Some([0; 3]))
    );
    let (status, ..) = post(&relay, vec![0xff, 0xff, 0xff, 0x7f, 0]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    // 60 KB that mean 60 KB a thousand times.
    let mut request = Builder::default();
    let large = "x".repeat(60_000);
    for _ in 0..1000 {
        request.series(&[("__name__", "up"), ("large", &large)]);
    }
    let body = request.body();
    assert!(body.len() < 64 * 1024);
    let (status, words, zero) = post(&relay, body).await;
    assert_eq!(
        (status, zero),
        (StatusCode::PAYLOAD_TOO_LARGE, Some([0; 3]))
    );
    assert!(words.contains("references are resolved"), "{words}");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_request_of_either_message_is_written() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let empty = WriteRequest::default().encode_to_vec();
    let (status, ..) = relay.post(compress(&empty), &[]).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    write(&relay, &Builder::default(), [0; 3]).await;
    let mut no_symbols = up();
    no_symbols.0.symbols.clear();
    refuse(&relay, &no_symbols, &["no symbols"]).await;
    relay.stop().await;
}
