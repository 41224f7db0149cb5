//! What the documents say is what the program does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use promrelay::discovery::{Configs, Discovery, StaticConfig};
use promrelay::proxy::{Options, service};
use promrelay::telemetry::Registry;

use super::harness::{Receiver, Relay, series, wait_for};

const README: &str = include_str!("../../../README.md");

/// Metrics of the process are named by convention and not in the table.
fn is_own(name: &str) -> bool {
    name.starts_with("promrelay_")
}

/// The rows of README's table of metrics: the name and its labels.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let cells = |line: &'static str| line.split('|').map(str::trim).collect::<Vec<_>>();
    let rows = README
        .lines()
        .filter(|line| line.starts_with("| `promrelay_"));
    rows.map(cells)
        .map(|cells| {
            let labels = cells[2]
                .split(',')
                .map(|label| label.trim().trim_matches('`').to_owned());
            (
                cells[1].trim_matches('`').to_owned(),
                labels.filter(|l| !l.is_empty()).collect(),
            )
        })
        .collect()
}

/// The metrics of what this relay does not run: discovery, and the proxy.
fn of_other_parts() -> String {
    let registry = Registry::new();
    let configs = Configs {
        static_configs: vec![StaticConfig::default()],
        ..Configs::default()
    };
    let discovery = Discovery::start("j", &configs, Path::new(""), &registry);
    drop(discovery.expect("nothing needs setting up"));
    let options = Options {
        upstream: "localhost:1".to_owned(),
        timeout: Duration::from_secs(1),
        max_requests: 1,
    };
    drop(service(options, &registry));
    registry.render()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_metrics_is_what_the_relay_exposes() {
    let receiver = Receiver::start();
    let address = receiver.address();
    let config = format!(
        "remote_write:\n  - url: http://{address}/a\n    \
         queue_config: {{batch_send_deadline: 1ms}}\n    \
         write_relabel_configs: [{{action: drop, source_labels: [x], regex: y}}]\n"
    );
    let scrapes = format!(
        "scrape_configs:\n  - job_name: j\n    scrape_interval: 50ms\n    \
         static_configs: [{{targets: ['{address}']}}]\n"
    );
    // A route that leaves a queue behind.
    let gone = "  - {name: gone, url: 'http://127.0.0.1:1/'}\n";
    let relay = Relay::start(&format!("{config}{gone}{scrapes}")).await;
    let config = config + &scrapes;
    relay.write(vec![series("m", &[], 1, 1.0)]).await;
    relay.write_config(&config);
    relay.reload().await;
    // Samples of scrapes may have come before it.
    wait_for("the sample", async || {
        let samples = receiver.samples("/a");
        samples.iter().any(|(name, ..)| name.contains("__name__=m"))
    })
    .await;
    wait_for("its count", async || {
        relay.metric("promrelay_send_samples_total", &[]).await > 0
    })
    .await;
    wait_for("a scrape", async || {
        relay.metric("promrelay_scrape_scrapes_total", &[]).await > 0
    })
    .await;
    let (_, mut metrics) = relay.get("/metrics").await;
    metrics.push_str(&of_other_parts());
    let mut exposed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut help = BTreeSet::new();
    for line in metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, text) = rest.split_once(' ').unwrap();
            assert!(!text.is_empty(), "{name} has no help");
            help.insert(name.to_owned());
            continue;
        }
        let Some((series, _)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let family =
            family.filter(|family| metrics.contains(&format!("# TYPE {family} histogram")));
        let labels = labels
            .trim_end_matches('}')
            .split("\",")
            .filter_map(|l| l.split_once('='));
        let labels = labels
            .map(|(label, _)| label.to_owned())
            .filter(|label| label != "le");
        exposed
            .entry(family.unwrap_or(name).to_owned())
            .or_default()
            .extend(labels);
    }
    exposed.retain(|name, _| is_own(name));
    assert_eq!(exposed, documented());
    assert!(
        exposed.keys().all(|name| help.contains(name)),
        "every metric has a help"
    );
    relay.stop().await;
}
