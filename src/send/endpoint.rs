//! An endpoint: where a route's requests go, with which headers, and what the answer means.

use std::error::Error;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::{Client, Response, redirect};
use thiserror::Error;

use super::config::{Config, QueueConfig};
use super::rejection::RejectionConfig;
use crate::http::read_response;
use crate::telemetry::causes;

const VERSION_HEADER: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
/// fluentd resets a connection that idled for 10 s: give it up well before.
const IDLE_CONNECTION: Duration = Duration::from_secs(5);
/// How much of a receiver's words is logged, in bytes.
const WORDS_BYTES: usize = 512;
/// The longest pause that a receiver can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(10);
const REDIRECTS: usize = 5;

/// Why an endpoint cannot be used.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The HTTP client, its TLS above all, cannot be set up.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// Where requests go. Built once per configuration; keeps its connections.
#[derive(Debug)]
pub struct Endpoint {
    client: Client,
    headers: HeaderMap,
    config: Config,
}

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum Answer {
    /// The receiver has it.
    Delivered { code: u16 },
    /// The receiver will never take it.
    Rejected { code: u16, words: String },
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
    /// If TLS cannot be set up.
    pub fn new(config: Config) -> Result<Self, BuildError> {
        let redirects = if config.follow_redirects {
            redirect::Policy::custom(keep_method)
        } else {
            redirect::Policy::none()
        };
        let client = Client::builder()
            .timeout(config.remote_timeout)
            .connect_timeout(config.remote_timeout)
            .pool_idle_timeout(IDLE_CONNECTION)
            .redirect(redirects)
            .no_proxy()
            .build()
            .map_err(BuildError::Client)?;
        let mut headers = config.headers.clone();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        headers.insert(VERSION_HEADER, HeaderValue::from_static("0.1.0"));
        let agent = concat!("promrelay/", env!("CARGO_PKG_VERSION"));
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(agent));
        Ok(Self {
            client,
            headers,
            config,
        })
    }

    pub(super) fn queue_config(&self) -> QueueConfig {
        self.config.queue_config
    }

    pub(super) fn on_rejection(&self) -> &RejectionConfig {
        &self.config.on_rejection
    }

    /// Sends one request, once.
    pub(super) async fn post(&self, body: Bytes) -> Answer {
        let mut headers = self.headers.clone();
        match self.config.auth.header().await {
            Ok(Some(credentials)) => drop(headers.insert(AUTHORIZATION, credentials)),
            Ok(None) => {}
            Err(error) => return not_sent("credentials", &error),
        }
        let request = self
            .client
            .post(self.config.url.as_str())
            .headers(headers)
            .body(body);
        match request.send().await {
            Ok(response) => self.read_answer(response).await,
            Err(error) if error.is_timeout() => not_sent("timeout", &error.without_url()),
            Err(error) if error.is_connect() => not_sent("connect", &error.without_url()),
            Err(error) => not_sent("network", &error.without_url()),
        }
    }

    async fn read_answer(&self, response: Response) -> Answer {
        let status = response.status();
        let code = status.as_u16();
        if status.is_success() {
            return Answer::Delivered { code };
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
        let words = read_response(response, WORDS_BYTES).await;
        match reason {
            Some(reason) => Answer::Retry {
                reason,
                code: Some(code),
                retry_after,
                words,
            },
            None => Answer::Rejected { code, words },
        }
    }
}

/// Follows a redirect only where the request stays the same: after 301, 302 and 303 it would go on
/// as a GET without a body, and a 200 to that would pass for delivery.
fn keep_method(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let same = matches!(
        attempt.status(),
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    );
    if same && attempt.previous().len() <= REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

fn not_sent(reason: &'static str, error: &(dyn Error + 'static)) -> Answer {
    Answer::Retry {
        reason,
        code: None,
        retry_after: None,
        words: causes(error),
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
