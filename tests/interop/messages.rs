//! The messages of remote write 1.0 and 2.0 as one: series with samples, and all else as text.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::http::{HeaderMap, HeaderName};
use promrelay::remote_write::generated::{prometheus as v1, write_v2 as v2};
use prost::Message;

use crate::samples::series_text;

const V1: &str = "application/x-protobuf";
const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// Labels, and samples as milliseconds and the bits of the value.
pub(crate) struct Series {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) samples: Vec<(i64, u64)>,
}

/// A request.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) series: Vec<Series>,
    /// Histograms (by their hash), exemplars (by their value), and metadata: text, milliseconds,
    /// bits.
    pub(crate) others: Vec<(String, i64, u64)>,
    /// What the answer says was written, of a 2.0 request.
    pub(crate) written: HeaderMap,
}

/// Reads a request of either version, whose headers must be exactly as specified.
pub(crate) fn read(headers: &HeaderMap, body: &[u8], limit: usize) -> Result<Read, String> {
    let is_v2 = headers.get("content-type").is_some_and(|value| value == V2);
    check_headers(headers, is_v2)?;
    let length = snap::raw::decompress_len(body).map_err(|error| error.to_string())?;
    if length > limit {
        return Err(format!("{length} bytes decompressed"));
    }
    let mut raw = vec![0; length];
    snap::raw::Decoder::new()
        .decompress(body, &mut raw)
        .map_err(|error| error.to_string())?;
    if is_v2 {
        read_v2(&decode(&raw)?)
    } else {
        Ok(read_v1(decode(&raw)?))
    }
}

fn decode<M: Message + Default>(raw: &[u8]) -> Result<M, String> {
    M::decode(raw).map_err(|error| error.to_string())
}

/// The headers of the specifications, exactly.
fn check_headers(headers: &HeaderMap, is_v2: bool) -> Result<(), String> {
    let (content_type, version) = if is_v2 { (V2, "2.0.0") } else { (V1, "0.1.0") };
    let expected = [
        ("content-encoding", "snappy"),
        ("content-type", content_type),
        ("x-prometheus-remote-write-version", version),
    ];
    for (name, value) in expected {
        let found: Vec<_> = headers.get_all(name).iter().collect();
        if found != [value] {
            return Err(format!("{name} is {found:?}, not {value}"));
        }
    }
    match headers.get("user-agent").map(|agent| agent.to_str()) {
        Some(Ok(agent)) if agent.contains('/') => Ok(()),
        other => Err(format!("user-agent is {other:?}, not name/version")),
    }
}

fn read_v1(request: v1::WriteRequest) -> Read {
    let mut read = Read::default();
    for series in request.timeseries {
        let pairs = |labels: Vec<v1::Label>| {
            let pair = |label: v1::Label| (label.name, label.value);
            labels.into_iter().map(pair).collect::<Vec<_>>()
        };
        let labels = pairs(series.labels);
        for histogram in &series.histograms {
            read.histogram(&labels, histogram.timestamp, histogram);
        }
        for exemplar in series.exemplars {
            let own = pairs(exemplar.labels);
            read.exemplar(&labels, &own, exemplar.timestamp, exemplar.value);
        }
        let samples = series.samples.iter();
        let samples = samples.map(|sample| (sample.timestamp, sample.value.to_bits()));
        read.series.push(Series {
            labels,
            samples: samples.collect(),
        });
    }
    for family in request.metadata {
        let (name, metric_type) = (family.metric_family_name, family.r#type);
        let text = format!(
            "family {name} {metric_type} {} {}",
            family.unit, family.help
        );
        read.others.push((text, 0, 0));
    }
    read
}

fn read_v2(request: &v2::Request) -> Result<Read, String> {
    let mut read = Read::default();
    let symbol = |reference: u32| {
        let symbol = request.symbols.get(reference as usize).cloned();
        symbol.ok_or_else(|| format!("no symbol {reference}"))
    };
    if !symbol(0)?.is_empty() {
        return Err("the first symbol is not empty".to_owned());
    }
    let pairs = |references: &[u32]| {
        let (pairs, rest) = references.as_chunks::<2>();
        let pair = |[name, value]: &[u32; 2]| Ok((symbol(*name)?, symbol(*value)?));
        let pairs = pairs.iter().map(pair).collect::<Result<Vec<_>, String>>()?;
        rest.is_empty()
            .then_some(pairs)
            .ok_or_else(|| "a label without a value".to_owned())
    };
    let (mut samples, mut histograms, mut exemplars) = (0, 0, 0);
    for series in &request.timeseries {
        let labels = pairs(&series.labels_refs)?;
        for histogram in &series.histograms {
            read.histogram(&labels, histogram.timestamp, histogram);
        }
        for exemplar in &series.exemplars {
            let own = pairs(&exemplar.labels_refs)?;
            read.exemplar(&labels, &own, exemplar.timestamp, exemplar.value);
        }
        if let Some(metadata) = &series.metadata {
            let (unit, help) = (symbol(metadata.unit_ref)?, symbol(metadata.help_ref)?);
            let name = labels.iter().find(|(name, _)| name == "__name__");
            if metadata.r#type != 0 || !help.is_empty() {
                let name = name.map_or("", |(_, value)| value.as_str());
                let text = format!("metadata {name} {} {unit} {help}", metadata.r#type);
                read.others.push((text, 0, 0));
            }
        }
        samples += series.samples.len();
        histograms += series.histograms.len();
        exemplars += series.exemplars.len();
        let all = series.samples.iter();
        let all = all.map(|sample| (sample.timestamp, sample.value.to_bits()));
        read.series.push(Series {
            labels,
            samples: all.collect(),
        });
    }
    for (what, count) in [
        ("samples", samples),
        ("histograms", histograms),
        ("exemplars", exemplars),
    ] {
        let name = format!("x-prometheus-remote-write-{what}-written");
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        read.written.insert(name, count.into());
    }
    Ok(read)
}

impl Read {
    /// The two versions have the same fields, as far as real programs fill them.
    fn histogram(&mut self, labels: &[(String, String)], at_ms: i64, histogram: &impl Message) {
        let mut hash = DefaultHasher::new();
        histogram.encode_to_vec().hash(&mut hash);
        let text = format!("histogram {}", text_of(labels));
        self.others.push((text, at_ms, hash.finish()));
    }

    fn exemplar(
        &mut self,
        labels: &[(String, String)],
        own: &[(String, String)],
        at_ms: i64,
        value: f64,
    ) {
        let text = format!("exemplar {} of {}", text_of(own), text_of(labels));
        self.others.push((text, at_ms, value.to_bits()));
    }
}

fn text_of(labels: &[(String, String)]) -> String {
    let labels = labels.iter();
    series_text(labels.map(|(name, value)| (name.as_str(), value.as_str())))
}
