//! Requests as what they mean, whatever the version and the order of symbols.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;

use super::{first, second};

pub(super) type Texts = Vec<(String, String)>;

/// A series. Samples and histograms are as prost encodes them, so that they compare bit for bit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) labels: Texts,
    pub(super) samples: Vec<Vec<u8>>,
    pub(super) histograms: Vec<Vec<u8>>,
    pub(super) exemplars: Vec<(Texts, u64, i64)>,
    pub(super) metadata: Option<(i32, String, String)>,
    pub(super) created_timestamp: i64,
}

impl Meaning {
    pub(super) fn name(&self) -> &str {
        let name = self.labels.iter().find(|(name, _)| name == "__name__");
        name.map_or("", |(_, value)| value)
    }
}

pub(super) fn meaning_of_second(request: &second::Request) -> Vec<Meaning> {
    let text = |reference: &u32| request.symbols[*reference as usize].clone();
    let pairs = |references: &[u32]| -> Texts {
        let pairs = references.chunks(2);
        pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
    };
    let series = |series: &second::TimeSeries| Meaning {
        labels: pairs(&series.labels_refs),
        samples: encoded(&series.samples),
        histograms: encoded(&series.histograms),
        exemplars: series
            .exemplars
            .iter()
            .map(|e| (pairs(&e.labels_refs), e.value.to_bits(), e.timestamp))
            .collect(),
        metadata: series
            .metadata
            .as_ref()
            .map(|m| (m.r#type, text(&m.help_ref), text(&m.unit_ref))),
        created_timestamp: series.created_timestamp,
    };
    request.timeseries.iter().map(series).collect()
}

pub(super) fn meaning_of_first(request: &first::WriteRequest) -> Vec<Meaning> {
    let pairs = |labels: &[first::Label]| -> Texts {
        let pair = |label: &first::Label| (label.name.clone(), label.value.clone());
        labels.iter().map(pair).collect()
    };
    let series = |series: &first::TimeSeries| Meaning {
        labels: pairs(&series.labels),
        samples: encoded(&series.samples),
        histograms: encoded(&series.histograms),
        exemplars: series
            .exemplars
            .iter()
            .map(|e| (pairs(&e.labels), e.value.to_bits(), e.timestamp))
            .collect(),
        ..Meaning::default()
    };
    request.timeseries.iter().map(series).collect()
}

fn encoded<M: prost::Message>(messages: &[M]) -> Vec<Vec<u8>> {
    messages.iter().map(prost::Message::encode_to_vec).collect()
}

/// The start timestamps that a request has, and the same request without them.
pub(super) fn without_start_timestamps(request: &second::Request) -> (u64, second::Request) {
    let (mut count, mut request) = (0, request.clone());
    for series in &mut request.timeseries {
        let samples = series.samples.iter_mut().map(|s| &mut s.start_timestamp);
        let histograms = series.histograms.iter_mut().map(|h| &mut h.start_timestamp);
        let created = std::iter::once(&mut series.created_timestamp);
        for timestamp in created.chain(samples).chain(histograms) {
            count += u64::from(std::mem::take(timestamp) != 0);
        }
    }
    (count, request)
}

/// Puts strings into a table as they come.
#[derive(Debug)]
struct Table(Vec<String>);

impl Table {
    fn refer(&mut self, text: &str) -> u32 {
        let found = self.0.iter().position(|symbol| symbol == text);
        let index = found.unwrap_or_else(|| {
            self.0.push(text.to_owned());
            self.0.len() - 1
        });
        u32::try_from(index).unwrap()
    }

    fn refer_all(&mut self, texts: &Texts) -> Vec<u32> {
        let pairs = texts.iter();
        pairs
            .flat_map(|(name, value)| [self.refer(name), self.refer(value)])
            .collect()
    }
}

/// Any 2.0 request that follows the specification.
pub(super) fn any_second() -> impl Strategy<Value = second::Request> {
    vec((any_labels(), any_rest(), any_data()), 0..6).prop_map(|all| {
        let mut table = Table(vec![String::new()]);
        let series = |(labels, (exemplars, metadata, created), data): (_, Rest, _)| {
            let (samples, histograms) = match data {
                Data::Samples(samples) => (samples, Vec::new()),
                Data::Histograms(histograms) => (Vec::new(), histograms),
            };
            let mut exemplar = |(labels, value, timestamp): &(Texts, f64, i64)| second::Exemplar {
                labels_refs: table.refer_all(labels),
                value: *value,
                timestamp: *timestamp,
            };
            let exemplars = exemplars.iter().map(&mut exemplar).collect();
            let metadata = metadata.map(|(r#type, help, unit)| second::Metadata {
                r#type,
                help_ref: table.refer(&help),
                unit_ref: table.refer(&unit),
            });
            second::TimeSeries {
                labels_refs: table.refer_all(&labels),
                samples,
                histograms,
                exemplars,
                metadata,
                created_timestamp: created,
            }
        };
        let timeseries = all.into_iter().map(series).collect();
        second::Request {
            symbols: table.0,
            timeseries,
        }
    })
}

/// Any 1.0 request whose series have a name.
pub(super) fn any_first() -> impl Strategy<Value = first::WriteRequest> {
    let histograms = vec(any_histogram(), 0..3);
    let samples = vec(any_sample(), 0..4);
    let all = vec((any_labels(), any_rest(), samples, histograms), 0..6);
    all.prop_map(|all| {
        let labels = |texts: Texts| -> Vec<first::Label> {
            let label = |(name, value)| first::Label { name, value };
            texts.into_iter().map(label).collect()
        };
        let series = |(own, (exemplars, ..), samples, histograms): (_, Rest, Vec<_>, Vec<_>)| {
            let sample = |sample: second::Sample| first::Sample {
                value: sample.value,
                timestamp: sample.timestamp,
            };
            // The messages are the same but for the start timestamp, which is unknown in 1.0.
            let histogram = |mut histogram: second::Histogram| {
                histogram.start_timestamp = 0;
                first::Histogram::decode(histogram.encode_to_vec().as_slice()).unwrap()
            };
            let exemplar = |(texts, value, timestamp)| first::Exemplar {
                labels: labels(texts),
                value,
                timestamp,
            };
            first::TimeSeries {
                labels: labels(own),
                samples: samples.into_iter().map(sample).collect(),
                exemplars: exemplars.into_iter().map(exemplar).collect(),
                histograms: histograms.into_iter().map(histogram).collect(),
            }
        };
        first::WriteRequest {
            timeseries: all.into_iter().map(series).collect(),
            metadata: Vec::new(),
        }
    })
}

type Rest = (Vec<(Texts, f64, i64)>, Option<(i32, String, String)>, i64);

#[derive(Clone, Debug)]
enum Data {
    Samples(Vec<second::Sample>),
    Histograms(Vec<second::Histogram>),
}

fn any_rest() -> impl Strategy<Value = Rest> {
    let texts = btree_map("[a-z_]{1,4}", "[a-zé ]{0,200}", 0..3);
    let exemplar = (texts, any_float(), any::<i64>());
    let exemplar = exemplar.prop_map(|(texts, value, at)| (texts.into_iter().collect(), value, at));
    let metadata = (0..9, "[a-zé ]{0,200}", "[a-z]{0,5}");
    (vec(exemplar, 0..3), option::of(metadata), any_start())
}

fn any_labels() -> impl Strategy<Value = Texts> {
    let more = btree_map("[a-z.é]{1,8}", "[ -~é]{1,140}", 0..5);
    ("[a-c]{1,2}", more).prop_map(|(name, more)| {
        let name = ("__name__".to_owned(), name);
        std::iter::once(name).chain(more).collect()
    })
}

fn any_data() -> impl Strategy<Value = Data> {
    prop_oneof![
        vec(any_sample(), 1..4).prop_map(Data::Samples),
        vec(any_histogram(), 1..3).prop_map(Data::Histograms),
    ]
}

fn any_float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        Just(f64::from_bits(0x7ff0_0000_0000_0002)),
        Just(0.0),
    ]
}

fn any_start() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), any::<i64>()]
}

fn any_sample() -> impl Strategy<Value = second::Sample> {
    let parts = (any_float(), any::<i64>(), any_start());
    parts.prop_map(|(value, timestamp, start_timestamp)| second::Sample {
        value,
        timestamp,
        start_timestamp,
    })
}

fn any_histogram() -> impl Strategy<Value = second::Histogram> {
    let counts = (vec(0..i64::MAX >> 8, 0..5), vec(any_float(), 0..5));
    let parts = (
        any::<bool>(),
        counts,
        any_float(),
        any::<i64>(),
        any_start(),
    );
    parts.prop_map(|(is_float, (counts, floats), sum, timestamp, start)| {
        let sum_of_counts = counts.iter().sum::<i64>().cast_unsigned();
        let mut histogram = super::histogram(&counts, sum_of_counts + 3);
        histogram.zero_count = Some(second::histogram::ZeroCount::ZeroCountInt(3));
        (
            histogram.sum,
            histogram.timestamp,
            histogram.start_timestamp,
        ) = (sum, timestamp, start);
        if is_float {
            histogram.count = Some(second::histogram::Count::CountFloat(sum));
            histogram.zero_count = Some(second::histogram::ZeroCount::ZeroCountFloat(sum));
            histogram.positive_deltas.clear();
            histogram.custom_values.clone_from(&floats);
            histogram.positive_counts = floats;
            histogram.schema = -53;
        }
        histogram
    })
}
