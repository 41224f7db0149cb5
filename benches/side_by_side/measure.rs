//! One run of one relay under a load, and what many runs say together.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use promrelay::model::{self, LabelSet};
use promrelay::relabel::{Outcome, RuleConfig, Rules, Scratch};
use promrelay::remote_write::generated::prometheus::{Label, WriteRequest};
use promrelay::remote_write::snappy::decompress;
use prost::Message as _;
use serde_yaml::Value;
use tokio::time::{Instant, sleep};

use crate::process::Usage;
use crate::receiver::Receiver;
use crate::relay::{Program, Relay, Task};
use crate::routes::Routes;
use crate::sender::{Plan, Sent, send};

/// When nothing has arrived for so long after a load, nothing more will.
const QUIET: Duration = Duration::from_secs(8);
/// The same between warming up and the load; what is left over does not matter much.
const PAUSE: Duration = Duration::from_millis(1200);

/// A load of remote write.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// What the first requests are, which are not measured: tables and buffers fill.
    pub(crate) warm_up: u64,
    pub(crate) requests: u64,
    pub(crate) series_per_request: u64,
    pub(crate) bodies: Arc<Vec<Bytes>>,
    pub(crate) connections: usize,
    pub(crate) rate: Option<f64>,
}

/// What one run found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) samples: u64,
    pub(crate) cpu: Duration,
    pub(crate) took: Duration,
    pub(crate) peak_rss_bytes: u64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Samples that the receiver got, on all routes, those of warming up too.
    pub(crate) delivered: u64,
    /// How many that should have been.
    pub(crate) expected: u64,
    pub(crate) refused: u64,
}

impl Found {
    /// Samples that came in per second of CPU time, all of the relay's counted.
    pub(crate) fn samples_per_cpu_s(&self) -> f64 {
        self.samples as f64 / self.cpu.as_secs_f64().max(0.01)
    }
}

/// Sends `load` through a new `program` and waits until all is delivered.
pub(crate) async fn run(program: &Program, routes: Routes, load: &Load) -> Found {
    let receiver = Receiver::start(loopback());
    let task = Task {
        routes: routes.rules(),
        scrape: Vec::new(),
        receiver: receiver.address(),
    };
    let relay = program.start(&task).await;
    let plan = |first, requests, rate| Plan {
        url: relay.write_url(),
        bodies: Arc::clone(&load.bodies),
        first,
        requests,
        connections: load.connections,
        rate,
    };
    let kept = kept_by_body(&task.routes, &load.bodies);
    let expected = |requests: u64| -> u64 {
        let bodies = kept.iter().cycle();
        bodies.take(usize::try_from(requests).unwrap_or(0)).sum()
    };
    let warm = expected(load.warm_up);
    let all = expected(load.warm_up + load.requests);
    send(plan(0, load.warm_up, None)).await;
    let before = settle(&relay, &receiver, warm, PAUSE).await;
    let sent: Sent = send(plan(load.warm_up, load.requests, load.rate)).await;
    let after = settle(&relay, &receiver, all, QUIET).await;
    Found {
        samples: load.requests * load.series_per_request,
        cpu: after.cpu.saturating_sub(before.cpu),
        took: sent.took,
        peak_rss_bytes: after.peak_rss_bytes,
        p50: sent.latency(50),
        p99: sent.latency(99),
        delivered: arrived(&receiver),
        expected: all,
        refused: sent.refused,
    }
}

/// Waits until `expected` samples have arrived, or none for as long as `quiet`; answers what had
/// been used when the last one had come.
async fn settle(relay: &Relay, receiver: &Receiver, expected: u64, quiet: Duration) -> Usage {
    let mut usage = relay.usage();
    let (mut samples, mut since) = (arrived(receiver), Instant::now());
    while samples < expected && since.elapsed() < quiet {
        sleep(Duration::from_millis(20)).await;
        let now = arrived(receiver);
        if now != samples {
            (samples, since) = (now, Instant::now());
            usage = relay.usage();
        }
    }
    usage
}

/// How many samples of each request the routes keep in all, by their rules alone.
fn kept_by_body(routes: &[Value], bodies: &[Bytes]) -> Vec<u64> {
    let compile = |rules: &Value| {
        let rules: Vec<RuleConfig> = serde_yaml::from_value(rules.clone()).expect("valid rules");
        Rules::compile(&rules)
    };
    let routes: Vec<_> = routes.iter().map(compile).collect();
    let (mut buffer, mut scratch) = (Vec::new(), Scratch::default());
    let mut kept = |body: &Bytes| {
        let raw = decompress(body, u64::MAX, &mut buffer).expect("a body of ours");
        let request = WriteRequest::decode(raw).expect("a body of ours");
        let mut kept = 0;
        for series in &request.timeseries {
            let labels = series
                .labels
                .iter()
                .map(|Label { name, value }| model::Label { name, value });
            let labels: LabelSet<'_> = labels.collect();
            for rules in &routes {
                let outcome = rules.apply(&mut labels.clone(), &mut scratch);
                kept += u64::from(outcome == Outcome::Kept);
            }
        }
        kept
    };
    bodies.iter().map(&mut kept).collect()
}

/// Samples that arrived so far, on all routes.
pub(crate) fn arrived(receiver: &Receiver) -> u64 {
    let routes = receiver.arrived();
    routes.values().map(|arrived| arrived.samples).sum()
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// The middle of some values.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
