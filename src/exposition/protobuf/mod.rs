//! Prometheus' protobuf format: `io.prometheus.client.MetricFamily` messages, each behind its
//! length. The one format with native histograms.
//!
//! One family is decoded at a time, so memory is in proportion to the largest family, which the
//! limit on a body's size bounds. A stated length beyond the body's end is an error before
//! anything is allocated.
//!
//! The entries of a family: help, type and unit, then its metrics, each as the series that the
//! text formats would have.

use std::borrow::Cow;

use prost::Message;
use thiserror::Error;

use super::labels::{self, Pair};
use super::number::{format_bound, normal};
use super::{Entry, HistogramSample, MetricType, Series};

mod message;
mod rows;
#[cfg(test)]
mod tests;

use message::MetricFamily;
pub use message::{BucketSpan, Histogram};
pub use rows::Histograms;
use rows::Row;

/// Why a body is not in this format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A family's length is none, or reaches beyond the end of the body.
    #[error("metric family at byte {offset} is cut off")]
    CutOff {
        /// Where its length stands.
        offset: usize,
    },
    /// A family is no valid message.
    #[error("metric family at byte {offset} is no valid message")]
    Family {
        /// Where its length stands.
        offset: usize,
        /// What is wrong with it.
        #[source]
        source: prost::DecodeError,
    },
    /// A family without a name.
    #[error("metric family at byte {offset} has no name")]
    NameMissing {
        /// Where its length stands.
        offset: usize,
    },
    /// A family whose name does not end in its unit.
    #[error("metric family at byte {offset} has unit {unit:?}, which its name does not end in")]
    Unit {
        /// Where its length stands.
        offset: usize,
        /// The unit.
        unit: String,
    },
    /// A family of a type that is not known.
    #[error("metric family at byte {offset} has unknown type {number}")]
    MetricType {
        /// Where its length stands.
        offset: usize,
        /// The type's number.
        number: i32,
    },
}

/// Reads a body of delimited metric families.
#[derive(Debug)]
pub struct Parser<'a> {
    body: &'a [u8],
    at: usize,
    histograms: Histograms,
    family: MetricFamily,
    metric_type: MetricType,
    /// What of the family comes next.
    next: Next,
    /// The series of the current metric, which is the one before `Next::Metric`.
    rows: Vec<Row>,
    start_timestamp_ms: Option<i64>,
    labels: Vec<Pair<'static>>,
    exposed: Vec<u8>,
}

/// Where the parser is in a family.
#[derive(Clone, Copy, Debug)]
enum Next {
    Help,
    Type,
    Unit,
    /// The metric of this index.
    Metric(usize),
    /// The row `row` of the metric `metric`.
    Row {
        metric: usize,
        row: usize,
    },
}

impl<'a> Parser<'a> {
    /// A parser of `body`, which is looked at as entries are asked for.
    #[must_use]
    pub fn new(body: &'a [u8], histograms: Histograms) -> Self {
        Self {
            body,
            at: 0,
            histograms,
            family: MetricFamily::default(),
            metric_type: MetricType::Unknown,
            next: Next::Metric(0),
            rows: Vec::new(),
            start_timestamp_ms: None,
            labels: Vec::new(),
            exposed: Vec::new(),
        }
    }

    /// The next entry, or [`Entry::Eof`].
    ///
    /// # Errors
    /// The next family is not in this format. There is no use in asking for more.
    pub fn next_entry(&mut self) -> Result<Entry<'_>, DecodeError> {
        loop {
            match self.next {
                Next::Help => {
                    self.next = Next::Type;
                    return Ok(Entry::Help {
                        metric: &self.family.name,
                        text: Cow::Borrowed(&self.family.help),
                    });
                }
                Next::Type => {
                    self.next = Next::Unit;
                    return Ok(Entry::Type {
                        metric: &self.family.name,
                        metric_type: self.metric_type,
                    });
                }
                Next::Unit => {
                    self.next = Next::Metric(0);
                    if !self.family.unit.is_empty() {
                        return Ok(Entry::Unit {
                            metric: &self.family.name,
                            unit: &self.family.unit,
                        });
                    }
                }
                Next::Metric(metric) if metric < self.family.metric.len() => {
                    let source = &self.family.metric[metric];
                    (self.rows, self.start_timestamp_ms) =
                        rows::expand(source, self.metric_type, self.histograms);
                    self.next = Next::Row { metric, row: 0 };
                }
                Next::Metric(_) if self.at == self.body.len() => return Ok(Entry::Eof),
                Next::Metric(_) => self.decode_family()?,
                Next::Row { metric, row } if row < self.rows.len() => {
                    self.next = Next::Row {
                        metric,
                        row: row + 1,
                    };
                    self.write_labels(metric, row);
                    return Ok(self.entry(metric, row));
                }
                Next::Row { metric, .. } => self.next = Next::Metric(metric + 1),
            }
        }
    }

    fn decode_family(&mut self) -> Result<(), DecodeError> {
        let offset = self.at;
        let cut_off = DecodeError::CutOff { offset };
        let mut rest = &self.body[offset..];
        let Ok(length) = prost::decode_length_delimiter(&mut rest) else {
            return Err(cut_off);
        };
        let message = rest.get(..length).ok_or(cut_off)?;
        self.at = self.body.len() - rest.len() + length;
        self.family = MetricFamily::decode(message)
            .map_err(|source| DecodeError::Family { offset, source })?;
        if self.family.name.is_empty() {
            return Err(DecodeError::NameMissing { offset });
        }
        self.metric_type = match self.family.metric_type {
            0 => MetricType::Counter,
            1 => MetricType::Gauge,
            2 => MetricType::Summary,
            3 => MetricType::Unknown,
            4 => MetricType::Histogram,
            5 => MetricType::GaugeHistogram,
            number => return Err(DecodeError::MetricType { offset, number }),
        };
        let MetricFamily { name, unit, .. } = &self.family;
        let total = name.strip_suffix("_total");
        let name = total.filter(|_| self.metric_type == MetricType::Counter);
        let name = name.unwrap_or(&self.family.name);
        let rest = name.strip_suffix(unit.as_str());
        if !unit.is_empty() && rest.is_none_or(|rest| !rest.ends_with('_')) {
            let unit = unit.clone();
            return Err(DecodeError::Unit { offset, unit });
        }
        self.next = Next::Help;
        Ok(())
    }

    /// Puts together the labels of a row, and its spelling: they, each behind a byte that no text
    /// holds.
    fn write_labels(&mut self, metric: usize, row: usize) {
        let row = &self.rows[row];
        self.labels.clear();
        for label in &self.family.metric[metric].label {
            let pair = (label.name.clone().into(), label.value.clone().into());
            self.labels.push(pair);
        }
        if let Some((name, bound)) = row.bound {
            self.labels.push((name.into(), format_bound(bound).into()));
        }
        let name = format!("{}{}", self.family.name, row.suffix);
        labels::finish(&mut self.labels, name.into(), MetricType::Unknown);
        self.exposed.clear();
        for text in self.labels.iter().flat_map(|(name, value)| [name, value]) {
            self.exposed.extend_from_slice(text.as_bytes());
            self.exposed.push(0xff);
        }
    }

    fn entry(&self, metric: usize, row: usize) -> Entry<'_> {
        let (source, row) = (&self.family.metric[metric], &self.rows[row]);
        let series = Series {
            labels: &self.labels,
            exemplars: &row.exemplars,
            exposed: &self.exposed,
            is_known: false,
            value: normal(row.value.unwrap_or_default()),
            timestamp_ms: Some(source.timestamp_ms).filter(|&timestamp| timestamp != 0),
            start_timestamp_ms: self.start_timestamp_ms,
        };
        match &source.histogram {
            Some(histogram) if row.value.is_none() => Entry::Histogram(HistogramSample {
                series,
                histogram,
                is_gauge: self.metric_type == MetricType::GaugeHistogram,
            }),
            _ => Entry::Series(series),
        }
    }
}
