//! Keys that Prometheus or its operator has and promrelay does not, told from typing errors.
//!
//! Never ignored: a key is refused by name, or accepted with the one value that says what promrelay
//! does anyway.

use super::yaml::Node;

/// What promrelay does with such a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Foreign {
    /// Nothing, yet.
    Unsupported,
    /// Nothing; this is what to write instead.
    Instead(&'static str),
    /// It does as one of these values says, so that these can be written.
    Fixed(&'static [&'static str], &'static str),
}

use Foreign::{Fixed, Instead, Unsupported};

/// The type that reads the mapping, the key in Prometheus' spelling, what to do with it.
pub(super) const KEYS: &[(&str, &[&str], Foreign)] = &[
    (
        "File",
        &[
            "alerting",
            "otlp",
            "remote_read",
            "rule_files",
            "runtime",
            "scrape_config_files",
            "tracing",
        ],
        Unsupported,
    ),
    ("Storage", &["tsdb", "exemplars"], Unsupported),
    (
        "Queue",
        &["min_free_bytes"],
        Instead("is one for all routes: write `storage: {min_free_bytes: …}`"),
    ),
    (
        "File",
        &[
            "kube-prometheus-stack",
            "prometheus",
            "prometheus_spec",
            "spec",
            "api_version",
        ],
        Instead("belongs to a Helm chart or the operator: only its `remoteWrite` list goes here"),
    ),
    ("File", &["external_labels"], Instead("goes under `global`")),
    (
        "Global",
        &[
            "query_log_file",
            "rule_query_offset",
            "scrape_failure_log_file",
        ],
        Unsupported,
    ),
    (
        "Global",
        &["metric_name_validation_scheme"],
        Fixed(&["utf8"], "promrelay carries every name that is UTF-8"),
    ),
    (
        "Global",
        &["convert_classic_histograms_to_nhcb"],
        Fixed(&["false"], "promrelay does not convert histograms yet"),
    ),
    (
        "ScrapeConfig",
        &[
            "aws_sd_configs",
            "azure_sd_configs",
            "consul_sd_configs",
            "digitalocean_sd_configs",
            "docker_sd_configs",
            "dockerswarm_sd_configs",
            "ec2_sd_configs",
            "eureka_sd_configs",
            "gce_sd_configs",
            "hetzner_sd_configs",
            "ionos_sd_configs",
            "kuma_sd_configs",
            "lightsail_sd_configs",
            "linode_sd_configs",
            "marathon_sd_configs",
            "nerve_sd_configs",
            "nomad_sd_configs",
            "openstack_sd_configs",
            "ovhcloud_sd_configs",
            "puppetdb_sd_configs",
            "scaleway_sd_configs",
            "scrape_failure_log_file",
            "serverset_sd_configs",
            "stackit_sd_configs",
            "triton_sd_configs",
            "uyuni_sd_configs",
            "vultr_sd_configs",
        ],
        Unsupported,
    ),
    (
        "ScrapeConfig",
        &["metric_name_validation_scheme"],
        Fixed(&["utf8"], "promrelay carries every name that is UTF-8"),
    ),
    (
        "ScrapeConfig",
        &["convert_classic_histograms_to_nhcb"],
        Fixed(&["false"], "promrelay does not convert histograms yet"),
    ),
    (
        "ScrapeConfig",
        &[
            "native_histogram_bucket_limit",
            "native_histogram_min_bucket_factor",
        ],
        Fixed(&["0"], "promrelay does not reduce histograms yet"),
    ),
    (
        "RemoteWrite",
        &["azuread", "google_iam", "sigv4"],
        Unsupported,
    ),
    (
        "RemoteWrite",
        &["round_robin_dns"],
        Fixed(&["false"], "promrelay does not support it yet"),
    ),
    (
        "QueueConfig",
        &["sample_age_limit"],
        Fixed(&["0s", "0"], "`queue: {max_age: …}` drops what is too old"),
    ),
    (
        "QueueConfig",
        &["max_retries"],
        Instead("is old: promrelay sends again until it is taken"),
    ),
    ("BasicAuth", &["username_ref", "password_ref"], Unsupported),
    ("Authorization", &["credentials_ref"], Unsupported),
    (
        "OAuth2",
        &[
            "audience",
            "claims",
            "client_certificate_key",
            "client_certificate_key_file",
            "client_certificate_key_id",
            "client_certificate_key_ref",
            "client_secret_ref",
            "iss",
            "signature_algorithm",
        ],
        Unsupported,
    ),
    (
        "OAuth2",
        &["grant_type"],
        Fixed(
            &["client_credentials"],
            "promrelay does not sign tokens of its own yet",
        ),
    ),
    ("TlsConfig", &["ca_ref", "cert_ref", "key_ref"], Unsupported),
];

/// What to say of `key`, spelled `written` and read into the type `name`, if it is in the tables.
pub(super) fn verdict(
    name: &str,
    key: &str,
    written: &str,
    value: &Node,
) -> Option<Result<(), String>> {
    let mut rows = KEYS.iter().filter(|(owner, ..)| *owner == name);
    let (.., foreign) = rows.find(|(_, keys, _)| keys.contains(&key))?;
    Some(match foreign {
        Unsupported => Err(format!(
            "`{written}` is a Prometheus key that promrelay does not support yet"
        )),
        Instead(advice) => Err(format!("`{written}` {advice}")),
        Fixed(values, _) if value.text().is_some_and(|text| values.contains(&text)) => Ok(()),
        Fixed(values, why) => Err(format!("`{written}` can only be {}: {why}", values[0])),
    })
}
