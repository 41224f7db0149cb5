//! A token bucket.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So much per second, and so much at once after a quiet time.
#[derive(Debug)]
pub(in crate::http) struct Bucket {
    per_second: f64,
    burst: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Below zero when more was taken than was there.
    left: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket. Both are above zero.
    pub(in crate::http) fn new(per_second: f64, burst: f64) -> Self {
        let state = State {
            left: burst,
            at: Instant::now(),
        };
        Self {
            per_second,
            burst,
            state: Mutex::new(state),
        }
    }

    /// Takes `amount` if it is there; otherwise says when it will be.
    pub(super) fn take(&self, amount: f64) -> Result<(), Duration> {
        self.with(|left| {
            if *left < amount {
                return Err((amount - *left) / self.per_second);
            }
            *left -= amount;
            Ok(())
        })
        .map_err(Duration::from_secs_f64)
    }

    /// Takes `amount` whether it is there or not: who comes later waits for it.
    pub(super) fn charge(&self, amount: f64) {
        self.with(|left| *left -= amount);
    }

    fn with<T>(&self, take: impl FnOnce(&mut f64) -> T) -> T {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_duration_since(state.at).as_secs_f64();
        state.left = (state.left + since * self.per_second).min(self.burst);
        state.at = now;
        take(&mut state.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if it had been made so long ago.
    fn age(bucket: &Bucket, time: Duration) {
        bucket.state.lock().unwrap().at -= time;
    }

    #[test]
    fn what_was_taken_comes_back_with_time() {
        let bucket = Bucket::new(2.0, 4.0);
        for _ in 0..4 {
            bucket.take(1.0).unwrap();
        }
        let wait = bucket.take(1.0).unwrap_err();
        assert!(wait <= Duration::from_millis(500), "{wait:?}");
        age(&bucket, Duration::from_millis(500));
        bucket.take(1.0).unwrap();
        bucket.charge(3.0);
        let wait = bucket.take(1.0).unwrap_err();
        assert!(wait > Duration::from_secs(1), "debts count: {wait:?}");
        age(&bucket, Duration::from_hours(1));
        assert!(bucket.take(4.5).is_err(), "no more than the burst gathers");
        bucket.take(4.0).unwrap();
    }
}
