//! A body on its way through.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use metrics::Counter;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};

use super::metrics::ProxyMetrics;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The exporter's body: passed on as it comes, until the deadline. It holds the request's permit,
/// so that requests count until their last byte is gone.
pub(super) struct Passing<B> {
    body: B,
    deadline: Pin<Box<Sleep>>,
    bytes: Counter,
    cut: Counter,
    _permit: OwnedSemaphorePermit,
}

impl<B> Passing<B> {
    pub(super) fn new(
        body: B,
        deadline: Instant,
        permit: OwnedSemaphorePermit,
        metrics: &ProxyMetrics,
    ) -> Self {
        Self {
            body,
            deadline: Box::pin(sleep_until(deadline)),
            bytes: metrics.bytes.clone(),
            cut: metrics.cut.clone(),
            _permit: permit,
        }
    }
}

impl<B: Body<Data = Bytes, Error: Into<Error>> + Unpin> Body for Passing<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if this.deadline.as_mut().poll(context).is_ready() {
            this.cut.increment(1);
            return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())));
        }
        let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                this.cut.increment(1);
                return Poll::Ready(Some(Err(error.into())));
            }
        };
        if let Some(data) = frame.data_ref() {
            this.bytes.increment(data.len() as u64);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
