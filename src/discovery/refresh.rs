//! Asking again and again.

use std::error::Error;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::TargetGroup;
use super::publish::Provider;

/// Asks `look` at once and then every `every`, and puts what it finds in the place of what it
/// found before. What fails changes nothing. Never returns.
pub(super) async fn run<E: Error + 'static>(
    every: Duration,
    what: &str,
    provider: &Provider,
    mut look: impl AsyncFnMut() -> Result<Vec<TargetGroup>, E>,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match look().await {
            Ok(groups) => provider.replace(groups),
            Err(error) => provider.failed(what, &error),
        }
    }
}
