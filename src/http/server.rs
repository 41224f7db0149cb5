//! A listener that is bound early, bounded in what it waits for, and stops in order.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use hyper_util::rt::TokioTimer;
use thiserror::Error;
use tokio::task::JoinHandle;

use super::guard::Bounded;

/// How long a client may take to send a request's headers; also how long a connection may idle
/// between requests.
const HEADER_TIMEOUT: Duration = Duration::from_mins(1);
/// Streams of one HTTP/2 connection at the same time.
const HTTP2_STREAMS: u32 = 128;

/// Why a listener was not opened.
#[derive(Debug, Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// A running HTTP server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    handle: Handle<SocketAddr>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Binds `address` (port 0 takes a free one) and serves `service` on it.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn start(address: SocketAddr, service: Router) -> Result<Self, BindError> {
        Self::bind(address, service, None)
    }

    /// The same with so many connections at the most; one too many is closed at once, and one
    /// whose client does not read what is written to it for 15 s as well.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn start_bounded(
        address: SocketAddr,
        service: Router,
        connections: usize,
    ) -> Result<Self, BindError> {
        Self::bind(address, service, Some(connections))
    }

    fn bind(
        address: SocketAddr,
        service: Router,
        connections: Option<usize>,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let handle = Handle::new();
        let mut server = axum_server::from_tcp(listener)
            .map_err(failed)?
            .handle(handle.clone());
        let http = server.http_builder();
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS);
        let make = service.into_make_service();
        let task = match connections {
            None => spawn(async move { server.serve(make).await }),
            Some(connections) => {
                let server = server.acceptor(Bounded::new(connections));
                spawn(async move { server.serve(make).await })
            }
        };
        Ok(Self {
            address: bound,
            handle,
            task,
        })
    }

    /// The address that was bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets the requests in hand finish within `deadline`, then closes.
    pub async fn stop(self, deadline: Duration) {
        self.handle.graceful_shutdown(Some(deadline));
        if let Ok(Err(error)) = self.task.await {
            tracing::warn!(address = %self.address, %error, "listener failed");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server is its own tracker: stop waits for it"
)]
fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(future)
}
