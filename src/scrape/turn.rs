//! What one turn of a target works with, and what it comes to.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::cache::Success;
use super::error::ScrapeError;
use super::job::Job;
use super::metadata::{Book, Families};
use super::target::Target;
use crate::route::{Delivery, Router};

/// What is scraped, and with what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'c> {
    pub(super) job: &'c Job,
    pub(super) target: &'c Target,
    pub(super) book: &'c Book,
    pub(super) router: &'c Arc<Router>,
    /// The time of the scrape, in milliseconds since 1970.
    pub(super) time_ms: i64,
    pub(super) started: Instant,
}

/// What a scrape comes to.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) success: Success,
    pub(super) error: Option<ScrapeError>,
    pub(super) counts: Counts,
    pub(super) duration: Duration,
    /// What the target says of its metrics, if it is not what it said before.
    pub(super) families: Option<Families>,
}

/// What is counted of a body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Samples in the body.
    pub(super) scraped: u64,
    /// Those that relabelling keeps.
    pub(super) kept: u64,
    /// Series that were not there before.
    pub(super) series_added: u64,
    /// Samples of a series that had one already.
    pub(super) duplicates: u64,
    /// Samples whose own timestamps are in the future.
    pub(super) out_of_bounds: u64,
    /// Samples that come after later ones of their series.
    pub(super) out_of_order: u64,
    /// Decompressed; -1 if it was over the limit.
    pub(super) body_bytes: i64,
}
