//! One request, before and after the service: who sends it, whether there is a turn for it, and
//! what it holds until its answer has been taken.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{CONNECTION, RETRY_AFTER, TRANSFER_ENCODING, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tower_service::Service as _;

use super::Shared;
use super::activity::{Activity, BodyWatch, InHand};
use super::connection::Connection;
use super::metrics::Refused;
use super::turns::{Arriving, Turn};
use crate::http::body::drain_refused;
use crate::http::web::{Settings, Verdict};

/// When those are asked to come back who find too many others asking who they are.
const COME_BACK: Duration = Duration::from_secs(2);

/// Who may ask for these waits for no turn and no rate: a relay that has much to do is not to be
/// taken for dead and started again.
const HEALTH: [&str; 3] = ["/-/healthy", "/-/ready", "/health"];

/// Answers a request.
pub(super) async fn handle(
    shared: Arc<Shared>,
    (activity, connection): (Arc<Activity>, Connection),
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let Connection { place, served_by } = connection;
    let in_hand = activity.begin();
    let settings = shared.options.web.as_ref().map(|web| web.current());
    let is_http2 = request.version() >= Version::HTTP_2;
    let is_last = !is_http2 && request.headers().contains_key(TRANSFER_ENCODING);
    let watch = in_hand.body_watch();
    let (parts, body) = request.into_parts();
    let admitted = admit(&shared, settings.as_deref(), place.peer(), &parts).await;
    let budget = settings.clone().filter(|_| admitted.is_ok());
    let has_turn = matches!(admitted, Ok(Some(_)));
    let arriving = has_turn.then(|| shared.turns.arriving(place.peer(), place.too_slow()));
    let body = Body::new(Watched {
        body,
        watch: Some((watch, arriving)),
        budget,
    });
    let (mut response, turn) = match admitted {
        Ok(turn) => {
            place.keep();
            let request = Request::from_parts(parts, body);
            let answered = shared.service.clone().call(request).await;
            (answered.unwrap_or_else(|never| match never {}), turn)
        }
        Err(refusal) => {
            shared.options.metrics.refused(refusal.reason);
            drop(parts);
            // Over HTTP/2 the answer arrives without that, and a connection has many streams.
            if !is_http2 {
                drain_refused(body).await;
            }
            (refusal.into_response(settings.as_deref()), None)
        }
    };
    in_hand.has_answer();
    if let Some(settings) = &settings {
        settings.add_headers(response.headers_mut());
    }
    let is_to_move = served_by != shared.threads.serving();
    if is_to_move {
        activity.leave();
    }
    if is_last || is_to_move && !is_http2 {
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Answer {
        body,
        _in_hand: in_hand,
        turn,
    }))
}

/// Why a request is not passed on.
struct Refusal {
    reason: Refused,
    come_back: Option<Duration>,
}

impl Refusal {
    fn new(reason: Refused) -> Self {
        Self {
            reason,
            come_back: None,
        }
    }

    fn later(reason: Refused, come_back: Duration) -> Self {
        Self {
            reason,
            come_back: Some(come_back),
        }
    }

    fn into_response(self, settings: Option<&Settings>) -> Response {
        if let Some(come_back) = self.come_back {
            // Not 429: a Prometheus drops what is answered with that, unless it is told otherwise.
            let seconds = come_back.as_secs() + u64::from(come_back.subsec_nanos() > 0);
            let headers = [(RETRY_AFTER, seconds.max(1).to_string())];
            let words = "Too many requests, come back later\n";
            return (StatusCode::SERVICE_UNAVAILABLE, headers, words).into_response();
        }
        let mut response = (StatusCode::UNAUTHORIZED, "Unauthorized\n").into_response();
        for challenge in settings.iter().flat_map(|settings| settings.challenges()) {
            let challenge = HeaderValue::from_static(challenge);
            response.headers_mut().append(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Lets a request pass, with a turn that it keeps, or not. First of all, who sends it: strangers
/// cannot use up what is meant for those who belong.
async fn admit(
    shared: &Shared,
    settings: Option<&Settings>,
    peer: IpAddr,
    parts: &Parts,
) -> Result<Option<Turn>, Refusal> {
    if let (Some(web), Some(settings)) = (&shared.options.web, settings) {
        match web.authenticate(settings, peer, &parts.headers).await {
            Verdict::Known => {}
            Verdict::Stranger => return Err(Refusal::new(Refused::Unauthorized)),
            Verdict::Busy => return Err(Refusal::later(Refused::Authentication, COME_BACK)),
        }
    }
    if parts.method == Method::GET && HEALTH.contains(&parts.uri.path()) {
        return Ok(None);
    }
    if let Some(settings) = settings {
        if let Some(rate) = settings.request_rate() {
            let later = |wait| Refusal::later(Refused::RequestRate, wait);
            rate.take(1.0).map_err(later)?;
        }
        if let Some(rate) = settings.byte_rate() {
            // It goes into debt by what comes; the next one waits until that is paid.
            let later = |wait| Refusal::later(Refused::ByteRate, wait);
            rate.take(0.0).map_err(later)?;
        }
    }
    let turn = shared.turns.take(peer).await;
    let refused = || Refusal::later(Refused::Requests, Duration::ZERO);
    turn.map(Some).ok_or_else(refused)
}

/// A request's body: what comes is counted, and the connection knows when all of it has come.
struct Watched {
    body: Incoming,
    /// Dropped as soon as all of it is there.
    watch: Option<(BodyWatch, Option<Arriving>)>,
    budget: Option<Arc<Settings>>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        let budget = this.budget.as_ref().and_then(|it| it.byte_rate());
        if let (Some(rate), Some(Ok(frame))) = (budget, &frame) {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            rate.charge(bytes as f64);
        }
        if frame.is_none() || this.body.is_end_stream() {
            this.watch = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body, with what its request holds.
pub(super) struct Answer {
    body: Body,
    /// Until all of the answer was taken.
    _in_hand: InHand,
    /// Until all of it is there: over HTTP/2 a client can leave it untaken on each of its streams.
    turn: Option<Turn>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if frame.is_none() || this.body.is_end_stream() {
            this.turn = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::activity::Activity;
    use super::super::turns::Turns;
    use super::*;

    #[tokio::test]
    async fn an_answer_that_nobody_takes_holds_no_turn() {
        let (turns, activity) = (Turns::new(1), Activity::new());
        let peer = IpAddr::from(Ipv4Addr::LOCALHOST);
        let mut answer = Answer {
            body: Body::from("words"),
            _in_hand: activity.begin(),
            turn: turns.take(peer).await,
        };
        assert!(answer.turn.is_some());
        let frame = std::future::poll_fn(|context| Pin::new(&mut answer).poll_frame(context));
        assert!(frame.await.is_some());
        assert!(turns.take(peer).await.is_some(), "it is free again");
        drop(answer);
    }
}
