//! Routing: which series go to which route, decided in one pass for all routes.
//!
//! Guarantees: a request is routed as a whole or refused as a whole; everything adds up (for every
//! route, received = kept + dropped by rule); samples of one series stay in the order in which they
//! came. The cost of a series does not grow with the number of routes that drop it.
//!
//! [`router`] is where to begin reading; [`verdict`] is what makes it fast.

pub mod config;
mod delivery;
mod key;
mod metrics;
mod notes;
mod outbox;
mod request;
mod router;
mod verdict;
mod worker;

#[cfg(test)]
mod tests;

pub use config::{Config, VerdictConfig};
pub use delivery::{CommitError, Delivery};
pub use metrics::RouterMetrics;
pub use request::Request;
pub use router::{Route, Router};
