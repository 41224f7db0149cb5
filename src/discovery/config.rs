//! The mechanisms of a scrape config, in Prometheus' keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::Labels;
use super::glob::Pattern;
use super::kubernetes::KubernetesConfig;
use crate::http::client::{BesideClient, WithClient, beside_client};
use crate::settings::{Duration, HttpUrl, positive};

/// All mechanisms of one scrape config. A scrape config has these keys at its top level beside
/// others: it repeats the fields and moves them here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Configs {
    /// Targets in the configuration itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub static_configs: Vec<StaticConfig>,
    /// Targets in files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_sd_configs: Vec<FileConfig>,
    /// Targets that servers tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_sd_configs: Vec<WithClient<HttpConfig>>,
    /// Targets that the DNS tells.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_sd_configs: Vec<DnsConfig>,
    /// Targets that Kubernetes tells.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kubernetes_sd_configs: Vec<WithClient<KubernetesConfig>>,
}

/// An entry of `static_configs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StaticConfig {
    /// Hosts, usually with ports.
    #[serde(deserialize_with = "addresses")]
    pub targets: Vec<String>,
    /// Labels of all of them.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "labels"
    )]
    pub labels: Labels,
}

/// An entry of `file_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// Names of JSON and YAML files; the last part can have wildcards.
    #[serde(deserialize_with = "patterns")]
    pub files: Vec<Pattern>,
    /// How long at the most until the names are looked for again. Contents are looked at every
    /// five seconds if this is longer, since there is no notice of changes as Prometheus has it.
    #[serde(default = "five_minutes", deserialize_with = "positive")]
    pub refresh_interval: Duration,
}

/// An entry of `http_sd_configs`, beside the keys of its HTTP client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Who tells.
    pub url: HttpUrl,
    /// How often it is asked; an answer may take as long.
    #[serde(default = "one_minute", deserialize_with = "positive")]
    pub refresh_interval: Duration,
}

impl BesideClient for HttpConfig {
    const NAME: &'static str = "HttpConfig";
    const KEYS: &'static [&'static str] = &beside_client::<2, 15>(["url", "refresh_interval"]);
}

/// An entry of `dns_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DnsConfig {
    /// What is looked up.
    pub names: Vec<String>,
    /// How often.
    pub refresh_interval: Duration,
    /// Which records.
    #[serde(rename = "type")]
    pub kind: DnsType,
    /// The targets' port; records of the type SRV have their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// A type of DNS records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Hosts and ports of a service.
    #[default]
    Srv,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
}

impl<'de> Deserialize<'de> for DnsConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// As it is written.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename = "DnsConfig")]
        struct Written {
            #[serde(default)]
            names: Vec<String>,
            #[serde(default = "half_a_minute", deserialize_with = "positive")]
            refresh_interval: Duration,
            #[serde(default, rename = "type")]
            kind: Option<String>,
            #[serde(default)]
            port: Option<u16>,
        }
        let Written {
            names,
            refresh_interval,
            kind,
            port,
        } = Written::deserialize(deserializer)?;
        if names.is_empty() {
            let message = "DNS-SD config must contain at least one SRV record name";
            return Err(de::Error::custom(message));
        }
        let kind = kind.unwrap_or_else(|| "SRV".to_owned());
        let kind = match kind.to_ascii_uppercase().as_str() {
            "A" => DnsType::A,
            "AAAA" => DnsType::Aaaa,
            "SRV" => DnsType::Srv,
            "MX" => DnsType::Mx,
            "NS" => DnsType::Ns,
            _ => {
                return Err(de::Error::custom(format!(
                    "invalid DNS-SD records type {kind}"
                )));
            }
        };
        if kind != DnsType::Srv && port.is_none_or(|port| port == 0) {
            let message = "a port is required in DNS-SD configs for all record types except SRV";
            return Err(de::Error::custom(message));
        }
        Ok(Self {
            names,
            refresh_interval,
            kind,
            port,
        })
    }
}

fn half_a_minute() -> Duration {
    Duration::from_millis(30_000)
}

fn one_minute() -> Duration {
    Duration::from_millis(60_000)
}

fn five_minutes() -> Duration {
    Duration::from_millis(300_000)
}

fn patterns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Pattern>, D::Error> {
    let patterns = Vec::<Pattern>::deserialize(deserializer)?;
    if patterns.is_empty() {
        let message = "file service discovery config must contain at least one path name";
        return Err(de::Error::custom(message));
    }
    Ok(patterns)
}

fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let targets = Vec::<String>::deserialize(deserializer)?;
    match targets.iter().find(|target| target.contains('/')) {
        Some(target) => Err(de::Error::custom(format!(
            "`{target}` is not a valid hostname: write host:port; the scheme and the path have \
             keys of their own"
        ))),
        None => Ok(targets),
    }
}

/// Labels of a target group, whose names must not be empty.
pub(super) fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
    let labels = Labels::deserialize(deserializer)?;
    if labels.contains_key("") {
        return Err(de::Error::custom("a label name must not be empty"));
    }
    Ok(labels)
}
