//! How a route sends: the parts of a `remote_write` entry that concern the requests.

use std::ops::RangeInclusive;
use std::time;

use serde::{Deserialize, Serialize};

use super::rejection::RejectionConfig;
use crate::http::client::ClientConfig;
use crate::remote_write::message::ProtobufMessage;
use crate::settings::{Duration, HttpUrl, positive};

/// The lanes of a route at the most.
const MAX_LANES: u8 = 64;

/// Where and how a route's requests are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The receiver.
    pub url: HttpUrl,
    /// How long a request may take, from connecting to the end of the answer.
    pub remote_timeout: time::Duration,
    /// Credentials, headers of the user's own, TLS, proxies, redirects. Names of files in it are
    /// paths.
    pub client: ClientConfig,
    /// Batches, lanes and retries.
    pub queue_config: QueueConfig,
    /// Whether metadata is sent, and how often to a receiver of 1.0.
    pub metadata_config: MetadataConfig,
    /// The message that is sent.
    pub message: ProtobufMessage,
    /// Whether 1.0 is sent to a receiver that does not know 2.0.
    pub falls_back: bool,
    /// What follows when the receiver refuses a batch for good.
    pub on_rejection: RejectionConfig,
}

/// `queue_config` of a `remote_write` entry: batches, lanes and retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// In Prometheus the samples that a shard holds in memory. Here the queue is on disk and
    /// bounded by `queue.max_bytes`; this is read so that entries paste in, and does nothing else.
    #[serde(deserialize_with = "positive")]
    pub capacity: u64,
    /// The most lanes, that is requests of the route in flight; 64 where this is more.
    #[serde(deserialize_with = "positive")]
    pub max_shards: u64,
    /// The fewest lanes. The route has no more while these keep up.
    #[serde(deserialize_with = "positive")]
    pub min_shards: u64,
    /// Samples in one request at the most.
    #[serde(deserialize_with = "positive")]
    pub max_samples_per_send: u64,
    /// How long a sample may wait for a request to fill. The way through the queue's file alone
    /// takes up to 0.1 seconds.
    pub batch_send_deadline: Duration,
    /// The first pause before a request is sent again; each further one is twice as long.
    #[serde(deserialize_with = "positive")]
    pub min_backoff: Duration,
    /// The longest pause.
    #[serde(deserialize_with = "positive")]
    pub max_backoff: Duration,
    /// Whether a request that was answered 429 is sent again. Prometheus' default is false, which
    /// loses the samples.
    pub retry_on_http_429: bool,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            max_shards: 50,
            min_shards: 1,
            max_samples_per_send: 2000,
            batch_send_deadline: Duration::from_millis(5000),
            min_backoff: Duration::from_millis(30),
            max_backoff: Duration::from_millis(5000),
            retry_on_http_429: true,
        }
    }
}

impl QueueConfig {
    /// How many lanes the route has at the least and at the most.
    #[must_use]
    pub fn lanes(&self) -> RangeInclusive<u8> {
        let bounded = |shards| u8::try_from(shards).map_or(MAX_LANES, |it| it.clamp(1, MAX_LANES));
        let least = bounded(self.min_shards);
        least..=bounded(self.max_shards).max(least)
    }
}

/// `metadata_config` of a `remote_write` entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataConfig {
    /// Whether the metadata of the metrics that this route keeps goes to it.
    pub send: bool,
    /// How often it is sent, where the message is 1.0. In 2.0 each series has its own.
    #[serde(deserialize_with = "positive")]
    pub send_interval: Duration,
    /// Metric families in one request at the most.
    #[serde(deserialize_with = "positive")]
    pub max_samples_per_send: u64,
}

impl Default for MetadataConfig {
    fn default() -> Self {
        let send_interval = Duration::from_millis(60_000);
        Self {
            send: true,
            send_interval,
            max_samples_per_send: 2000,
        }
    }
}
