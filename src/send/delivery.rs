//! A batch on its way: sent, split where it is refused, and what stays refused parked.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::spawn_blocking;
use tracing::{error, warn};

use super::attempt::{self, Outcome};
use super::backoff::Backoff;
use super::batch::Batch;
use super::encode::Request;
use super::lane::Shared;
use super::parked::{ParkError, ParkedBatch};
use crate::telemetry::causes;

/// How a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All of it was delivered or parked: it can leave the queue.
    Settled,
    /// Some of it was dropped from the queue before anything of it was settled.
    Withdrawn,
    /// The sender was stopped; the batch is still in the queue.
    Stopped,
}

/// A request that was refused for good.
struct Refused {
    request: Request,
    code: u16,
    words: String,
    /// Samples of it that the receiver wrote all the same, nobody knows which.
    written: u64,
}

/// Delivers `batch`, whose blocks came from `stream`.
pub(super) async fn deliver(shared: &Shared, stream: u16, batch: &Batch) -> End {
    let whole = batch.request();
    let first = batch.first_position();
    let mut may_split = shared.endpoint().on_rejection().max_split_requests;
    let mut requests = VecDeque::from([whole]);
    let mut refused: Vec<Refused> = Vec::new();
    let mut is_whole = true;
    while let Some(request) = requests.pop_front() {
        if !is_whole && shared.stop.is_cancelled() {
            return End::Stopped;
        }
        // What has been split is partly delivered and goes on to its end.
        let still_wanted = || !is_whole || first > Some(shared.queue.withdraw(stream));
        match attempt::send(shared, &request, still_wanted).await {
            Outcome::Delivered => {}
            Outcome::Withdrawn => return End::Withdrawn,
            Outcome::Stopped => return End::Stopped,
            Outcome::Unreadable(error) => {
                let (route, samples) = (&shared.route, request.counts.samples);
                let error = causes(&error);
                error!(%route, samples, error, "dropped blocks that cannot be read");
                shared.metrics.unreadable(samples);
            }
            Outcome::Partly {
                code,
                words,
                written,
            } => refused.push(Refused {
                request,
                code,
                words,
                written,
            }),
            Outcome::Refused { code, words } => {
                let splits = may_split >= 2 && shared.endpoint().on_rejection().splits(code);
                if splits && let Some(halves) = request.halve().await {
                    may_split -= 2;
                    halves
                        .into_iter()
                        .rev()
                        .for_each(|half| requests.push_front(half));
                } else {
                    refused.push(Refused {
                        request,
                        code,
                        words,
                        written: 0,
                    });
                }
            }
        }
        is_whole = false;
    }
    for refused in refused {
        if !park(shared, stream, batch, refused).await {
            return End::Stopped;
        }
    }
    End::Settled
}

/// Parks what was refused; tries until the disk takes it. False if the sender is stopped first.
async fn park(shared: &Shared, stream: u16, batch: &Batch, refused: Refused) -> bool {
    let Refused {
        request,
        code,
        words,
        written,
    } = refused;
    let (route, samples) = (&shared.route, request.counts.samples - written);
    if let Some(suppressed) = shared.metrics.rejections_logged.permit() {
        error!(%route, code, samples, suppressed, words, "receiver rejected samples");
    }
    for block in request.runs {
        let parked = ParkedBatch {
            status: code,
            words: words.clone(),
            stream,
            parked_ms: now_ms(),
            appended_ms: batch.oldest_ms().unwrap_or_default(),
            block,
        };
        if !park_block(shared, parked).await {
            return false;
        }
    }
    shared.metrics.rejected(code, samples);
    true
}

async fn park_block(shared: &Shared, parked: ParkedBatch) -> bool {
    let (route, samples) = (&shared.route, parked.block.counts.samples);
    let config = shared.endpoint().queue_config();
    let mut backoff = Backoff::new(config.min_backoff.into(), config.max_backoff.into());
    loop {
        let (parking, parked) = (Arc::clone(&shared.parking), parked.clone());
        let written = spawn_blocking(move || parking.park(&parked)).await;
        let written = written.unwrap_or_else(|panic| {
            let path = std::path::PathBuf::new();
            let source = io::Error::other(panic);
            Err(ParkError::Write { path, source })
        });
        match written {
            Ok(()) => return true,
            Err(error @ ParkError::TooLarge { .. }) => {
                if shared.metrics.retries_logged.permit().is_some() {
                    error!(%route, samples, %error, "rejected samples are dropped");
                }
                return true;
            }
            Err(error) => {
                let error = causes(&error);
                if shared.metrics.retries_logged.permit().is_some() {
                    warn!(%route, samples, error, "cannot park rejected samples, will retry");
                }
            }
        }
        if shared.stop.is_cancelled() {
            return false;
        }
        let pause = tokio::time::sleep(backoff.next_pause());
        let _stopped = shared.stop.run_until_cancelled(pause).await;
    }
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
