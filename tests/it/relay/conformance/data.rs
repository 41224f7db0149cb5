//! D, E and F: labels, samples, histograms, exemplars, metadata, and their order.

use http::StatusCode;
use promrelay::remote_write::generated::{prometheus as first, write_v2 as second};
use prost::Message as _;

use super::requests::{Builder, histogram, post, refuse, relay, write};
use crate::relay::harness::{Receiver, show, wait_for};

/// The series that arrived, in order.
fn arrived(receiver: &Receiver) -> Vec<first::TimeSeries> {
    let arrivals = receiver.arrivals("/all").into_iter();
    arrivals
        .flat_map(|arrival| arrival.request.timeseries)
        .collect()
}

async fn wait_for_series(receiver: &Receiver, count: usize) -> Vec<first::TimeSeries> {
    wait_for("the series", async || arrived(receiver).len() >= count).await;
    arrived(receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_symbols_begin_with_the_empty_one_and_references_are_within() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let valid = || Builder::default().sample(&[("__name__", "up")], 1, 1.0);
    let mut request = valid();
    request.0.symbols[0] = "x".to_owned();
    refuse(&relay, &request, &["first symbol is not empty"]).await;

    let outside = "reference 3 is outside the table of 3 symbols";
    let mut request = valid();
    request.0.timeseries[0].labels_refs[1] = 3;
    refuse(&relay, &request, &["series 0: labels_refs", outside]).await;
    for (help_ref, unit_ref) in [(3, 0), (0, 3)] {
        let mut request = valid();
        request.0.timeseries[0].metadata = Some(second::Metadata {
            r#type: 1,
            help_ref,
            unit_ref,
        });
        refuse(&relay, &request, &["metadata", outside]).await;
    }
    let mut request = valid();
    request.0.timeseries[0].exemplars.push(second::Exemplar {
        labels_refs: vec![1, 3],
        ..Default::default()
    });
    refuse(&relay, &request, &["exemplar", outside]).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_labels_refs_are_there_and_in_pairs() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let mut request = Builder::default().sample(&[("__name__", "up")], 1, 1.0);
    request.0.timeseries[0].labels_refs.push(1);
    refuse(&relay, &request, &["3 references are no pairs"]).await;
    request.0.timeseries[0].labels_refs.clear();
    refuse(&relay, &request, &["series 0 ({})", "no labels"]).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_a_metric_without_a_name_is_400() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let labels = [
        vec![("job", "a")],
        vec![("__name__", ""), ("job", "a")],
        vec![("__name__", "")],
    ];
    for labels in labels {
        let request = Builder::default().sample(&labels, 1, 1.0);
        refuse(&relay, &request, &["no metric name"]).await;
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d5_labels_are_sorted_on_the_way_out_and_none_is_there_twice_or_without_a_name() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let labels = [("z", "1"), ("empty", ""), ("__name__", "up"), ("a", "2")];
    let request = Builder::default().sample(&labels, 1, 1.0);
    write(&relay, &request, [1, 0, 0]).await;
    let series = wait_for_series(&receiver, 1).await;
    assert_eq!(show(&series[0]), "__name__=up,a=2,z=1");
    for (labels, words) in [
        ([("__name__", "up"), ("a", "1"), ("a", "1")], "there twice"),
        ([("__name__", "up"), ("", "1"), ("a", "1")], "name is empty"),
    ] {
        let request = Builder::default().sample(&labels, 1, 1.0);
        refuse(&relay, &request, &[words]).await;
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d6_names_and_values_are_any_utf8() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let request = Builder::default()
        .sample(
            &[("__name__", "resource.cpu usage"), ("job.name", "é\n")],
            1,
            1.0,
        )
        .sample(&[("__name__", "größe"), ("a b", "🚀")], 1, 1.0);
    write(&relay, &request, [2, 0, 0]).await;
    let mut shown: Vec<_> = wait_for_series(&receiver, 2)
        .await
        .iter()
        .map(show)
        .collect();
    shown.sort();
    assert_eq!(
        shown,
        [
            "__name__=größe,a b=🚀",
            "__name__=resource.cpu usage,job.name=é\n"
        ]
    );
    // Symbol 1 of b"\xff".
    let body = crate::relay::harness::compress(b"\x22\x00\x22\x01\xff\x2a\x04\x0a\x02\x01\x01");
    let (status, words, _) = post(&relay, body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{words}");
    assert!(words.contains("symbol 1 is not valid UTF-8"), "{words}");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d8_labels_are_bounded_in_number_and_length() {
    let receiver = Receiver::start();
    let more = "receive: {max_labels_per_series: 2, max_label_name_bytes: 8, \
                max_label_value_bytes: 4}\n";
    let relay = relay(&receiver, more).await;
    for (labels, words) in [
        (
            vec![("__name__", "up"), ("a", "1"), ("b", "1")],
            "3 labels are over the limit of 2",
        ),
        (
            vec![("__name__", "up"), ("long_name", "1")],
            "label name of 9 bytes",
        ),
        (vec![("__name__", "longer")], "has 6 bytes"),
    ] {
        let request = Builder::default().sample(&labels, 1, 1.0);
        refuse(&relay, &request, &[words]).await;
    }
    relay.stop().await;
}

/// Also E2: every NaN is carried bit for bit.
#[tokio::test(flavor = "multi_thread")]
async fn d9_e2_timestamps_and_values_are_carried_bit_for_bit() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let samples: Vec<_> = [
        (0x7ff0_0000_0000_0002, i64::MAX),
        (0x7ff8_0000_0000_0001, i64::MIN),
        (f64::NEG_INFINITY.to_bits(), -1),
        (f64::MIN_POSITIVE.to_bits(), 0),
    ]
    .map(|(bits, timestamp)| second::Sample {
        value: f64::from_bits(bits),
        timestamp,
        start_timestamp: 0,
    })
    .into();
    let mut request = Builder::default();
    request
        .series(&[("__name__", "up")])
        .samples
        .clone_from(&samples);
    write(&relay, &request, [4, 0, 0]).await;
    let series = wait_for_series(&receiver, 1).await;
    let arrived = series[0].samples.iter();
    let arrived: Vec<_> = arrived.map(|s| (s.value.to_bits(), s.timestamp)).collect();
    let sent = samples.iter();
    let sent: Vec<_> = sent.map(|s| (s.value.to_bits(), s.timestamp)).collect();
    assert_eq!(arrived, sent);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d10_a_series_with_both_kinds_or_none_is_read_all_the_same() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let mut request = Builder::default().sample(&[("__name__", "both")], 1, 1.0);
    request.0.timeseries[0].histograms.push(histogram(1, 1));
    request.series(&[("__name__", "none")]);
    write(&relay, &request, [1, 1, 0]).await;
    let series = wait_for_series(&receiver, 1).await;
    let held = |count: fn(&first::TimeSeries) -> usize| series.iter().map(count).sum::<usize>();
    assert_eq!(held(|series| series.samples.len()), 1);
    assert_eq!(held(|series| series.histograms.len()), 1);
    // Several series with the same labels are allowed.
    let request = Builder::default()
        .sample(&[("__name__", "same")], 1, 1.0)
        .sample(&[("__name__", "same")], 2, 1.0);
    write(&relay, &request, [2, 0, 0]).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d11_metadata_of_every_type_is_accepted() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let mut request = Builder::default();
    // 8 is of no type that is known today.
    for r#type in 0..=8 {
        let help_ref = request.refer("with \"quotes\"\nand lines");
        let series = request.series(&[("__name__", "up"), ("type", &r#type.to_string())]);
        series.samples.push(second::Sample::default());
        series.metadata = Some(second::Metadata {
            r#type,
            help_ref,
            unit_ref: 0,
        });
    }
    write(&relay, &request, [9, 0, 0]).await;
    wait_for_series(&receiver, 9).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d12_exemplars_arrive_with_their_labels() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let mut request = Builder::default().sample(&[("__name__", "up")], 1, 1.0);
    let labels_refs = request.refer_all(&[("trace_id", "é"), ("span_id", "2")]);
    let exemplars = &mut request.0.timeseries[0].exemplars;
    exemplars.push(second::Exemplar {
        labels_refs,
        value: f64::INFINITY,
        timestamp: -5,
    });
    exemplars.push(second::Exemplar {
        value: 2.0,
        timestamp: 3,
        ..Default::default()
    });
    write(&relay, &request, [1, 0, 2]).await;
    let series = wait_for_series(&receiver, 1).await;
    let label = |name: &str, value: &str| first::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let expected = [
        first::Exemplar {
            labels: vec![label("trace_id", "é"), label("span_id", "2")],
            value: f64::INFINITY,
            timestamp: -5,
        },
        first::Exemplar {
            labels: vec![],
            value: 2.0,
            timestamp: 3,
        },
    ];
    assert_eq!(series[0].exemplars, expected);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d14_histograms_of_all_kinds_arrive_as_they_were() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    let mut both = histogram(3, 8);
    both.negative_spans.clone_from(&both.positive_spans);
    both.negative_deltas = vec![4];
    both.zero_count = Some(second::histogram::ZeroCount::ZeroCountInt(1));
    let mut float = histogram(0, 0);
    float.count = Some(second::histogram::Count::CountFloat(2.5));
    float.positive_deltas.clear();
    float.positive_counts = vec![2.5];
    let mut custom = histogram(3, 3);
    custom.schema = -53;
    custom.custom_values = vec![0.5, 1.5];
    let histograms = vec![both, float, custom];
    let mut request = Builder::default();
    let series = request.series(&[("__name__", "h")]);
    series.histograms.clone_from(&histograms);
    write(&relay, &request, [0, 3, 0]).await;
    let series = wait_for_series(&receiver, 1).await;
    let encoded = |histogram: &second::Histogram| histogram.encode_to_vec();
    let sent: Vec<_> = histograms.iter().map(encoded).collect();
    let arrived = series[0].histograms.iter();
    let arrived: Vec<_> = arrived.map(prost::Message::encode_to_vec).collect();
    assert_eq!(arrived, sent);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_samples_of_a_series_arrive_in_the_order_in_which_they_were_written() {
    let receiver = Receiver::start();
    let relay = relay(&receiver, "").await;
    for request in 0..20 {
        let mut builder = Builder::default();
        for name in ["a", "b", "c"] {
            let series = builder.series(&[("__name__", name)]);
            let samples = (0..3).map(|index| second::Sample {
                timestamp: request * 3 + index,
                ..Default::default()
            });
            series.samples.extend(samples);
        }
        write(&relay, &builder, [9, 0, 0]).await;
    }
    wait_for("all", async || receiver.samples("/all").len() == 180).await;
    for name in ["a", "b", "c"] {
        let name = format!("__name__={name}");
        let samples = receiver.samples("/all").into_iter();
        let of_name = samples.filter(|sample| sample.0 == name);
        let timestamps: Vec<_> = of_name.map(|sample| sample.1).collect();
        assert_eq!(timestamps, (0..60).collect::<Vec<_>>(), "{name}");
    }
    relay.stop().await;
}
