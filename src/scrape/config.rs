//! `scrape_configs` and what `global` says for all of them, in Prometheus' keys.
//!
//! Two stages: [`ScrapeConfig`] is what the user wrote, where many keys can be silent; with
//! [`Defaults`] it becomes a [`JobConfig`], in which everything is decided.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::protocol::{Escaping, Protocol};
use crate::discovery;
use crate::exposition::protobuf::Histograms;
use crate::http::client::{BesideClient, ClientConfig, WithClient, beside_client};
use crate::relabel::RuleConfig;
use crate::settings::{ByteSize, Duration};

/// One entry of `scrape_configs`, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "Prometheus' documentation describes each key")]
pub struct ScrapeConfig {
    /// Not optional; but an entry without it is read to its end, for its other mistakes.
    pub job_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_interval: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_timeout: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub honor_labels: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub honor_timestamps: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_timestamps_staleness: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_protocols: Option<Vec<Protocol>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_scrape_protocol: Option<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_name_escaping_scheme: Option<Escaping>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_native_histograms: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub always_scrape_classic_histograms: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_scrape_metrics: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_compression: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_size_limit: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_name_length_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_value_length_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_dropped_targets: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relabel_configs: Vec<RuleConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metric_relabel_configs: Vec<RuleConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub static_configs: Vec<discovery::StaticConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_sd_configs: Vec<discovery::FileConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_sd_configs: Vec<WithClient<discovery::HttpConfig>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_sd_configs: Vec<discovery::DnsConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kubernetes_sd_configs: Vec<WithClient<discovery::KubernetesConfig>>,
}

impl BesideClient for ScrapeConfig {
    const NAME: &'static str = "ScrapeConfig";
    const KEYS: &'static [&'static str] = &beside_client::<30, 43>([
        "job_name",
        "scrape_interval",
        "scrape_timeout",
        "metrics_path",
        "scheme",
        "params",
        "honor_labels",
        "honor_timestamps",
        "track_timestamps_staleness",
        "scrape_protocols",
        "fallback_scrape_protocol",
        "metric_name_escaping_scheme",
        "scrape_native_histograms",
        "always_scrape_classic_histograms",
        "extra_scrape_metrics",
        "enable_compression",
        "body_size_limit",
        "sample_limit",
        "label_limit",
        "label_name_length_limit",
        "label_value_length_limit",
        "target_limit",
        "keep_dropped_targets",
        "relabel_configs",
        "metric_relabel_configs",
        "static_configs",
        "file_sd_configs",
        "http_sd_configs",
        "dns_sd_configs",
        "kubernetes_sd_configs",
    ]);
}

/// What `global` says for all jobs; limits of 0 are none.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "Prometheus' documentation describes each key")]
pub struct Defaults {
    pub scrape_interval: Duration,
    pub scrape_timeout: Duration,
    pub scrape_protocols: Option<Vec<Protocol>>,
    pub metric_name_escaping_scheme: Escaping,
    pub scrape_native_histograms: bool,
    pub always_scrape_classic_histograms: bool,
    pub extra_scrape_metrics: bool,
    pub limits: Limits,
}

/// Bounds of a job; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// A body's size, decompressed.
    pub body_size: ByteSize,
    /// Samples of a scrape after relabelling.
    pub samples: u64,
    /// Labels of a series.
    pub labels: u64,
    /// Bytes of a label's name.
    pub label_name_length: u64,
    /// Bytes of a label's value.
    pub label_value_length: u64,
    /// Targets of the job.
    pub targets: u64,
    /// Dropped targets that are remembered, to be shown.
    pub keep_dropped_targets: u64,
}

/// A job in which everything is decided.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "Prometheus' documentation describes each key")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in Prometheus' configuration"
)]
pub struct JobConfig {
    pub job_name: String,
    pub scrape_interval: Duration,
    pub scrape_timeout: Duration,
    pub metrics_path: String,
    pub scheme: Scheme,
    pub params: BTreeMap<String, Vec<String>>,
    pub honor_labels: bool,
    pub honor_timestamps: bool,
    pub track_timestamps_staleness: bool,
    pub protocols: Vec<Protocol>,
    pub fallback_protocol: Option<Protocol>,
    pub escaping: Escaping,
    /// Which of a histogram's two kinds are wanted.
    pub histograms: Histograms,
    pub extra_scrape_metrics: bool,
    pub enable_compression: bool,
    pub limits: Limits,
    pub relabel_configs: Vec<RuleConfig>,
    pub metric_relabel_configs: Vec<RuleConfig>,
    pub discovery: discovery::Configs,
    pub client: ClientConfig,
}

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// In the clear.
    #[default]
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// The scheme as it stands in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl ScrapeConfig {
    /// Decides what the entry leaves open. A timeout that nobody wrote is never above the interval.
    #[must_use]
    pub fn resolve(self, client: ClientConfig, defaults: &Defaults) -> JobConfig {
        let interval = given(self.scrape_interval).unwrap_or(defaults.scrape_interval);
        let timeout = given(self.scrape_timeout);
        let timeout = timeout.unwrap_or(defaults.scrape_timeout.min(interval));
        let limits = self.limits(defaults.limits);
        let native = self
            .scrape_native_histograms
            .unwrap_or(defaults.scrape_native_histograms);
        let classic = self
            .always_scrape_classic_histograms
            .unwrap_or(defaults.always_scrape_classic_histograms);
        let protocols = self
            .scrape_protocols
            .or_else(|| defaults.scrape_protocols.clone());
        JobConfig {
            job_name: self.job_name,
            scrape_interval: interval,
            scrape_timeout: timeout,
            metrics_path: self.metrics_path.unwrap_or_else(|| "/metrics".to_owned()),
            scheme: self.scheme.unwrap_or_default(),
            params: self.params,
            honor_labels: self.honor_labels.unwrap_or(false),
            honor_timestamps: self.honor_timestamps.unwrap_or(true),
            track_timestamps_staleness: self.track_timestamps_staleness.unwrap_or(false),
            protocols: protocols.unwrap_or_else(|| default_protocols(native)),
            fallback_protocol: self.fallback_scrape_protocol,
            escaping: self
                .metric_name_escaping_scheme
                .unwrap_or(defaults.metric_name_escaping_scheme),
            histograms: match (native, classic) {
                (false, _) => Histograms::Classic,
                (true, false) => Histograms::Native,
                (true, true) => Histograms::Both,
            },
            extra_scrape_metrics: self
                .extra_scrape_metrics
                .unwrap_or(defaults.extra_scrape_metrics),
            enable_compression: self.enable_compression.unwrap_or(true),
            limits,
            relabel_configs: self.relabel_configs,
            metric_relabel_configs: self.metric_relabel_configs,
            discovery: discovery::Configs {
                static_configs: self.static_configs,
                file_sd_configs: self.file_sd_configs,
                http_sd_configs: self.http_sd_configs,
                dns_sd_configs: self.dns_sd_configs,
                kubernetes_sd_configs: self.kubernetes_sd_configs,
            },
            client,
        }
    }

    /// A limit of 0 is as good as not written.
    fn limits(&self, defaults: Limits) -> Limits {
        let or = |own, default| given(own).unwrap_or(default);
        Limits {
            body_size: given(self.body_size_limit).unwrap_or(defaults.body_size),
            samples: or(self.sample_limit, defaults.samples),
            labels: or(self.label_limit, defaults.labels),
            label_name_length: or(self.label_name_length_limit, defaults.label_name_length),
            label_value_length: or(self.label_value_length_limit, defaults.label_value_length),
            targets: or(self.target_limit, defaults.targets),
            keep_dropped_targets: or(self.keep_dropped_targets, defaults.keep_dropped_targets),
        }
    }
}

fn given<T: Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

fn default_protocols(native: bool) -> Vec<Protocol> {
    if native {
        Protocol::DEFAULT_NATIVE.to_vec()
    } else {
        Protocol::DEFAULT.to_vec()
    }
}

impl JobConfig {
    /// Whether what was worked out about series with `self` still holds with `other`.
    pub(super) fn labels_series_like(&self, other: &Self) -> bool {
        let Self {
            job_name,
            honor_labels,
            honor_timestamps,
            track_timestamps_staleness,
            fallback_protocol,
            histograms,
            limits,
            metric_relabel_configs,
            ..
        } = self;
        let labels = |limits: &Limits| {
            (
                limits.labels,
                limits.label_name_length,
                limits.label_value_length,
            )
        };
        *job_name == other.job_name
            && *honor_labels == other.honor_labels
            && *honor_timestamps == other.honor_timestamps
            && *track_timestamps_staleness == other.track_timestamps_staleness
            && *fallback_protocol == other.fallback_protocol
            && *histograms == other.histograms
            && labels(limits) == labels(&other.limits)
            && *metric_relabel_configs == other.metric_relabel_configs
    }
}
