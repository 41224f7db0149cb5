//! A workload: the write requests of a Prometheus, made up but true to life, the same every time.
//!
//! Ten labels a series as the Prometheus operator writes them, about 350 bytes that compress to
//! about 60; four series in a row share their metric's name; which series are kept is spread over
//! the request. The requests are a function of their number, so two relays get the same.

use bytes::Bytes;
use promrelay::exposition::{Entry, text};
use promrelay::model::Label;
use promrelay::remote_write::snappy::Compressor;
use promrelay::remote_write::v1::{TIMESERIES, encode_labels};
use promrelay::remote_write::wire::{put_bytes_field, put_varint};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::catalogue::{CHART_DROPPED, CHART_KEPT, Family, OCTOPUS_DROPPED, OCTOPUS_KEPT};

/// What a Linux node's exporter says.
pub(crate) const NODE_EXPORTER: &str = include_str!("node_exporter.prom");
/// Series in a row that share a name.
const RUN: u64 = 4;
/// Series of one target.
const TARGET: u64 = 800;
/// All samples are of this time, in milliseconds.
const TIMESTAMP_MS: u64 = 1_764_000_000_000;

/// Which series a load is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A Windows node pool and the cluster around it.
    Octopus,
    /// What the routes of the Sumo Logic chart are made for.
    Chart,
    /// A Linux node exporter's exposition, again and again, with about six labels a series.
    NodeExporter,
}

/// Which requests a load is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) kind: Kind,
    /// Series of a hundred that the routes made for this kind keep; a node exporter's are what
    /// they are.
    pub(crate) kept_percent: u64,
    pub(crate) series_per_request: u64,
    /// Distinct series; after them the first comes again.
    pub(crate) active_series: u64,
}

impl Workload {
    /// All distinct requests, compressed.
    pub(crate) fn bodies(&self) -> Vec<Bytes> {
        let requests = self.active_series.div_ceil(self.series_per_request).max(1);
        let exposed = exposed_series();
        let mut compressor = Compressor::default();
        let body = |number| {
            let raw = self.raw_request(number, &exposed);
            let elements = compressor.elements(&raw);
            let mut body = Vec::with_capacity(elements.len() + 5);
            put_varint(&mut body, raw.len() as u64);
            body.extend_from_slice(elements);
            Bytes::from(body)
        };
        (0..requests).map(body).collect()
    }

    fn raw_request(&self, number: u64, exposed: &[Exposed]) -> Vec<u8> {
        let first = number * self.series_per_request;
        let mut request = Vec::new();
        for series in first..first + self.series_per_request {
            let labels = match self.kind {
                Kind::Octopus => self.series(series, OCTOPUS_KEPT, OCTOPUS_DROPPED),
                Kind::Chart => self.series(series, CHART_KEPT, CHART_DROPPED),
                Kind::NodeExporter => exposed_on_target(series, exposed),
            };
            put_series(&labels, series, &mut request);
        }
        request
    }

    fn series(&self, series: u64, kept: &[Family], dropped: &[Family]) -> Vec<(String, String)> {
        let run = series / RUN;
        let families = if draw(run, 0, 100) < self.kept_percent {
            kept
        } else {
            dropped
        };
        let family = pick(families, draw(run, 1, 100));
        let names = family.names.split_ascii_whitespace();
        let name = draw(run, 2, names.clone().count() as u64);
        let name = names.into_iter().nth(usize::try_from(name).unwrap_or(0));
        let (target, own) = (series / TARGET, series % TARGET);
        let (subnet, host) = (target / 250, target % 250);
        let own = if family.own_label == "le" {
            format!("{}.5", own % 40)
        } else {
            format!("{}-{own}", family.own_label)
        };
        let job = family.job;
        let labels = [
            ("__name__", name.unwrap_or_default().to_owned()),
            ("cluster", "aks-production-westeurope".to_owned()),
            ("endpoint", "metrics".to_owned()),
            ("instance", format!("10.240.{subnet}.{host}:9100")),
            ("job", job.to_owned()),
            ("namespace", "sumologic".to_owned()),
            ("pod", format!("{job}-{:08x}", draw(target, 3, 1 << 32))),
            (
                "prometheus",
                "sumologic/collection-kube-prometheus-prometheus".to_owned(),
            ),
            ("service", format!("collection-prometheus-{job}")),
            (family.own_label, own),
        ];
        sorted(labels.map(|(name, value)| (name.to_owned(), value)).into())
    }
}

/// A number below `bound` for this series and purpose.
fn draw(series: u64, purpose: u64, bound: u64) -> u64 {
    xxh3_64_with_seed(&series.to_le_bytes(), purpose) % bound
}

fn pick(families: &[Family], mut percent: u64) -> &Family {
    for family in families {
        match percent.checked_sub(family.percent) {
            Some(left) => percent = left,
            None => return family,
        }
    }
    &families[families.len() - 1]
}

fn sorted(mut labels: Vec<(String, String)>) -> Vec<(String, String)> {
    labels.sort();
    labels.dedup_by(|(later, _), (earlier, _)| later == earlier);
    labels
}

/// The labels of one line of an exposition.
type Exposed = Vec<(String, String)>;

/// The series of [`NODE_EXPORTER`].
fn exposed_series() -> Vec<Exposed> {
    let mut parser = text::Parser::new(NODE_EXPORTER.as_bytes());
    let mut series = Vec::new();
    loop {
        match parser.next_entry().expect("the exposition is valid") {
            Entry::Series(found) => {
                let labels = found
                    .labels()
                    .map(|label| (label.name.to_owned(), label.value.to_owned()));
                series.push(labels.collect());
            }
            Entry::Eof => return series,
            _ => {}
        }
    }
}

fn exposed_on_target(series: u64, exposed: &[Exposed]) -> Vec<(String, String)> {
    let (target, own) = (series / exposed.len() as u64, series % exposed.len() as u64);
    let mut labels = exposed[usize::try_from(own).unwrap_or(0)].clone();
    labels.retain(|(_, value)| !value.is_empty());
    let added = [
        ("cluster", "production".to_owned()),
        (
            "instance",
            format!("10.240.{}.{}:9100", target / 250, target % 250),
        ),
        ("job", "node-exporter".to_owned()),
        ("namespace", "monitoring".to_owned()),
    ];
    labels.extend(added.map(|(name, value)| (name.to_owned(), value)));
    sorted(labels)
}

fn put_series(labels: &[(String, String)], series: u64, request: &mut Vec<u8>) {
    let mut message = Vec::with_capacity(512);
    let labels = labels.iter().map(|(name, value)| Label { name, value });
    encode_labels(labels, &mut message);
    let value = draw(series, 4, 1_000_000) as f64 / 64.0;
    let mut sample = vec![0x09];
    sample.extend_from_slice(&value.to_le_bytes());
    sample.push(0x10);
    put_varint(&mut sample, TIMESTAMP_MS);
    put_bytes_field(&mut message, 2, &sample);
    put_bytes_field(request, TIMESERIES, &message);
}
