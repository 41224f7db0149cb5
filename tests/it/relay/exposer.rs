//! A target that exposes what it is told to, well-behaved or not.

#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, StatusCode};
use promrelay::http::Server;

/// What a path answers.
#[derive(Clone, Debug)]
pub(super) enum Page {
    /// Prometheus' text format.
    Text(String),
    /// A body of this content type.
    Typed(&'static str, Vec<u8>),
    /// A body with these further headers.
    With(Vec<(&'static str, &'static str)>, Vec<u8>),
    Status(StatusCode),
    Redirect(&'static str),
    Hang,
    Endless,
    /// A beginning, and then the connection breaks.
    Reset,
}

#[derive(Clone, Default)]
struct Pages {
    pages: Arc<Mutex<BTreeMap<String, Page>>>,
    requests: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

/// A server of pages.
pub(super) struct Exposer {
    server: Server,
    pages: Pages,
}

impl Exposer {
    pub(super) fn start() -> Self {
        let pages = Pages::default();
        let service = Router::new().fallback(answer).with_state(pages.clone());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::start(address, service).unwrap();
        Self { server, pages }
    }

    /// With `/metrics` exposing `text`.
    pub(super) fn with(text: &str) -> Self {
        let exposer = Self::start();
        exposer.expose(text);
        exposer
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(super) fn expose(&self, text: &str) {
        self.set("/metrics", Page::Text(text.to_owned()));
    }

    pub(super) fn set(&self, path: &str, page: Page) {
        self.pages
            .pages
            .lock()
            .unwrap()
            .insert(path.to_owned(), page);
    }

    /// The requests so far: path with query, and headers.
    pub(super) fn requests(&self) -> Vec<(String, HeaderMap)> {
        self.pages.requests.lock().unwrap().clone()
    }

    pub(super) async fn stop(self) {
        self.server.stop(Duration::from_millis(10)).await;
    }
}

async fn answer(State(pages): State<Pages>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let uri = request.uri().to_string();
    let headers = request.headers().clone();
    pages.requests.lock().unwrap().push((uri, headers));
    let page = pages.pages.lock().unwrap().get(&path).cloned();
    let chunk = || Bytes::from("filler 1\n".repeat(1000));
    match page {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(Page::Text(text)) => {
            ([("content-type", "text/plain; version=0.0.4")], text).into_response()
        }
        Some(Page::Typed(content_type, body)) => {
            ([("content-type", content_type)], body).into_response()
        }
        Some(Page::With(headers, body)) => {
            let mut response = body.into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Some(Page::Status(status)) => status.into_response(),
        Some(Page::Redirect(target)) => Redirect::temporary(target).into_response(),
        Some(Page::Hang) => std::future::pending().await,
        Some(Page::Endless) => {
            let chunks = stream::repeat_with(move || Ok::<_, std::io::Error>(chunk()));
            typed(Body::from_stream(chunks))
        }
        Some(Page::Reset) => {
            let broken = stream::once(async { Err(std::io::Error::other("broken")) });
            let begin = stream::once(async move { Ok(chunk()) });
            typed(Body::from_stream(begin.chain(broken)))
        }
    }
}

fn typed(body: Body) -> Response {
    ([("content-type", "text/plain")], body).into_response()
}
