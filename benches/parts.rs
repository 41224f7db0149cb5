//! Each part of a sample's way alone. `core` has them together, without network and disk;
//! `side_by_side` has all of it, beside others.
//!
//! ```console
//! cargo bench --bench parts                # all of it, three minutes
//! cargo bench --bench parts -- verdict     # one part
//! ```
//! Throughput is in series, or samples of one series each.

#[path = "load/catalogue.rs"]
mod catalogue;
#[path = "load/workload.rs"]
mod workload;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use promrelay::exposition::{Entry, text};
use promrelay::model::{Label, LabelSet};
use promrelay::queue::{Durability, OnFull, Options, Queue, Record};
use promrelay::relabel::{RuleConfig, Rules, Scratch};
use promrelay::remote_write::block::Form;
use promrelay::remote_write::snappy::{Compressor, decompress, join};
use promrelay::remote_write::v1::{Limits, Payload, Series, TIMESERIES, Walker, encode_labels};
use promrelay::remote_write::wire::put_bytes_field;
use promrelay::route::{Request, Route, Router, RouterMetrics};
use promrelay::send::LaneCount;
use promrelay::send::families::{Families, Interest};
use promrelay::telemetry::Registry;
use workload::{Kind, NODE_EXPORTER, Workload};

const SERIES: u64 = 2000;
const LIMITS: Limits = Limits {
    labels_per_series: 256,
    label_name_bytes: 1024,
    label_value_bytes: 65_536,
};
const KEEP: &str = "[{action: keep, source_labels: [job, __name__], \
    regex: 'node-exporter;(?:windows_cpu_time_total|windows_memory_.*|windows_os_.*)'}]";
const REWRITE: &str = "[{action: labelmap, regex: '(pod|service)', replacement: 'k8s_$1'}, \
    {action: labeldrop, regex: '(pod|service|prometheus)'}, \
    {source_labels: [instance], regex: '([^:]+):.*', target_label: host, replacement: '$1'}, \
    {action: hashmod, source_labels: [instance], modulus: 16, target_label: shard}]";

fn octopus(active_series: u64) -> Workload {
    Workload {
        kind: Kind::Octopus,
        kept_percent: 20,
        series_per_request: SERIES,
        active_series,
    }
}

/// A request of the load, decompressed.
fn request(body: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::new();
    decompress(body, 1 << 30, &mut buffer)
        .expect("a valid block")
        .to_vec()
}

fn rules(yaml: &str) -> Rules {
    let rules: Vec<RuleConfig> = serde_yaml::from_str(yaml).expect("valid rules");
    Rules::compile(&rules)
}

fn router(directory: &std::path::Path, rule_lists: &[&str]) -> Arc<Router> {
    let route = |(index, yaml): (usize, &&str)| {
        let opened = Queue::open(&directory.join(index.to_string()), Options::default());
        Route {
            name: index.to_string().into(),
            rules: rules(yaml),
            lanes: LaneCount::new(1),
            max_samples_per_send: 2000,
            payload: Payload::ALL,
            interest: Arc::new(Interest::noted(&Registry::new())),
            queue: opened.expect("a directory that can be written").0,
        }
    };
    let routes: Vec<_> = rule_lists.iter().enumerate().map(route).collect();
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

/// A request of one label a series besides the job: a name that is new with every `round`.
fn new_names(round: u64) -> Vec<u8> {
    let mut request = Vec::new();
    for series in 0..SERIES {
        let name = format!("metric_{round}_{series}");
        let labels = [("__name__", name.as_str()), ("job", "node-exporter")];
        let mut message = Vec::new();
        let labels = labels.map(|(name, value)| Label { name, value });
        encode_labels(labels.into_iter(), &mut message);
        put_bytes_field(&mut message, 2, b"\x09\x01\x02\x03\x04\x05\x06\x07\x08");
        put_bytes_field(&mut request, TIMESERIES, &message);
    }
    request
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(SERIES));
    let body = octopus(SERIES).bodies().swap_remove(0);
    let mut buffer = Vec::new();
    group.bench_function("snappy", |bencher| {
        bencher.iter(|| {
            let raw = decompress(&body, 1 << 30, &mut buffer);
            raw.expect("a valid block").len()
        });
    });
    let raw = request(&body);
    group.bench_function("walk", |bencher| {
        bencher.iter(|| {
            let mut walker = Walker::new(&raw, LIMITS);
            let mut series = Series::default();
            while let Some(part) = walker.next_part(&mut series).expect("a valid request") {
                black_box(part);
            }
        });
    });
    group.finish();
}

/// The verdict table, seen through a router that drops everything: what is left is the walk.
fn verdict(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut group = criterion.benchmark_group("verdict");
    group.throughput(Throughput::Elements(SERIES));
    let drop_all = "[{action: keep, source_labels: [job, __name__], regex: 'a;(b|c_.*)'}]";
    let router = router(directory.path(), &[drop_all]);
    let mut route = |name: &str, requests: &mut dyn FnMut() -> Vec<u8>| {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                &mut *requests,
                |request| {
                    router
                        .route(Request::new(Form::Plain, request))
                        .expect("a valid request")
                        .received()
                },
                BatchSize::LargeInput,
            );
        });
    };
    let same = request(&octopus(SERIES).bodies()[0]);
    route("hit", &mut || same.clone());
    let mut round = 0;
    route("miss", &mut || {
        round += 1;
        new_names(round)
    });
    let bodies = octopus(500 * SERIES).bodies();
    let mut churn = bodies.iter().cycle();
    route("churn", &mut || {
        request(churn.next().expect("bodies without end"))
    });
    group.finish();
}

fn relabel(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("relabel");
    group.throughput(Throughput::Elements(1));
    let labels = [
        ("__name__", "windows_service_state"),
        ("instance", "10.240.0.17:9100"),
        ("job", "node-exporter"),
        ("pod", "node-exporter-5d8f7"),
        ("prometheus", "sumologic/prometheus"),
        ("service", "collection-prometheus-node-exporter"),
    ];
    let labels = labels.map(|(name, value)| Label { name, value });
    for (name, yaml) in [("keep", KEEP), ("rewrite", REWRITE)] {
        let rules = rules(yaml);
        let mut scratch = Scratch::default();
        let mut set = LabelSet::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                set.clear();
                set.extend(labels);
                black_box(rules.apply(&mut set, &mut scratch))
            });
        });
    }
    group.finish();
}

fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Elements(SERIES));
    let request = request(&octopus(SERIES).bodies()[0]);
    let lists: [(&str, &[&str]); 3] = [
        ("one", &[KEEP]),
        ("everything", &["[]"]),
        ("rewriting", &[REWRITE]),
    ];
    for (name, rule_lists) in lists {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let router = router(directory.path(), rule_lists);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                black_box(router.route(Request::new(Form::Plain, &request)))
                    .expect("valid")
                    .received()
            });
        });
    }
    group.finish();
}

fn compress(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compress");
    group.throughput(Throughput::Elements(SERIES));
    let raw = request(&octopus(SERIES).bodies()[0]);
    let mut compressor = Compressor::default();
    group.bench_function("compress", |bencher| {
        bencher.iter(|| compressor.elements(&raw).len());
    });
    let parts: Vec<Vec<u8>> = raw
        .chunks(raw.len() / 20 + 1)
        .map(|part| compressor.elements(part).to_vec())
        .collect();
    group.bench_function("join-20-blocks", |bencher| {
        bencher.iter(|| join(raw.len() as u64, parts.iter().map(Vec::as_slice)).len());
    });
    group.finish();
}

/// Appending alone: what the queue's thread and the disk do meanwhile is `durability`'s matter.
fn queue_append(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = Options {
        durability: Durability::Async,
        on_full: OnFull::DropOldest,
        ..Options::default()
    };
    let (queue, _recovery) = Queue::open(directory.path(), options).expect("a new directory");
    let bytes = octopus(SERIES).bodies().swap_remove(0);
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    group.bench_function("append", |bencher| {
        bencher.iter(|| {
            let size = Queue::stored_size(bytes.len());
            let reservation = queue.reserve(size).expect("room");
            let record = Record {
                stream: 1,
                weight: 2000,
                appended_ms: 0,
                bytes: &bytes,
            };
            let receipt = queue.append(reservation, &[record]);
            runtime.block_on(receipt.durable()).expect("written");
        });
    });
    group.finish();
}

fn exposition(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exposition");
    let samples = NODE_EXPORTER.lines().filter(|line| !line.starts_with('#'));
    group.throughput(Throughput::Elements(samples.count() as u64));
    group.bench_function("text", |bencher| {
        bencher.iter(|| {
            let mut parser = text::Parser::new(NODE_EXPORTER.as_bytes());
            while !matches!(
                black_box(parser.next_entry()).expect("a valid exposition"),
                Entry::Eof
            ) {}
        });
    });
    group.finish();
}

criterion_group!(
    benches,
    decode,
    verdict,
    relabel,
    route,
    compress,
    queue_append,
    exposition
);
criterion_main!(benches);
