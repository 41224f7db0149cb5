//! A listener that is bound early, bounded in everything that it does for strangers, and stops in
//! order.
//!
//! ```text
//! accept ▶ peers       is there room for one more, and for one more from this address?
//!   ▶ threads          who serves it: one thread, or all
//!   ▶ TLS              a handshake, within the time for headers
//!     ▶ stream         breaks when a write stalls; tells when bytes arrive
//!       ▶ hyper        HTTP/1.1 or 2, with bounds on headers, streams and resets
//!         ▶ handler    who is it? ▶ rates ▶ a turn ▶ the service
//! ```
//!
//! hyper knows a time for the headers of an HTTP/1 request and no other, and that one begins while
//! a connection idles. So each connection has an [`activity::Activity`], which knows what it waits
//! for and since when; the task that drives the connection closes it when that takes too long,
//! counted by reason. Everything that a client makes us hold (a connection, a request's turn, an
//! answer that it does not read) is held by a value that lives in that task, so closing the
//! connection gives it back.
//!
//! An HTTP/1 request with a chunked body is the last one of its connection: hyper takes one that
//! has a `Content-Length` as well, as RFC 9112 allows, and the RFC asks to close after such a one.

mod activity;
mod connection;
mod handler;
mod limits;
mod metrics;
mod peers;
mod rate;
mod stream;
#[cfg(test)]
mod tests;
mod threads;
mod turns;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use limits::Limits;
pub use metrics::ListenerMetrics;
pub(super) use rate::Bucket;
pub use threads::Serving;

use self::connection::Connection;
use self::metrics::Open;
use self::peers::{Peers, Place};
use self::threads::{ServedBy, Threads};
use self::turns::Turns;
use super::web::Web;

/// Connections that wait to be accepted; with few, a burst of them makes others wait for a second.
const BACKLOG: u32 = 4096;
/// How long accepting pauses when the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a listener was not opened.
#[derive(Debug, Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// How a listener serves.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Bounds on what strangers may take.
    pub limits: Limits,
    /// TLS, users and headers; without it everybody may, in plain HTTP.
    pub web: Option<Arc<Web>>,
    /// What is counted.
    pub metrics: ListenerMetrics,
    /// Who serves the connections.
    pub serving: Serving,
}

/// A running HTTP server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What all connections of a server share.
#[derive(Debug)]
struct Shared {
    options: Options,
    service: Router,
    peers: Arc<Peers>,
    /// Requests in hand.
    turns: Arc<Turns>,
    /// Who serves the connections.
    threads: Threads,
    tasks: TaskTracker,
    /// No new connections or requests.
    stopping: CancellationToken,
    /// No connections at all.
    closing: CancellationToken,
}

impl Server {
    /// Binds `address` (port 0 takes a free one) and serves `service` on it to everybody.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn start(address: SocketAddr, service: Router) -> Result<Self, BindError> {
        Self::open(address, service, Options::default())
    }

    /// The same with bounds, TLS and users of one's own.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn open(address: SocketAddr, service: Router, options: Options) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        let listener = listen(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared {
            peers: Peers::new(&options.limits),
            turns: Turns::new(options.limits.requests),
            threads: Threads::new(options.serving, options.metrics.threads()),
            options,
            service,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            closing: CancellationToken::new(),
        });
        let accepting = accept(listener, Arc::clone(&shared));
        shared.tasks.spawn(accepting);
        Ok(Self {
            address: bound,
            shared,
        })
    }

    /// The address that was bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets the requests in hand finish within `deadline`, then closes.
    pub async fn stop(self, deadline: Duration) {
        let shared = &self.shared;
        shared.stopping.cancel();
        shared.tasks.close();
        if timeout(deadline, shared.tasks.wait()).await.is_err() {
            shared.closing.cancel();
            shared.tasks.wait().await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.cancel();
        self.shared.closing.cancel();
        self.shared.threads.stop();
    }
}

/// A socket that listens.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // So that a restart can have the port again at once. On Windows it means something else.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let accepting = async {
        loop {
            shared.peers.settled().await;
            match listener.accept().await {
                Ok((stream, address)) => match shared.peers.enter(address.ip()) {
                    Ok(place) => begin(&shared, stream, place),
                    Err(reason) => shared.options.metrics.closed(reason),
                },
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Most often there are no descriptors left: others have to be closed first.
                    shared.options.metrics.cannot_accept(&error);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    };
    shared.stopping.run_until_cancelled(accepting).await;
}

/// Has a connection served by those whom it belongs to.
fn begin(shared: &Arc<Shared>, stream: TcpStream, place: Place) {
    let served_by = shared.threads.serving();
    let place = Arc::new(place);
    let connection = Connection { place, served_by };
    let runtime = shared.threads.runtime(served_by);
    let serving = Arc::clone(shared);
    let open = shared.options.metrics.opened();
    match served_by {
        ServedBy::Workers => {
            let serve = serve(serving, stream, connection, open);
            shared.tasks.spawn_on(serve, runtime);
        }
        ServedBy::OneThread => {
            // A stream is waited for by the runtime in which it became one of tokio's.
            let stream = match stream.into_std() {
                Ok(stream) => stream,
                Err(error) => return shared.options.metrics.cannot_accept(&error),
            };
            let serve = async move {
                match TcpStream::from_std(stream) {
                    Ok(stream) => serve(serving, stream, connection, open).await,
                    Err(error) => serving.options.metrics.cannot_accept(&error),
                }
            };
            shared.tasks.spawn_on(serve, runtime);
        }
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream, connection: Connection, open: Open) {
    let served = tokio::select! {
        served = connection::serve(stream, &shared, &connection) => served,
        reason = connection.place.pushed_out() => Err(reason),
        () = shared.closing.cancelled() => Ok(()),
    };
    if let Err(reason) = served {
        shared.options.metrics.closed(reason);
    }
    drop(open);
}

/// Whether the listener is as good as before.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
