//! Targets: from the labels that were discovered to an address and the labels of its series.
//!
//! As Prometheus 3 does it: no port is added to an address. In order: the labels of the target,
//! then of its group, then the job's (`job`, `__scrape_interval__`, `__scrape_timeout__`,
//! `__metrics_path__`, `__scheme__`, `__param_*`) where there is none yet; `relabel_configs`;
//! checks; `__meta_*` labels go; `instance` is the address where there is none. What then begins
//! with `__` tells targets apart, and no series has it.

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;
use url::Url;
use xxhash_rust::xxh3::Xxh3;

use super::config::JobConfig;
use super::hashes::hasher;
use crate::discovery::{Labels, TargetGroup};
use crate::model::{Label, LabelSet};
use crate::relabel::{Outcome, Rules, Scratch};
use crate::settings;

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const PARAM_PREFIX: &str = "__param_";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const META_PREFIX: &str = "__meta_";
const RESERVED_PREFIX: &str = "__";
const JOB: &str = "job";
const INSTANCE: &str = "instance";

/// Something to scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// As discovered, with the job's labels, before relabelling.
    pub(super) discovered: Labels,
    /// The labels that its series get, sorted by name.
    pub(super) labels: Vec<(String, String)>,
    /// Where it is scraped; the text that is no URL if it is none.
    pub(super) url: Result<Url, String>,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    /// Of all labels and the URL. Targets with the same one are one target.
    pub(super) hash: u64,
    /// Of the same, but the same in every process: when its turns are.
    turn: u64,
    /// Of `labels`. Targets with the same one have the same series.
    pub(super) labels_hash: u64,
}

/// What a discovered target comes to.
#[derive(Debug)]
pub(super) enum Verdict {
    Active(Target),
    /// `relabel_configs` drop it; these are its labels before.
    Dropped(Labels),
}

/// Why what was discovered is no target, in Prometheus' words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum TargetError {
    #[error("no address")]
    NoAddress,
    #[error("{0:?} is not a valid hostname")]
    Address(String),
    #[error("error parsing scrape interval: {0}")]
    Interval(settings::InvalidDuration),
    #[error("scrape interval cannot be 0")]
    NoInterval,
    #[error("error parsing scrape timeout: {0}")]
    Timeout(settings::InvalidDuration),
    #[error("scrape timeout cannot be 0")]
    NoTimeout,
    #[error("scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?})")]
    TimeoutAboveInterval { timeout: String, interval: String },
}

/// Builds the targets of a group. What is no target is answered with the reason.
pub(super) fn from_group(
    group: &TargetGroup,
    job: &JobConfig,
    rules: &Rules,
) -> Vec<Result<Verdict, TargetError>> {
    let mut scratch = Scratch::default();
    let targets = group.targets.iter();
    targets
        .map(|own| {
            build(
                discovered(own, &group.labels, job),
                job,
                rules,
                &mut scratch,
            )
        })
        .collect()
}

/// The labels before relabelling.
fn discovered(own: &Labels, group: &Labels, job: &JobConfig) -> Labels {
    let mut labels = group.clone();
    labels.extend(
        own.iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    // An empty label is as good as none.
    labels.retain(|_, value| !value.is_empty());
    let mut default = |name: &str, value: String| {
        if !value.is_empty() && !labels.contains_key(name) {
            labels.insert(name.to_owned(), value);
        }
    };
    default(JOB, job.job_name.clone());
    default(INTERVAL, job.scrape_interval.to_string());
    default(TIMEOUT, job.scrape_timeout.to_string());
    default(METRICS_PATH, job.metrics_path.clone());
    default(SCHEME, job.scheme.as_str().to_owned());
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            default(&format!("{PARAM_PREFIX}{name}"), first.clone());
        }
    }
    labels
}

fn build(
    discovered: Labels,
    job: &JobConfig,
    rules: &Rules,
    scratch: &mut Scratch,
) -> Result<Verdict, TargetError> {
    let borrow = |(name, value)| Label { name, value };
    let pairs = discovered.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    let mut set: LabelSet<'_> = pairs.map(borrow).collect();
    if let Outcome::Dropped { .. } = rules.apply(&mut set, scratch) {
        return Ok(Verdict::Dropped(discovered));
    }
    let address = set.get(ADDRESS).to_owned();
    if address.is_empty() {
        return Err(TargetError::NoAddress);
    }
    if address.contains('/') {
        return Err(TargetError::Address(address));
    }
    let (interval, timeout) = check_times(&set)?;
    set.retain(|name| !name.starts_with(META_PREFIX));
    if set.get(INSTANCE).is_empty() {
        set.set(INSTANCE, address);
    }
    let url = url(&set, &job.params);
    let text = url.as_ref().map_or_else(String::as_str, Url::as_str);
    let hash = hash_labels(hasher(), set.iter(), text);
    let turn = hash_labels(Xxh3::new(), set.iter(), text);
    let public = set
        .iter()
        .filter(|label| !label.name.starts_with(RESERVED_PREFIX));
    let labels_hash = hash_labels(hasher(), public.clone(), "");
    let labels = public
        .map(|label| (label.name.to_owned(), label.value.to_owned()))
        .collect();
    drop(set);
    Ok(Verdict::Active(Target {
        discovered,
        labels,
        url,
        interval,
        timeout,
        hash,
        turn,
        labels_hash,
    }))
}

fn check_times(set: &LabelSet<'_>) -> Result<(Duration, Duration), TargetError> {
    let (interval, timeout) = (set.get(INTERVAL), set.get(TIMEOUT));
    let parsed: settings::Duration = interval.parse().map_err(TargetError::Interval)?;
    let interval_parsed: Duration = parsed.into();
    if interval_parsed.is_zero() {
        return Err(TargetError::NoInterval);
    }
    let parsed: settings::Duration = timeout.parse().map_err(TargetError::Timeout)?;
    let timeout_parsed: Duration = parsed.into();
    if timeout_parsed.is_zero() {
        return Err(TargetError::NoTimeout);
    }
    if timeout_parsed > interval_parsed {
        return Err(TargetError::TimeoutAboveInterval {
            timeout: timeout.to_owned(),
            interval: interval.to_owned(),
        });
    }
    Ok((interval_parsed, timeout_parsed))
}

/// Scheme, address and path by their labels; of each parameter, the first value by its label.
fn url(set: &LabelSet<'_>, params: &BTreeMap<String, Vec<String>>) -> Result<Url, String> {
    let (scheme, address) = (set.get(SCHEME), set.get(ADDRESS));
    let text = format!("{scheme}://{address}");
    let Ok(mut url) = Url::parse(&text) else {
        return Err(text);
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(text);
    }
    // A path is text, not an encoded one: what looks like an escape means itself.
    url.set_path(&set.get(METRICS_PATH).replace('%', "%25"));
    let mut query: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, values) in params {
        query.insert(name, values.iter().map(String::as_str).collect());
    }
    for label in set.iter() {
        if let Some(name) = label.name.strip_prefix(PARAM_PREFIX) {
            let values = query.entry(name).or_default();
            match values.first_mut() {
                Some(first) => *first = label.value,
                None => values.push(label.value),
            }
        }
    }
    let pairs = query
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    if pairs.clone().next().is_some() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    Ok(url)
}

fn hash_labels<'l>(mut hash: Xxh3, labels: impl Iterator<Item = Label<'l>>, text: &str) -> u64 {
    let mut write = |text: &str| {
        hash.update(text.as_bytes());
        // No UTF-8 text holds this byte, so that neighbours cannot be mistaken.
        hash.update(&[0xff]);
    };
    for Label { name, value } in labels {
        write(name);
        write(value);
    }
    write(text);
    hash.digest()
}

impl Target {
    /// How long after `since_epoch` (the time of day) the target's next turn comes. Turns are at
    /// the same times whenever it is asked, and whatever was started again in between.
    pub(super) fn offset(&self, since_epoch: Duration) -> Duration {
        let interval = self.interval.as_nanos();
        let into = since_epoch.as_nanos() % interval;
        let turn = u128::from(self.turn) % interval;
        let wait = (interval + turn - into) % interval;
        Duration::from_nanos(u64::try_from(wait).unwrap_or_default())
    }

    /// The URL, for people.
    pub(super) fn shown_url(&self) -> &str {
        self.url.as_ref().map_or_else(String::as_str, Url::as_str)
    }
}
