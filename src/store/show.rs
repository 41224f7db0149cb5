//! What is in queues and parked batches, for people: `{series, more}`, with an object per series,
//! and whether there are more than were asked for or than fit into one answer.
//!
//! ```text
//! {"labels": {...}, "samples": [[timestamp_ms, value], ...], "histograms": n, "exemplars": n,
//!  "appendedMs": ms}                            and of a parked one:
//! {..., "parkedMs": ms, "status": code, "words": "what the receiver said"}
//! ```
//! One that cannot be read is `{"unreadable": file, "error": why}`. A value that JSON has no number
//! for is a string, as in Prometheus' API.

use std::io;
use std::path::Path;

use prost::Message as _;
use serde_json::{Map, Value, json};

use super::command::Filter;
use crate::queue::inspect;
use crate::remote_write::block::Block;
use crate::remote_write::generated::prometheus::{TimeSeries, WriteRequest};
use crate::remote_write::snappy;
use crate::send::parked::{Parking, ReadError};
use crate::telemetry::causes;

/// Bytes of the series in one answer, as they are sent: a relay that is asked keeps them in memory
/// some ten times over until they are told.
const ANSWER_BYTES: usize = 4 << 20;

/// Series that are shown, within the bounds of an answer.
struct Shown {
    series: Vec<Value>,
    limit: usize,
    bytes: usize,
    more: bool,
}

/// The series in the queue in `directory` that have not been delivered, `limit` at the most. The
/// queue may be running: what is delivered meanwhile may be shown.
pub(super) fn queued(directory: &Path, limit: usize) -> io::Result<Value> {
    let mut shown = Shown::new(limit);
    for inspected in inspect(directory)? {
        if shown.more {
            break;
        }
        let inspected = match inspected {
            Ok(inspected) => inspected,
            // It was delivered and deleted meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if inspected.acknowledged {
            continue;
        }
        let appended_ms = inspected.entry.appended_ms;
        if let Ok(block) = Block::decode(inspected.entry.bytes) {
            let about = [("appendedMs", json!(appended_ms))];
            shown.add(&block, &about);
        }
    }
    Ok(shown.json())
}

/// The series in parked batches, `limit` at the most.
pub(super) fn parked(parking: &Parking, filter: &Filter, limit: usize) -> Value {
    let mut shown = Shown::new(limit);
    for name in parking
        .names()
        .into_iter()
        .filter(|&name| filter.matches(name))
    {
        if shown.more {
            break;
        }
        let batch = match parking.read(name) {
            Ok(batch) => batch,
            // It was replayed, or pushed out, meanwhile.
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                let (name, error) = (name.to_string(), causes(&error));
                shown.push(json!({"unreadable": name, "error": error}), 0);
                continue;
            }
        };
        let about = [
            ("appendedMs", json!(batch.appended_ms)),
            ("parkedMs", json!(batch.parked_ms)),
            ("status", json!(batch.status)),
            ("words", json!(batch.words)),
        ];
        shown.add(&batch.block, &about);
    }
    shown.json()
}

impl Shown {
    fn new(limit: usize) -> Self {
        Self {
            series: Vec::new(),
            limit,
            bytes: 0,
            more: false,
        }
    }

    fn add(&mut self, block: &Block, about: &[(&str, Value)]) {
        let raw_len = block.counts.raw_len;
        let joined = snappy::join(raw_len, std::iter::once(block.elements.as_ref()));
        let mut buffer = Vec::new();
        let request = snappy::decompress(&joined, raw_len, &mut buffer).ok();
        let request = request.and_then(|raw| WriteRequest::decode(raw).ok());
        for series in request.into_iter().flat_map(|request| request.timeseries) {
            if self.more {
                return;
            }
            self.push(show(&series, about), series.encoded_len());
        }
    }

    fn push(&mut self, shown: Value, bytes: usize) {
        self.more = self.series.len() >= self.limit || self.bytes >= ANSWER_BYTES;
        if !self.more {
            self.bytes += bytes;
            self.series.push(shown);
        }
    }

    fn json(self) -> Value {
        json!({"series": self.series, "more": self.more})
    }
}

fn show(series: &TimeSeries, about: &[(&str, Value)]) -> Value {
    let labels = series.labels.iter();
    let labels: Map<String, Value> = labels
        .map(|label| (label.name.clone(), json!(label.value)))
        .collect();
    let samples = series.samples.iter().map(|sample| {
        let value = match sample.value {
            value if value.is_finite() => json!(value),
            value if value.is_nan() => json!("NaN"),
            value if value > 0.0 => json!("+Inf"),
            _ => json!("-Inf"),
        };
        json!([sample.timestamp, value])
    });
    let mut object = Map::from_iter([
        ("labels".to_owned(), Value::Object(labels)),
        ("samples".to_owned(), samples.collect()),
        ("histograms".to_owned(), json!(series.histograms.len())),
        ("exemplars".to_owned(), json!(series.exemplars.len())),
    ]);
    let about = about.iter();
    object.extend(about.map(|(key, value)| ((*key).to_owned(), value.clone())));
    Value::Object(object)
}
