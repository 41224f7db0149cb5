//! One request, sent until the receiver has answered it for good.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::backoff::Backoff;
use super::encode::{EncodeError, Request, Wire};
use super::endpoint::{Answer, Endpoint};
use super::lane::Shared;
use super::suspension::Verdict;
use crate::remote_write::message::ProtobufMessage;
use crate::remote_write::v2::Contents;

/// What a receiver that does not know 2.0 is said to have done.
const NOT_UNDERSTOOD: &str = "the receiver does not understand remote write 2.0";

/// What came of it in the end.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The receiver refused it for good.
    Refused { code: u16, words: String },
    /// The receiver wrote so many samples of it, nobody knows which, and refused the others for
    /// good.
    Partly {
        code: u16,
        words: String,
        written: u64,
    },
    /// It cannot be sent.
    Unreadable(EncodeError),
    /// `still_wanted` said no before it was sent once more.
    Withdrawn,
    /// The sender was stopped first.
    Stopped,
}

/// What follows from an answer.
enum Next {
    End(Outcome),
    Again(Duration),
}

/// A request on its way.
struct Attempts<'s> {
    shared: &'s Shared,
    request: &'s Request,
    wire: Option<Wire>,
    /// What a receiver answered to 2.0 that may not know it: the request is tried as 1.0.
    doubt: Option<(u16, String)>,
    backoff: Backoff,
    count: u64,
}

/// Sends `request` until it is answered for good. Before each attempt `still_wanted` is asked.
pub(super) async fn send(
    shared: &Shared,
    request: &Request,
    still_wanted: impl Fn() -> bool,
) -> Outcome {
    let config = shared.endpoint().queue_config();
    let mut attempts = Attempts {
        shared,
        request,
        wire: None,
        doubt: None,
        backoff: Backoff::new(config.min_backoff.into(), config.max_backoff.into()),
        count: 0,
    };
    let mut endpoint = shared.endpoint.clone();
    loop {
        let Some(turn) = turn(shared).await else {
            return Outcome::Stopped;
        };
        if !still_wanted() {
            return Outcome::Withdrawn;
        }
        endpoint.mark_unchanged();
        let attempt = shared.cut_off.run_until_cancelled(attempts.attempt());
        let pause = match attempt.await {
            Some(Ok(Next::End(outcome))) => return outcome,
            Some(Ok(Next::Again(pause))) => pause,
            None => Duration::ZERO,
            // The runtime ends. That says nothing of the blocks.
            Some(Err(EncodeError::Panicked(error))) if error.is_cancelled() => {
                return Outcome::Stopped;
            }
            Some(Err(error)) => return Outcome::Unreadable(error),
        };
        drop(turn);
        if shared.stop.is_cancelled() {
            let (route, samples) = (&shared.route, request.counts.samples);
            info!(%route, samples, "left in the queue");
            return Outcome::Stopped;
        }
        // After a stop there is one more attempt, without a pause; so there is after a reload,
        // which may have mended what was wrong.
        let pausing = timeout(pause, endpoint_changed(&mut endpoint));
        let _stopped = shared.stop.run_until_cancelled(pausing).await;
    }
}

async fn endpoint_changed(endpoint: &mut watch::Receiver<Arc<Endpoint>>) {
    if endpoint.changed().await.is_err() {
        // It never will.
        pending::<()>().await;
    }
}

impl Attempts<'_> {
    async fn attempt(&mut self) -> Result<Next, EncodeError> {
        self.count += 1;
        let shared = self.shared;
        let endpoint = shared.endpoint();
        let message = match self.doubt {
            Some(_) => ProtobufMessage::V1,
            None => shared.negotiation.message(endpoint.message()),
        };
        let wire = match self.wire.take().filter(|wire| wire.message == message) {
            Some(wire) => wire,
            None => {
                self.request
                    .encode(message, shared.families.known())
                    .await?
            }
        };
        if wire.is_empty {
            shared.metrics.left_out(&wire.left_out);
            return Ok(Next::End(Outcome::Delivered));
        }
        let post = endpoint.post(message, wire.body.clone());
        let answer = shared.metrics.time(post).await;
        let next = self.judge(&endpoint, &wire, answer);
        self.wire = Some(wire);
        Ok(next)
    }

    fn judge(&mut self, endpoint: &Endpoint, wire: &Wire, answer: Answer) -> Next {
        if wire.message == ProtobufMessage::V2
            && let Some(next) = self.doubt_v2(endpoint, &answer)
        {
            return next;
        }
        match answer {
            Answer::Delivered { code, written } => {
                if self.doubt.take().is_some() {
                    self.fall_back(code);
                }
                resume(self.shared);
                let written = written.filter(|_| wire.message == ProtobufMessage::V2);
                self.delivered(wire, code, String::new(), written)
            }
            Answer::Rejected {
                code,
                words,
                written,
            } => self.rejected(endpoint, wire, code, words, written),
            Answer::Retry {
                reason,
                code,
                retry_after,
                words,
            } => {
                let shared = self.shared;
                shared.metrics.retried(reason, code);
                if let Some(suppressed) = shared.metrics.retries_logged.permit() {
                    let (route, attempt) = (&shared.route, self.count);
                    warn!(%route, attempt, reason, suppressed, words, "send failed, will retry");
                }
                let pause = self.backoff.next_pause();
                Next::Again(pause.max(retry_after.unwrap_or_default()))
            }
        }
    }

    /// What follows if the receiver does not know 2.0, as its answer says: see
    /// [`super::negotiation`].
    fn doubt_v2(&mut self, endpoint: &Endpoint, answer: &Answer) -> Option<Next> {
        let negotiation = &self.shared.negotiation;
        let (code, words) = match answer {
            Answer::Delivered {
                written: Some(_), ..
            }
            | Answer::Rejected {
                written: Some(_), ..
            } => {
                negotiation.confirm();
                self.shared.metrics.fell_back(false);
                return None;
            }
            Answer::Delivered { code, .. } => (*code, "it did not say what it wrote"),
            Answer::Rejected { code, words, .. }
                if *code == 415 || (*code == 400 && !negotiation.knows_v2()) =>
            {
                (*code, words.as_str())
            }
            Answer::Rejected { .. } | Answer::Retry { .. } => return None,
        };
        if !endpoint.falls_back() {
            return Some(self.suspend(endpoint, code, &format!("{NOT_UNDERSTOOD}: {words}")));
        }
        if code == 400 {
            self.doubt = Some((code, words.to_owned()));
        } else {
            self.fall_back(code);
        }
        self.shared.metrics.retried("fallback", Some(code));
        Some(Next::Again(Duration::ZERO))
    }

    /// The receiver has it, or as much of it as it says.
    fn delivered(&self, wire: &Wire, code: u16, words: String, written: Option<Contents>) -> Next {
        let (shared, counts) = (self.shared, self.request.counts);
        let sent = wire.contents;
        let written = written.unwrap_or(sent);
        let missing = sent.samples.saturating_sub(written.samples)
            + sent.histograms.saturating_sub(written.histograms);
        let mut left_out = wire.left_out;
        left_out.exemplars += sent.exemplars.saturating_sub(written.exemplars);
        shared.metrics.left_out(&left_out);
        let samples = counts.samples.saturating_sub(missing);
        shared.metrics.delivered(code, samples, wire.body.len());
        if missing == 0 {
            return Next::End(Outcome::Delivered);
        }
        Next::End(Outcome::Partly {
            code,
            words,
            written: samples,
        })
    }

    fn rejected(
        &mut self,
        endpoint: &Endpoint,
        wire: &Wire,
        code: u16,
        words: String,
        written: Option<Contents>,
    ) -> Next {
        let (shared, config) = (self.shared, endpoint.on_rejection());
        let written = written.filter(|_| wire.message == ProtobufMessage::V2);
        if config.suspends(code) {
            if let Verdict::Suspended(pause) = shared.suspension.refused(code, config) {
                return self.suspended(code, &words, pause);
            }
        } else {
            resume(shared);
        }
        // Part of it was written: sent again that part would be refused as out of order.
        if written.is_some_and(|written| written.samples + written.histograms > 0) {
            return self.delivered(wire, code, words, written);
        }
        shared.metrics.refused(code);
        // Refused as 1.0 too: what the receiver answered first was about the samples.
        let (code, words) = self.doubt.take().unwrap_or((code, words));
        Next::End(Outcome::Refused { code, words })
    }

    /// Keeps the request and has the route wait.
    fn suspend(&self, endpoint: &Endpoint, code: u16, words: &str) -> Next {
        let config = endpoint.on_rejection();
        let pause = self.shared.suspension.begin(config);
        self.suspended(code, words, pause)
    }

    fn suspended(&self, code: u16, words: &str, pause: Duration) -> Next {
        self.shared.metrics.retried("suspended", Some(code));
        suspended(self.shared, code, words, pause);
        Next::Again(Duration::ZERO)
    }

    fn fall_back(&self, code: u16) {
        let shared = self.shared;
        shared.metrics.fell_back(true);
        if shared.negotiation.fall_back() {
            let route = &shared.route;
            warn!(%route, code, "{NOT_UNDERSTOOD}; the route sends 1.0");
        }
    }
}

/// Waits until the route is not suspended or it is this lane's turn to try. `None` if the sender is
/// stopped while the route is suspended.
async fn turn(shared: &Shared) -> Option<super::suspension::Turn<'_>> {
    if !shared.suspension.is_suspended() {
        return Some(shared.suspension.turn().await);
    }
    shared
        .stop
        .run_until_cancelled(shared.suspension.turn())
        .await
}

fn resume(shared: &Shared) {
    if shared.suspension.is_suspended() {
        let route = &shared.route;
        info!(%route, "the receiver no longer refuses everything; the route goes on");
    }
    shared.suspension.end();
    shared.metrics.suspended(false);
}

fn suspended(shared: &Shared, code: u16, words: &str, pause: Duration) {
    shared.metrics.suspended(true);
    if let Some(suppressed) = shared.metrics.suspensions_logged.permit() {
        let route: &Arc<str> = &shared.route;
        let pause_s = pause.as_secs();
        error!(
            %route, code, pause_s, suppressed, words,
            "the receiver refuses every batch; the route is suspended and its queue keeps the data"
        );
    }
}
