//! How many appends come together, and how many of them a sync waits for.
//!
//! A sync costs as much for one append as for ten: a fifth of what a small request costs in all.
//! While one is under way the next group gathers, but a fast disk is done before anybody has come.
//! So where many wait at the same time anyway, the writer lets most of them gather before it syncs.
//! The rest are being worked on meanwhile, so neither a processor nor the disk stands still. Where
//! appends come one after the other, none waits for another.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

/// How long a group waits for company at the most: those who are expected may not come.
pub(super) const WAIT_FOR_COMPANY: Duration = Duration::from_millis(4);

/// How many appends wait for the disk at the same time, as seen lately.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    waiting: usize,
    processors: usize,
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            waiting: 0,
            processors: available_parallelism().map_or(1, NonZero::get),
        }
    }
}

impl Crowd {
    /// After a sync: so many appends waited for it, or have come for the next. A smaller crowd is
    /// believed little by little.
    pub(super) fn saw(&mut self, waiting: usize) {
        let expected = self.waiting - self.waiting.div_ceil(8);
        self.waiting = waiting.max(expected);
    }

    /// With how many appends a group waits for no more: all but a quarter, or but as many as there
    /// are processors to work on the rest.
    pub(super) fn enough(self) -> usize {
        let at_work = self.processors.max(self.waiting.div_ceil(4));
        self.waiting.saturating_sub(at_work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_gathers_and_is_forgotten() {
        let mut crowd = Crowd {
            waiting: 0,
            processors: 2,
        };
        let mut enough = |waiting| {
            crowd.saw(waiting);
            crowd.enough()
        };
        assert_eq!(enough(1), 0, "nobody else waits");
        assert_eq!(enough(3), 1);
        assert_eq!(enough(8), 6);
        assert_eq!(enough(64), 48);
        let alone = (0..100).take_while(|_| enough(1) > 1).count();
        assert!((10..30).contains(&alone), "{alone}");
        assert_eq!(enough(1), 0);
        assert_eq!(enough(0), 0);
    }
}
