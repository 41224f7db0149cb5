//! A receiver that takes everything and counts it, by path.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use http::StatusCode;
use promrelay::http::{Server, read_bounded};
use promrelay::remote_write::snappy;
use promrelay::remote_write::v1;

const BODY_BYTES: u64 = 64 << 20;
const DECODED_BYTES: u64 = 1 << 30;
const BODY_TIME: Duration = Duration::from_mins(1);

/// What arrived on a path, or on all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) requests: u64,
    pub(crate) samples: u64,
    /// Compressed.
    pub(crate) bytes: u64,
}

/// A running receiver.
#[derive(Debug)]
pub(crate) struct Receiver {
    server: Server,
    paths: Paths,
}

type Paths = Arc<Mutex<BTreeMap<String, Arrived>>>;

impl Receiver {
    /// Listens on `address`; every path is a receiver of its own.
    pub(crate) fn start(address: SocketAddr) -> Self {
        let paths = Paths::default();
        let service = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&paths));
        let server = Server::start(address, service).expect("the address is free");
        Self { server, paths }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What arrived so far, by path.
    pub(crate) fn arrived(&self) -> BTreeMap<String, Arrived> {
        lock(&self.paths).clone()
    }
}

async fn receive(State(paths): State<Paths>, request: Request) -> StatusCode {
    let (parts, body) = request.into_parts();
    let Ok(body) = read_bounded(body, None, BODY_BYTES, BODY_TIME).await else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    let mut buffer = Vec::new();
    let Ok(raw) = snappy::decompress(&body, DECODED_BYTES, &mut buffer) else {
        return StatusCode::BAD_REQUEST;
    };
    let Ok(counts) = v1::count(raw) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut paths = lock(&paths);
    let arrived = paths.entry(parts.uri.path().to_owned()).or_default();
    arrived.requests += 1;
    arrived.samples += counts.samples;
    arrived.bytes += body.len() as u64;
    StatusCode::NO_CONTENT
}

fn lock(paths: &Paths) -> std::sync::MutexGuard<'_, BTreeMap<String, Arrived>> {
    paths.lock().unwrap_or_else(PoisonError::into_inner)
}
