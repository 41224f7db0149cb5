//! Why a scrape failed: what `lastError` says of a target.

use http::StatusCode;
use thiserror::Error;

use crate::exposition::protobuf::DecodeError;
use crate::exposition::{ContentTypeError, ParseError};
use crate::http::client::RequestError;
use crate::remote_write::v1;

/// Why a scrape failed.
#[derive(Debug, Error)]
pub(super) enum ScrapeError {
    #[error("target_limit exceeded (number of targets: {targets}, limit: {limit})")]
    TargetLimit { targets: u64, limit: u64 },
    #[error("{0:?} is no http or https URL")]
    Url(String),
    #[error("cannot connect")]
    Connect(#[source] reqwest::Error),
    #[error("scrape timeout exceeded")]
    Timeout,
    #[error("cannot fetch the metrics")]
    Network(#[source] reqwest::Error),
    #[error("cannot prepare the request")]
    Client(#[source] RequestError),
    #[error("cannot fetch the metrics")]
    Redirects(#[source] RequestError),
    #[error("server returned HTTP status {0}")]
    Status(StatusCode),
    #[error("body size limit exceeded")]
    BodySize,
    #[error("body is not valid gzip")]
    Gzip(#[source] std::io::Error),
    #[error("no format to read the body in, and no fallback_scrape_protocol for the target")]
    ContentType(#[source] ContentTypeError),
    #[error("cannot parse the metrics")]
    Text(#[from] ParseError),
    #[error("cannot parse the metrics")]
    Protobuf(#[from] DecodeError),
    #[error("missing metric name (__name__ label)")]
    NoName,
    #[error("label name {0:?} is not unique")]
    RepeatedLabel(String),
    #[error("native histogram {0:?} has spans for another number of buckets than it has")]
    Histogram(String),
    #[error("sample limit exceeded")]
    SampleLimit,
    #[error("{0}")]
    LabelLimit(String),
    #[error("the labels of the target's series are over 4 GiB")]
    Labels,
    #[error("a series is over the relay's own limits")]
    Refused(#[source] v1::DecodeError),
    #[error("the scraper stopped")]
    Stopped,
}

impl ScrapeError {
    /// The word for it in metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::TargetLimit { .. } => "target_limit",
            Self::Url(_) | Self::Client(_) => "request",
            Self::Connect(_) => "connect",
            Self::Timeout => "timeout",
            Self::Network(_) | Self::Redirects(_) => "network",
            Self::Status(_) => "status",
            Self::BodySize => "body_size_limit",
            Self::ContentType(_) => "content_type",
            Self::Gzip(_) | Self::Text(_) | Self::Protobuf(_) => "parse",
            Self::NoName | Self::RepeatedLabel(_) | Self::Histogram(_) => "invalid",
            Self::SampleLimit => "sample_limit",
            Self::LabelLimit(_) => "label_limit",
            Self::Labels | Self::Refused(_) => "refused",
            Self::Stopped => "stopped",
        }
    }
}
