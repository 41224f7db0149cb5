//! Bounds of a listener, with their defaults.

use std::time::Duration;

/// What strangers may take of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: usize,
    /// Of these from one address; the addresses of one IPv6 network of 64 bits count as one.
    pub connections_per_peer: usize,
    /// Requests in hand at the same time, until their answers were taken.
    pub requests: usize,
    /// How long a handshake may take, a request's headers, and a new connection to begin with
    /// either.
    pub header_time: Duration,
    /// How long a request's body may take.
    pub body_time: Duration,
    /// How long a connection may do nothing between requests.
    pub idle_time: Duration,
    /// How long a client may leave what is written to it unread. An answer as a whole may take
    /// four times that.
    pub write_time: Duration,
    /// Headers of one request, in bytes.
    pub header_bytes: u32,
    /// Streams of one HTTP/2 connection at the same time.
    pub http2_streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_peer: 512,
            requests: 256,
            header_time: Duration::from_secs(10),
            body_time: Duration::from_mins(5),
            idle_time: Duration::from_mins(2),
            write_time: Duration::from_secs(15),
            header_bytes: 64 * 1024,
            http2_streams: 32,
        }
    }
}

impl Limits {
    /// How long an answer may take to be read.
    pub(super) fn answer_time(&self) -> Duration {
        self.write_time.saturating_mul(4)
    }
}
