//! 2.0 requests, and the answers to them.

use http::{HeaderMap, StatusCode};
use promrelay::remote_write::ProtobufMessage;
use promrelay::remote_write::generated::write_v2 as second;
use prost::Message as _;

use crate::relay::harness::{Receiver, Relay, compress};

pub(super) const SECOND: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// What the headers of an answer say was written: samples, histograms, exemplars.
pub(super) type Written = [u64; 3];

/// Puts strings into a table and series into a request.
#[derive(Default)]
pub(super) struct Builder(pub(super) second::Request);

impl Builder {
    /// Adds a series with these labels, and leaves the rest of it to the caller.
    pub(super) fn series(&mut self, labels: &[(&str, &str)]) -> &mut second::TimeSeries {
        let labels_refs = self.refer_all(labels);
        self.0.timeseries.push(second::TimeSeries {
            labels_refs,
            ..Default::default()
        });
        self.0.timeseries.last_mut().expect("it was just added")
    }

    /// Adds a series with one sample.
    pub(super) fn sample(mut self, labels: &[(&str, &str)], timestamp: i64, value: f64) -> Self {
        self.series(labels).samples.push(second::Sample {
            value,
            timestamp,
            ..Default::default()
        });
        self
    }

    pub(super) fn refer_all(&mut self, labels: &[(&str, &str)]) -> Vec<u32> {
        let texts = labels.iter().flat_map(|&(name, value)| [name, value]);
        texts.map(|text| self.refer(text)).collect()
    }

    pub(super) fn refer(&mut self, text: &str) -> u32 {
        let symbols = &mut self.0.symbols;
        if symbols.is_empty() {
            symbols.push(String::new());
        }
        let found = symbols.iter().position(|symbol| symbol == text);
        let index = found.unwrap_or_else(|| {
            symbols.push(text.to_owned());
            symbols.len() - 1
        });
        u32::try_from(index).expect("a few symbols")
    }

    pub(super) fn body(&self) -> Vec<u8> {
        compress(&self.0.encode_to_vec())
    }
}

/// An integer histogram with one bucket of this many, which says that it counts `count`.
pub(super) fn histogram(bucket: i64, count: u64) -> second::Histogram {
    second::Histogram {
        count: Some(second::histogram::Count::CountInt(count)),
        positive_spans: vec![second::BucketSpan {
            offset: 0,
            length: 1,
        }],
        positive_deltas: vec![bucket],
        timestamp: 1,
        ..Default::default()
    }
}

/// A relay with one route to `receiver`, which keeps all but the metric `dropped`.
pub(super) async fn relay(receiver: &Receiver, more: &str) -> Relay {
    let address = receiver.address();
    Relay::start(&format!(
        "{more}remote_write:\n  - url: http://{address}/all\n    \
         queue_config: {{batch_send_deadline: 10ms}}\n    \
         send_exemplars: true\n    send_native_histograms: true\n    \
         write_relabel_configs: [{{action: drop, source_labels: [__name__], regex: dropped}}]\n"
    ))
    .await
}

/// Posts a body as 2.0, and reads what the answer says was written.
pub(super) async fn post(relay: &Relay, body: Vec<u8>) -> (StatusCode, String, Option<Written>) {
    let headers = [
        ("content-type", SECOND),
        ("x-prometheus-remote-write-version", "2.0.0"),
    ];
    let (status, words, headers) = relay.post(body, &headers).await;
    (status, words, written(&headers))
}

/// What the headers say, if all three of them are there; none may come alone.
pub(super) fn written(headers: &HeaderMap) -> Option<Written> {
    let names = ["samples", "histograms", "exemplars"]
        .map(|what| format!("x-prometheus-remote-write-{what}-written"));
    let values: Vec<u64> = names
        .iter()
        .filter_map(|name| headers.get(name)?.to_str().ok()?.parse().ok())
        .collect();
    assert!(values.is_empty() || values.len() == 3, "{headers:?}");
    values.try_into().ok()
}

/// Posts a request as 2.0, and expects all of it to be written.
pub(super) async fn write(relay: &Relay, request: &Builder, expected: Written) {
    let (status, words, written) = post(relay, request.body()).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{words}");
    assert_eq!((words.as_str(), written), ("", Some(expected)));
}

/// Posts a request as 2.0, and expects it to be refused as invalid with these words in the body.
pub(super) async fn refuse(relay: &Relay, request: &Builder, expected: &[&str]) {
    let (status, words, written) = post(relay, request.body()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{words}");
    assert_eq!(written, Some([0; 3]), "{words}");
    for expected in expected {
        assert!(words.contains(expected), "{expected:?} is not in: {words}");
    }
}

#[test]
fn the_content_type_here_is_the_one_that_is_sent() {
    assert_eq!(SECOND, ProtobufMessage::V2.content_type());
}
