//! The life of one target: its turn comes once in an interval until it is gone.
//!
//! The turns of a target are at times that depend on nothing but its labels and URL, so that
//! targets are spread over the interval and stay where they are when promrelay starts again. A
//! turn's samples take the time at which it was due if that is at most 2 ms ago (or a hundredth of
//! the interval), as in Prometheus: receivers store even distances with less.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{debug, warn};

use super::cache::{Cache, Told};
use super::error::ScrapeError;
use super::fetch::Fetched;
use super::intake;
use super::job::{Job, Shared};
use super::status::Status;
use super::target::Target;
use super::turn::{Context, Taken};
use crate::route::Delivery;
use crate::telemetry::causes;

/// A body of up to so many bytes, of a target whose series are known, is worked on where it
/// arrives: that takes less than handing it over to another thread and back does.
const LIGHT_BODY_BYTES: usize = 64 * 1024;
/// Up to so many series can end, or be looked through, there.
const LIGHT_SERIES: usize = 1000;
/// How long samples may wait on their way to a queue's disk (a tenth of the interval at the most),
/// for one sync to do for many targets: nobody waits for a scrape to be acknowledged.
const PATIENCE: Duration = Duration::from_millis(100);

/// How far from its due time a scrape still takes the due time.
const TOLERANCE: Duration = Duration::from_millis(2);

/// What a target's task is told. An order is never taken back, only followed by a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Scrape when it is your turn.
    Scrape,
    /// The target is gone. Wait whether it comes back, then tell the ends of its series.
    Leave,
    /// Another task goes on with the target. End after the scrape in hand, tell nothing.
    HandOver,
    /// Tell the ends of the series now, and end.
    End,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    Light,
    Heavy,
}

/// What a task ends with, for the task that goes on.
pub(super) type Ending = Cache;

/// The task before this one, and what of it is of use.
#[derive(Debug)]
pub(super) struct Predecessor {
    pub(super) task: JoinHandle<Ending>,
    pub(super) legacy: Legacy,
}

/// What a task takes over from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Legacy {
    /// All that is known of the series: the target and the rules are the same.
    Everything,
    /// Only which series there were, so that their ends are told.
    Series,
}

/// The task of one target.
#[derive(Debug)]
pub(super) struct Cycle {
    pub(super) job: Arc<Job>,
    pub(super) target: Arc<Target>,
    pub(super) shared: Arc<Shared>,
    pub(super) status: Arc<Status>,
    pub(super) orders: watch::Receiver<Order>,
}

impl Cycle {
    /// Scrapes until told otherwise.
    pub(super) async fn run(mut self, predecessor: Option<Predecessor>) -> Ending {
        let mut cache = self.inherit(predecessor).await;
        let offset = self.target.offset(since_epoch(SystemTime::now()));
        tokio::select! {
            () = sleep(offset) => {}
            () = ordered(&mut self.orders) => {}
        }
        let mut ticks = interval(self.target.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut due = Due::new(self.target.interval, SystemTime::now());
        while *self.orders.borrow() == Order::Scrape {
            tokio::select! {
                _ = ticks.tick() => {}
                () = ordered(&mut self.orders) => break,
            }
            let time = due.time_of(SystemTime::now());
            // In a box of its own: between turns a target holds none of what a scrape needs.
            cache = Box::pin(self.scrape(cache, time)).await;
        }
        self.leave(cache, ticks).await
    }

    async fn inherit(&self, predecessor: Option<Predecessor>) -> Cache {
        let labels = &self.target.labels;
        let Some(Predecessor { task, legacy }) = predecessor else {
            return Cache::new(labels);
        };
        match (task.await, legacy) {
            (Ok(cache), Legacy::Everything) => cache,
            (Ok(cache), Legacy::Series) => Cache::inherit(cache, labels),
            (Err(_), _) => Cache::new(labels),
        }
    }

    async fn scrape(&mut self, cache: Cache, time: SystemTime) -> Cache {
        let (started, at) = (Instant::now(), SystemTime::now());
        let fetched = self.fetch().await;
        if let Err(ScrapeError::Stopped) = fetched {
            return cache;
        }
        let (mut cache, outcome, in_hand) = self.take(cache, fetched, time, started).await;
        let Some(taken) = outcome else {
            return cache;
        };
        self.job.metrics.taken(&taken);
        let error = taken.error.as_ref().map(|error| causes(error));
        if let Some(error) = &error {
            let (job, url) = (&self.job.config.job_name, self.target.shown_url());
            debug!(job, url, error, "scrape failed");
        }
        self.status.scraped(at, taken.duration, error);
        if let Some(families) = taken.families {
            self.status.set_families(families);
        }
        let told = self.store(taken.deliveries).await;
        drop(in_hand);
        cache.close(taken.success, told);
        cache
    }

    async fn fetch(&mut self) -> Result<Fetched, ScrapeError> {
        tokio::select! {
            fetched = self.job.fetch(&self.target) => fetched,
            _ = self.orders.wait_for(|order| *order == Order::End) => Err(ScrapeError::Stopped),
        }
    }

    /// Works on a body, away from the reactor. `None` if that panicked, and the cache is lost.
    async fn take(
        &self,
        mut cache: Cache,
        fetched: Result<Fetched, ScrapeError>,
        time: SystemTime,
        started: Instant,
    ) -> (Cache, Option<Taken>, TaskTrackerToken) {
        let bytes = fetched.as_ref().map_or(0, Fetched::expected_bytes);
        let is_light = bytes <= LIGHT_BODY_BYTES && (1..=LIGHT_SERIES).contains(&cache.len());
        let load = if is_light { Load::Light } else { Load::Heavy };
        let work = move |context: Context<'_>| {
            let taken = intake::take(context, &mut cache, fetched);
            (cache, taken)
        };
        let (worked, in_hand) = self.work(load, time, started, work).await;
        let Some((cache, taken)) = worked else {
            tracing::error!("the work on a scrape panicked");
            return (Cache::new(&self.target.labels), None, in_hand);
        };
        (cache, Some(taken), in_hand)
    }

    /// Does what takes CPU; what is heavy away from the reactor, when a processor is free. `None`
    /// if that panicked. What comes of it belongs to the router in force, which the token holds.
    async fn work<T: Send + 'static>(
        &self,
        load: Load,
        time: SystemTime,
        started: Instant,
        work: impl FnOnce(Context<'_>) -> T + Send + 'static,
    ) -> (Option<T>, TaskTrackerToken) {
        let processor = match load {
            Load::Light => None,
            Load::Heavy => self.shared.processors.acquire().await.ok(),
        };
        let (router, in_hand) = self.shared.outlet.take();
        let (job, target) = (Arc::clone(&self.job), Arc::clone(&self.target));
        let shared = Arc::clone(&self.shared);
        let work = move || {
            work(Context {
                job: &job,
                target: &target,
                book: &shared.book,
                router: &router,
                time_ms: milliseconds(time),
                started,
            })
        };
        let worked = match load {
            // A panic costs this scrape as it does on another thread, and not the target's task.
            Load::Light => catch_unwind(AssertUnwindSafe(work)).ok(),
            Load::Heavy => tokio::task::spawn_blocking(work).await.ok(),
        };
        drop(processor);
        (worked, in_hand)
    }

    /// Puts the samples of a scrape into the queues, in order. What a queue does not take, and all
    /// that comes after it, is counted and forgotten: the next scrape is worth more.
    async fn store(&self, deliveries: Vec<Delivery>) -> Told {
        let patience = match deliveries.len() {
            1 => PATIENCE.min(self.target.interval / 10),
            // Each would wait anew.
            _ => Duration::ZERO,
        };
        let mut not_stored = 0;
        for delivery in deliveries {
            let (_, samples) = delivery.received();
            if not_stored > 0 {
                not_stored += samples;
                continue;
            }
            if let Err(error) = delivery.commit_within(patience).await {
                // At least one, so that a piece without samples counts as not stored too.
                not_stored += samples.max(1);
                if let Some(suppressed) = self.job.metrics.failures_logged.permit() {
                    let (job, error) = (&self.job.config.job_name, causes(&error));
                    warn!(
                        job,
                        suppressed, error, "samples of a scrape were not stored"
                    );
                }
            }
        }
        if not_stored == 0 {
            return Told::Yes;
        }
        self.job.metrics.not_stored(not_stored);
        Told::No
    }

    /// Ends: hands the cache over, or tells the ends of the series.
    async fn leave(&mut self, cache: Cache, mut ticks: Interval) -> Ending {
        let mut time = SystemTime::now();
        if *self.orders.borrow() == Order::Leave {
            // The time of the turn that does not come; then as long as a target may take that
            // comes back, whose series must not be told ended.
            let patience = self.wait_for_return(&mut ticks, &mut time);
            patience.await;
        }
        if *self.orders.borrow() == Order::HandOver {
            return cache;
        }
        self.tell_ends(cache, time).await;
        Cache::default()
    }

    async fn wait_for_return(&mut self, ticks: &mut Interval, time: &mut SystemTime) {
        let extra = self.target.interval / 10;
        let orders = &mut self.orders;
        let wait = async {
            ticks.tick().await;
            *time = SystemTime::now();
            ticks.tick().await;
            sleep(extra).await;
        };
        tokio::select! {
            () = wait => {}
            _ = orders.wait_for(|order| *order > Order::Leave) => {}
        }
    }

    async fn tell_ends(&self, mut cache: Cache, time: SystemTime) {
        let work = move |context: Context<'_>| intake::take_leave(context, &mut cache);
        let (deliveries, in_hand) = self.work(Load::Heavy, time, Instant::now(), work).await;
        match deliveries {
            Some(Ok(deliveries)) => drop(self.store(deliveries).await),
            Some(Err(error)) => warn!(error = causes(&error), "the ends of series were refused"),
            None => tracing::error!("the work on the ends of series panicked"),
        }
        drop(in_hand);
    }
}

/// Returns when an order was given that is not to scrape.
async fn ordered(orders: &mut watch::Receiver<Order>) {
    // Nobody to give orders is an order too.
    drop(orders.wait_for(|order| *order != Order::Scrape).await);
}

/// The times at which turns are due.
#[derive(Debug)]
struct Due {
    interval: Duration,
    tolerance: Duration,
    /// When the last turn was due.
    last: Duration,
}

impl Due {
    fn new(interval: Duration, first: SystemTime) -> Self {
        Self {
            interval,
            tolerance: TOLERANCE.min(interval / 100),
            last: since_epoch(first),
        }
    }

    /// The time that the samples of a turn take which begins `now`.
    fn time_of(&mut self, now: SystemTime) -> SystemTime {
        let now_since = since_epoch(now);
        if now_since + self.tolerance < self.last {
            // The clock was set back.
            self.last = now_since;
        }
        let late = now_since.saturating_sub(self.last);
        let turns = late.as_nanos() / self.interval.as_nanos();
        self.last += self.interval * u32::try_from(turns).unwrap_or_default();
        if now_since.saturating_sub(self.last) > self.tolerance {
            return now;
        }
        SystemTime::UNIX_EPOCH + self.last
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// Milliseconds since 1970, as samples have them.
pub(super) fn milliseconds(time: SystemTime) -> i64 {
    i64::try_from(since_epoch(time).as_millis()).unwrap_or(i64::MAX)
}
