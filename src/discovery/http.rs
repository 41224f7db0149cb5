//! `http_sd_configs`: targets that a server tells.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use thiserror::Error;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::TargetGroup;
use super::config::HttpConfig;
use super::groups::{self, ParseError};
use super::publish::Provider;
use crate::http::client::{Client, RequestError};
use crate::http::{BodyError, read_response_bounded};

/// How long an answer may be, in bytes.
const MAX_ANSWER_BYTES: u64 = 64 << 20;
const URL: &str = "__meta_url";
const INTERVAL: HeaderName = HeaderName::from_static("x-prometheus-refresh-interval-seconds");

/// Why a server's targets are not known.
#[derive(Debug, Error)]
enum HttpError {
    #[error("cannot ask for targets")]
    Request(#[from] RequestError),
    #[error("the server did not answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("server returned HTTP status {0}")]
    Status(StatusCode),
    #[error("unsupported content type {0:?}")]
    ContentType(String),
    #[error("cannot read the answer")]
    Body(#[from] BodyError),
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// Keeps the targets that the server of `config` tells up to date; never returns.
pub(super) async fn run(config: HttpConfig, client: Client, provider: Provider) {
    let every = Duration::from(config.refresh_interval);
    let what = config.url.redacted();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = timeout(every, ask(&config, &client)).await;
        match asked.unwrap_or(Err(HttpError::Timeout(every))) {
            Ok(groups) => provider.replace(groups),
            Err(error) => provider.failed(&what, &error),
        }
    }
}

async fn ask(config: &HttpConfig, client: &Client) -> Result<Vec<TargetGroup>, HttpError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let seconds = Duration::from(config.refresh_interval)
        .as_secs_f64()
        .to_string();
    if let Ok(seconds) = HeaderValue::try_from(seconds) {
        headers.insert(INTERVAL, seconds);
    }
    let response = client.get(config.url.as_str(), headers).await?;
    if response.status() != StatusCode::OK {
        return Err(HttpError::Status(response.status()));
    }
    let kind = response.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !is_json(kind) {
        return Err(HttpError::ContentType(kind.to_owned()));
    }
    let body = read_response_bounded(response, MAX_ANSWER_BYTES).await?;
    let url = config.url.redacted();
    Ok(groups::of_json(&body, &url, (URL, &url))?)
}

/// JSON, in UTF-8 if it says.
fn is_json(kind: &str) -> bool {
    let (kind, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let parameters = parameters.trim().to_ascii_lowercase();
    kind.trim().eq_ignore_ascii_case("application/json")
        && matches!(
            parameters.as_str(),
            "" | "charset=utf-8" | "charset=\"utf-8\""
        )
}
