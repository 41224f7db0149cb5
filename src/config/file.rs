//! The file as the user wrote it: Prometheus' keys and a few of ours.
//!
//! Keys are in Prometheus' spelling here; the operator's is turned into it on the way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::http::client::{BesideClient, ClientConfig, WithClient, beside_client};
use crate::queue;
use crate::receive;
use crate::relabel::RuleConfig;
use crate::remote_write::message;
use crate::route::VerdictConfig;
use crate::scrape::{Escaping, Protocol, ScrapeConfig};
use crate::send::RejectionConfig;
use crate::send::config::{MetadataConfig, QueueConfig};
use crate::settings::{ByteSize, Duration, HttpUrl, Secret, positive};

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) global: Global,
    pub(super) remote_write: Vec<WithClient<RemoteWrite>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) scrape_configs: Vec<WithClient<ScrapeConfig>>,
    pub(super) receive: receive::Config,
    pub(super) verdicts: VerdictConfig,
    /// What routes' queues take where the route itself does not say.
    pub(super) queue: Queue,
    pub(super) storage: Storage,
}

/// `global`. The interval of rules is read, so that the block pastes in, and unused.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Global {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scrape_interval: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scrape_timeout: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) evaluation_interval: Option<Duration>,
    pub(super) external_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scrape_protocols: Option<Vec<Protocol>>,
    pub(super) metric_name_escaping_scheme: Escaping,
    pub(super) scrape_native_histograms: bool,
    pub(super) always_scrape_classic_histograms: bool,
    pub(super) extra_scrape_metrics: bool,
    pub(super) body_size_limit: ByteSize,
    pub(super) sample_limit: u64,
    pub(super) label_limit: u64,
    pub(super) label_name_length_limit: u64,
    pub(super) label_value_length_limit: u64,
    pub(super) target_limit: u64,
    pub(super) keep_dropped_targets: u64,
}

/// One entry of `remote_write`, without the keys of its HTTP client.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoteWrite {
    #[serde(default)]
    pub(super) name: Option<String>,
    /// Not optional; but an entry without it is read to its end, for its other mistakes.
    #[serde(default)]
    pub(super) url: Option<HttpUrl>,
    #[serde(default = "thirty_seconds", deserialize_with = "positive")]
    pub(super) remote_timeout: Duration,
    #[serde(default, serialize_with = "hide_values")]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) write_relabel_configs: Vec<RuleConfig>,
    #[serde(default)]
    pub(super) protobuf_message: ProtobufMessage,
    #[serde(default = "yes")]
    pub(super) protobuf_message_fallback: bool,
    #[serde(default)]
    pub(super) send_exemplars: bool,
    #[serde(default)]
    pub(super) send_native_histograms: bool,
    #[serde(default)]
    pub(super) queue_config: QueueConfig,
    #[serde(default)]
    pub(super) metadata_config: MetadataConfig,
    #[serde(default)]
    pub(super) on_rejection: RejectionConfig,
    #[serde(default)]
    pub(super) queue: Queue,
}

/// `storage`: the volume of all queues.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Storage {
    pub(super) min_free_bytes: ByteSize,
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
    pub(super) parked_max_bytes: Option<ByteSize>,
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
#[serde(try_from = "String")]
pub(super) enum ProtobufMessage {
    #[default]
    #[serde(rename = "prometheus.WriteRequest")]
    V1,
    #[serde(rename = "io.prometheus.write.v2.Request")]
    V2,
}

/// What a route's parked batches take on disk, where nobody says anything.
const PARKED_MAX_BYTES: ByteSize = ByteSize::mib(256);

impl BesideClient for RemoteWrite {
    const NAME: &'static str = "RemoteWrite";
    const KEYS: &'static [&'static str] = &beside_client::<13, 26>([
        "name",
        "url",
        "remote_timeout",
        "headers",
        "write_relabel_configs",
        "protobuf_message",
        "protobuf_message_fallback",
        "send_exemplars",
        "send_native_histograms",
        "queue_config",
        "metadata_config",
        "on_rejection",
        "queue",
    ]);

    /// As in Prometheus: lanes that share one connection wait for each other.
    fn client() -> ClientConfig {
        ClientConfig {
            enable_http2: false,
            ..ClientConfig::default()
        }
    }
}

impl Queue {
    /// What a route's parked batches may take, in bytes.
    pub(super) fn parked_max_bytes(self) -> u64 {
        self.parked_max_bytes.unwrap_or(PARKED_MAX_BYTES).bytes()
    }

    /// What is said here, else what `defaults` says.
    pub(super) fn or(self, defaults: Self) -> Self {
        Self {
            max_bytes: self.max_bytes.or(defaults.max_bytes),
            max_age: self.max_age.or(defaults.max_age),
            on_full: self.on_full.or(defaults.on_full),
            durability: self.durability.or(defaults.durability),
            parked_max_bytes: self.parked_max_bytes.or(defaults.parked_max_bytes),
        }
    }

    /// With what promrelay takes where nobody says anything. There is no age by default.
    pub(super) fn or_built_in(self) -> Self {
        let built_in = queue::Options::default();
        self.or(Self {
            max_bytes: Some(ByteSize::new(built_in.max_bytes)),
            max_age: None,
            on_full: Some(OnFull::Refuse),
            durability: Some(Durability::Fsync),
            parked_max_bytes: Some(PARKED_MAX_BYTES),
        })
    }

    /// The options of a queue on `storage`, with the queue's own defaults.
    pub(super) fn options(self, storage: Storage) -> queue::Options {
        let options = queue::Options::default();
        let bytes = |size: Option<ByteSize>, default| size.map_or(default, ByteSize::bytes);
        queue::Options {
            max_bytes: bytes(self.max_bytes, options.max_bytes),
            max_age: self
                .max_age
                .filter(|age| *age > Duration::default())
                .map(Into::into),
            on_full: match self.on_full {
                Some(OnFull::DropOldest) => queue::OnFull::DropOldest,
                Some(OnFull::Refuse) | None => queue::OnFull::Refuse,
            },
            durability: match self.durability {
                Some(Durability::Async) => queue::Durability::Async,
                Some(Durability::Fsync) | None => queue::Durability::Fsync,
            },
            min_free_bytes: storage.min_free_bytes.bytes(),
            ..options
        }
    }
}

impl TryFrom<String> for ProtobufMessage {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.as_str() {
            "prometheus.WriteRequest" | "V1.0" => Ok(Self::V1),
            "io.prometheus.write.v2.Request" | "V2.0" => Ok(Self::V2),
            _ => Err(format!(
                "unknown type for remote write protobuf message {name}, supported: \
                 prometheus.WriteRequest, io.prometheus.write.v2.Request"
            )),
        }
    }
}

impl From<ProtobufMessage> for message::ProtobufMessage {
    fn from(message: ProtobufMessage) -> Self {
        match message {
            ProtobufMessage::V1 => Self::V1,
            ProtobufMessage::V2 => Self::V2,
        }
    }
}

fn yes() -> bool {
    true
}

fn thirty_seconds() -> Duration {
    Duration::from_millis(30_000)
}

/// A header's value can be a token.
fn hide_values<S: Serializer>(
    headers: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        headers
            .keys()
            .map(|name| (name, Secret::from(String::new()))),
    )
}
