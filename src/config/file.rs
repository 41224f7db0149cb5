//! The file as the user wrote it: Prometheus' keys, the operator's spelling, and a few of ours.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::queue;
use crate::receive;
use crate::relabel::RuleConfig;
use crate::send::config::{MetadataConfig, QueueConfig};
use crate::settings::{ByteSize, Duration, HttpUrl, Secret};

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) global: Global,
    #[serde(alias = "remoteWrite")]
    pub(super) remote_write: Vec<RemoteWrite>,
    pub(super) receive: receive::Config,
    /// What routes' queues take where the route itself does not say.
    pub(super) queue: Queue,
}

/// `global`: what concerns scraping and rules is read, so that the block pastes in, and unused.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Global {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scrape_interval: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scrape_timeout: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) evaluation_interval: Option<Duration>,
    #[serde(alias = "externalLabels")]
    pub(super) external_labels: BTreeMap<String, String>,
}

/// One entry of `remote_write`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoteWrite {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) url: HttpUrl,
    #[serde(default = "thirty_seconds", alias = "remoteTimeout")]
    pub(super) remote_timeout: Duration,
    #[serde(default, serialize_with = "hide_values")]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default, alias = "writeRelabelConfigs")]
    pub(super) write_relabel_configs: Vec<RuleConfig>,
    #[serde(default, alias = "basicAuth", skip_serializing_if = "Option::is_none")]
    pub(super) basic_auth: Option<BasicAuth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) authorization: Option<Authorization>,
    #[serde(default = "yes", alias = "followRedirects")]
    pub(super) follow_redirects: bool,
    #[serde(default, alias = "messageVersion")]
    pub(super) protobuf_message: ProtobufMessage,
    #[serde(default = "yes", alias = "sendExemplars")]
    pub(super) send_exemplars: bool,
    #[serde(default = "yes", alias = "sendNativeHistograms")]
    pub(super) send_native_histograms: bool,
    #[serde(default, alias = "queueConfig")]
    pub(super) queue_config: QueueConfig,
    #[serde(default, alias = "metadataConfig")]
    pub(super) metadata_config: MetadataConfig,
    #[serde(default)]
    pub(super) queue: Queue,
}

/// `queue`: the bounds of a route's queue; what is silent takes the default.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Queue {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_bytes: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_age: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on_full: Option<OnFull>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) durability: Option<Durability>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min_free_bytes: Option<ByteSize>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnFull {
    Refuse,
    DropOldest,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Durability {
    Fsync,
    Async,
}

/// The message that is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum ProtobufMessage {
    #[default]
    #[serde(rename = "prometheus.WriteRequest", alias = "V1.0")]
    V1,
    #[serde(rename = "io.prometheus.write.v2.Request", alias = "V2.0")]
    V2,
}

/// `basic_auth`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BasicAuth {
    pub(super) username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) password: Option<Secret>,
    #[serde(
        default,
        alias = "passwordFile",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) password_file: Option<PathBuf>,
}

/// `authorization`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Authorization {
    #[serde(default = "bearer", rename = "type")]
    pub(super) scheme: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) credentials: Option<Secret>,
    #[serde(
        default,
        alias = "credentialsFile",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) credentials_file: Option<PathBuf>,
}

impl Queue {
    /// The options of a queue: what is said here, else in `defaults`, else the queue's own default.
    pub(super) fn options(self, defaults: Self) -> queue::Options {
        let options = queue::Options::default();
        let max_bytes = self.max_bytes.or(defaults.max_bytes).map(ByteSize::bytes);
        let min_free_bytes = self
            .min_free_bytes
            .or(defaults.min_free_bytes)
            .map(ByteSize::bytes);
        queue::Options {
            max_bytes: max_bytes.unwrap_or(options.max_bytes),
            max_age: self.max_age.or(defaults.max_age).map(Into::into),
            on_full: match self.on_full.or(defaults.on_full) {
                Some(OnFull::DropOldest) => queue::OnFull::DropOldest,
                Some(OnFull::Refuse) | None => queue::OnFull::Refuse,
            },
            durability: match self.durability.or(defaults.durability) {
                Some(Durability::Async) => queue::Durability::Async,
                Some(Durability::Fsync) | None => queue::Durability::Fsync,
            },
            min_free_bytes: min_free_bytes.unwrap_or(options.min_free_bytes),
            ..options
        }
    }
}

fn thirty_seconds() -> Duration {
    Duration::from_millis(30_000)
}

fn yes() -> bool {
    true
}

fn bearer() -> String {
    "Bearer".to_owned()
}

/// A header's value can be a token.
fn hide_values<S: serde::Serializer>(
    headers: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        headers
            .keys()
            .map(|name| (name, Secret::from(String::new()))),
    )
}
