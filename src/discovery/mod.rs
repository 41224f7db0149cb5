//! Finding what to scrape: the mechanisms of Prometheus' service discovery.
//!
//! Each entry of a scrape config's `*_sd_configs` is a provider, a task of its own, which keeps its
//! target groups up to date in a shared map. One more task turns the map into a list and publishes
//! it, at most twice a second. A provider that fails keeps what it found last, and
//! `promrelay_discovery_failures_total` counts it.

mod config;
mod dns;
mod file;
mod glob;
mod groups;
mod http;
mod kubernetes;
mod metrics;
mod publish;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::{Configs, DnsConfig, DnsType, FileConfig, HttpConfig, StaticConfig};
pub use glob::Pattern;
pub use kubernetes::{
    AttachMetadata, KubernetesConfig, KubernetesError, Namespaces, Role, Selector,
};

use crate::http::client::BuildError;
use crate::telemetry::Registry;
use publish::Board;

/// Names and values of labels; what begins with `__meta_` is gone after relabelling.
pub type Labels = BTreeMap<String, String>;

/// The label that holds a target's host and port.
pub const ADDRESS: &str = "__address__";

/// Targets that were discovered together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetGroup {
    /// What the group is within its job: it stays the same while the group's content changes.
    pub source: String,
    /// The labels of each target, `__address__` among them.
    pub targets: Vec<Labels>,
    /// Labels that all of them have, unless a target has its own of that name.
    pub labels: Labels,
}

/// Why a discovery was not started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The HTTP client of an entry of `http_sd_configs`.
    #[error("cannot set up http_sd_configs")]
    Http(#[source] BuildError),
    /// An entry of `kubernetes_sd_configs`.
    #[error("cannot set up kubernetes_sd_configs")]
    Kubernetes(#[from] KubernetesError),
}

/// The running discovery of one scrape config.
#[derive(Debug)]
pub struct Discovery {
    board: Arc<Board>,
    targets: watch::Receiver<Arc<Vec<Arc<TargetGroup>>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Discovery {
    /// Starts all mechanisms of `configs` for the job `job`. Names of files begin at
    /// `base_directory`. What stands in `static_configs` is there at once.
    ///
    /// # Errors
    /// If a mechanism cannot be set up, because of its TLS above all; what a mechanism cannot
    /// reach later is counted and tried again.
    pub fn start(
        job: &str,
        configs: &Configs,
        base_directory: &Path,
        registry: &Registry,
    ) -> Result<Self, StartError> {
        let board = Arc::new(Board::new(job, registry));
        let mut runs: Vec<BoxFuture<'static, ()>> = Vec::new();
        if !configs.static_configs.is_empty() {
            let provider = board.provider("static");
            provider.replace(groups::of_static(&configs.static_configs));
        }
        for config in &configs.file_sd_configs {
            let base = base_directory.to_owned();
            runs.push(Box::pin(file::run(
                config.clone(),
                base,
                board.provider("file"),
            )));
        }
        for config in &configs.http_sd_configs {
            let client = config
                .client
                .build(base_directory)
                .map_err(StartError::Http)?;
            let provider = board.provider("http");
            runs.push(Box::pin(http::run(config.own.clone(), client, provider)));
        }
        for config in &configs.dns_sd_configs {
            let provider = board.provider("dns");
            runs.push(Box::pin(dns::run(config.clone(), Vec::new(), provider)));
        }
        for config in &configs.kubernetes_sd_configs {
            let cluster = kubernetes::Cluster::new(config, base_directory)?;
            let provider = board.provider("kubernetes");
            runs.push(Box::pin(cluster.run(config.own.clone(), provider)));
        }
        let (sender, targets) = watch::channel(board.groups());
        let publisher = Arc::clone(&board);
        runs.push(Box::pin(async move { publisher.publish(&sender).await }));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        for run in runs {
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(run).await });
        }
        tasks.close();
        Ok(Self {
            board,
            targets,
            stop,
            tasks,
        })
    }

    /// All target groups of the job, now and whenever they change. The list is empty until a
    /// mechanism has found something.
    #[must_use]
    pub fn targets(&self) -> watch::Receiver<Arc<Vec<Arc<TargetGroup>>>> {
        self.targets.clone()
    }

    /// Stops all mechanisms and waits for them. Metrics say then that the job has no targets;
    /// whoever goes on with it has to [`count`](Self::count) them.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
        self.board.forget_counts();
    }

    /// Shows in metrics how many targets there are.
    pub fn count(&self) {
        drop(self.board.groups());
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A host and a port in one, as Go joins them.
fn host_port(host: &str, port: impl std::fmt::Display) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
