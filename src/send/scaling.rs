//! How many lanes a route has: no more than do for what comes.
//!
//! Whoever fills the queue sorts each request's series into as many blocks as the route has lanes,
//! and every block costs: to compress, to store, to read again. So a route begins with the fewest
//! lanes that it may have, and gets more when those cannot keep up, or when nothing is settled at
//! all: what gathers in an outage is read with as many lanes as it was sorted into.
//!
//! | seen over five seconds | then |
//! |---|---|
//! | what comes needs over 3/4 of the lanes' time | twice as many as would just do |
//! | lanes that were added carry under a quarter of what they should | as many as do |
//! | batches are in hand and none is settled | four |
//! | the lanes use under 1/4 of their time, for two minutes | twice as many as would just do |
//!
//! All within the bounds of the configuration, and at most eight times those there are. Where more
//! lanes did not help, the receiver has no more to give, and none are added for ten minutes.
//!
//! What comes needs as much of the lanes' time as it would take to settle in full batches, with all
//! attempts, pauses and halves: one that went out because of `batch_send_deadline` says nothing of
//! what its lane could carry.
//!
//! Lanes of another number are another sorting, so the sender ends the old ones before it begins
//! with the new ones (see `dispatch`). Only an outage is noticed before those are at work.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::debug;

use super::batch::Batch;
use super::lane::Shared;

#[cfg(test)]
mod tests;

/// How often the lanes are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Over so many ticks it is judged how they do.
const WINDOW: usize = 5;
/// So many ticks without anything settled are an outage.
const STALLED: u32 = 5;
/// As long as this a batch is counted at the most.
const LONGEST: Duration = Duration::from_secs(5);
/// So many ticks in a row have to see too many lanes before there are fewer.
const CALM: u32 = 120;
/// So many ticks pass before more lanes are tried again that did not help.
const CEILING: u32 = 600;
/// The lanes for what gathers while nothing is settled.
const CATCH_UP: u8 = 4;
/// The part of their time that lanes may be needed.
const BUSY: f64 = 0.75;
/// Below this part of it there are too many.
const IDLE: f64 = 0.25;
/// So many times the lanes that would just do.
const ROOM: f64 = 2.0;
/// So many times the lanes that there are, at the most, in one step.
const STEP: u8 = 8;
/// The part of what they carry if each is as fast as those before, that more lanes have to carry.
const GAIN: f64 = 0.25;

/// The number of lanes that a route's series are sorted into at present.
#[derive(Debug)]
pub struct LaneCount(AtomicU8);

impl LaneCount {
    /// So many, until somebody says otherwise.
    #[must_use]
    pub fn new(lanes: u8) -> Arc<Self> {
        Arc::new(Self(AtomicU8::new(lanes.max(1))))
    }

    /// At least one.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// Changes the number as little as it takes to be within `bounds`.
    pub(super) fn keep_within(&self, bounds: &RangeInclusive<u8>) {
        self.set(self.get().clamp(*bounds.start(), *bounds.end()));
    }

    fn set(&self, lanes: u8) {
        self.0.store(lanes.max(1), Ordering::Relaxed);
    }
}

/// What the lanes of a route have done since it was started.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// The number of lanes of the blocks that were read last, 0 before there were any.
    lanes: AtomicU8,
    in_hand: AtomicUsize,
    /// Batches that were settled.
    settled: AtomicU64,
    /// Samples in those of them that were full, and how long those were in hand.
    full_samples: AtomicU64,
    full_micros: AtomicU64,
}

/// A batch is in hand for as long as this lives.
#[derive(Debug)]
pub(super) struct InHand<'w> {
    work: &'w Work,
    since: Instant,
}

/// What is known at one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seen {
    /// Since the sender was started.
    at: Duration,
    /// Samples that have come so far.
    appended: u64,
    lanes: u8,
    in_hand: usize,
    settled: u64,
    full_samples: u64,
    full_micros: u64,
}

impl Work {
    /// Blocks of so many lanes are read from now on.
    pub(super) fn begin(&self, lanes: u8) {
        self.lanes.store(lanes, Ordering::Relaxed);
    }

    pub(super) fn take_in_hand(&self) -> InHand<'_> {
        self.in_hand.fetch_add(1, Ordering::Relaxed);
        InHand {
            work: self,
            since: Instant::now(),
        }
    }

    fn seen(&self, at: Duration, appended: u64) -> Seen {
        Seen {
            at,
            appended,
            lanes: self.lanes.load(Ordering::Relaxed),
            in_hand: self.in_hand.load(Ordering::Relaxed),
            settled: self.settled.load(Ordering::Relaxed),
            full_samples: self.full_samples.load(Ordering::Relaxed),
            full_micros: self.full_micros.load(Ordering::Relaxed),
        }
    }
}

impl InHand<'_> {
    /// The batch was settled.
    pub(super) fn settled(&self, batch: &Batch) {
        let work = self.work;
        work.settled.fetch_add(1, Ordering::Relaxed);
        if batch.is_cut() {
            // An outage that ends was not the time that its batch takes.
            let took = self.since.elapsed().min(LONGEST).as_micros();
            let micros = u64::try_from(took).unwrap_or(u64::MAX);
            work.full_samples
                .fetch_add(batch.counts().samples, Ordering::Relaxed);
            work.full_micros.fetch_add(micros, Ordering::Relaxed);
        }
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.work.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The lanes that a route begins with: one in whose queue records wait is behind from the start.
pub(super) fn first_lanes(bounds: &RangeInclusive<u8>, queued_records: u64) -> u8 {
    match queued_records {
        0 => *bounds.start(),
        _ => CATCH_UP.clamp(*bounds.start(), *bounds.end()),
    }
}

/// Sets the number of lanes until the sender is stopped.
pub(super) async fn run(shared: Arc<Shared>) {
    let (mut scaling, start) = (Scaling::default(), Instant::now());
    let mut endpoint = shared.endpoint();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shared
        .stop
        .run_until_cancelled(ticks.tick())
        .await
        .is_some()
    {
        let current = shared.endpoint();
        if !Arc::ptr_eq(&endpoint, &current) {
            // What was learnt was learnt of another receiver.
            (scaling, endpoint) = (Scaling::default(), current);
        }
        let bounds = endpoint.queue_config().lanes();
        let appended = shared.queue.stats().appended.weight;
        let seen = shared.work.seen(start.elapsed(), appended);
        let before = shared.lanes.get();
        let lanes = scaling.next(seen, &bounds, before);
        if lanes != before {
            shared.lanes.set(lanes);
            debug!(route = %shared.route, before, lanes, "another number of lanes");
        }
        shared.metrics.lanes(lanes);
    }
}

/// What was seen of late, and what came of earlier decisions.
#[derive(Debug, Default)]
struct Scaling {
    window: VecDeque<Seen>,
    /// Ticks in a row that saw batches in hand and none settled, and how many there were.
    stalled: (u32, u64),
    /// Ticks in a row that saw too many lanes.
    calm: u32,
    /// How it was before there were more lanes, until it is known whether they help.
    trial: Option<Carried>,
    /// More lanes than these do not help, for so many ticks.
    ceiling: Option<(u8, u32)>,
}

/// What lanes can carry.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Carried {
    lanes: u8,
    /// Samples per second that each of them sends while it does.
    speed: f64,
}

impl Carried {
    /// Whether these lanes, if they are more, carry enough more than those before.
    fn is_worth_it(self, before: Self) -> bool {
        let more = self.lanes.saturating_sub(before.lanes);
        let least = before.samples_per_second() + GAIN * f64::from(more) * before.speed;
        more == 0 || self.samples_per_second() >= least
    }

    fn samples_per_second(self) -> f64 {
        f64::from(self.lanes) * self.speed
    }
}

impl Scaling {
    /// The lanes that there should be, of which there are `lanes` now.
    fn next(&mut self, seen: Seen, bounds: &RangeInclusive<u8>, lanes: u8) -> u8 {
        self.ceiling = self
            .ceiling
            .and_then(|(most, ticks)| Some((most, ticks.checked_sub(1)?)));
        let is_at_work = seen.lanes == lanes;
        let judged = if self.notice_outage(seen) {
            Some(lanes.max(CATCH_UP))
        } else {
            is_at_work.then(|| self.judge(seen, lanes)).flatten()
        };
        let next = judged.unwrap_or(lanes);
        let next = next.clamp(*bounds.start(), *bounds.end());
        if !is_at_work || next != lanes {
            self.window.clear();
            self.calm = 0;
        }
        next
    }

    fn judge(&mut self, seen: Seen, lanes: u8) -> Option<u8> {
        self.window.push_back(seen);
        if self.window.len() <= WINDOW {
            return None;
        }
        let first = self.window.pop_front()?;
        let took = seen.at.saturating_sub(first.at).as_secs_f64();
        let full_samples = seen.full_samples - first.full_samples;
        let full_seconds = (seen.full_micros - first.full_micros) as f64 / 1e6;
        let incoming = (seen.appended - first.appended) as f64 / took;
        if full_samples == 0 || full_seconds <= 0.0 {
            self.trial = None;
            return self.calm_down(0.0, seen);
        }
        let speed = full_samples as f64 / full_seconds;
        let carried = Carried { lanes, speed };
        if let Some(before) = self.trial.take()
            && !carried.is_worth_it(before)
        {
            let earned = whole_lanes(carried.samples_per_second() / before.speed);
            let earned = earned.clamp(before.lanes, lanes);
            self.ceiling = Some((earned, CEILING));
            return Some(earned);
        }
        let needed = incoming / speed;
        if needed <= BUSY * f64::from(lanes) {
            // A backlog keeps lanes busy that are not needed for what comes.
            let used = needed.max(full_seconds / took);
            return self.calm_down(used, seen);
        }
        self.calm = 0;
        let most = self.ceiling.map_or(u8::MAX, |(most, _)| most);
        let more = with_room(needed).min(lanes.saturating_mul(STEP)).min(most);
        (more > lanes).then(|| {
            self.trial = Some(carried);
            more
        })
    }

    /// Answers whether there was something in hand for long and nothing was settled, whatever lanes
    /// there are.
    fn notice_outage(&mut self, seen: Seen) -> bool {
        let (ticks, settled) = self.stalled;
        let is_stalled = seen.in_hand > 0 && seen.settled == settled;
        let ticks = if is_stalled { ticks + 1 } else { 0 };
        self.stalled = (ticks, seen.settled);
        if ticks > STALLED {
            self.trial = None;
        }
        ticks > STALLED
    }

    /// Lanes that all have a batch in hand are not too many, though none of it was settled lately.
    fn calm_down(&mut self, used: f64, Seen { lanes, in_hand, .. }: Seen) -> Option<u8> {
        let has_idle = in_hand < usize::from(lanes);
        self.calm = if has_idle && used < IDLE * f64::from(lanes) {
            self.calm + 1
        } else {
            0
        };
        (self.calm >= CALM).then(|| with_room(used).min(lanes))
    }
}

/// Lanes that have time to spare where `needed` would just do.
fn with_room(needed: f64) -> u8 {
    whole_lanes(ROOM * needed)
}

fn whole_lanes(lanes: f64) -> u8 {
    let lanes = lanes.ceil().clamp(1.0, f64::from(u8::MAX));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what fits"
    )]
    let lanes = lanes as u8;
    lanes
}
