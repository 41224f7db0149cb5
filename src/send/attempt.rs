//! One request, sent until the receiver has answered it for good.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::backoff::Backoff;
use super::endpoint::Answer;
use super::lane::Shared;
use super::suspension::Verdict;
use crate::remote_write::block::Counts;

/// A request to send.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) body: Bytes,
    pub(super) counts: Counts,
}

/// What came of it in the end.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The receiver refused it for good.
    Refused { code: u16, words: String },
    /// `still_wanted` said no before it was sent once more.
    Withdrawn,
    /// The sender was stopped first.
    Stopped,
}

/// Sends `request` until it is answered for good. Before each attempt `still_wanted` is asked.
pub(super) async fn send(
    shared: &Shared,
    request: &Request,
    still_wanted: impl Fn() -> bool,
) -> Outcome {
    let config = shared.endpoint().queue_config();
    let mut backoff = Backoff::new(config.min_backoff.into(), config.max_backoff.into());
    let mut attempt = 0u64;
    loop {
        let Some(turn) = turn(shared).await else {
            return Outcome::Stopped;
        };
        if !still_wanted() {
            return Outcome::Withdrawn;
        }
        attempt += 1;
        let endpoint = shared.endpoint();
        let answer = shared.metrics.time(endpoint.post(request.body.clone()));
        let pause = match answer.await {
            Answer::Delivered { code } => {
                let bytes = request.body.len();
                shared.metrics.delivered(code, request.counts, bytes);
                resume(shared);
                return Outcome::Delivered;
            }
            Answer::Rejected { code, words } => {
                let config = endpoint.on_rejection();
                let verdict = if config.suspends(code) {
                    shared.suspension.refused(code, config)
                } else {
                    resume(shared);
                    Verdict::Park
                };
                match verdict {
                    Verdict::Park => {
                        shared.metrics.refused(code);
                        return Outcome::Refused { code, words };
                    }
                    Verdict::Suspended(pause) => {
                        shared.metrics.retried("suspended", Some(code));
                        suspended(shared, code, &words, pause);
                        Duration::ZERO
                    }
                }
            }
            Answer::Retry {
                reason,
                code,
                retry_after,
                words,
            } => {
                shared.metrics.retried(reason, code);
                if let Some(suppressed) = shared.metrics.retries_logged.permit() {
                    let route = &shared.route;
                    warn!(%route, attempt, reason, suppressed, words, "send failed, will retry");
                }
                backoff.next_pause().max(retry_after.unwrap_or_default())
            }
        };
        drop(turn);
        if shared.stop.is_cancelled() {
            let (route, samples) = (&shared.route, request.counts.samples);
            info!(%route, samples, "left in the queue");
            return Outcome::Stopped;
        }
        // After a stop there is one more attempt, without a pause.
        let _stopped = shared.stop.run_until_cancelled(sleep(pause)).await;
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
