//! Scraping: targets of 300 samples each, beside a Prometheus agent.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use promrelay::http::Server;
use serde_yaml::Value;
use tokio::time::{Instant, sleep};

use crate::measure::{Found, arrived, loopback};
use crate::receiver::Receiver;
use crate::relay::{Program, Task, mapping};
use crate::routes::Routes;
use crate::workload::NODE_EXPORTER;

const TARGETS: usize = 200;
const SAMPLES: usize = 300;
/// Every target is scraped so often.
const INTERVAL: &str = "1s";

/// Has `program` scrape for `length`, after as long to find its pace.
pub(crate) async fn run(program: &Program, length: Duration) -> Found {
    let exposition: &'static str = exposition().leak();
    let answer = async move || ([("content-type", "text/plain; version=0.0.4")], exposition);
    let service = Router::new().route("/metrics/{target}", get(answer));
    let exposer = Server::start(loopback(), service).expect("a port");
    let receiver = Receiver::start(loopback());
    let target = |number: usize| {
        let path = format!("/metrics/{number}").into();
        let instance = format!("10.240.0.{number}:9100").into();
        let labels = mapping([("__metrics_path__", path), ("instance", instance)]);
        let address = Value::from(exposer.address().to_string());
        mapping([
            ("targets", Value::Sequence(vec![address])),
            ("labels", labels),
        ])
    };
    let job = mapping([
        ("job_name", "node-exporter".into()),
        ("scrape_interval", INTERVAL.into()),
        ("scrape_timeout", INTERVAL.into()),
        (
            "static_configs",
            Value::Sequence((0..TARGETS).map(target).collect()),
        ),
    ]);
    let task = Task {
        routes: Routes::All.rules(),
        scrape: vec![job],
        receiver: receiver.address(),
    };
    let relay = program.start(&task).await;
    sleep(length).await;
    let (before, samples, start) = (relay.usage(), arrived(&receiver), Instant::now());
    sleep(length).await;
    let (after, delivered) = (relay.usage(), arrived(&receiver) - samples);
    Found {
        samples: delivered,
        cpu: after.cpu.saturating_sub(before.cpu),
        took: start.elapsed(),
        peak_rss_bytes: after.peak_rss_bytes,
        p50: Duration::ZERO,
        p99: Duration::ZERO,
        delivered,
        expected: delivered,
        refused: 0,
    }
}

/// The first samples of a node exporter, with what it says about them.
fn exposition() -> String {
    let mut exposition = String::new();
    let mut samples = 0;
    for line in NODE_EXPORTER.lines() {
        samples += usize::from(!line.starts_with('#'));
        if samples > SAMPLES {
            break;
        }
        exposition.push_str(line);
        exposition.push('\n');
    }
    exposition
}
