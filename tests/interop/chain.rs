//! The whole chain with the files of `config/sumologic`: an exporter, `promrelay proxy`,
//! Prometheus, the relay, `promrelay sink`.
//!
//! Two things stand for a cluster: a list in a file for the `ServiceMonitor`, and addresses on
//! loopback for the names of services.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::exposition::Exposition;
use crate::peers::{Peer, installed};
use crate::process::eventually;

const FLUENTD: &str = "$(FLUENTD_METRICS_SVC).$(NAMESPACE).svc.cluster.local:9888";
const SERVICE: &str = "promrelay.sumologic.svc.cluster.local:9201";

fn deployed(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sumologic/chart-2");
    fs::read_to_string(path.join(file)).expect("a file of the repository")
}

/// The one entry of the chart's values, in Prometheus' spelling as the operator writes it.
fn remote_write(relay: &str) -> String {
    let values = deployed("values.yml");
    let (_, list) = values.split_once("remoteWrite:\n").expect("a list");
    assert_eq!(
        list.matches("url:").count(),
        1,
        "the relay and nothing else"
    );
    let keys = [
        ("remoteTimeout", "remote_timeout"),
        ("queueConfig", "queue_config"),
        ("maxShards", "max_shards"),
        ("maxSamplesPerSend", "max_samples_per_send"),
        ("retryOnRateLimit", "retry_on_http_429"),
    ];
    let list = keys
        .iter()
        .fold(list.to_owned(), |list, (from, to)| list.replace(from, to));
    assert!(list.contains(SERVICE), "it goes to the relay's service");
    format!("remote_write:\n{}", list.replace(SERVICE, relay))
}

/// How many series the sink says that it has got, by path.
fn arrived(output: &str) -> BTreeMap<String, u64> {
    let rows = output.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (path, number, unit) = (words.next()?, words.next()?, words.next()?);
        let is_row = path.starts_with('/') && unit == "series";
        is_row.then_some((path.to_owned(), number.parse().ok()?))
    });
    // A later table has what an earlier one has.
    rows.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deployed_files_bring_a_windows_node_to_its_two_routes() {
    if !installed() {
        return;
    }
    let node = Exposition::start().await;
    let (host, port) = node.address.split_once(':').expect("an address");
    let exporter = [
        format!("--upstream.host={host}"),
        format!("--upstream.port={port}"),
    ];
    let proxy = Peer::promrelay_command("proxy", &exporter).await;
    proxy.answers("/health").await;
    let sink = Peer::promrelay_command("sink", &["--every=1".to_owned()]).await;
    let relay = Peer::promrelay(&deployed("promrelay.yml").replace(FLUENTD, &sink.address)).await;
    let targets = tempfile::tempdir().expect("a temporary directory can be made");
    let list = targets.path().join("node-exporter.yml");
    fs::write(&list, format!("- targets: ['{}']\n", proxy.address)).expect("a file is written");
    let prometheus = Peer::prometheus(&format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n  \
         - job_name: node-exporter\n    \
         file_sd_configs: [{{files: ['{}'], refresh_interval: 1s}}]\n{}",
        list.display(),
        remote_write(&relay.address)
    ))
    .await;

    // The figures are those of the fixture; `up` is what the chart's last route keeps of this job.
    let expected = [
        ("/prometheus.metrics", 1),
        ("/prometheus.metrics.container", 16),
        ("/prometheus.metrics.node", 81),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(path, n)| (path.to_owned(), n)).into();
    eventually(
        "every route's series",
        Duration::from_secs(25),
        async || (arrived(&sink.output()) == expected).then_some(()),
    )
    .await;

    drop((prometheus, sink));
    for peer in [relay, proxy] {
        assert!(peer.stop().await.success(), "each ends well");
    }
}
