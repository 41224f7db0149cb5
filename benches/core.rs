//! The path of a request without network and disk: decompress, walk, decide, copy, compress.
//!
//! `cargo bench --bench core`. Throughput is in series. What to compare with is decompressing the
//! request and compressing what is kept (`limit`) or all of it (`limit_all`), alone. `route_v2` has
//! the same series in a 2.0 request; `version_2` is what reading one into the carried form and
//! writing one takes of that. `load` is the same way for all requests of a load in turn. Of most,
//! the rules made for it keep a fifth of the series.

#[path = "load/catalogue.rs"]
mod catalogue;
#[path = "side_by_side/routes.rs"]
mod routes;
#[path = "load/workload.rs"]
mod workload;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use promrelay::model::Label;
use promrelay::queue::{Options, Queue};
use promrelay::relabel::{RuleConfig, Rules};
use promrelay::remote_write::block::Form;
use promrelay::remote_write::snappy::{Compressor, decompress};
use promrelay::remote_write::v1::{Limits, Payload, TIMESERIES, encode_labels};
use promrelay::remote_write::v2::{Decoder, Encoder};
use promrelay::remote_write::wire::{put_bytes_field, put_varint};
use promrelay::route::{Request, Route, Router, RouterMetrics};
use promrelay::send::LaneCount;
use promrelay::send::families::{Families, Interest};
use promrelay::telemetry::Registry;
use routes::Routes;
use workload::{Kind, Workload};

/// Series in a request.
const SERIES: usize = 2000;
const LIMITS: Limits = Limits {
    labels_per_series: 64,
    label_name_bytes: 1024,
    label_value_bytes: 65_536,
};

/// Ten labels a series, as a Kubernetes node exporter has them; of a hundred names the first
/// `kept` are kept by the rules.
fn request(kept: usize) -> Vec<u8> {
    let mut request = Vec::new();
    for index in 0..SERIES {
        let family = if index * 100 / SERIES < kept {
            "windows_memory"
        } else {
            "windows_service"
        };
        let name = format!("{family}_metric_{}", index % 100);
        let (pod, container) = (format!("exporter-{}", index / 10), index.to_string());
        let labels = [
            ("__name__", name.as_str()),
            ("cluster", "aks-production-westeurope"),
            ("container", &container),
            ("endpoint", "metrics"),
            ("instance", "10.240.0.17:9100"),
            ("job", "node-exporter"),
            ("namespace", "sumologic"),
            ("pod", &pod),
            (
                "prometheus",
                "sumologic/collection-kube-prometheus-prometheus",
            ),
            ("service", "collection-prometheus-node-exporter"),
        ];
        let mut message = Vec::new();
        encode_labels(
            labels.iter().map(|&(name, value)| Label { name, value }),
            &mut message,
        );
        let mut sample = vec![9];
        sample.extend_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8, 16]);
        put_varint(&mut sample, 1_700_000_000_000);
        put_bytes_field(&mut message, 2, &sample);
        put_bytes_field(&mut request, TIMESERIES, &message);
    }
    request
}

/// The same series as a 2.0 request.
fn second(request: &[u8]) -> Vec<u8> {
    let mut second = Vec::new();
    let mut encoder = Encoder::default();
    encode(&mut encoder, Form::Plain, request, &mut second);
    second
}

fn encode(encoder: &mut Encoder, form: Form, request: &[u8], buffer: &mut Vec<u8>) {
    encoder.begin();
    let added = encoder.add(form, request, &|_| None);
    added.expect("a valid request");
    encoder.finish(buffer);
}

fn compress(raw: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    put_varint(&mut block, raw.len() as u64);
    block.extend_from_slice(Compressor::default().elements(raw));
    block
}

/// The rules of two routes, one of which keeps `windows_memory_.*`.
fn two_routes() -> Vec<Vec<RuleConfig>> {
    let rules = |regex: &str| {
        let yaml = format!("[{{action: keep, source_labels: [job, __name__], regex: '{regex}'}}]");
        serde_yaml::from_str(&yaml).expect("a valid rule")
    };
    vec![
        rules("node-exporter;windows_(memory|os|system)_.*"),
        rules("node-exporter;windows_container_.*"),
    ]
}

/// A router with a route for each of these lists of rules.
fn router(directory: &std::path::Path, rules: &[Vec<RuleConfig>]) -> Arc<Router> {
    let route = |(index, rules): (usize, &Vec<RuleConfig>)| {
        let name = format!("route-{index}");
        let opened = Queue::open(&directory.join(&name), Options::default());
        Route {
            name: name.into(),
            rules: Rules::compile(rules),
            lanes: LaneCount::new(1),
            max_samples_per_send: 2000,
            payload: Payload::ALL,
            interest: Arc::new(Interest::noted(&Registry::new())),
            queue: opened.expect("a directory that can be written").0,
        }
    };
    let routes: Vec<_> = rules.iter().enumerate().map(route).collect();
    let named = routes
        .iter()
        .map(|route| (route.name.as_ref(), &route.rules));
    let metrics = RouterMetrics::new(&Registry::new(), named);
    Arc::new(Router::new(
        routes,
        Vec::new(),
        LIMITS,
        Families::new(&Registry::new()),
        metrics,
    ))
}

fn core(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let router = router(directory.path(), &two_routes());
    let mut group = criterion.benchmark_group("core");
    group.throughput(Throughput::Elements(SERIES as u64));
    for kept in [2, 20, 100] {
        let raw = request(kept);
        let block = compress(&raw);
        let kept_raw = raw.get(..raw.len() * kept / 100).unwrap_or_default();
        let mut buffer = Vec::new();
        group.bench_function(BenchmarkId::new("route", kept), |bencher| {
            bencher.iter(|| {
                let request = decompress(&block, 1 << 30, &mut buffer).expect("a valid block");
                let request = Request::new(Form::Plain, request).decompressed_from(&block);
                black_box(router.route(request))
                    .expect("a valid request")
                    .received()
            });
        });
        let block_v2 = compress(&second(&raw));
        let (mut decoder, mut carried) = (Decoder::default(), Vec::new());
        group.bench_function(BenchmarkId::new("route_v2", kept), |bencher| {
            bencher.iter(|| {
                let request = decompress(&block_v2, 1 << 30, &mut buffer).expect("a valid block");
                let counts = decoder.decode(request, 1 << 30, &mut carried);
                counts.expect("a valid request");
                black_box(router.route(Request::new(Form::Carried, &carried)))
                    .expect("a valid request")
                    .received()
            });
        });
        let mut compressor = Compressor::default();
        for (name, compressed) in [("limit", kept_raw), ("limit_all", &raw)] {
            group.bench_function(BenchmarkId::new(name, kept), |bencher| {
                bencher.iter(|| {
                    let request = decompress(&block, 1 << 30, &mut buffer).expect("a valid block");
                    black_box(request);
                    black_box(compressor.elements(compressed).len())
                });
            });
        }
    }
    group.finish();
}

fn load(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.throughput(Throughput::Elements(SERIES as u64));
    for (name, kind, routes) in [
        ("octopus", Kind::Octopus, Routes::Octopus),
        ("node_exporter", Kind::NodeExporter, Routes::NodeExporter),
        ("chart", Kind::Chart, Routes::Chart),
        ("chart_by_two", Kind::Chart, Routes::ChartByTwo),
        ("rewriting", Kind::Octopus, Routes::Rewriting),
        ("no_rules", Kind::Octopus, Routes::All),
    ] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let rules = routes.rules().into_iter().map(serde_yaml::from_value);
        let rules: Result<Vec<_>, _> = rules.collect();
        let router = router(directory.path(), &rules.expect("valid rules"));
        let workload = Workload {
            kind,
            kept_percent: 20,
            series_per_request: SERIES as u64,
            active_series: 100_000,
        };
        let bodies = workload.bodies();
        let mut bodies = bodies.iter().cycle();
        let mut buffer = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let body = bodies.next().expect("a load has requests");
                let request = decompress(body, 1 << 30, &mut buffer).expect("a valid block");
                let request = Request::new(Form::Plain, request).decompressed_from(body);
                black_box(router.route(request))
                    .expect("a valid request")
                    .received()
            });
        });
    }
    group.finish();
}

fn version_2(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("version_2");
    group.throughput(Throughput::Elements(SERIES as u64));
    let plain = request(100);
    let second = second(&plain);
    let (mut decoder, mut carried) = (Decoder::default(), Vec::new());
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let counts = decoder.decode(black_box(&second), 1 << 30, &mut carried);
            counts.expect("a valid request")
        });
    });
    let (mut encoder, mut buffer) = (Encoder::default(), Vec::new());
    for (name, form, request) in [
        ("encode_plain", Form::Plain, &plain),
        ("encode_carried", Form::Carried, &carried),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                buffer.clear();
                encode(&mut encoder, form, black_box(request), &mut buffer);
                buffer.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, core, load, version_2);
criterion_main!(benches);
