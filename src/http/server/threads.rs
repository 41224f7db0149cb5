//! Which threads serve a listener's connections: one of its own while that is enough.
//!
//! tokio wakes a second worker with nearly everything that happens, to look for work beside the
//! first. With a few small requests at a time there is none, and waking it costs more than HTTP
//! itself. So connections begin on one thread with a runtime of its own, which wakes nobody.
//!
//! | seen | connections are served by |
//! |---|---|
//! | for a second the thread uses over 3/4 of a processor, or is hardly ever idle | the workers |
//! | nothing is heard of it for two seconds, as when a disk hangs under it | the workers |
//! | the process uses less than half a processor in the mean of a minute | the thread again |
//!
//! A connection moves by being closed behind an answer that says so (`Connection: close`, or
//! `GOAWAY`): its client opens another one, which is served where connections belong by then. One
//! that idles stays until its next request. Requests behind that answer in a pipeline are dropped,
//! as HTTP/1.1 has it. Over HTTP/2 both connections count for a moment, so a client at its limit of
//! connections is refused until the first is gone.
//!
//! Where the runtime has one worker, or the system does not say what a thread uses, the workers
//! serve.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use metrics::Gauge;
use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

#[cfg(test)]
#[cfg(unix)]
mod tests;

/// How long is looked at what is used.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The share of a processor above which one thread is not enough.
const BUSY: f64 = 0.75;
/// The share of time above which it is not, whatever it gets of a processor then: others want it,
/// too.
const HARDLY_IDLE: f64 = 0.95;
/// For how many looks on end.
const BUSY_LOOKS: u32 = 2;
/// The share of a processor below which one thread is enough, of all that the process does.
const CALM: f64 = 0.5;
/// In the mean of how many looks: a minute.
const CALM_LOOKS: u32 = 120;
/// A thread that has not looked for so long is stuck.
const STUCK: Duration = Duration::from_secs(2);

/// Who is to serve the connections of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serving {
    /// The workers of the runtime that opens it.
    #[default]
    Workers,
    /// One thread while that is enough, and else the workers.
    OneThreadIfEnough,
}

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
    since: Instant,
    /// When the thread last looked, in milliseconds after `since`.
    looked_ms: AtomicU64,
    stopping: CancellationToken,
    /// How many threads serve.
    threads: Gauge,
    workers: usize,
}

/// What was used up to a moment.
struct Used {
    at: Instant,
    /// Of processors, by the thread.
    by_thread: Duration,
    /// Of processors, by all of the process.
    by_process: Duration,
    /// Of time, in which the thread had something to do.
    busy: Duration,
}

/// What was used since the look before: of one processor, or of the time.
struct Shares {
    of_thread: f64,
    of_process: f64,
    busy: f64,
}

/// Decides by what is used.
#[derive(Debug, Default)]
struct Judge {
    busy_looks: u32,
    /// How many looks the workers have served for, and what the process used in them.
    looks: u32,
    used: f64,
}

impl Threads {
    /// The threads for a listener that the current runtime opens; `threads` says how many serve it.
    pub(super) fn new(serving: Serving, threads: Gauge) -> Self {
        let workers = Handle::current();
        let count = workers.metrics().num_workers();
        threads.set(count as f64);
        let is_wanted = serving == Serving::OneThreadIfEnough && count > 1;
        let is_wanted = is_wanted && Used::until_now(&workers).is_some();
        let one_thread = is_wanted.then(|| OneThread::start(threads, count));
        let one_thread = one_thread.and_then(|started| {
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
        let thread = self.one_thread.as_ref();
        thread.map_or(ServedBy::Workers, |thread| thread.state.serving())
    }

    /// The runtime of those who serve.
    pub(super) fn runtime(&self, served_by: ServedBy) -> &Handle {
        match (&self.one_thread, served_by) {
            (Some(thread), ServedBy::OneThread) => &thread.runtime,
            _ => &self.workers,
        }
    }

    /// Stops the listener's own thread, with what it still serves.
    pub(super) fn stop(&self) {
        if let Some(thread) = &self.one_thread {
            thread.state.stopping.cancel();
        }
    }

    /// Has others serve.
    #[cfg(test)]
    pub(super) fn set(&self, served_by: ServedBy) {
        if let Some(thread) = &self.one_thread {
            thread.state.set(served_by);
        }
    }
}

impl OneThread {
    fn start(threads: Gauge, workers: usize) -> io::Result<Self> {
        let state = Arc::new(State {
            is_enough: AtomicBool::new(true),
            since: Instant::now(),
            looked_ms: AtomicU64::new(0),
            stopping: CancellationToken::new(),
            threads,
            workers,
        });
        let watched = Arc::clone(&state);
        let (started, starting) = sync_channel(1);
        let run = move || {
            // Made here, since a runtime must not be dropped where tasks run.
            let built = Builder::new_current_thread().enable_all().build();
            let handle = built.as_ref().map(|runtime| runtime.handle().clone());
            let handle = handle.map_err(|error| io::Error::new(error.kind(), error.to_string()));
            if let (Ok(()), Ok(runtime)) = (started.send(handle), built) {
                let watch = watched.stopping.run_until_cancelled(watch(&watched));
                runtime.block_on(watch);
            }
        };
        thread::Builder::new()
            .name("connections".to_owned())
            .spawn(run)?;
        let runtime = starting.recv().map_err(io::Error::other)??;
        state.set(ServedBy::OneThread);
        Ok(Self { runtime, state })
    }
}

impl State {
    fn serving(&self) -> ServedBy {
        if self.is_enough.load(Ordering::Relaxed) && self.is_stuck() {
            tracing::warn!("the thread for connections is stuck, others serve");
            self.set(ServedBy::Workers);
        }
        if self.is_enough.load(Ordering::Relaxed) {
            ServedBy::OneThread
        } else {
            ServedBy::Workers
        }
    }

    fn set(&self, served_by: ServedBy) {
        let is_enough = served_by == ServedBy::OneThread;
        self.is_enough.store(is_enough, Ordering::Relaxed);
        let threads = if is_enough { 1 } else { self.workers };
        self.threads.set(threads as f64);
    }

    fn looked(&self) {
        let since = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.looked_ms.store(since, Ordering::Relaxed);
    }

    fn is_stuck(&self) -> bool {
        let looked = Duration::from_millis(self.looked_ms.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(looked) > STUCK
    }
}

/// Looks at what is used and decides, on the listener's own thread.
async fn watch(state: &State) {
    let runtime = Handle::current();
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut judge = Judge::default();
    let mut before = None;
    loop {
        looks.tick().await;
        state.looked();
        let now = Used::until_now(&runtime);
        if let (Some(before), Some(now)) = (&before, &now) {
            let serving = state.serving();
            let decided = judge.decide(serving, &now.since(before));
            if decided != serving {
                state.set(decided);
                tracing::debug!(to = ?decided, "connections move to other threads");
            }
        }
        before = now;
    }
}

impl Judge {
    /// Who serves from now on.
    fn decide(&mut self, serving: ServedBy, shares: &Shares) -> ServedBy {
        match serving {
            ServedBy::OneThread => {
                let is_busy = shares.of_thread > BUSY || shares.busy > HARDLY_IDLE;
                self.busy_looks = if is_busy { self.busy_looks + 1 } else { 0 };
                if self.busy_looks < BUSY_LOOKS {
                    return ServedBy::OneThread;
                }
                *self = Self::default();
                ServedBy::Workers
            }
            ServedBy::Workers => {
                self.looks += 1;
                self.used += shares.of_process;
                if self.looks < CALM_LOOKS {
                    return ServedBy::Workers;
                }
                let mean = self.used / f64::from(self.looks);
                *self = Self::default();
                if mean < CALM {
                    ServedBy::OneThread
                } else {
                    ServedBy::Workers
                }
            }
        }
    }
}

impl Used {
    /// By the calling thread, which runs `runtime`, and its process. `None` where the system does
    /// not say.
    #[cfg(unix)]
    fn until_now(runtime: &Handle) -> Option<Self> {
        use rustix::time::{ClockId, DynamicClockId, clock_gettime_dynamic};

        let clock = |id| {
            let time = clock_gettime_dynamic(DynamicClockId::Known(id)).ok()?;
            Duration::try_from(time).ok()
        };
        Some(Self {
            at: Instant::now(),
            by_thread: clock(ClockId::ThreadCPUTime)?,
            by_process: clock(ClockId::ProcessCPUTime)?,
            busy: runtime.metrics().worker_total_busy_duration(0),
        })
    }

    #[cfg(not(unix))]
    fn until_now(_: &Handle) -> Option<Self> {
        None
    }

    fn since(&self, before: &Self) -> Shares {
        let time = self.at.duration_since(before.at).as_secs_f64();
        let share = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() / time;
        Shares {
            of_thread: share(self.by_thread, before.by_thread),
            of_process: share(self.by_process, before.by_process),
            busy: share(self.busy, before.busy),
        }
    }
}
