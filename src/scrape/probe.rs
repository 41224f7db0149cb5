//! Trying each target once, for `promrelay check --scrape`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout};

use super::StartError;
use super::cache::Cache;
use super::config::JobConfig;
use super::cycle::milliseconds;
use super::intake;
use super::job::{Job, Shared};
use super::target::{self, Target, Verdict};
use super::turn::Context;
use crate::remote_write::v1;
use crate::route::{Router, RouterMetrics};
use crate::send::families::Families;
use crate::telemetry::{Registry, causes};

/// How long discovery may take to find something.
const DISCOVERY: Duration = Duration::from_secs(10);
/// Targets that are tried at the same time.
const TRIED_AT_ONCE: usize = 16;

/// What came of trying a target, or of looking for targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The job's name.
    pub job: String,
    /// The target's URL; empty if there is no target.
    pub url: String,
    /// How many samples it exposes and how many relabelling keeps; or what went wrong.
    pub outcome: Result<(u64, u64), String>,
}

/// Looks for the targets of all jobs and scrapes each once. Nothing is stored.
///
/// # Errors
/// If a job's HTTP client or discovery cannot be set up.
pub async fn probe(configs: &[JobConfig], directory: &Path) -> Result<Vec<Probe>, StartError> {
    let registry = Registry::new();
    let limits = v1::Limits {
        labels_per_series: usize::MAX,
        label_name_bytes: usize::MAX,
        label_value_bytes: usize::MAX,
    };
    let metrics = RouterMetrics::new(&registry, std::iter::empty());
    let router = Arc::new(Router::new(
        Vec::new(),
        Vec::new(),
        limits,
        Families::new(&registry),
        metrics,
    ));
    let shared = Arc::new(Shared::new(router, registry));
    let mut probes = Vec::new();
    for config in configs {
        let job = Job::start(config, directory, &shared)?;
        let discovery = super::start_discovery(config, directory, &shared.registry)?;
        let mut groups = discovery.targets();
        let found = timeout(DISCOVERY, groups.wait_for(|groups| !groups.is_empty()));
        drop(found.await);
        let groups = Arc::clone(&groups.borrow());
        let verdicts = groups
            .iter()
            .flat_map(|group| target::from_group(group, config, &job.target_rules));
        let (mut targets, mut of_job) = (Vec::new(), Vec::new());
        for verdict in verdicts {
            match verdict {
                Ok(Verdict::Active(target)) => targets.push(target),
                Ok(Verdict::Dropped(_)) => {}
                Err(error) => of_job.push(failed(config, "", error.to_string())),
            }
        }
        if targets.is_empty() && of_job.is_empty() {
            of_job.push(failed(config, "", "no targets were found".to_owned()));
        }
        let job = Arc::new(job);
        let tried = targets
            .into_iter()
            .map(|target| try_target(Arc::clone(&job), target, Arc::clone(&shared)));
        let tried = stream::iter(tried).buffered(TRIED_AT_ONCE);
        of_job.extend(tried.collect::<Vec<_>>().await);
        probes.extend(of_job);
        discovery.stop().await;
    }
    Ok(probes)
}

async fn try_target(job: Arc<Job>, target: Target, shared: Arc<Shared>) -> Probe {
    let started = Instant::now();
    let fetched = job.fetch(&target).await;
    let (router, _token) = shared.outlet.take();
    let work = tokio::task::spawn_blocking(move || {
        let context = Context {
            job: &job,
            target: &target,
            book: &shared.book,
            router: &router,
            time_ms: milliseconds(SystemTime::now()),
            started,
        };
        let taken = intake::take(context, &mut Cache::new(&target.labels), fetched);
        let outcome = match taken.error {
            None => Ok((taken.counts.scraped, taken.counts.kept)),
            Some(error) => Err(causes(&error)),
        };
        Probe {
            job: job.config.job_name.clone(),
            url: target.shown_url().to_owned(),
            outcome,
        }
    });
    work.await.expect("taking a body does not panic")
}

fn failed(config: &JobConfig, url: &str, error: String) -> Probe {
    Probe {
        job: config.job_name.clone(),
        url: url.to_owned(),
        outcome: Err(error),
    }
}
