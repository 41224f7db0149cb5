//! Which threads serve a listener's connections: one of its own while that is enough.
//!
//! tokio wakes a second worker with nearly everything that happens, to look for work beside the
//! first. With a few small requests at a time there is none, and waking it costs more than HTTP
//! itself. So connections begin on one thread with a runtime of its own, which wakes nobody.
//!
//! | seen for half a second | connections are served by |
//! |---|---|
//! | the thread uses more than 3/4 of a processor | the workers of the runtime |
//! | the process uses less than half of one, for a minute on end | the thread again |
//!
//! A connection moves by being closed behind an answer that says so (`Connection: close`, or
//! `GOAWAY`): its client opens another one, which is served where connections belong by then. No
//! request is lost or repeated for it.
//!
//! Used time is the processor's, not the clock's: where other processes have the processors, more
//! threads would get no more done. Where the runtime has one worker, or that time is not to be had,
//! the workers serve.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use metrics::Gauge;
use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod tests;

/// How long is looked at what is used.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The share of a processor above which one thread is not enough.
const BUSY: f64 = 0.75;
/// The share of a processor below which one thread is enough, of all that the process does.
const CALM: f64 = 0.5;
/// For how many looks on end it has to be: a minute.
const CALM_LOOKS: u32 = 120;

/// Who serves a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServedBy {
    /// The listener's own thread.
    OneThread,
    /// All workers of the runtime that opened the listener.
    Workers,
}

/// The threads of one listener.
#[derive(Debug)]
pub(super) struct Threads {
    workers: Handle,
    one_thread: Option<OneThread>,
}

#[derive(Debug)]
struct OneThread {
    runtime: Handle,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    is_enough: AtomicBool,
    ended: CancellationToken,
    /// How many threads serve.
    threads: Gauge,
    workers: usize,
}

/// What was used up to a moment.
struct Used {
    at: Instant,
    by_thread: Duration,
    by_process: Duration,
}

/// Decides by shares of a processor.
#[derive(Debug, Default)]
struct Judge {
    calm_looks: u32,
}

impl Threads {
    /// The threads for a listener that the current runtime opens; `threads` says how many serve it.
    pub(super) fn new(one_if_enough: bool, threads: Gauge) -> Self {
        let workers = Handle::current();
        let count = workers.metrics().num_workers();
        threads.set(count as f64);
        let wanted = one_if_enough && count > 1 && Used::until_now().is_some();
        let started = wanted.then(|| OneThread::start(threads, count));
        let one_thread = started.and_then(|started| {
            // The workers can do it as well.
            let failed = |error| tracing::warn!(%error, "cannot start a thread for connections");
            started.map_err(failed).ok()
        });
        Self {
            workers,
            one_thread,
        }
    }

    /// Who serves connections that begin now.
    pub(super) fn serving(&self) -> ServedBy {
        match &self.one_thread {
            Some(thread) if thread.state.is_enough() => ServedBy::OneThread,
            _ => ServedBy::Workers,
        }
    }

    /// The runtime of those who serve.
    pub(super) fn runtime(&self, served_by: ServedBy) -> &Handle {
        match (&self.one_thread, served_by) {
            (Some(thread), ServedBy::OneThread) => &thread.runtime,
            _ => &self.workers,
        }
    }

    /// Ends the listener's own thread, and what it still serves.
    pub(super) fn end(&self) {
        if let Some(thread) = &self.one_thread {
            thread.state.ended.cancel();
        }
    }

    /// Has others serve, as if the one thread were (not) enough.
    #[cfg(test)]
    pub(super) fn set_enough(&self, is_enough: bool) {
        if let Some(thread) = &self.one_thread {
            thread.state.set_enough(is_enough);
        }
    }
}

impl OneThread {
    fn start(threads: Gauge, workers: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let state = Arc::new(State {
            is_enough: AtomicBool::new(true),
            ended: CancellationToken::new(),
            threads,
            workers,
        });
        let watched = Arc::clone(&state);
        let run = move || {
            let watch = watched.ended.run_until_cancelled(watch(&watched));
            runtime.block_on(watch);
        };
        thread::Builder::new()
            .name("connections".to_owned())
            .spawn(run)?;
        state.set_enough(true);
        Ok(Self {
            runtime: handle,
            state,
        })
    }
}

impl State {
    fn is_enough(&self) -> bool {
        self.is_enough.load(Ordering::Relaxed)
    }

    fn set_enough(&self, is_enough: bool) {
        self.is_enough.store(is_enough, Ordering::Relaxed);
        let threads = if is_enough { 1 } else { self.workers };
        self.threads.set(threads as f64);
    }
}

/// Looks at what is used and decides, on the listener's own thread.
async fn watch(state: &State) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut judge = Judge::default();
    let mut before = None;
    loop {
        looks.tick().await;
        let now = Used::until_now();
        if let (Some(before), Some(now)) = (&before, &now) {
            let was_enough = state.is_enough();
            let is_enough = judge.is_enough(was_enough, now.shares_since(before));
            if is_enough != was_enough {
                state.set_enough(is_enough);
                tracing::debug!(one_thread = is_enough, "connections move to other threads");
            }
        }
        before = now;
    }
}

impl Judge {
    /// Whether the thread is enough, if it was or was not, by what it and the whole process use.
    fn is_enough(&mut self, was_enough: bool, (of_thread, of_process): (f64, f64)) -> bool {
        if was_enough {
            self.calm_looks = 0;
            return of_thread <= BUSY;
        }
        self.calm_looks = if of_process < CALM {
            self.calm_looks + 1
        } else {
            0
        };
        self.calm_looks >= CALM_LOOKS
    }
}

impl Used {
    /// By the calling thread and its process. `None` where the system does not say.
    #[cfg(unix)]
    fn until_now() -> Option<Self> {
        use rustix::time::{ClockId, clock_gettime};

        Some(Self {
            at: Instant::now(),
            by_thread: clock_gettime(ClockId::ThreadCPUTime).try_into().ok()?,
            by_process: clock_gettime(ClockId::ProcessCPUTime).try_into().ok()?,
        })
    }

    #[cfg(not(unix))]
    fn until_now() -> Option<Self> {
        None
    }

    /// What the thread and the process used since then, in processors.
    fn shares_since(&self, before: &Self) -> (f64, f64) {
        let time = self.at.duration_since(before.at).as_secs_f64();
        let share = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() / time;
        (
            share(self.by_thread, before.by_thread),
            share(self.by_process, before.by_process),
        )
    }
}
