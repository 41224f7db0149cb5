//! Receiving remote write 1.0 and 2.0: `POST /api/v1/write`.
//!
//! The content type alone says which of the two it is. What comes as 2.0 becomes the
//! [carried form](crate::remote_write::carried) here, and takes the same way from then on.
//!
//! Every bound is checked before the memory is taken: the body's announced length before it is
//! read, the decompressed length before it is decompressed, the number of requests in hand before
//! either. Decompressing and routing leave the reactor unless the request is small; as many
//! requests as there are processors do so at the same time.
//!
//! | answer | when |
//! |---|---|
//! | 204 | every route that the request concerns has it durable, or none wants any of it |
//! | 400 | snappy, protobuf or labels are not valid: the body says what, where and how often |
//! | 413 | over `max_body_size` or `max_decoded_size`, or larger than a concerned queue |
//! | 415 | a content type, protobuf message or encoding that is not supported |
//! | 503 | a queue is full or failing, too many requests are in hand, or the relay is stopping |
//!
//! A request is taken as a whole or not at all: so the answer to a 2.0 request says that all of its
//! samples, histograms and exemplars were written (those too which the rules drop: that is what
//! they are for), or none. A histogram of a 2.0 request is checked against its buckets; those of a
//! 1.0 request are not opened.
//!
//! Specifications: [remote write 1.0](https://prometheus.io/docs/specs/prw/remote_write_spec/),
//! [remote write 2.0](https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/).

mod answer;
pub mod config;
mod invalid;
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
pub use invalid::InvalidSeries;
pub use metrics::ReceiveMetrics;

use crate::http::read_bounded;
use crate::remote_write::block::Form;
use crate::remote_write::message::{EXEMPLARS_WRITTEN, HISTOGRAMS_WRITTEN, SAMPLES_WRITTEN};
use crate::remote_write::v2::Contents;
use crate::remote_write::{ProtobufMessage, snappy, v1, v2};
use crate::route::{self, Delivery, Router};

/// How long a request waits for its turn before it is told to come back.
const TURN: Duration = Duration::from_secs(2);
/// A decompression buffer larger than this is not kept for the next request, in bytes.
const KEPT_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// A 1.0 request of at most so many bytes, compressed, is worked on where it arrived: that takes
/// about half a millisecond, and handing it to another thread and back costs a good part of that.
const SMALL_BODY_BYTES: usize = 128 * 1024;

/// What handles writes: bounds, and the router of the current configuration.
#[derive(Debug)]
pub struct Receiver {
    current: ArcSwap<Current>,
    /// Decompressing and routing at the same time.
    processors: Arc<Semaphore>,
    stopping: AtomicBool,
    metrics: ReceiveMetrics,
}

/// A request sorted into routes, and what it held.
type Routed = Result<(Delivery, Contents), Refusal>;

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

    fn negotiate(&self, headers: &HeaderMap) -> Result<ProtobufMessage, Refusal> {
        media::negotiate(headers, &self.current.load().config.protobuf_messages)
    }

    async fn receive(
        &self,
        message: ProtobufMessage,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Contents, Refusal> {
        let (current, token) = self.take_in_hand()?;
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
        self.process(current, message, body, in_hand).await
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
        message: ProtobufMessage,
        body: Bytes,
        in_hand: InHand,
    ) -> Result<Contents, Refusal> {
        // A 2.0 request can say in a few bytes what takes megabytes once it is written out.
        let is_small = message == ProtobufMessage::V1 && body.len() <= SMALL_BODY_BYTES;
        let (routed, _in_hand) = if is_small {
            (current.route(message, &body), in_hand)
        } else {
            self.route_elsewhere(current, message, body, in_hand)
                .await?
        };
        let (delivery, contents) = routed?;
        delivery.commit().await.map_err(Refusal::NotTaken)?;
        Ok(contents)
    }

    /// Routes a request on a thread of its own, so that the reactor's goes on.
    async fn route_elsewhere(
        &self,
        current: Arc<Current>,
        message: ProtobufMessage,
        body: Bytes,
        in_hand: InHand,
    ) -> Result<(Routed, InHand), Refusal> {
        let processor = Arc::clone(&self.processors).acquire_owned().await;
        let processor = processor.expect("the semaphore is never closed");
        let routing = tokio::task::spawn_blocking(move || {
            let routed = current.route(message, &body);
            drop(processor);
            (routed, in_hand)
        });
        routing.await.map_err(Refusal::Panicked)
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

    fn route(&self, message: ProtobufMessage, body: &[u8]) -> Routed {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let routed = self.route_with(message, body, scratch);
            scratch.shrink();
            routed
        })
    }

    fn route_with(
        &self,
        message: ProtobufMessage,
        body: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(Delivery, Contents), Refusal> {
        let limit = self.config.max_decoded_size.bytes();
        let request = snappy::decompress(body, limit, &mut scratch.request)?;
        let (request, contents) = match message {
            ProtobufMessage::V1 if v2::is_request(request) => return Err(Refusal::OtherMessage),
            ProtobufMessage::V1 => {
                let request = route::Request::new(Form::Plain, request).decompressed_from(body);
                (request, Contents::default())
            }
            ProtobufMessage::V2 => {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                let decoded = scratch.decoder.decode(request, limit, &mut scratch.carried);
                let contents = decoded.map_err(|error| match error {
                    v2::DecodeError::Series { first } => {
                        self.count_invalid(&scratch.carried, &first)
                    }
                    other => other.into(),
                })?;
                (
                    route::Request::new(Form::Carried, &scratch.carried),
                    contents,
                )
            }
        };
        match self.router.route(request) {
            Ok(delivery) => Ok((delivery, contents)),
            Err(v1::DecodeError::Series { .. } | v1::DecodeError::Labels { .. }) => {
                Err(self.count_invalid(request.bytes(), &[]))
            }
            Err(other) => Err(other.into()),
        }
    }

    fn count_invalid(&self, request: &[u8], known: &[(usize, v2::InvalidSeries)]) -> Refusal {
        invalid::count_invalid(request, self.router.limits(), known).into()
    }
}

/// What reading a request needs, used again from request to request.
#[derive(Debug, Default)]
struct Scratch {
    /// The decompressed request.
    request: Vec<u8>,
    /// The same in the carried form, if it is a 2.0 request.
    carried: Vec<u8>,
    decoder: v2::Decoder,
}

impl Scratch {
    /// Gives back what an unusually large request took.
    fn shrink(&mut self) {
        for buffer in [&mut self.request, &mut self.carried] {
            if buffer.capacity() > KEPT_BUFFER_BYTES {
                *buffer = Vec::new();
            }
        }
    }
}

async fn write(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    let start = Instant::now();
    let (parts, body) = request.into_parts();
    let negotiated = receiver.negotiate(&parts.headers);
    let message = negotiated.as_ref().ok().copied();
    let outcome = match negotiated {
        Ok(message) => receiver.receive(message, &parts.headers, body).await,
        Err(refusal) => Err(refusal),
    };
    receiver
        .metrics
        .answered(message, &outcome, start.elapsed());
    let (response, written) = match outcome {
        Ok(written) => (http::StatusCode::NO_CONTENT.into_response(), written),
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
            (refusal.into_response(), Contents::default())
        }
    };
    match message {
        Some(ProtobufMessage::V2) => with_written(response, written),
        Some(ProtobufMessage::V1) | None => response,
    }
}

/// Says in the headers of the answer how much was written.
fn with_written(mut response: Response, written: Contents) -> Response {
    for (name, count) in [
        (SAMPLES_WRITTEN, written.samples),
        (HISTOGRAMS_WRITTEN, written.histograms),
        (EXEMPLARS_WRITTEN, written.exemplars),
    ] {
        response.headers_mut().insert(name, count.into());
    }
    response
}
