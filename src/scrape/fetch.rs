//! Fetching what a target exposes: one GET, bounded in time and in bytes.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use url::Url;

use super::config::JobConfig;
use super::error::ScrapeError;
use super::protocol::accept_header;
use crate::http::client::{Client, RequestError};

const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
/// How large a body may be where no `body_size_limit` says so, in bytes.
const BODY_BYTES_MAX: u64 = 256 << 20;
/// From this size on a body is a large one, of which few are in memory at the same time.
const LARGE_BODY_BYTES: usize = 1 << 20;
/// Large bodies that are read, or wait to be worked on, at the same time, of all targets.
pub(super) const LARGE_BODIES_MAX: usize = 16;

/// Memory that is taken for a body before it is there, in bytes.
const TRUSTED_BYTES: usize = 128 * 1024;
/// How much larger metrics are than what gzip makes of them.
const GZIP_RATIO: usize = 10;

/// A body as it came.
#[derive(Debug)]
pub(super) struct Fetched {
    bytes: Vec<u8>,
    is_gzip: bool,
    limit: u64,
    /// Empty if there was none.
    pub(super) content_type: String,
    /// Held by a large body until it is worked on, so that no more of them wait than may.
    _turn: Option<OwnedSemaphorePermit>,
}

/// Fetches for the targets of one job.
#[derive(Debug)]
pub(super) struct Fetcher {
    client: Client,
    headers: HeaderMap,
    limit: u64,
    large_bodies: Arc<Semaphore>,
}

impl Fetcher {
    pub(super) fn new(client: Client, config: &JobConfig, large_bodies: Arc<Semaphore>) -> Self {
        let accept = accept_header(&config.protocols, config.escaping);
        let accept = HeaderValue::try_from(accept).expect("media types can stand in a header");
        let encoding = if config.enable_compression {
            "gzip"
        } else {
            "identity"
        };
        let headers = [
            (ACCEPT, accept),
            (ACCEPT_ENCODING, HeaderValue::from_static(encoding)),
        ];
        let limit = match config.limits.body_size.bytes() {
            0 => BODY_BYTES_MAX,
            // A body of just this size is over the limit, as in Prometheus.
            limit => limit - 1,
        };
        Self {
            client,
            headers: headers.into_iter().collect(),
            limit,
            large_bodies,
        }
    }

    /// Fetches `url` within `limit`, all of the body included.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; nothing else has happened.
    pub(super) async fn fetch(&self, url: &Url, limit: Duration) -> Result<Fetched, ScrapeError> {
        let fetched = timeout(limit, self.fetch_all(url, limit)).await;
        fetched.map_err(|_elapsed| ScrapeError::Timeout)?
    }

    async fn fetch_all(&self, url: &Url, limit: Duration) -> Result<Fetched, ScrapeError> {
        let mut headers = self.headers.clone();
        let seconds = limit.as_secs_f64().to_string();
        let seconds = HeaderValue::try_from(seconds).expect("a number can stand in a header");
        headers.insert(TIMEOUT_HEADER, seconds);
        let response = self.client.get_url(url, headers).await;
        let response = response.map_err(request_error)?;
        if response.status() != StatusCode::OK {
            return Err(ScrapeError::Status(response.status()));
        }
        let header = |name| {
            let value: Option<&HeaderValue> = response.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let is_gzip = header(CONTENT_ENCODING) == "gzip";
        let content_type = header(CONTENT_TYPE).to_owned();
        let (bytes, turn) = self.read(response).await?;
        Ok(Fetched {
            bytes,
            _turn: turn,
            is_gzip,
            limit: self.limit,
            content_type,
        })
    }

    /// Memory is taken as bytes arrive; what is announced is believed up to a small size.
    async fn read(
        &self,
        mut response: Response,
    ) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), ScrapeError> {
        let announced = response.content_length().unwrap_or_default();
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(announced.min(TRUSTED_BYTES));
        let mut turn = None;
        while let Some(chunk) = response.chunk().await.map_err(network_error)? {
            if (bytes.len() + chunk.len()) as u64 > self.limit {
                return Err(ScrapeError::BodySize);
            }
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LARGE_BODY_BYTES && turn.is_none() {
                turn = Arc::clone(&self.large_bodies).acquire_owned().await.ok();
            }
        }
        Ok((bytes, turn))
    }
}

fn request_error(error: RequestError) -> ScrapeError {
    match error {
        RequestError::Send(error) => network_error(error),
        error @ RequestError::Redirects => ScrapeError::Redirects(error),
        error => ScrapeError::Client(error),
    }
}

fn network_error(error: reqwest::Error) -> ScrapeError {
    let error = error.without_url();
    if error.is_timeout() {
        ScrapeError::Timeout
    } else if error.is_connect() {
        ScrapeError::Connect(error)
    } else {
        ScrapeError::Network(error)
    }
}

impl Fetched {
    /// How large the body is without compression, by experience.
    pub(super) fn expected_bytes(&self) -> usize {
        if self.is_gzip {
            self.bytes.len().saturating_mul(GZIP_RATIO)
        } else {
            self.bytes.len()
        }
    }

    /// The body without compression. Takes CPU, and memory up to the limit on a body.
    pub(super) fn decompress(self) -> Result<Vec<u8>, ScrapeError> {
        if !self.is_gzip {
            return Ok(self.bytes);
        }
        let mut body = Vec::with_capacity(self.expected_bytes().min(TRUSTED_BYTES));
        MultiGzDecoder::new(self.bytes.as_slice())
            .take(self.limit.saturating_add(1))
            .read_to_end(&mut body)
            .map_err(ScrapeError::Gzip)?;
        if body.len() as u64 > self.limit {
            return Err(ScrapeError::BodySize);
        }
        Ok(body)
    }
}
