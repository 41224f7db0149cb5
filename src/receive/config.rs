//! `receive:` in the configuration: what comes in, and bounds on it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::remote_write::ProtobufMessage;
use crate::settings::{ByteSize, Duration, positive};

/// What write requests may be, and bounds on them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The messages that are accepted.
    #[serde(deserialize_with = "not_empty")]
    pub protobuf_messages: Vec<ProtobufMessage>,
    /// A request's body as it comes, compressed.
    #[serde(deserialize_with = "positive")]
    pub max_body_size: ByteSize,
    /// A request's body once it is decompressed.
    #[serde(deserialize_with = "positive")]
    pub max_decoded_size: ByteSize,
    /// Labels of one series.
    #[serde(deserialize_with = "positive")]
    pub max_labels_per_series: usize,
    /// A label's name, in bytes.
    #[serde(deserialize_with = "positive")]
    pub max_label_name_bytes: usize,
    /// A label's value, in bytes.
    #[serde(deserialize_with = "positive")]
    pub max_label_value_bytes: usize,
    /// Requests in hand at the same time, from their headers to their answer.
    #[serde(deserialize_with = "positive")]
    pub max_requests_in_flight: usize,
    /// How long a request's body may take to arrive.
    #[serde(deserialize_with = "positive")]
    pub request_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            protobuf_messages: ProtobufMessage::ALL.to_vec(),
            max_body_size: ByteSize::mib(32),
            max_decoded_size: ByteSize::mib(128),
            max_labels_per_series: 256,
            max_label_name_bytes: 1024,
            max_label_value_bytes: 64 * 1024,
            max_requests_in_flight: 256,
            request_timeout: Duration::from_millis(30_000),
        }
    }
}

fn not_empty<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<ProtobufMessage>, D::Error> {
    let messages = Vec::deserialize(reader)?;
    if messages.is_empty() {
        return Err(D::Error::custom(
            "without a message nothing can be received",
        ));
    }
    Ok(messages)
}
