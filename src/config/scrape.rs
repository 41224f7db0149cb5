//! From `global` and `scrape_configs` to jobs: the checks of several keys together.

use std::collections::BTreeSet;

use super::file::{File, Global};
use super::routes::{note, value_at};
use super::typed::Findings;
use super::yaml::Node;
use crate::http::client::WithClient;
use crate::scrape::{Defaults, JobConfig, Limits, Protocol, ScrapeConfig};
use crate::settings::Duration;

const SCRAPE_INTERVAL: Duration = Duration::from_millis(60_000);
const SCRAPE_TIMEOUT: Duration = Duration::from_millis(10_000);

/// Turns entries into jobs and notes what is wrong with them.
pub(super) fn build(file: &File, root: &Node, findings: &Findings) -> Vec<JobConfig> {
    let defaults = defaults(&file.global, root, findings);
    let nodes = value_at(root, &["scrape_configs"]).elements().iter();
    let nodes: Vec<_> = nodes.filter(|node| findings.reads(node)).collect();
    let mut names = BTreeSet::new();
    let mut jobs = Vec::new();
    for (WithClient { own: entry, client }, node) in file.scrape_configs.iter().zip(nodes) {
        let name = entry.job_name.as_str();
        if name.is_empty() {
            note(
                findings,
                node,
                &["job_name"],
                "job_name is empty".to_owned(),
            );
        } else if !names.insert(name) {
            let message = format!("found multiple scrape configs with job name {name:?}");
            note(findings, node, &["job_name"], message);
        }
        check_protocols(entry.scrape_protocols.as_deref(), node, findings);
        let job = entry.clone().resolve(client.clone(), &defaults);
        check_times(&job, entry, node, findings);
        jobs.push(job);
    }
    jobs
}

fn defaults(global: &Global, root: &Node, findings: &Findings) -> Defaults {
    let zero = Duration::default();
    let interval = global.scrape_interval.filter(|interval| *interval > zero);
    let interval = interval.unwrap_or(SCRAPE_INTERVAL);
    let timeout = global.scrape_timeout.filter(|timeout| *timeout > zero);
    if timeout.is_some_and(|timeout| timeout > interval) {
        let message = "global scrape timeout greater than scrape interval".to_owned();
        note(findings, root, &["global", "scrape_timeout"], message);
    }
    let node = value_at(root, &["global"]);
    check_protocols(global.scrape_protocols.as_deref(), node, findings);
    Defaults {
        scrape_interval: interval,
        scrape_timeout: timeout.unwrap_or(SCRAPE_TIMEOUT.min(interval)),
        scrape_protocols: global.scrape_protocols.clone(),
        metric_name_escaping_scheme: global.metric_name_escaping_scheme,
        scrape_native_histograms: global.scrape_native_histograms,
        always_scrape_classic_histograms: global.always_scrape_classic_histograms,
        extra_scrape_metrics: global.extra_scrape_metrics,
        limits: Limits {
            body_size: global.body_size_limit,
            samples: global.sample_limit,
            labels: global.label_limit,
            label_name_length: global.label_name_length_limit,
            label_value_length: global.label_value_length_limit,
            targets: global.target_limit,
            keep_dropped_targets: global.keep_dropped_targets,
        },
    }
}

fn check_times(job: &JobConfig, entry: &ScrapeConfig, node: &Node, findings: &Findings) {
    if job.scrape_timeout > job.scrape_interval {
        let message = format!(
            "scrape timeout greater than scrape interval for scrape config with job name {:?}",
            job.job_name
        );
        let key = match entry.scrape_timeout {
            Some(_) => "scrape_timeout",
            None => "scrape_interval",
        };
        note(findings, node, &[key], message);
    }
}

fn check_protocols(protocols: Option<&[Protocol]>, node: &Node, findings: &Findings) {
    let Some(protocols) = protocols else {
        return;
    };
    let repeated = |(at, protocol): (usize, &Protocol)| {
        protocols.iter().take(at).any(|before| before == protocol)
    };
    let message = if protocols.is_empty() {
        "scrape_protocols cannot be empty"
    } else if protocols.iter().enumerate().any(repeated) {
        "duplicated protocol in scrape_protocols"
    } else {
        return;
    };
    note(findings, node, &["scrape_protocols"], message.to_owned());
}
