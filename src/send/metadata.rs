//! Telling a receiver of 1.0 what is known of the metric families that its route keeps.
//!
//! As Prometheus does it: in requests of their own, without samples, every `send_interval`. They do
//! not go through the queue, because what is known is told again anyway: a request that is not
//! taken after a few attempts is counted and forgotten. A receiver of 2.0 is told with each series.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;

use super::backoff::Backoff;
use super::endpoint::Answer;
use super::families::Family;
use super::lane::Shared;
use crate::remote_write::carried::put_family;
use crate::remote_write::message::ProtobufMessage;
use crate::remote_write::snappy::{self, Compressor};

/// Attempts for one request.
const ATTEMPTS: u32 = 3;

/// Tells what is known, again and again, until the sender is stopped.
pub(super) async fn run(shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    let _cancelled = stop.run_until_cancelled(tell_forever(&shared)).await;
}

async fn tell_forever(shared: &Shared) {
    let mut endpoint = shared.endpoint.clone();
    let mut last = Instant::now();
    loop {
        let interval: Duration = shared.endpoint().metadata_config().send_interval.into();
        tokio::select! {
            () = sleep_until(last + interval) => {}
            // Another configuration can have another interval.
            changed = endpoint.changed() => match changed {
                Ok(()) => continue,
                Err(_closed) => return,
            },
        }
        last = Instant::now();
        tell(shared).await;
    }
}

async fn tell(shared: &Shared) {
    let endpoint = shared.endpoint();
    let config = endpoint.metadata_config();
    let message = shared.negotiation.message(endpoint.message());
    if !config.send || message != ProtobufMessage::V1 || shared.suspension.is_suspended() {
        return;
    }
    let interest = Arc::clone(&shared.interest.borrow());
    let families = Arc::clone(&shared.families);
    let size = usize::try_from(config.max_samples_per_send).unwrap_or(usize::MAX);
    let encoding = spawn_blocking(move || {
        let kept = families.kept(&interest);
        let requests = kept
            .chunks(size)
            .map(|told| (encode(told), told.len() as u64));
        requests.collect::<Vec<_>>()
    });
    for (body, families) in encoding.await.unwrap_or_default() {
        let is_taken = send(shared, body).await;
        shared.metrics.told(families, is_taken);
        if !is_taken {
            return;
        }
    }
}

fn encode(families: &[Arc<Family>]) -> Bytes {
    let mut raw = Vec::new();
    for family in families {
        put_family(&mut raw, family.name().as_bytes(), family.metadata());
    }
    let mut compressor = Compressor::default();
    let elements = compressor.elements(&raw);
    snappy::join(raw.len() as u64, std::iter::once(elements)).into()
}

/// Whether the receiver took it.
async fn send(shared: &Shared, body: Bytes) -> bool {
    let config = shared.endpoint().queue_config();
    let mut backoff = Backoff::new(config.min_backoff.into(), config.max_backoff.into());
    for attempt in 1..=ATTEMPTS {
        let pause = match shared
            .endpoint()
            .post(ProtobufMessage::V1, body.clone())
            .await
        {
            Answer::Delivered { .. } => return true,
            Answer::Rejected { code, words, .. } => {
                if let Some(suppressed) = shared.metrics.retries_logged.permit() {
                    let route = &shared.route;
                    warn!(%route, code, suppressed, words, "receiver rejected metadata");
                }
                return false;
            }
            Answer::Retry {
                reason,
                retry_after,
                words,
                ..
            } => {
                if let Some(suppressed) = shared.metrics.retries_logged.permit() {
                    let route = &shared.route;
                    warn!(%route, attempt, reason, suppressed, words, "metadata was not sent");
                }
                backoff.next_pause().max(retry_after.unwrap_or_default())
            }
        };
        sleep(pause).await;
    }
    false
}
