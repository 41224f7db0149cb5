//! The lists of routes that relays are compared with, in a form that each relay can be given.

use serde_yaml::{Mapping, Value};

use crate::catalogue::{CHART_KEPT, Family};

const OCTOPUS: &str = include_str!("../../tests/fixtures/octopus-values.yaml");
const CHART: &str = include_str!("../../tests/fixtures/sumologic-chart-2.2-values.yaml");

/// Rules that change labels, on the route that gets the most.
const REWRITING: &str = r#"
- - {action: keep, source_labels: [job, __name__], regex: "node-exporter;windows_(.*)"}
  - {action: labelmap, regex: "(pod|service|namespace)", replacement: "k8s_${1}"}
  - {action: labeldrop, regex: "(pod|service|namespace|prometheus)"}
  - {source_labels: [instance], regex: "([^:]+):.*", target_label: host, replacement: "$1"}
  - {action: hashmod, source_labels: [instance], modulus: 16, target_label: shard}
- - {action: keep, source_labels: [job, __name__], regex: "kubelet;container_cpu_.*"}
"#;

/// Two routes on a Linux node exporter.
const NODE_EXPORTER: &str = r#"
- - action: keep
    source_labels: [job, __name__]
    regex: "node-exporter;(?:node_load1|node_load5|node_load15|node_cpu_seconds_total)"
- - action: keep
    source_labels: [job, __name__]
    regex: "node-exporter;node_(?:filesystem_.*|memory_Mem.*|network_(?:rec|trans).*_bytes_total)"
"#;

/// A list of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routes {
    /// The two of the Octopus set-up.
    Octopus,
    /// The 31 of the Sumo Logic chart.
    Chart,
    /// Two routes that keep together what the chart's keep of the workload made for them.
    ChartByTwo,
    NodeExporter,
    Rewriting,
    /// One that keeps everything.
    All,
}

impl Routes {
    /// Each route's `write_relabel_configs`, in Prometheus' spelling.
    pub(crate) fn rules(self) -> Vec<Value> {
        match self {
            Self::Octopus => pasted(OCTOPUS, &["prometheus"]),
            Self::Chart => pasted(CHART, &["kube-prometheus-stack", "prometheus"]),
            Self::ChartByTwo => {
                let (one, other) = CHART_KEPT.split_at(3);
                vec![keep(one), keep(other)]
            }
            Self::NodeExporter => parse(NODE_EXPORTER),
            Self::Rewriting => parse(REWRITING),
            Self::All => vec![Value::Sequence(Vec::new())],
        }
    }
}

fn parse(yaml: &str) -> Vec<Value> {
    serde_yaml::from_str(yaml).expect("the rules are valid YAML")
}

/// The rules of a chart's `remoteWrite` list, which stands under `path`.
fn pasted(values: &str, path: &[&str]) -> Vec<Value> {
    let mut at: Value = serde_yaml::from_str(values).expect("the fixture is valid YAML");
    for key in path.iter().chain(&["prometheusSpec", "remoteWrite"]) {
        at = at[*key].clone();
    }
    let Value::Sequence(entries) = at else {
        panic!("the fixture has no list of routes under {path:?}");
    };
    let rules = |entry: Value| snake_case(entry["writeRelabelConfigs"].clone());
    entries.into_iter().map(rules).collect()
}

/// The operator's spelling of keys turned into Prometheus'.
fn snake_case(value: Value) -> Value {
    match value {
        Value::Sequence(values) => Value::Sequence(values.into_iter().map(snake_case).collect()),
        Value::Mapping(mapping) => {
            let key = |key: Value| match key.as_str() {
                Some("sourceLabels") => Value::from("source_labels"),
                Some("targetLabel") => Value::from("target_label"),
                _ => key,
            };
            let pairs = mapping.into_iter();
            Value::Mapping(pairs.map(|(name, value)| (key(name), value)).collect())
        }
        other => other,
    }
}

fn keep(families: &[Family]) -> Value {
    let alternative = |family: &Family| {
        let names: Vec<_> = family.names.split_ascii_whitespace().collect();
        format!("{};(?:{})", family.job, names.join("|"))
    };
    let alternatives: Vec<_> = families.iter().map(alternative).collect();
    let rule: Mapping = [
        ("action", Value::from("keep")),
        ("source_labels", Value::from(vec!["job", "__name__"])),
        ("regex", Value::from(alternatives.join("|"))),
    ]
    .map(|(key, value)| (Value::from(key), value))
    .into_iter()
    .collect();
    Value::Sequence(vec![Value::Mapping(rule)])
}
