//! How a route sends: the parts of a `remote_write` entry that concern the requests.

use std::path::PathBuf;
use std::time;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::rejection::RejectionConfig;
use crate::settings::{Duration, HttpUrl, Secret, positive};

/// The lanes of a route that says nothing of shards.
const DEFAULT_LANES: u64 = 4;
/// The lanes of a route at the most.
const MAX_LANES: u64 = 64;
/// How long a file with a secret may be, in bytes.
const SECRET_FILE_BYTES: u64 = 64 * 1024;

/// Where and how a route's requests are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The receiver.
    pub url: HttpUrl,
    /// How long a request may take, from connecting to the end of the answer.
    pub remote_timeout: time::Duration,
    /// Headers of the user's own.
    pub headers: HeaderMap,
    /// Credentials.
    pub auth: Auth,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// Batches, lanes and retries.
    pub queue_config: QueueConfig,
    /// Whether metadata is sent.
    pub metadata_config: MetadataConfig,
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
    /// The most lanes, that is requests of the route in flight.
    #[serde(deserialize_with = "positive")]
    pub max_shards: u64,
    /// The fewest lanes. A route has four unless one of these bounds forbids it, and never more
    /// than 64: the number is fixed, so that a series keeps its lane.
    #[serde(deserialize_with = "positive")]
    pub min_shards: u64,
    /// Samples in one request at the most.
    #[serde(deserialize_with = "positive")]
    pub max_samples_per_send: u64,
    /// How long a sample may wait for a request to fill.
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
    /// How many lanes the route has.
    #[must_use]
    pub fn lanes(&self) -> u8 {
        let lanes = DEFAULT_LANES.min(self.max_shards).max(self.min_shards);
        u8::try_from(lanes.clamp(1, MAX_LANES)).expect("clamped to less than 256")
    }
}

/// `metadata_config` of a `remote_write` entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataConfig {
    /// Whether the metadata that comes in goes to this route.
    pub send: bool,
    /// In Prometheus how often metadata is sent. Here it is passed on when it comes; this is read
    /// so that entries paste in, and does nothing else.
    pub send_interval: Duration,
    /// In Prometheus the metadata in one request at the most. Here it does nothing, as above.
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

/// The credentials of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// None.
    #[default]
    None,
    /// `basic_auth`.
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: SecretSource,
    },
    /// `authorization`.
    Authorization {
        /// The scheme, usually `Bearer`.
        scheme: String,
        /// What follows it.
        credentials: SecretSource,
    },
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In the configuration.
    Inline(Secret),
    /// In a file, which is read for each request, so that it can change.
    File(PathBuf),
}

/// Why a request has no credentials.
#[derive(Debug, Error)]
pub enum AuthError {
    /// The file with the secret cannot be read.
    #[error("cannot read the secret in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The secret has characters that a header cannot have.
    #[error("the credentials cannot stand in a header")]
    NotAHeader,
}

impl Auth {
    /// The value of the `Authorization` header, if there is one.
    ///
    /// # Errors
    /// If a file with a secret cannot be read or holds what no header can.
    pub async fn header(&self) -> Result<Option<HeaderValue>, AuthError> {
        let text = match self {
            Self::None => return Ok(None),
            Self::Basic { username, password } => {
                let pair = format!("{username}:{}", password.read().await?);
                format!("Basic {}", STANDARD.encode(pair))
            }
            Self::Authorization {
                scheme,
                credentials,
            } => {
                format!("{scheme} {}", credentials.read().await?)
            }
        };
        let Ok(mut value) = HeaderValue::try_from(text) else {
            return Err(AuthError::NotAHeader);
        };
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl SecretSource {
    async fn read(&self) -> Result<String, AuthError> {
        match self {
            Self::Inline(secret) => Ok(secret.reveal().to_owned()),
            Self::File(path) => {
                let read = read_secret(path.clone()).await;
                read.map_err(|source| AuthError::Read {
                    path: path.clone(),
                    source,
                })
            }
        }
    }
}

/// The file's content without white space around it, as Prometheus reads it.
async fn read_secret(path: PathBuf) -> std::io::Result<String> {
    use tokio::io::AsyncReadExt as _;

    let mut secret = String::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(SECRET_FILE_BYTES)
        .read_to_string(&mut secret)
        .await?;
    Ok(secret.trim().to_owned())
}
