//! What promrelay discovers in Kubernetes is what another program discovers there, from the same
//! stand-in of the API server.
//!
//! The other one is `VictoriaMetrics`: Debian builds its Prometheus without Kubernetes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{self, PODS};
use crate::exposition::Exposition;
use crate::peers::{Peer, installed};
use crate::process::{eventually, get, settles};
use crate::recorder::Recorder;
use crate::routes::EVERYTHING;
use crate::samples::STALE;
use crate::stand_in::StandIn;

/// Where `VictoriaMetrics` 1.79 is not as Prometheus is: job, end of the address, label without
/// what all begin with. An ending `*` stands for anything.
const NOT_COMPARED: [(&str, &str, &str); 14] = [
    // Labels that are younger than it.
    ("*", "", "pod_container_image"),
    ("pod*", "", "pod_container_id"),
    ("named", "", "pod_container_id"),
    ("endpoint*", "", "pod_container_init"),
    ("service", "", "service_loadbalancer_ip"),
    ("service", "", "service_port_number"),
    (
        "endpointslice",
        "",
        "endpointslice_endpoint_conditions_serving",
    ),
    (
        "endpointslice",
        "",
        "endpointslice_endpoint_conditions_terminating",
    ),
    ("endpointslice", "", "endpointslice_endpoint_node_name"),
    ("endpointslice", "", "endpointslice_endpoint_zone"),
    // It reads the topology of the API's beta version only.
    ("endpointslice", "", "endpointslice_endpoint_topology_*"),
    // It has labels of the role service for these roles too.
    ("endpoint*", "", "service_cluster_ip"),
    ("endpoint*", "", "service_type"),
    // It takes the labels of the object from ports that the service does not name.
    ("endpoint*", ":9183", "endpoint*"),
];

type Labels = BTreeMap<String, String>;

/// A job for each role. All targets are where nobody answers, and apart by their labels.
fn jobs(api: &StandIn) -> String {
    let job = |name: &str, more: &str| {
        format!(
            "  - job_name: {name}\n    \
             kubernetes_sd_configs: [{{api_server: '{}', {more}}}]\n    \
             relabel_configs:\n      \
             - {{action: labelmap, regex: '__meta_(.+)'}}\n      \
             - {{source_labels: [__address__], target_label: address}}\n      \
             - {{target_label: __address__, replacement: '127.0.0.1:1'}}\n",
            api.url()
        )
    };
    let mut jobs = "global: {scrape_interval: 30s}\nscrape_configs:\n".to_owned();
    for role in [
        "pod",
        "node",
        "service",
        "endpoints",
        "endpointslice",
        "ingress",
    ] {
        jobs += &job(role, &format!("role: {role}"));
    }
    jobs += &job("pod-on-node", "role: pod, attach_metadata: {node: true}");
    jobs + &job("named", "role: pod, namespaces: {names: [own]}")
}

/// The labels with which each target was discovered, sorted.
async fn discovered(peer: &Peer) -> Vec<Labels> {
    let text = get(&peer.url("/api/v1/targets")).await.unwrap_or_default();
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    let none = Vec::new();
    let targets = answer["data"]["activeTargets"].as_array().unwrap_or(&none);
    let labels = |target: &Value| {
        let pairs = target["discoveredLabels"].as_object();
        let pairs = pairs.expect("a target has labels").iter();
        let text = |value: &Value| value.as_str().expect("a label is a string").to_owned();
        let pairs = pairs.map(|(name, value)| (name.clone(), text(value)));
        // An empty label is as good as none.
        let all: Labels = pairs.filter(|(_, value)| !value.is_empty()).collect();
        let compared = all.iter().filter(|(name, _)| is_compared(&all, name));
        compared
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let mut all: Vec<Labels> = targets.iter().map(labels).collect();
    all.sort();
    all
}

fn is_named(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => name == pattern,
    }
}

/// Whether a label is one of those that are the same in both.
fn is_compared(target: &Labels, label: &str) -> bool {
    let address = target.get("__address__").map_or("", String::as_str);
    let name = label.strip_prefix("__meta_kubernetes_").unwrap_or(label);
    !NOT_COMPARED.iter().any(|(job, end, pattern)| {
        is_named(job, &target["job"]) && address.ends_with(end) && is_named(pattern, name)
    })
}

/// What one has found and the other has not.
fn differences(expected: &[Labels], found: &[Labels]) -> String {
    let only = |sign: char, these: &[Labels], those: &[Labels]| {
        let others: BTreeSet<_> = those.iter().collect();
        let lacking = these.iter().filter(|labels| !others.contains(labels));
        let lines = lacking.map(|labels| format!("{sign} {labels:?}\n"));
        lines.take(4).collect::<String>()
    };
    let mut text = only('-', expected, found) + &only('+', found, expected);
    if text.is_empty() && expected.len() != found.len() {
        text = format!("{} expected, {} found\n", expected.len(), found.len());
    }
    text
}

async fn assert_same(other: &Peer, relay: &Peer, what: &str) -> Vec<Labels> {
    settles(what, async || {
        differences(&discovered(other).await, &discovered(relay).await)
    })
    .await;
    discovered(relay).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_cluster_gives_the_same_labels() {
    if !installed() {
        return;
    }
    let api = StandIn::start();
    cluster::fill(&api);
    let jobs = jobs(&api);
    let other = Peer::victoria_metrics_scraping(&jobs).await;
    let nowhere = "remote_write: [{url: 'http://127.0.0.1:9/w'}]\n";
    let relay = Peer::promrelay(&(jobs + nowhere)).await;
    let of = |targets: &[Labels], job: &str| {
        let of_job = targets.iter().filter(|labels| labels["job"] == job);
        of_job.count()
    };
    eventually(
        "targets of all roles",
        Duration::from_secs(30),
        async || {
            let targets = discovered(&other).await;
            let expected = cluster::TARGETS.iter();
            let mut missing = expected.filter(|(job, count)| of(&targets, job) < *count);
            missing.next().is_none().then_some(())
        },
    )
    .await;
    let targets = assert_same(&other, &relay, "as listed").await;
    for (job, count) in cluster::TARGETS {
        assert_eq!(of(&targets, job), count, "{job}");
    }

    cluster::change(&api);
    let changed = |targets: &[Labels]| {
        let mut all = targets.iter().flat_map(BTreeMap::values);
        let moved = all.any(|value| value == "10.0.0.77");
        let name = |labels: &Labels| labels.get("__meta_kubernetes_pod_name").cloned();
        let gone = targets.iter().filter_map(name).all(|name| name != "plain");
        moved && gone
    };
    eventually("the change", Duration::from_secs(30), async || {
        changed(&discovered(&other).await).then_some(())
    })
    .await;
    let targets = assert_same(&other, &relay, "as watched").await;
    assert!(changed(&targets));
    assert!(relay.stop().await.success());
}

/// A pod with one port, on loopback.
fn local_pod(name: &str, address: &str) -> Value {
    let (ip, port) = address.split_once(':').expect("an address");
    let port: u16 = port.parse().expect("a port");
    json!({
        "metadata": {"name": name, "namespace": "n", "labels": {"app": "prometheus-node-exporter"}},
        "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": port}]}]},
        "status": {"podIP": ip, "phase": "Running"},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_scraped_until_it_is_deleted() {
    if !installed() {
        return;
    }
    let recorder = Recorder::start().await;
    let (first, second) = (Exposition::start().await, Exposition::start().await);
    let api = StandIn::start();
    api.put(PODS, local_pod("first", &first.address));
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n  \
             - job_name: node-exporter\n    \
             kubernetes_sd_configs: [{{api_server: '{}', role: pod}}]\n    \
             relabel_configs:\n      \
             - {{source_labels: [__meta_kubernetes_pod_label_app], \
             regex: prometheus-node-exporter, action: keep}}\n      \
             - {{source_labels: [__meta_kubernetes_pod_name], target_label: pod}}\n\
             remote_write:\n{}",
        api.url(),
        EVERYTHING.entry("all", &recorder.url("/w"), &[])
    );
    let relay = Peer::promrelay(&config).await;
    let of_pod = |pod: &str| recorder.samples_with("/w", &[("pod", pod)]).0;
    let is_over = |pod: &str| {
        let series = of_pod(pod);
        let mut samples = series.values();
        samples.all(|samples| samples.last().is_some_and(|s| s.1 == STALE))
    };
    let wait = async |what: &str, condition: &dyn Fn() -> bool| {
        eventually(what, Duration::from_mins(1), async || {
            condition().then_some(())
        })
        .await;
    };

    wait("the first is scraped", &|| of_pod("first").len() > 200).await;
    api.put(PODS, local_pod("second", &second.address));
    wait("the second is scraped", &|| of_pod("second").len() > 200).await;
    api.delete(PODS, "n", "first");
    wait("the first is over", &|| is_over("first")).await;
    assert!(!is_over("second"));
    assert!(relay.stop().await.success());
    recorder.assert_orderly();
}
