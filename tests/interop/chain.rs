//! The whole chain with the files of `config/sumologic`: an exporter, `promrelay proxy`,
//! Prometheus, the relay, `promrelay sink`.
//!
//! Two things stand for a cluster: a list in a file for the `ServiceMonitor`, and addresses on
//! loopback for the names of services. What receives is fluentd for chart 2.x, telegraf for 3.x and
//! 4.x, which takes the paths that the chart's values list, and no other, and for 5.x and 6.x
//! something that understands remote write 2.0: there a recorder stands in its place.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::exposition::Exposition;
use crate::peers::{Peer, installed};
use crate::process::{eventually, get};
use crate::recorder::Recorder;

const SERVICE: &str = "promrelay.sumologic.svc.cluster.local:9201";

/// A version of the chart: the directory of its files, and what it calls its receiver.
struct Chart {
    directory: &'static str,
    receiver: &'static str,
}

const CHART_2: Chart = Chart {
    directory: "chart-2",
    receiver: "$(FLUENTD_METRICS_SVC).$(NAMESPACE).svc.cluster.local:9888",
};
const CHART_3: Chart = Chart {
    directory: "chart-3",
    receiver: "$(METADATA_METRICS_SVC).$(NAMESPACE).svc.cluster.local.:9888",
};
const CHART_4: Chart = Chart {
    directory: "chart-4",
    ..CHART_3
};
const CHART_5: Chart = Chart {
    directory: "chart-5",
    receiver: "$(METADATA_METRICS_SVC).$(NAMESPACE).svc.cluster.local:9888",
};

impl Chart {
    fn file(&self, name: &str) -> String {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sumologic");
        fs::read_to_string(directory.join(self.directory).join(name))
            .expect("a file of the repository")
    }

    /// The relay's configuration, with the receiver at `address`.
    fn promrelay(&self, address: &str) -> String {
        let file = self.file("promrelay.yml");
        assert!(file.contains(self.receiver), "routes go to the receiver");
        file.replace(self.receiver, address)
    }

    /// The one entry of the chart's values, in Prometheus' spelling as the operator writes it.
    fn remote_write(&self, relay: &str) -> String {
        let values = self.file("values.yml");
        let (_, list) = values.split_once("      remoteWrite:\n").expect("a list");
        let entry: String = list
            .split_inclusive('\n')
            .take_while(|line| line.starts_with("        "))
            .collect();
        assert_eq!(
            entry.matches("url:").count(),
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
        let entry = keys
            .iter()
            .fold(entry, |entry, (from, to)| entry.replace(from, to));
        assert!(entry.contains(SERVICE), "it goes to the relay's service");
        format!("remote_write:\n{}", entry.replace(SERVICE, relay))
    }

    /// Whether the receiver takes this path, by the chart's values.
    fn takes(&self, path: &str) -> bool {
        let values = self.file("values.yml");
        match values.split_once("additionalEndpoints:\n") {
            Some((_, paths)) => paths.lines().any(|line| line.trim() == format!("- {path}")),
            None => self.receiver.contains("FLUENTD"),
        }
    }
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

/// The programs from an exporter to the relay.
struct Chain {
    _node: Exposition,
    _targets: TempDir,
    proxy: Peer,
    relay: Peer,
    prometheus: Peer,
}

impl Chain {
    /// With the chart's files, and its receiver at `receiver`.
    async fn start(chart: &Chart, receiver: &str) -> Chain {
        let node = Exposition::start().await;
        let (host, port) = node.address.split_once(':').expect("an address");
        let exporter = [
            format!("--upstream.host={host}"),
            format!("--upstream.port={port}"),
        ];
        let proxy = Peer::promrelay_command("proxy", &exporter).await;
        proxy.answers("/health").await;
        let relay = Peer::promrelay(&chart.promrelay(receiver)).await;
        let targets = tempfile::tempdir().expect("a temporary directory can be made");
        let list = targets.path().join("node-exporter.yml");
        fs::write(&list, format!("- targets: ['{}']\n", proxy.address)).expect("a file is written");
        let prometheus = Peer::prometheus(&format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n  \
             - job_name: node-exporter\n    \
             file_sd_configs: [{{files: ['{}'], refresh_interval: 1s}}]\n{}",
            list.display(),
            chart.remote_write(&relay.address)
        ))
        .await;
        Chain {
            _node: node,
            _targets: targets,
            proxy,
            relay,
            prometheus,
        }
    }

    async fn stop(self) {
        drop(self.prometheus);
        for peer in [self.relay, self.proxy] {
            assert!(peer.stop().await.success(), "each ends well");
        }
    }
}

/// A Windows node's series come to these paths, and these only, in these numbers.
async fn arrive(chart: Chart, expected: &[(&str, u64)]) {
    if !installed() {
        return;
    }
    let sink = Peer::promrelay_command("sink", &["--every=1".to_owned()]).await;
    let chain = Chain::start(&chart, &sink.address).await;
    let expected: BTreeMap<_, _> = expected
        .iter()
        .map(|(path, number)| ((*path).to_owned(), *number))
        .collect();
    eventually("every route's series", Duration::from_mins(1), async || {
        (arrived(&sink.output()) == expected).then_some(())
    })
    .await;
    for path in expected.keys() {
        assert!(chart.takes(path), "the receiver does not take {path}");
    }
    drop(sink);
    chain.stop().await;
}

/// The figures are those of the fixture; `up` is what the chart's last route keeps of this job.
const BY_GROUP: [(&str, u64); 3] = [
    ("/prometheus.metrics", 1),
    ("/prometheus.metrics.container", 16),
    ("/prometheus.metrics.node", 81),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_files_for_chart_2_bring_a_windows_node_to_its_two_routes() {
    arrive(CHART_2, &BY_GROUP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_for_chart_3_bring_a_windows_node_to_its_two_routes() {
    arrive(CHART_3, &BY_GROUP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_for_chart_4_bring_a_windows_node_to_the_one_path() {
    arrive(CHART_4, &[("/prometheus.metrics", 235)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_for_chart_5_bring_a_windows_node_to_a_receiver_of_2_0() {
    if !installed() {
        return;
    }
    let recorder = Recorder::start().await;
    let url = recorder.url("");
    let address = url.strip_prefix("http://").expect("an address");
    let chain = Chain::start(&CHART_5, address).await;
    eventually("both routes' series", Duration::from_mins(1), async || {
        (recorder.samples("/api/v1/write").0.len() == 235).then_some(())
    })
    .await;
    recorder.assert_orderly();
    let routes = get(&chain.relay.url("/api/v1/status/routes")).await;
    let routes = routes.expect("what the relay says of its routes");
    let second = "\"protobufMessage\":\"io.prometheus.write.v2.Request\"";
    assert_eq!(routes.matches(second).count(), 2, "{routes}");
    chain.stop().await;
}
