//! What a sender is told whose request was not taken.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use thiserror::Error;
use tokio::task::JoinError;

use super::invalid::InvalidSeries;
use crate::http::BodyError;
use crate::queue::ReserveError;
use crate::remote_write::snappy::DecompressError;
use crate::remote_write::{ProtobufMessage, v1, v2};
use crate::route::CommitError;
use crate::telemetry::causes;

/// When a sender is asked to come back, in seconds.
const COME_BACK_AFTER_S: &str = "1";

/// Why a write was refused.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The content type is not one that is read here.
    #[error(
        "content type `{0}` is not supported: remote write is application/x-protobuf, with \
         proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request"
    )]
    ContentType(String),
    /// The message is one that the configuration does not accept.
    #[error("message {} is not accepted here", .0.name())]
    Message(ProtobufMessage),
    /// The content encoding is not snappy.
    #[error("content encoding `{0}` is not supported: remote write uses snappy")]
    ContentEncoding(String),
    /// The body was not read.
    #[error("cannot read the body")]
    Body(#[from] BodyError),
    /// The body is not snappy, or too large.
    #[error("cannot decompress the body")]
    Decompress(#[from] DecompressError),
    /// The body is a 2.0 request under the content type of 1.0, which would read it as empty.
    #[error("the body is a 2.0 request, and its content type says 1.0")]
    OtherMessage,
    /// The 1.0 request is not valid.
    #[error("cannot take the request")]
    Decode(#[from] v1::DecodeError),
    /// The 2.0 request is not valid.
    #[error("cannot take the request")]
    DecodeV2(#[from] v2::DecodeError),
    /// Series in it are not valid.
    #[error("cannot take the request")]
    Series(#[from] InvalidSeries),
    /// Requests in hand are at their limit, and stayed so.
    #[error("too many requests at the same time")]
    TooMany,
    /// The relay is shutting down.
    #[error("shutting down")]
    Stopping,
    /// A route has no room, or its disk fails.
    #[error("cannot queue the request")]
    NotTaken(#[source] CommitError),
    /// A defect in promrelay.
    #[error("internal error")]
    Panicked(#[source] JoinError),
}

impl Refusal {
    /// The status code: 4xx only where the same request can never be taken.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ContentType(_) | Self::Message(_) | Self::ContentEncoding(_) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::Body(BodyError::TooLarge { .. })
            | Self::Decompress(DecompressError::TooLarge { .. })
            | Self::DecodeV2(v2::DecodeError::TooLarge { .. })
            // However long it waits, there will never be room for it.
            | Self::NotTaken(CommitError::Refused {
                source: ReserveError::TooLarge { .. },
                ..
            }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Decompress(_)
            | Self::OtherMessage
            | Self::Decode(_)
            | Self::DecodeV2(_)
            | Self::Series(_) => StatusCode::BAD_REQUEST,
            // Not 408 or 400: a Prometheus drops what is answered with those.
            Self::Body(BodyError::CutOff(_) | BodyError::TooSlow(_))
            | Self::Stopping
            | Self::TooMany
            | Self::NotTaken(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Panicked(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A word for metrics: the reason, from a closed set.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ContentType(_) => "content_type",
            Self::Message(_) => "message",
            Self::ContentEncoding(_) => "content_encoding",
            Self::Body(BodyError::TooLarge { .. }) => "body_size",
            Self::Body(BodyError::CutOff(_)) => "body_cut_off",
            Self::Body(BodyError::TooSlow(_)) => "body_timeout",
            Self::Decompress(DecompressError::TooLarge { .. })
            | Self::DecodeV2(v2::DecodeError::TooLarge { .. }) => "decoded_size",
            Self::Decompress(_) => "snappy",
            Self::Series(_) => "series",
            Self::OtherMessage | Self::Decode(_) | Self::DecodeV2(_) => "protobuf",
            Self::TooMany => "in_flight",
            Self::Stopping => "stopping",
            Self::NotTaken(CommitError::Refused {
                source: ReserveError::TooLarge { .. },
                ..
            }) => "queue_size",
            Self::NotTaken(CommitError::Refused { .. }) => "queue_refused",
            Self::NotTaken(CommitError::Failed { .. }) => "queue_failed",
            Self::Panicked(_) => "internal",
        }
    }

    /// The refusal and its causes in one line.
    #[must_use]
    pub fn words(&self) -> String {
        causes(self)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let text = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
        let body = self.words() + "\n";
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return (status, text, [(RETRY_AFTER, COME_BACK_AFTER_S)], body).into_response();
        }
        (status, text, body).into_response()
    }
}
