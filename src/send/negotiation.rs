//! Which message a route sends: what its configuration says, until the receiver does not know it.
//!
//! A receiver of 2.0 has to answer with the `Written` headers; that is how it is told from one that
//! is older. An old one may answer 415, as the specification has it, or 400, as 1.x receivers do,
//! or it may even answer 200 and have stored nothing: Prometheus before 3.0 and VictoriaMetrics
//! take the body of a 2.0 request for an empty one of 1.0. None of these loses a sample: the same
//! batch is sent again as 1.0, or where `protobuf_message_fallback` is false it is kept, and the
//! route is suspended.
//!
//! | the answer to a 2.0 request | means |
//! |---|---|
//! | any with a `Written` header | the receiver knows 2.0 |
//! | 415, or 2xx without a `Written` header | it does not |
//! | 400 without one, from one that never sent one | perhaps not: the batch is tried as 1.0 |
//!
//! A fallback holds for an hour; then 2.0 is tried once more, so that a receiver that was renewed
//! is found. A new configuration of the route has it tried at once, and so has a restart.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::remote_write::message::ProtobufMessage;

/// How long 1.0 is sent before 2.0 is tried once more.
const FALLBACK: Duration = Duration::from_hours(1);

/// What a route has learnt of its receiver; all of its lanes share it.
#[derive(Debug, Default)]
pub(super) struct Negotiation {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Whether the receiver ever sent a `Written` header.
    knows_v2: bool,
    falls_back_until: Option<Instant>,
}

impl Negotiation {
    /// The message to send next, where the configuration says `configured`.
    pub(super) fn message(&self, configured: ProtobufMessage) -> ProtobufMessage {
        self.message_at(configured, Instant::now())
    }

    /// The same at this time.
    pub(super) fn message_at(&self, configured: ProtobufMessage, now: Instant) -> ProtobufMessage {
        let until = self.state().falls_back_until;
        if until.is_some_and(|until| now < until) {
            ProtobufMessage::V1
        } else {
            configured
        }
    }

    /// Whether the receiver ever showed that it knows 2.0.
    pub(super) fn knows_v2(&self) -> bool {
        self.state().knows_v2
    }

    /// The receiver sent a `Written` header.
    pub(super) fn confirm(&self) {
        *self.state() = State {
            knows_v2: true,
            falls_back_until: None,
        };
    }

    /// The receiver does not know 2.0. Answers whether that is news.
    pub(super) fn fall_back(&self) -> bool {
        let mut state = self.state();
        let is_news = state.falls_back_until.is_none();
        *state = State {
            knows_v2: false,
            falls_back_until: Some(Instant::now() + FALLBACK),
        };
        is_news
    }

    /// Forgets everything: the receiver may be another one.
    pub(super) fn restart(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is replaced as a whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
