//! Receiving remote write 1.0: `POST /api/v1/write`.
//!
//! Every bound is checked before the memory is taken: the body's announced length before it is
//! read, the decompressed length before it is decompressed, the number of requests in hand before
//! either. Decompressing and routing leave the reactor; as many requests as there are processors
//! do so at the same time.
//!
//! | answer | when |
//! |---|---|
//! | 204 | every route that the request concerns has it durable, or none wants any of it |
//! | 400 | snappy, protobuf or labels are not valid: the body says what and where |
//! | 413 | over `max_body_size` or `max_decoded_size`, or larger than a concerned queue |
//! | 415 | a content type, protobuf message or encoding that is not supported |
//! | 503 | a queue is full or failing, too many requests are in hand, or the relay is stopping |
//!
//! Specification: [remote write 1.0](https://prometheus.io/docs/specs/prw/remote_write_spec/).

mod answer;
pub mod config;
mod media;
mod metrics;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

pub use answer::Refusal;
pub use config::Config;
pub use metrics::ReceiveMetrics;

use crate::http::read_bounded;
use crate::remote_write::block::Form;
use crate::remote_write::snappy;
use crate::route::Router;

/// How long a request waits for its turn before it is told to come back.
const TURN: Duration = Duration::from_secs(2);
/// A decompression buffer larger than this is not kept for the next request, in bytes.
const KEPT_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// What handles writes: bounds, and the router of the current configuration.
#[derive(Debug)]
pub struct Receiver {
    current: ArcSwap<Current>,
    /// Decompressing and routing at the same time.
    processors: Arc<Semaphore>,
    stopping: AtomicBool,
    metrics: ReceiveMetrics,
}

/// What a reload replaces as a whole.
#[derive(Debug)]
struct Current {
    config: Config,
    router: Arc<Router>,
    in_hand: Arc<Semaphore>,
    requests: TaskTracker,
}

/// A request's place among those in hand. It goes along with the work: a request whose client has
/// gone is in hand for as long as a thread is busy with it.
#[derive(Debug)]
struct InHand {
    _token: TaskTrackerToken,
    _turn: OwnedSemaphorePermit,
}

impl Receiver {
    /// Receives for `router`.
    #[must_use]
    pub fn new(config: Config, router: Arc<Router>, metrics: ReceiveMetrics) -> Arc<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self {
            current: ArcSwap::from_pointee(Current::new(config, router)),
            processors: Arc::new(Semaphore::new(processors)),
            stopping: AtomicBool::new(false),
            metrics,
        })
    }

    /// Routes with `router` from now on. Returns when the requests in hand, which finish with the
    /// one before, have been answered.
    pub async fn reload(&self, config: Config, router: Arc<Router>) {
        let before = self.current.swap(Arc::new(Current::new(config, router)));
        before.requests.close();
        before.requests.wait().await;
    }

    /// Refuses requests from now on (503, so that senders keep them) and waits for those in hand.
    pub async fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let current = self.current.load_full();
        current.requests.close();
        current.requests.wait().await;
    }

    /// The HTTP route of this receiver.
    pub fn service(self: &Arc<Self>) -> axum::Router {
        axum::Router::new()
            .route("/api/v1/write", post(write))
            .with_state(Arc::clone(self))
    }

    async fn receive(&self, headers: &HeaderMap, body: Body) -> Result<(), Refusal> {
        let (current, token) = self.take_in_hand()?;
        media::check(headers)?;
        let in_hand = InHand {
            _token: token,
            _turn: current.turn().await?,
        };
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let limit = current.config.max_body_size.bytes();
        let within = current.config.request_timeout.into();
        let body = read_bounded(body, announced, limit, within).await?;
        self.metrics.body(body.len());
        self.process(current, body, in_hand).await
    }

    /// The configuration for a request, and a token for as long as the request is in hand.
    fn take_in_hand(&self) -> Result<(Arc<Current>, TaskTrackerToken), Refusal> {
        loop {
            let current = self.current.load_full();
            let token = current.requests.token();
            // Only now: whoever waits for requests in hand has either seen the token, or said
            // before what is read here.
            if self.stopping.load(Ordering::SeqCst) {
                return Err(Refusal::Stopping);
            }
            if Arc::ptr_eq(&current, &self.current.load()) {
                return Ok((current, token));
            }
        }
    }

    async fn process(
        &self,
        current: Arc<Current>,
        body: Bytes,
        in_hand: InHand,
    ) -> Result<(), Refusal> {
        let processor = Arc::clone(&self.processors).acquire_owned().await;
        let processor = processor.expect("the semaphore is never closed");
        let routing = tokio::task::spawn_blocking(move || {
            let routed = current.route(&body);
            drop(processor);
            (routed, in_hand)
        });
        let (routed, _in_hand) = routing.await.map_err(Refusal::Panicked)?;
        routed?.commit().await.map_err(Refusal::NotTaken)
    }
}

impl Current {
    fn new(config: Config, router: Arc<Router>) -> Self {
        let in_hand = Semaphore::new(config.max_requests_in_flight);
        Self {
            config,
            router,
            in_hand: Arc::new(in_hand),
            requests: TaskTracker::new(),
        }
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let turn = timeout(TURN, Arc::clone(&self.in_hand).acquire_owned())
            .await
            .map_err(|_why| Refusal::TooMany)?;
        Ok(turn.expect("the semaphore is never closed"))
    }

    fn route(&self, body: &[u8]) -> Result<crate::route::Delivery, Refusal> {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let limit = self.config.max_decoded_size.bytes();
        BUFFER.with_borrow_mut(|buffer| {
            let request = snappy::decompress(body, limit, buffer);
            let routed = request.map_err(Refusal::from).and_then(|request| {
                let routed = self.router.route(Form::Plain, request);
                routed.map_err(Refusal::from)
            });
            if buffer.capacity() > KEPT_BUFFER_BYTES {
                *buffer = Vec::new();
            }
            routed
        })
    }
}

async fn write(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    let start = Instant::now();
    let (parts, body) = request.into_parts();
    let outcome = receiver.receive(&parts.headers, body).await;
    receiver.metrics.answered(&outcome, start.elapsed());
    match outcome {
        Ok(()) => http::StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => {
            if let Some(suppressed) = receiver.metrics.refusals_logged.permit() {
                let error = refusal.words();
                tracing::warn!(
                    reason = refusal.reason(),
                    suppressed,
                    error,
                    "refused a write"
                );
            }
            refusal.into_response()
        }
    }
}
