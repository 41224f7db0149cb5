//! One connection, from its first byte until it is closed.

use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::activity::{Activity, Deadline};
use super::limits::Limits;
use super::metrics::Closed;
use super::peers::Place;
use super::stream::Watched;
use super::threads::ServedBy;
use super::{Shared, handler};

/// How long a client has to hang up when it was told that its connection is not wanted any more.
const HANG_UP: Duration = Duration::from_secs(5);
/// As good as never, for a timer.
const NEVER: Duration = Duration::from_hours(24 * 365);
/// Streams that a client has opened and reset before they were looked at.
const RESET_STREAMS: usize = 20;
/// Streams that were reset because of what the client did.
const MISUSED_STREAMS: usize = 256;
/// What is kept of the answers on one HTTP/2 connection, in bytes per stream.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// What a client may send on an HTTP/2 connection, and on each of its streams, before anybody has
/// read it, in bytes. A stranger can have that much kept, on each connection.
const RECEIVE_WINDOW_BYTES: u32 = 256 * 1024;
/// Headers of one request over HTTP/2 at the most, in bytes.
const HTTP2_HEADER_BYTES: u32 = 16 * 1024;
/// What hyper needs for headers at the least, in bytes.
const MIN_BUFFER_BYTES: usize = 8192;

/// What a connection's requests have in common.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) place: Arc<Place>,
    pub(super) served_by: ServedBy,
}

/// Serves a connection until one side ends it. The error is why the relay did, if it did not want
/// to go on.
pub(super) async fn serve(
    stream: TcpStream,
    shared: &Arc<Shared>,
    connection: &Connection,
) -> Result<(), Closed> {
    // A failure only costs speed.
    drop(stream.set_nodelay(true));
    let settings = shared.options.web.as_ref().map(|web| web.current());
    let Some(tls) = settings.as_ref().and_then(|settings| settings.tls()) else {
        let http2 = settings.is_none_or(|settings| settings.http2());
        return serve_http(stream, http2, shared, connection).await;
    };
    let handshake = TlsAcceptor::from(tls).accept(stream);
    let stream = timeout(shared.options.limits.header_time, handshake)
        .await
        .map_err(|_why| Closed::HandshakeTimeout)?
        .map_err(|error| {
            tracing::debug!(%error, "a handshake failed");
            Closed::Handshake
        })?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    serve_http(stream, http2, shared, connection).await
}

async fn serve_http<S>(
    stream: S,
    http2: bool,
    shared: &Arc<Shared>,
    connection: &Connection,
) -> Result<(), Closed>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let limits = &shared.options.limits;
    let activity = Activity::new();
    let stream = Watched::new(stream, Arc::clone(&activity), limits.write_time);
    let service = service_fn(|request| {
        let of_connection = (Arc::clone(&activity), connection.clone());
        handler::handle(Arc::clone(shared), of_connection, request)
    });
    let protocol = protocol(limits, http2);
    let mut http = pin!(protocol.serve_connection(TokioIo::new(stream), service));
    let mut stopping = pin!(shared.stopping.cancelled());
    let mut timer = pin!(sleep(NEVER));
    let mut deadline = Deadline::NONE;
    let (mut told_to_stop, mut told_to_hang_up) = (false, false);
    let ended = std::future::poll_fn(|context| {
        loop {
            if let Poll::Ready(result) = http.as_mut().poll(context) {
                return Poll::Ready(result.map_err(|error| reason(&*error)));
            }
            let mut is_to_stop =
                || activity.is_leaving() || stopping.as_mut().poll(context).is_ready();
            if !told_to_stop && is_to_stop() {
                told_to_stop = true;
                http.as_mut().graceful_shutdown();
                continue;
            }
            if !told_to_hang_up && let Some(new) = activity.changed_deadline(limits) {
                deadline = new;
                let at = deadline.at.unwrap_or_else(|| Instant::now() + NEVER);
                timer.as_mut().reset(at);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if told_to_hang_up || deadline.reason != Closed::Idle {
                return Poll::Ready(Err(Some(deadline.reason)));
            }
            // A client that is just about to use the connection can tell this from an error.
            told_to_hang_up = true;
            http.as_mut().graceful_shutdown();
            timer.as_mut().reset(Instant::now() + HANG_UP);
        }
    })
    .await;
    match ended {
        Ok(()) if told_to_hang_up => Err(Closed::Idle),
        Ok(()) | Err(None) => Ok(()),
        Err(Some(reason)) => Err(reason),
    }
}

/// HTTP within `limits`.
fn protocol(limits: &Limits, http2: bool) -> Builder<TokioExecutor> {
    let mut protocol = Builder::new(TokioExecutor::new());
    let header_bytes = usize::try_from(limits.header_bytes).unwrap_or(usize::MAX);
    protocol
        .http1()
        .timer(TokioTimer::new())
        // The connection's own deadlines are for that.
        .header_read_timeout(None)
        .max_buf_size(header_bytes.max(MIN_BUFFER_BYTES));
    protocol
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(MISUSED_STREAMS)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .initial_connection_window_size(RECEIVE_WINDOW_BYTES)
        .initial_stream_window_size(RECEIVE_WINDOW_BYTES)
        // A few bytes can stand for each of these, and each stream can have them.
        .max_header_list_size(limits.header_bytes.min(HTTP2_HEADER_BYTES));
    if http2 {
        protocol
    } else {
        protocol.http1_only()
    }
}

/// Why the relay ended a connection; nothing if the client just went away.
fn reason(error: &(dyn Error + Send + Sync + 'static)) -> Option<Closed> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let is_stall = error.kind() == io::ErrorKind::TimedOut;
            return is_stall.then_some(Closed::WriteTimeout);
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            if error.is_parse() {
                return Some(Closed::Malformed);
            }
            let is_gone = error.is_incomplete_message() || error.is_canceled();
            if is_gone || error.is_closed() || error.source().is_none() {
                return None;
            }
        }
        cause = error.source();
    }
    // What is left comes of HTTP/2's rules.
    Some(Closed::Malformed)
}
