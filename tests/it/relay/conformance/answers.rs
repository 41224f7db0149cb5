//! B and C: status codes, words, and what is said to be written.

use http::StatusCode;
use promrelay::remote_write::generated::write_v2 as second;
use prost::Message as _;

use super::requests::{Builder, histogram, post, refuse, relay, write, written};
use crate::relay::harness::{Receiver, Relay, body, compress, series, wait_for};

/// 10 KB that nothing makes smaller.
fn noise() -> String {
    let noise = (0..10_000).map(|_| char::from(rand::random_range(b'!'..=b'~')));
    noise.collect()
}

/// A relay with a queue of 1 MiB that nobody empties.
async fn relay_without_receiver() -> Relay {
    let receiver = Receiver::start();
    let address = receiver.stop().await;
    Relay::start(&format!(
        "remote_write:\n  - {{name: a, url: \"http://{address}\", queue: {{max_bytes: 1MiB}}, \
         send_native_histograms: true}}\n"
    ))
    .await
}

/// A request with one sample, an exemplar of it, and a histogram.
fn of_each(text: &str) -> Builder {
    let mut request = Builder::default().sample(&[("__name__", "a"), ("x", text)], 1, 1.0);
    let labels_refs = request.refer_all(&[("trace_id", "1")]);
    request.0.timeseries[0].exemplars.push(second::Exemplar {
        labels_refs,
        value: 1.0,
        timestamp: 1,
    });
    let series = request.series(&[("__name__", "b")]);
    series.histograms.push(histogram(3, 3));
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_what_is_written_is_answered_204_without_a_body() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    write(&relay, &of_each("x"), [1, 1, 1]).await;
    let (status, words, _) = relay.post(body(vec![series("a", &[], 1, 1.0)]), &[]).await;
    assert_eq!((status, words.as_str()), (StatusCode::NO_CONTENT, ""));
    relay.stop().await;
}

/// Also B5 and B7: what can succeed later is answered 5xx, with when to come back.
#[tokio::test(flavor = "multi_thread")]
async fn b2_c1_b5_a_full_queue_is_503_and_nothing_is_said_to_be_written() {
    let relay = relay_without_receiver().await;
    let mut accepted = 0;
    let (words, headers) = loop {
        let headers = [("content-type", super::requests::SECOND)];
        let (status, words, headers) = relay.post(of_each(&noise()).body(), &headers).await;
        if status != StatusCode::NO_CONTENT {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{words}");
            break (words, headers);
        }
        assert_eq!(written(&headers), Some([1, 1, 1]));
        accepted += 2;
        assert!(accepted < 10_000, "the queue never filled");
    };
    assert_eq!(written(&headers), Some([0; 3]));
    assert_eq!(headers["retry-after"], "1");
    assert!(words.contains("full"), "{words}");
    assert_eq!(relay.metric("promrelay_queue_samples", &[]).await, accepted);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b5_what_no_queue_will_ever_hold_is_413_and_nothing_is_said_to_be_written() {
    let relay = relay_without_receiver().await;
    let mut request = Builder::default();
    for index in 0..150 {
        let name = format!("m{index}");
        request = request.sample(&[("__name__", &name), ("x", &noise())], 1, 1.0);
    }
    let (status, words, written) = post(&relay, request.body()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{words}");
    assert_eq!(written, Some([0; 3]));
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b3_what_a_rule_drops_is_written() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let mut request = Builder::default()
        .sample(&[("__name__", "dropped")], 1, 1.0)
        .sample(&[("__name__", "kept")], 1, 1.0);
    let series = request.series(&[("__name__", "dropped"), ("le", "1")]);
    series.histograms.push(histogram(1, 1));
    write(&relay, &request, [2, 1, 0]).await;
    wait_for("the one", async || receiver.samples("/all").len() == 1).await;
    let dropped = relay.metric("promrelay_route_dropped_samples_total", &["rule=\"0\""]);
    assert_eq!(dropped.await, 2);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b2_b4_invalid_series_are_400_with_how_many_and_why_and_none_is_kept() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let mut request = Builder::default()
        .sample(&[("__name__", "valid")], 1, 1.0)
        .sample(&[("job", "a")], 1, 1.0)
        .sample(&[("__name__", "twice"), ("x", "1"), ("x", "2")], 1, 1.0);
    let with_histogram = request.series(&[("__name__", "h")]);
    with_histogram.histograms.push(histogram(3, 4));
    let words = [
        "3 of 4 series are not valid",
        "series 1: series has no metric name",
        "series 2 ({__name__=\"twice\"",
        "label `x` is there twice",
        "series 3: histogram counts 4 observations, but its buckets hold 3",
        "nothing of the request was kept",
    ];
    refuse(&relay, &request, &words).await;
    for index in 0..100 {
        request = request.sample(&[("y", &index.to_string())], 1, 1.0);
    }
    let (_, words, _) = post(&relay, request.body()).await;
    assert!(words.contains("103 of 104"), "{words}");
    assert!(words.len() < 2000, "{words}");

    let first = [("a", "x"), ("a", "y")];
    let first = body(vec![series_of("v"), series("b", &first, 1, 1.0)]);
    let (status, words, _) = relay.post(first, &[]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        words.contains("1 of 2 series are not valid: series 1"),
        "{words}"
    );

    relay.write(vec![series_of("after")]).await;
    wait_for("the one", async || !receiver.samples("/all").is_empty()).await;
    let arrived: Vec<_> = receiver.samples("/all").into_iter().map(|s| s.0).collect();
    assert_eq!(arrived, ["__name__=after"]);
    assert_eq!(
        relay.metric("promrelay_received_samples_total", &[]).await,
        1
    );
    relay.stop().await;
}

fn series_of(name: &str) -> promrelay::remote_write::generated::prometheus::TimeSeries {
    series(name, &[], 1, 1.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn b9_malformed_snappy_and_protobuf_are_400() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let valid = of_each("x");
    let raw = valid.0.encode_to_vec();
    let mut corrupt = valid.body();
    corrupt[0] = b'0';
    for (what, body) in [
        ("nothing at all", vec![]),
        ("a wrong length in front", corrupt),
        ("no protobuf", compress(b"\x22\xff")),
        ("cut off", compress(&raw[..raw.len() - 1])),
        ("a varint as a series", compress(&[0x22, 0, 0x28, 1])),
    ] {
        let (status, words, written) = post(&relay, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{what}: {words}");
        assert_eq!(written, Some([0; 3]), "{what}");
        assert_ne!(words, "", "{what}");
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_histogram_that_does_not_add_up_is_400() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let mut request = Builder::default();
    let series = request.series(&[("__name__", "h")]);
    series.histograms.push(histogram(3, 2));
    refuse(&relay, &request, &["counts 2 observations"]).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_the_headers_count_exactly_what_the_request_holds() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let mut request = Builder::default();
    for index in 0..50_u32 {
        let name = format!("m{index}");
        let labels_refs = request.refer_all(&[("trace_id", &name)]);
        let series = request.series(&[("__name__", &name)]);
        let exemplar = second::Exemplar {
            labels_refs,
            ..Default::default()
        };
        series.exemplars = vec![exemplar; (index % 3) as usize];
        match index % 2 {
            0 => series.samples = vec![second::Sample::default(); 7],
            _ => series.histograms = vec![histogram(2, 2); 5],
        }
    }
    write(&relay, &request, [25 * 7, 25 * 5, 49]).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_a_1_0_request_is_not_told_what_was_written() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    for body in [body(vec![series_of("a")]), vec![0xff; 20]] {
        let (_, _, headers) = relay.post(body, &[]).await;
        assert_eq!(written(&headers), None);
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_staleness_markers_and_exemplars_of_histograms_count_and_metadata_does_not() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    let mut request = Builder::default().sample(&[("__name__", "ended")], 1, stale);
    let help_ref = request.refer("what it means");
    let series = request.series(&[("__name__", "known")]);
    series.metadata = Some(second::Metadata {
        r#type: 1,
        help_ref,
        unit_ref: 0,
    });
    let series = request.series(&[("__name__", "h")]);
    series.histograms.push(histogram(1, 1));
    series.exemplars.push(second::Exemplar::default());
    write(&relay, &request, [1, 1, 1]).await;
    relay.stop().await;
}
