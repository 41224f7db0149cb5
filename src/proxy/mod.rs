//! The node proxy: makes the exporter of a node reachable in the network of pods.
//!
//! For a `DaemonSet` on nodes whose `windows_exporter` listens on the host only: it passes GET and
//! HEAD of `/metrics` on to one address and nothing else to nowhere else. Bodies stream through;
//! requests, connections and time are bounded, so that it holds in 20 MiB whatever comes.

mod body;
mod metrics;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::telemetry::{Registry, causes};
use body::Passing;
use metrics::ProxyMetrics;

const SCRAPE_TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
/// Headers of a request that are passed on.
const ASKED: [HeaderName; 3] = [ACCEPT, ACCEPT_ENCODING, SCRAPE_TIMEOUT];
/// Headers of an answer that are passed back.
const ANSWERED: [HeaderName; 3] = [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LENGTH];
/// Idle connections to the exporter that are kept, and for how long.
const IDLE: (usize, Duration) = (2, Duration::from_mins(2));
/// How long an answer's headers may be, in bytes.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// How the proxy runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The exporter's host and port; an IPv6 address stands in brackets.
    pub upstream: String,
    /// How long the exporter may take, from connecting to the end of its answer. A scrape that says
    /// in `X-Prometheus-Scrape-Timeout-Seconds` that it waits for less gets less.
    pub timeout: Duration,
    /// Requests that are passed on at the same time; one more is told to come again.
    pub max_requests: usize,
}

struct Proxy {
    options: Options,
    client: Client<HttpConnector, Body>,
    permits: Arc<Semaphore>,
    metrics: ProxyMetrics,
}

/// The proxy's HTTP service.
pub fn service(options: Options, registry: &Registry) -> Router {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(options.timeout));
    connector.set_nodelay(true);
    let (idle, idle_time) = IDLE;
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(idle)
        .pool_idle_timeout(idle_time)
        .http1_max_buf_size(MAX_HEADER_BYTES)
        .build(connector);
    let proxy = Arc::new(Proxy {
        client,
        permits: Arc::new(Semaphore::new(options.max_requests)),
        metrics: ProxyMetrics::new(registry),
        options,
    });
    let registry = registry.clone();
    let own = move || {
        let text = registry.render();
        async move {
            (
                [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
                text,
            )
        }
    };
    Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/-/metrics", get(own))
        .route("/metrics", any(pass))
        .with_state(proxy)
}

async fn pass(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = [(ALLOW, "GET, HEAD")];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, "GET and HEAD only\n").into_response();
    }
    let Ok(permit) = Arc::clone(&proxy.permits).try_acquire_owned() else {
        let words = "too many scrapes at the same time\n";
        proxy.metrics.answered(StatusCode::SERVICE_UNAVAILABLE);
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], words).into_response();
    };
    let patience = patience(request.headers(), proxy.options.timeout);
    let deadline = Instant::now() + patience;
    let is_head = request.method() == Method::HEAD;
    let asked = match proxy.onward(&request) {
        Ok(asked) => asked,
        Err(error) => return proxy.failed("request", StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let answer = match timeout_at(deadline, proxy.client.request(asked)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            let reason = if error.is_connect() {
                "connect"
            } else {
                "broken"
            };
            return proxy.failed(reason, StatusCode::BAD_GATEWAY, &causes(&error));
        }
        Err(_) => {
            let words = format!("no answer within {} s", patience.as_secs_f64());
            return proxy.failed("timeout", StatusCode::GATEWAY_TIMEOUT, &words);
        }
    };
    let (parts, body) = answer.into_parts();
    proxy.metrics.answered(parts.status);
    let passing = Passing::new(body, deadline, permit, &proxy.metrics);
    let mut response = Response::new(if is_head {
        Body::empty()
    } else {
        Body::new(passing)
    });
    *response.status_mut() = parts.status;
    copy(&ANSWERED, &parts.headers, response.headers_mut());
    response
}

impl Proxy {
    /// The request for the exporter.
    fn onward(&self, request: &Request) -> Result<Request, http::Error> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/metrics", |path| path.as_str());
        let uri = Uri::builder()
            .scheme("http")
            .authority(self.options.upstream.as_str())
            .path_and_query(path)
            .build()?;
        let mut onward = Request::new(Body::empty());
        request.method().clone_into(onward.method_mut());
        *onward.uri_mut() = uri;
        copy(&ASKED, request.headers(), onward.headers_mut());
        let agent = concat!("promrelay-proxy/", env!("CARGO_PKG_VERSION"));
        onward
            .headers_mut()
            .insert(http::header::USER_AGENT, HeaderValue::from_static(agent));
        Ok(onward)
    }

    /// Answers that there is nothing from the exporter, and why.
    fn failed(&self, reason: &'static str, status: StatusCode, words: &str) -> Response {
        let upstream = &self.options.upstream;
        self.metrics.failed(reason);
        self.metrics.answered(status);
        if let Some(suppressed) = self.metrics.failures_logged.permit() {
            warn!(
                upstream,
                reason,
                error = words,
                suppressed,
                "the exporter did not answer"
            );
        }
        (status, format!("{upstream}: {words}\n")).into_response()
    }
}

/// How long the scrape waits, or the proxy if that is less. Prometheus writes seconds with a
/// fraction.
fn patience(headers: &HeaderMap, most: Duration) -> Duration {
    let text = headers
        .get(SCRAPE_TIMEOUT)
        .and_then(|value| value.to_str().ok());
    let seconds = text.and_then(|text| text.parse::<f64>().ok());
    let wanted = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    wanted
        .filter(|wanted| !wanted.is_zero())
        .map_or(most, |wanted| wanted.min(most))
}

fn copy(names: &[HeaderName], from: &HeaderMap, to: &mut HeaderMap) {
    for name in names {
        for value in from.get_all(name) {
            to.append(name, value.clone());
        }
    }
}
