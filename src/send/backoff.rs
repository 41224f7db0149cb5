//! Pauses between attempts: doubling, bounded, and spread so that lanes do not beat in time.

use std::time::Duration;

use rand::RngExt as _;

/// How far a pause is spread around its length, each way. Below a ninth, so that a pause is never
/// shorter than four fifths of the one before it.
const SPREAD: f64 = 0.1;

/// The pauses of one request.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self {
            next: min.min(max),
            max,
        }
    }

    /// The pause before the next attempt.
    pub(super) fn next_pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.max);
        pause.mul_f64(rand::rng().random_range(1.0 - SPREAD..1.0 + SPREAD))
    }
}
