//! What a connection waits for, and since when.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::limits::Limits;
use super::metrics::Closed;

/// How an HTTP/2 connection begins.
const HTTP2_PREFACE: &[u8] = b"PRI ";

/// The state of one connection, told by its stream and its requests.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    is_leaving: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// Nothing is known before the first bytes.
    is_http2: Option<bool>,
    has_served: bool,
    /// Since it was opened, or since the last request ended.
    quiet_since: Instant,
    /// Since a request's first bytes came, until its headers are complete.
    headers_since: Option<Instant>,
    /// The requests in hand: one, or the streams of HTTP/2.
    requests: BTreeMap<u64, (Phase, Instant)>,
    next_request: u64,
    has_changed: bool,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Body,
    Service,
    Reader,
}

/// When the client has to have got on, and what it is closed for otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// `None` while it is not the client that is waited for.
    pub(super) at: Option<Instant>,
    pub(super) reason: Closed,
}

impl Deadline {
    pub(super) const NONE: Self = Self {
        at: None,
        reason: Closed::Idle,
    };
}

/// A request in hand, until it is dropped.
#[derive(Debug)]
pub(super) struct InHand(Arc<Activity>, u64);

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            is_http2: None,
            has_served: false,
            quiet_since: Instant::now(),
            headers_since: None,
            requests: BTreeMap::new(),
            next_request: 0,
            has_changed: true,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            is_leaving: AtomicBool::new(false),
        })
    }

    /// Bytes have come.
    pub(super) fn received(&self, bytes: &[u8]) {
        let mut state = self.state();
        let is_http2 = *state
            .is_http2
            .get_or_insert_with(|| bytes.starts_with(HTTP2_PREFACE));
        // Frames of HTTP/2 can be anything; hyper bounds what of headers it keeps, and a connection
        // without a request is closed when it has idled for long enough.
        if !is_http2 && state.requests.is_empty() && state.headers_since.is_none() {
            state.headers_since = Some(Instant::now());
            state.has_changed = true;
        }
    }

    /// A request's headers are complete.
    pub(super) fn begin(self: &Arc<Self>) -> InHand {
        let mut state = self.state();
        let id = state.next_request;
        state.next_request += 1;
        state.has_served = true;
        state.headers_since = None;
        state.requests.insert(id, (Phase::Body, Instant::now()));
        state.has_changed = true;
        InHand(Arc::clone(self), id)
    }

    /// The deadline, if it may be another than it was.
    pub(super) fn changed_deadline(&self, limits: &Limits) -> Option<Deadline> {
        let mut state = self.state();
        let has_changed = std::mem::take(&mut state.has_changed);
        has_changed.then(|| state.deadline(limits))
    }

    /// The connection is to end with the requests in hand.
    pub(super) fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn deadline(&self, limits: &Limits) -> Deadline {
        let of_requests = self.requests.values().filter_map(|(phase, since)| {
            let (reason, time) = match phase {
                Phase::Body => (Closed::BodyTimeout, limits.body_time),
                Phase::Service => return None,
                Phase::Reader => (Closed::WriteTimeout, limits.answer_time()),
            };
            Some((*since + time, reason))
        });
        let first = of_requests.min_by_key(|(at, _)| *at);
        let (at, reason) = match (first, self.headers_since) {
            (Some(first), _) => first,
            (None, _) if !self.requests.is_empty() => {
                return Deadline::NONE;
            }
            (None, Some(since)) => (since + limits.header_time, Closed::HeaderTimeout),
            (None, None) if !self.has_served => {
                (self.quiet_since + limits.header_time, Closed::HeaderTimeout)
            }
            (None, None) => (self.quiet_since + limits.idle_time, Closed::Idle),
        };
        Deadline {
            at: Some(at),
            reason,
        }
    }
}

impl InHand {
    /// The answer is there.
    pub(super) fn has_answer(&self) {
        let mut state = self.0.state();
        state
            .requests
            .insert(self.1, (Phase::Reader, Instant::now()));
        state.has_changed = true;
    }

    /// What tells when the body has been read.
    pub(super) fn body_watch(&self) -> BodyWatch {
        BodyWatch(Arc::clone(&self.0), self.1)
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests.remove(&self.1);
        state.quiet_since = Instant::now();
        state.has_changed = true;
    }
}

/// Tells when a request's body has been read, or nobody reads it any more.
#[derive(Debug)]
pub(super) struct BodyWatch(Arc<Activity>, u64);

impl Drop for BodyWatch {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if let Some(known) = state.requests.get_mut(&self.1)
            && known.0 == Phase::Body
        {
            *known = (Phase::Service, Instant::now());
            state.has_changed = true;
        }
    }
}
