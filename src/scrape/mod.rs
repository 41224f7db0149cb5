//! Scraping: fetching from targets what they expose, as Prometheus would, on the path that received
//! samples take.
//!
//! Guarantees:
//!
//! 1. A block of `scrape_configs` that is moved here from Prometheus gives the same series: the
//!    same targets, labels, timestamps to within a scrape, and staleness markers.
//! 2. A body is taken as a whole or not at all, and the scrapes of a target are stored in order;
//!    one of more than 512 KiB encoded is stored in pieces, and a queue can take the first only.
//! 3. A target costs only itself: one task, one request in flight, a bound on its time and bytes.
//! 4. Nothing piles up: what a full queue does not take is counted, and the next scrape is made.
//!    Nobody waits for a scrape's samples to be on disk, so they may be 100 ms late there; a crash
//!    takes no more than that.
//! 5. Each series that ends is told ended once: gone from a scrape, its target failing, its target
//!    gone, its job gone from the configuration, promrelay stopping. A series with timestamps of
//!    its own is not, unless `track_timestamps_staleness`.
//!
//! | failure | samples | series of the target | `up` |
//! |---|---|---|---|
//! | no connection, reset, timeout, status other than 200, redirects without end | none | end | 0 |
//! | body over `body_size_limit`, or over 256 MiB without one | none | end | 0 |
//! | content type unknown and no `fallback_scrape_protocol` | none | end | 0 |
//! | a line that cannot be parsed, a label name twice, no metric name | none | end | 0 |
//! | `sample_limit`, `label_limit` and the like | none | end | 0 |
//! | `target_limit` | none, nothing is fetched | end | 0 |
//! | empty body | none | end | 1 |
//! | the same series twice | the first | go on | 1 |
//! | timestamp more than ten minutes ahead | without that one | go on | 1 |
//! | timestamp before that of the sample before | without that one | go on | 1 |
//! | a queue is full | not stored, counted | end when they are gone next time | not stored |
//!
//! Where this differs from Prometheus: after a body that fails half way, Prometheus tells the end
//! only of the series that stood behind the mistake; here all end, since none got a sample. A
//! target that comes back takes its series over, where Prometheus relies on its storage to refuse
//! markers that come too late. On shutdown series end, where Prometheus tells nothing. Without
//! `body_size_limit` a body is still bounded.
//!
//! Reading starts at [`pool`] (which targets), goes on with [`cycle`] (when) and [`intake`] (what).

mod blocks;
mod cache;
pub mod config;
mod cycle;
mod encode;
mod error;
mod families;
mod fetch;
mod hashes;
mod history;
mod intake;
mod job;
mod label;
mod metadata;
mod metrics;
mod outlet;
mod pool;
mod probe;
mod protocol;
mod report;
mod selector;
mod status;
mod target;
mod targets;
mod turn;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;
use thiserror::Error;

pub use config::{Defaults, JobConfig, Limits, ScrapeConfig};
pub use probe::{Probe, probe};
pub use protocol::{Escaping, Protocol};
pub use selector::{InvalidSelector, Selector};
pub use targets::{TargetState, Targets};

use crate::discovery::{self, Discovery};
use crate::http::client::BuildError;
use crate::route::Router;
use crate::telemetry::Registry;
use job::{Job, Shared};
use pool::Pool;

/// Why scraping did not start; then nothing has changed.
#[derive(Debug, Error)]
pub enum StartError {
    /// A job's HTTP client cannot be set up.
    #[error("cannot set up the HTTP client of job {job}")]
    Client {
        /// The job's name.
        job: String,
        /// Why.
        #[source]
        source: BuildError,
    },
    /// A job's discovery cannot be set up.
    #[error("cannot set up the discovery of job {job}")]
    Discovery {
        /// The job's name.
        job: String,
        /// Why.
        #[source]
        source: discovery::StartError,
    },
}

/// All jobs of the configuration in force.
#[derive(Debug)]
pub struct Scraper {
    shared: Arc<Shared>,
    pools: BTreeMap<String, Pool>,
    targets: Targets,
}

/// A job that has not begun to work, or goes on changed.
#[derive(Debug)]
struct Recruit {
    job: Arc<Job>,
    /// `None` if the discovery at work goes on.
    discovery: Option<Discovery>,
}

impl Scraper {
    /// Scrapes nothing yet. Samples will go to `router`.
    #[must_use]
    pub fn new(router: Arc<Router>, registry: &Registry) -> Self {
        Self {
            shared: Arc::new(Shared::new(router, registry.clone())),
            pools: BTreeMap::new(),
            targets: Targets::default(),
        }
    }

    /// Sets up what another configuration needs, and changes nothing. Names of files begin at
    /// `base_directory`.
    ///
    /// # Errors
    /// If a job's client or discovery cannot be set up.
    pub fn prepare(
        &self,
        configs: &[JobConfig],
        base_directory: &Path,
    ) -> Result<Preparation, StartError> {
        let mut recruits = Vec::new();
        for config in configs {
            let recruit = self.recruit(config, base_directory)?;
            recruits.push((config.job_name.clone(), recruit));
        }
        Ok(Preparation { recruits })
    }

    /// Goes on with what was prepared and with `router`. Returns when nothing uses the router
    /// before any more. Jobs and targets that stay as they were are not disturbed.
    pub async fn reload(&mut self, preparation: Preparation, router: Arc<Router>) {
        let recruits = preparation.recruits;
        let is_gone = |name: &String, _: &mut Pool| recruits.iter().all(|(kept, _)| kept != name);
        let gone: Vec<_> = self.pools.extract_if(.., is_gone).collect();
        join_all(gone.into_iter().map(|(_, pool)| pool.stop())).await;
        self.shared.outlet.replace(router).await;
        let recruits = recruits.into_iter();
        let mut recruits: BTreeMap<_, _> = recruits
            .filter_map(|(name, recruit)| Some((name, recruit?)))
            .collect();
        let reload = |(name, pool)| {
            let Recruit { job, discovery } = recruits.remove(name)?;
            Some(Pool::reload(pool, job, discovery))
        };
        // Together: each may wait for the first targets of its discovery.
        let reloads: Vec<_> = self.pools.iter_mut().filter_map(reload).collect();
        join_all(reloads).await;
        for (name, Recruit { job, discovery }) in recruits {
            if let Some(discovery) = discovery {
                let shared = Arc::clone(&self.shared);
                self.pools.insert(name, Pool::start(job, discovery, shared));
            }
        }
        let views = self.pools.values().map(|pool| Arc::clone(pool.view()));
        self.targets.show(views.collect());
    }

    /// The targets, for whoever asks.
    #[must_use]
    pub fn targets(&self) -> Targets {
        self.targets.clone()
    }

    /// Ends all scrapes and tells the ends of all series.
    pub async fn stop(&mut self) {
        let pools = std::mem::take(&mut self.pools);
        join_all(pools.into_values().map(Pool::stop)).await;
    }

    /// `None` if the job goes on as it is.
    fn recruit(
        &self,
        config: &JobConfig,
        base_directory: &Path,
    ) -> Result<Option<Recruit>, StartError> {
        let running = self.pools.get(&config.job_name).and_then(Pool::job);
        if running.as_ref().is_some_and(|job| job.config == *config) {
            return Ok(None);
        }
        let keeps_discovery = running.is_some_and(|job| job.config.discovery == config.discovery);
        let discovery = if keeps_discovery {
            None
        } else {
            let registry = &self.shared.registry;
            Some(start_discovery(config, base_directory, registry)?)
        };
        let job = Arc::new(Job::start(config, base_directory, &self.shared)?);
        Ok(Some(Recruit { job, discovery }))
    }
}

/// Another configuration, set up and not yet in force.
#[derive(Debug)]
pub struct Preparation {
    recruits: Vec<(String, Option<Recruit>)>,
}

fn start_discovery(
    config: &JobConfig,
    base_directory: &Path,
    registry: &Registry,
) -> Result<Discovery, StartError> {
    let name = &config.job_name;
    let started = Discovery::start(name, &config.discovery, base_directory, registry);
    started.map_err(|source| StartError::Discovery {
        job: name.clone(),
        source,
    })
}
