//! An endpoint: where a route's requests go, with which headers, and what the answer means.

use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::Response;
use tokio::time::{Instant, timeout_at};

use super::config::{Config, MetadataConfig, QueueConfig};
use super::rejection::RejectionConfig;
use super::written;
use crate::http::client::{BuildError, Client, RequestError};
use crate::http::read_response;
use crate::remote_write::message::ProtobufMessage;
use crate::remote_write::v2::Contents;
use crate::telemetry::causes;

const VERSION_HEADER: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
/// fluentd resets a connection that idled for 10 s: give it up well before.
const IDLE_CONNECTION: Duration = Duration::from_secs(5);
/// How much of a receiver's words is logged, in bytes.
const WORDS_BYTES: usize = 512;
/// The longest pause that a receiver can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(10);

/// Where requests go. Built once per configuration; keeps its connections.
#[derive(Debug)]
pub struct Endpoint {
    client: Client,
    config: Config,
}

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum Answer {
    /// The receiver has it; what of it, if it says that.
    Delivered {
        code: u16,
        written: Option<Contents>,
    },
    /// The receiver will never take it, or what it does not say it has written.
    Rejected {
        code: u16,
        words: String,
        written: Option<Contents>,
    },
    /// It may take it later.
    Retry {
        reason: &'static str,
        code: Option<u16>,
        retry_after: Option<Duration>,
        words: String,
    },
}

impl Endpoint {
    /// Sets up an HTTP client for `config`.
    ///
    /// # Errors
    /// If TLS or a proxy cannot be set up.
    pub fn new(config: Config) -> Result<Self, BuildError> {
        let client = config.client.build_for(Path::new(""), IDLE_CONNECTION)?;
        Ok(Self { client, config })
    }

    pub(super) fn queue_config(&self) -> QueueConfig {
        self.config.queue_config
    }

    pub(super) fn on_rejection(&self) -> &RejectionConfig {
        &self.config.on_rejection
    }

    pub(super) fn metadata_config(&self) -> MetadataConfig {
        self.config.metadata_config
    }

    /// The message that the configuration says.
    pub(super) fn message(&self) -> ProtobufMessage {
        self.config.message
    }

    pub(super) fn falls_back(&self) -> bool {
        self.config.falls_back
    }

    /// Sends one request, once.
    pub(super) async fn post(&self, message: ProtobufMessage, body: Bytes) -> Answer {
        let deadline = Instant::now() + self.config.remote_timeout;
        let (url, headers) = (self.config.url.as_str(), headers_of(message));
        let posted = timeout_at(deadline, self.client.post(url, headers, body));
        match posted.await {
            Ok(Ok(response)) => self.read_answer(response, deadline).await,
            Ok(Err(error)) => not_sent(reason(&error), causes(&error)),
            Err(_elapsed) => {
                let within = self.config.remote_timeout;
                not_sent("timeout", format!("no answer within {within:?}"))
            }
        }
    }

    async fn read_answer(&self, response: Response, deadline: Instant) -> Answer {
        let status = response.status();
        let code = status.as_u16();
        if status.is_success() {
            let written = written::read(response.headers());
            return Answer::Delivered { code, written };
        }
        let too_many = status == StatusCode::TOO_MANY_REQUESTS;
        let reason = if status.is_server_error() {
            Some("5xx")
        } else if status.is_redirection() {
            Some("redirect")
        } else if self.config.on_rejection.retries(code) {
            Some("4xx")
        } else {
            (too_many && self.config.queue_config.retry_on_http_429).then_some("429")
        };
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(read_retry_after);
        let written = written::read(response.headers());
        let words = if let Some(origin) = redirected_to(&response) {
            format!("redirected to {origin}")
        } else {
            // More than is kept: a secret that is cut off would not be found.
            let read = timeout_at(deadline, read_response(response, 8 * WORDS_BYTES));
            let words = read.await.unwrap_or_default();
            let words = self.client.redact(self.config.url.as_str(), &words).await;
            begin_of(&words, WORDS_BYTES).to_owned()
        };
        match reason {
            Some(reason) => Answer::Retry {
                reason,
                code: Some(code),
                retry_after,
                words,
            },
            None => Answer::Rejected {
                code,
                words,
                written,
            },
        }
    }
}

/// The first `bytes` of a text, or a few less, so that no character is cut.
fn begin_of(text: &str, bytes: usize) -> &str {
    let end = text.floor_char_boundary(bytes);
    text.get(..end).unwrap_or_default()
}

/// Why nothing was sent, for the metrics.
fn reason(error: &RequestError) -> &'static str {
    match error {
        RequestError::Read { .. }
        | RequestError::Tls(_)
        | RequestError::Header
        | RequestError::Token(_) => "credentials",
        RequestError::Url | RequestError::Redirects => "redirect",
        RequestError::Send(error) if error.is_timeout() => "timeout",
        RequestError::Send(error) if error.is_connect() => "connect",
        RequestError::Send(_) => "network",
    }
}

/// Says what the body is.
fn headers_of(message: ProtobufMessage) -> HeaderMap {
    let fixed = [
        (CONTENT_ENCODING, "snappy"),
        (CONTENT_TYPE, message.content_type()),
        (VERSION_HEADER, message.version()),
    ];
    let fixed = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
    fixed.into_iter().collect()
}

/// Where an answer redirects to: scheme, host and port, for the rest of a URL can have secrets.
fn redirected_to(response: &Response) -> Option<String> {
    let target = response.headers().get(LOCATION)?.to_str().ok()?;
    let url = response.url().join(target).ok()?;
    response
        .status()
        .is_redirection()
        .then(|| url.origin().ascii_serialization())
}

fn not_sent(reason: &'static str, words: String) -> Answer {
    Answer::Retry {
        reason,
        code: None,
        retry_after: None,
        words,
    }
}

/// Seconds, or a date: RFC 9110, section 10.2.3.
pub(super) fn read_retry_after(value: &HeaderValue) -> Option<Duration> {
    let value = value.to_str().ok()?.trim();
    let pause = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        date.duration_since(SystemTime::now()).unwrap_or_default()
    };
    Some(pause.min(RETRY_AFTER_MAX))
}
