//! prost's generated types are the oracle: what they read and write is what the wire says.

mod malformed;
mod model;
mod round_trips;
mod unknown;

use prost::Message as _;

use super::{Contents, DecodeError, Decoder, Encoder};
use crate::remote_write::block::Form;
use crate::remote_write::carried::{LeftOut, SeriesMetadata};
use crate::remote_write::generated::{prometheus as first, write_v2 as second};
use crate::remote_write::wire::WireError;

const LIMIT: usize = 1 << 20;

fn decode(request: &[u8]) -> Result<(Vec<u8>, Contents), DecodeError> {
    let mut carried = Vec::new();
    let contents = Decoder::default().decode(request, LIMIT, &mut carried)?;
    Ok((carried, contents))
}

fn nothing_known(_: &[u8]) -> Option<SeriesMetadata<'static>> {
    None
}

/// One 2.0 request of all these, what it holds, and what was left out.
fn encode(parts: &[(Form, &[u8])]) -> Result<(Vec<u8>, Contents, LeftOut), WireError> {
    let mut encoder = Encoder::default();
    encoder.begin();
    for (form, part) in parts {
        encoder.add(*form, part, &nothing_known)?;
    }
    let mut request = Vec::new();
    let (contents, left_out) = encoder.finish(&mut request);
    Ok((request, contents, left_out))
}

/// A valid request with one series of everything.
fn full() -> second::Request {
    let symbols = [
        "", "__name__", "up", "job", "a", "trace_id", "é", "help", "unit",
    ];
    second::Request {
        symbols: symbols.map(str::to_owned).to_vec(),
        timeseries: vec![
            second::TimeSeries {
                labels_refs: vec![1, 2, 3, 4],
                samples: vec![second::Sample {
                    value: 1.5,
                    timestamp: 1,
                    start_timestamp: 2,
                }],
                exemplars: vec![second::Exemplar {
                    labels_refs: vec![5, 6],
                    value: 3.0,
                    timestamp: 4,
                }],
                metadata: Some(second::Metadata {
                    r#type: 1,
                    help_ref: 7,
                    unit_ref: 8,
                }),
                created_timestamp: 5,
                ..Default::default()
            },
            second::TimeSeries {
                labels_refs: vec![1, 2],
                histograms: vec![histogram(&[1, 2, 3], 6)],
                ..Default::default()
            },
        ],
    }
}

/// An integer histogram with these buckets, which says that it counts `count`.
fn histogram(buckets: &[i64], count: u64) -> second::Histogram {
    let mut before = 0;
    let delta = |&bucket: &i64| bucket - std::mem::replace(&mut before, bucket);
    second::Histogram {
        count: Some(second::histogram::Count::CountInt(count)),
        sum: 1.0,
        positive_spans: vec![second::BucketSpan {
            offset: 0,
            length: u32::try_from(buckets.len()).unwrap(),
        }],
        positive_deltas: buckets.iter().map(delta).collect(),
        timestamp: 7,
        start_timestamp: 8,
        ..Default::default()
    }
}

/// A 1.0 series of a metric, with one sample.
fn plain_series(name: &str) -> first::TimeSeries {
    first::TimeSeries {
        labels: vec![first::Label {
            name: "__name__".to_owned(),
            value: name.to_owned(),
        }],
        samples: vec![first::Sample {
            value: 1.0,
            timestamp: 1,
        }],
        ..Default::default()
    }
}

fn read(request: &[u8]) -> second::Request {
    second::Request::decode(request).expect("a valid 2.0 request")
}
