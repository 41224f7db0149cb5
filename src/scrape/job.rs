//! A job as it runs: its configuration compiled, its HTTP client, its counters.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;

use super::StartError;
use super::config::JobConfig;
use super::error::ScrapeError;
use super::fetch::{Fetched, Fetcher, LARGE_BODIES_MAX};
use super::metadata::Book;
use super::metrics::JobMetrics;
use super::outlet::Outlet;
use super::target::Target;
use crate::http::client::Client;
use crate::relabel::Rules;
use crate::route::Router;
use crate::telemetry::Registry;

/// What all jobs share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) outlet: Outlet,
    pub(super) book: Book,
    /// Bodies that are worked on at the same time.
    pub(super) processors: Semaphore,
    pub(super) large_bodies: Arc<Semaphore>,
    pub(super) registry: Registry,
}

impl Shared {
    pub(super) fn new(router: Arc<Router>, registry: Registry) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            outlet: Outlet::new(router),
            book: Book::default(),
            processors: Semaphore::new(processors),
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES_MAX)),
            registry,
        }
    }
}

/// A job of the configuration in force.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) config: JobConfig,
    /// `relabel_configs`: which targets, with which labels.
    pub(super) target_rules: Rules,
    /// `metric_relabel_configs`: which series, with which labels.
    pub(super) metric_rules: Rules,
    fetcher: Fetcher,
    pub(super) metrics: JobMetrics,
    /// How many targets there are.
    targets: AtomicU64,
}

impl Job {
    /// Compiles `config`. Names of files begin at `base_directory`.
    pub(super) fn start(
        config: &JobConfig,
        base_directory: &Path,
        shared: &Shared,
    ) -> Result<Self, StartError> {
        let client = config.client.build(base_directory);
        let client = client.map_err(|source| StartError::Client {
            job: config.job_name.clone(),
            source,
        })?;
        Ok(Self::new(config.clone(), client, shared))
    }

    fn new(config: JobConfig, client: Client, shared: &Shared) -> Self {
        let large_bodies = Arc::clone(&shared.large_bodies);
        Self {
            target_rules: Rules::compile(&config.relabel_configs),
            metric_rules: Rules::compile(&config.metric_relabel_configs),
            fetcher: Fetcher::new(client, &config, large_bodies),
            metrics: JobMetrics::new(&shared.registry, &config.job_name),
            targets: AtomicU64::new(0),
            config,
        }
    }

    /// Fetches what a target exposes, if the job may.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; nothing else has happened.
    pub(super) async fn fetch(&self, target: &Target) -> Result<Fetched, ScrapeError> {
        self.check_target_limit()?;
        let url = target.url.as_ref();
        let url = url.map_err(|text| ScrapeError::Url(text.clone()))?;
        self.fetcher.fetch(url, target.timeout).await
    }

    pub(super) fn set_targets(&self, targets: usize) {
        self.targets.store(targets as u64, Ordering::Relaxed);
    }

    /// An error for every target of the job if there are more than `target_limit`.
    fn check_target_limit(&self) -> Result<(), ScrapeError> {
        let targets = self.targets.load(Ordering::Relaxed);
        let limit = self.config.limits.targets;
        if limit > 0 && targets > limit {
            return Err(ScrapeError::TargetLimit { targets, limit });
        }
        Ok(())
    }
}
