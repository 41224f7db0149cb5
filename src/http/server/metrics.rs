//! What a listener counts: connections, and what was refused, by reason.

use std::sync::Arc;

use metrics::{Counter, Gauge};

use crate::telemetry::{RateLimit, Registry};

/// Why a connection was closed before its client was done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    Connections,
    PeerConnections,
    PushedOut,
    SlowBody,
    HandshakeTimeout,
    Handshake,
    HeaderTimeout,
    BodyTimeout,
    WriteTimeout,
    Idle,
    Malformed,
}

/// Why a request was not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Unauthorized,
    Authentication,
    Requests,
    RequestRate,
    ByteRate,
}

const CLOSED: [(Closed, &str); 11] = [
    (Closed::Connections, "connections"),
    (Closed::PeerConnections, "peer_connections"),
    (Closed::PushedOut, "pushed_out"),
    (Closed::SlowBody, "slow_body"),
    (Closed::HandshakeTimeout, "handshake_timeout"),
    (Closed::Handshake, "handshake"),
    (Closed::HeaderTimeout, "header_timeout"),
    (Closed::BodyTimeout, "body_timeout"),
    (Closed::WriteTimeout, "write_timeout"),
    (Closed::Idle, "idle"),
    (Closed::Malformed, "malformed"),
];
const REFUSED: [(Refused, &str); 5] = [
    (Refused::Unauthorized, "unauthorized"),
    (Refused::Authentication, "authentication"),
    (Refused::Requests, "requests"),
    (Refused::RequestRate, "request_rate"),
    (Refused::ByteRate, "byte_rate"),
];

/// Handles of a listener's metrics. The default counts for nobody.
#[derive(Clone, Debug)]
pub struct ListenerMetrics(Arc<Handles>);

#[derive(Debug)]
struct Handles {
    listener: String,
    open: Gauge,
    opened: Counter,
    threads: Gauge,
    closed: [Counter; CLOSED.len()],
    refused: [Counter; REFUSED.len()],
    not_accepted: RateLimit,
    refusals_logged: RateLimit,
}

/// An open connection, as the gauge counts it.
#[derive(Debug)]
pub(super) struct Open(Gauge);

impl ListenerMetrics {
    /// Registers the metrics of the listener that is called so: `writes`, `admin`.
    #[must_use]
    pub fn new(registry: &Registry, listener: &str) -> Self {
        let by_reason = |name, help, reason| {
            registry.counter(name, help, &[("listener", listener), ("reason", reason)])
        };
        Self(Arc::new(Handles {
            listener: listener.to_owned(),
            open: registry.gauge(
                "promrelay_http_connections",
                "Connections that are open.",
                &[("listener", listener)],
            ),
            opened: registry.counter(
                "promrelay_http_connections_total",
                "Connections that were taken.",
                &[("listener", listener)],
            ),
            threads: registry.gauge(
                "promrelay_http_threads",
                "Threads that serve connections: one while that is enough.",
                &[("listener", listener)],
            ),
            closed: CLOSED.map(|(_, reason)| {
                by_reason(
                    "promrelay_http_closed_connections_total",
                    "Connections that the relay refused or closed, by reason.",
                    reason,
                )
            }),
            refused: REFUSED.map(|(_, reason)| {
                by_reason(
                    "promrelay_http_refused_requests_total",
                    "Requests that were refused before anybody looked into them, by reason.",
                    reason,
                )
            }),
            not_accepted: RateLimit::default(),
            refusals_logged: RateLimit::default(),
        }))
    }

    pub(super) fn opened(&self) -> Open {
        self.0.opened.increment(1);
        self.0.open.increment(1.0);
        Open(self.0.open.clone())
    }

    /// How many threads serve.
    pub(super) fn threads(&self) -> Gauge {
        self.0.threads.clone()
    }

    pub(super) fn closed(&self, reason: Closed) {
        let mut all = CLOSED.iter().zip(&self.0.closed);
        if let Some((_, counter)) = all.find(|((known, _), _)| *known == reason) {
            counter.increment(1);
        }
    }

    pub(super) fn refused(&self, reason: Refused) {
        let mut all = REFUSED.iter().zip(&self.0.refused);
        let Some(((_, reason), counter)) = all.find(|((known, _), _)| *known == reason) else {
            return;
        };
        counter.increment(1);
        if let Some(suppressed) = self.0.refusals_logged.permit() {
            let listener = &self.0.listener;
            tracing::warn!(listener, reason, suppressed, "refused a request");
        }
    }

    pub(super) fn cannot_accept(&self, error: &std::io::Error) {
        if let Some(suppressed) = self.0.not_accepted.permit() {
            let listener = &self.0.listener;
            tracing::error!(listener, %error, suppressed, "cannot accept connections");
        }
    }
}

impl Default for ListenerMetrics {
    fn default() -> Self {
        Self(Arc::new(Handles {
            listener: String::new(),
            open: Gauge::noop(),
            opened: Counter::noop(),
            threads: Gauge::noop(),
            closed: CLOSED.map(|_| Counter::noop()),
            refused: REFUSED.map(|_| Counter::noop()),
            not_accepted: RateLimit::default(),
            refusals_logged: RateLimit::default(),
        }))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
