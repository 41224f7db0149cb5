//! The routes that run: for each a queue and a sender, known by the route's name.
//!
//! A configuration is applied in two steps, so that a mistake in its last route leaves the first
//! as it was: everything that can fail is made first, then what was made is put to work.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::member::{Member, Recruit};
use super::metrics::{JournalMetrics, QueueMetrics, Taken};
use super::orphans::Orphans;
use crate::config::Config;
use crate::http::client::BuildError;
use crate::queue::Journal;
use crate::relabel::Rules;
use crate::remote_write::v1::Limits;
use crate::route::{self, Route, Router, RouterMetrics};
use crate::send::families::{Families, Interest};
use crate::send::{Endpoint, SendMetrics, Sender};
use crate::store::{Command, Contents, Listed, RouteStore, Storage, StoreError};
use crate::telemetry::{Registry, causes};

/// What a route that the configuration no longer has gets to finish its requests: a reload waits
/// for it, and its receiver may never answer.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a configuration was not applied.
#[derive(Debug, Error)]
pub enum FleetError {
    /// A queue cannot be opened.
    #[error("cannot open the store of a route")]
    Store(#[from] StoreError),
    /// A route's HTTP client cannot be set up.
    #[error("cannot set up the sender of route {route}")]
    Sender {
        /// The route's name.
        route: String,
        /// Why.
        #[source]
        source: BuildError,
    },
}

/// The routes of the configuration in force.
#[derive(Debug)]
pub(super) struct Fleet {
    storage_path: PathBuf,
    registry: Registry,
    /// What is known of metric families stays known, whatever the routes are.
    families: Arc<Families>,
    members: BTreeMap<Arc<str>, Member>,
    /// Of members and of those that were: what a queue holds stays true while nobody has it open.
    metrics: BTreeMap<Arc<str>, QueueMetrics>,
    /// Members that the configuration no longer has; see [`Fleet::retire`].
    retired: Vec<(Arc<str>, Member)>,
    orphans: Orphans,
    journal_metrics: JournalMetrics,
    /// Where the queues' records become durable. `None` when it was stopped.
    journal: Option<Arc<Journal>>,
}

impl Fleet {
    pub(super) fn new(storage_path: PathBuf, journal: Journal, registry: Registry) -> Self {
        Self {
            storage_path,
            journal: Some(Arc::new(journal)),
            journal_metrics: JournalMetrics::new(&registry),
            orphans: Orphans::new(registry.clone()),
            families: Families::new(&registry),
            registry,
            members: BTreeMap::new(),
            metrics: BTreeMap::new(),
            retired: Vec::new(),
        }
    }

    /// Puts the routes of `config` to work and returns a router for them. Members that are no
    /// longer wanted go on until [`Fleet::retire`], because requests in hand may still need them.
    pub(super) async fn apply(&mut self, config: &Config) -> Result<Arc<Router>, FleetError> {
        // A member that left can come back; its queue must not be opened twice.
        let retired = std::mem::take(&mut self.retired);
        self.dismiss(retired, Some(FAREWELL)).await;
        let mut recruits = Vec::new();
        for route in &config.routes {
            recruits.push(self.recruit(route).await?);
        }
        let wanted: Vec<_> = recruits
            .iter()
            .map(|recruit| Arc::clone(&recruit.name))
            .collect();
        for recruit in recruits {
            self.put_to_work(recruit);
        }
        let leaving = self
            .members
            .extract_if(.., |name, _| !wanted.contains(name));
        self.retired.extend(leaving);
        Ok(self.router(config))
    }

    /// Stops the members that the last configuration left out. Their queues stay on disk.
    pub(super) async fn retire(&mut self) {
        let retired = std::mem::take(&mut self.retired);
        self.dismiss(retired, Some(FAREWELL)).await;
        self.find_orphans(None).await;
    }

    /// Stops all members, at the same time.
    pub(super) async fn stop(&mut self) {
        let retired = std::mem::take(&mut self.retired);
        let members = std::mem::take(&mut self.members).into_iter();
        self.dismiss(retired.into_iter().chain(members), None).await;
    }

    /// Gives the storage directory back, once everything has stopped.
    pub(super) fn release(&mut self) {
        self.journal = None;
    }

    async fn dismiss(
        &mut self,
        members: impl IntoIterator<Item = (Arc<str>, Member)>,
        patience: Option<Duration>,
    ) {
        let members = members.into_iter();
        let stop = members.map(|(name, member)| member.stop(name, patience));
        for (name, store) in join_all(stop).await {
            if let Some(metrics) = self.metrics.get_mut(&name) {
                metrics.refresh(&store);
            }
        }
    }

    /// The storage directory as it is now, to carry out a command on while the fleet goes on.
    /// Until that is done no configuration may be applied, and no other command begin.
    pub(super) fn storage(&self, stop: CancellationToken) -> Storage {
        let journal = self.journal.clone();
        Storage::beside_relay(self.storage_path.clone(), self.running(), journal, stop)
    }

    /// What every queue on disk holds; of those that no route has, when somebody last looked.
    pub(super) fn list(&self) -> Vec<Listed> {
        let running = self.at_work().map(|(name, member)| Listed {
            route: name.to_string(),
            running: true,
            suspended_by: member.sender.suspended_by(),
            contents: Ok(member.store.contents()),
        });
        let mut listed: Vec<_> = running.collect();
        listed.extend_from_slice(self.orphans.listed());
        listed.sort_unstable_by(|left, right| left.route.cmp(&right.route));
        listed
    }

    /// Takes note of what a command did on `storage`, whether or not it came to its end.
    pub(super) async fn account(&mut self, command: &Command, storage: &Storage) {
        let (taken_from, put_into) = match command {
            Command::List {} | Command::Show { .. } => return,
            Command::Replay { route, .. } => (None, Some(route)),
            Command::Purge { route, .. } => (Some((route, Taken::Purged)), None),
            Command::Move { from, to } => (Some((from, Taken::Moved)), Some(to)),
        };
        if let Some(metrics) = put_into.and_then(|route| self.metrics.get_mut(route.as_str())) {
            metrics.returned(storage.put());
        }
        self.find_orphans(taken_from).await;
    }

    /// Looks for queues on disk that no route has. Whatever is in them waits there until the route
    /// comes back or an operator moves or purges it.
    async fn find_orphans(&mut self, taken_from: Option<(&String, Taken)>) {
        let running = self.running();
        let listed = match self.storage(CancellationToken::new()).list().await {
            Ok(listed) => listed,
            Err(error) => {
                let error = causes(&error);
                error!(error, "cannot list the queues that no route has");
                return;
            }
        };
        let left: Vec<_> = listed.into_iter().filter(|queue| !queue.running).collect();
        for (name, metrics) in &mut self.metrics {
            let is_this = |queue: &&Listed| queue.route == **name;
            let taken = taken_from.filter(|(route, _)| **route == **name);
            let taken = taken.map(|(_, taken)| taken);
            let nothing = Ok(Contents::default());
            let contents = left
                .iter()
                .find(is_this)
                .map_or(&nothing, |queue| &queue.contents);
            match contents {
                _ if running.contains_key(&**name) => {}
                Ok(contents) => metrics.found(contents, taken),
                Err(_reported) => {}
            }
        }
        self.orphans.found(left);
    }

    fn running(&self) -> BTreeMap<String, RouteStore> {
        self.at_work()
            .map(|(name, member)| (name.to_string(), member.store.clone()))
            .collect()
    }

    /// The members whose stores are open.
    fn at_work(&self) -> impl Iterator<Item = (&Arc<str>, &Member)> {
        let retired = self.retired.iter().map(|(name, member)| (name, member));
        self.members.iter().chain(retired)
    }

    /// Brings the queues' gauges up to date.
    pub(super) fn refresh_metrics(&mut self) {
        if let Some(journal) = &self.journal {
            self.journal_metrics.refresh(journal.stats());
        }
        for (name, member) in &self.members {
            if let Some(metrics) = self.metrics.get_mut(name) {
                metrics.refresh(&member.store);
            }
        }
    }

    /// Drops what is older than a queue's `max_age`.
    pub(super) fn expire(&self, now_ms: i64) {
        for member in self.members.values() {
            member.store.queue.expire(now_ms);
        }
    }

    /// The routes and their queues, for people.
    pub(super) fn status(&self) -> Value {
        let status = |(name, member): (&Arc<str>, &Member)| {
            let stats = member.store.queue.stats();
            let parked = member.store.parking.stats();
            json!({
                "route": name.as_ref(),
                "url": member.config.url.redacted(),
                "protobufMessage": member.sender.message().name(),
                "queuedSamples": stats.queued.weight,
                "queuedRecords": stats.queued.records,
                "queuedBytes": stats.queued.bytes,
                "diskBytes": stats.disk_bytes,
                "oldestMs": stats.oldest_ms,
                "failed": stats.failed,
                "diskFull": stats.disk_full,
                "suspendedBy": member.sender.suspended_by(),
                "parkedBatches": parked.batches,
                "parkedSamples": parked.samples,
                "parkedBytes": parked.bytes,
            })
        };
        Value::Array(self.members.iter().map(status).collect())
    }

    async fn recruit(&self, config: &route::Config) -> Result<Recruit, FleetError> {
        let name: Arc<str> = config.name.as_str().into();
        let at_work = self.members.get(&name);
        let endpoint = if at_work.is_some_and(|member| member.config == config.send) {
            None
        } else {
            let endpoint = Endpoint::new(config.send.clone());
            Some(endpoint.map_err(|source| FleetError::Sender {
                route: config.name.clone(),
                source,
            })?)
        };
        let (options, parked_max_bytes) = (config.queue.clone(), config.parked_max_bytes);
        let store = if at_work.is_some() {
            None
        } else {
            let (storage_path, name) = (self.storage_path.clone(), config.name.clone());
            let opened = options.clone();
            let journal = self.journal.clone();
            let open = move || {
                let journal = journal.as_deref();
                RouteStore::open(&storage_path, &name, opened, parked_max_bytes, journal)
            };
            let opened = tokio::task::spawn_blocking(open).await;
            Some(opened.expect("opening a queue does not panic")?)
        };
        Ok(Recruit {
            name,
            config: config.send.clone(),
            endpoint,
            options,
            parked_max_bytes,
            store,
        })
    }

    fn put_to_work(&mut self, recruit: Recruit) {
        let Recruit {
            name,
            config,
            endpoint,
            options,
            parked_max_bytes,
            store,
        } = recruit;
        if let Some(member) = self.members.get_mut(&name) {
            member.store.queue.set_options(options);
            member.store.parking.set_max_bytes(parked_max_bytes);
            if let Some(endpoint) = endpoint {
                member.sender.reload(endpoint);
                member.config = config;
            }
            return;
        }
        let store = store.expect("a route that is not at work got a queue");
        let endpoint = endpoint.expect("and an endpoint");
        let new_metrics = || QueueMetrics::new(&self.registry, &name);
        let metrics = self.metrics.entry(Arc::clone(&name));
        metrics.or_insert_with(new_metrics).opened(&store);
        let metrics = SendMetrics::new(&self.registry, &name);
        let (queue, parking) = (store.queue.clone(), Arc::clone(&store.parking));
        let sender = Sender::start(
            Arc::clone(&name),
            queue,
            parking,
            endpoint,
            Arc::clone(&self.families),
            metrics,
        );
        let member = Member {
            store,
            sender,
            config,
            interest: (Vec::new(), Arc::new(Interest::everything())),
        };
        self.members.insert(name, member);
    }

    /// What each route keeps is noted anew where its rules change, and goes on otherwise.
    fn set_interests(&mut self, routes: &[route::Config]) {
        for route in routes {
            let Some(member) = self.members.get_mut(route.name.as_str()) else {
                continue;
            };
            let (rules, interest) = &mut member.interest;
            if *rules != route.rules {
                rules.clone_from(&route.rules);
                *interest = Arc::new(Interest::new(&Rules::compile(rules), &self.registry));
            }
            member.sender.set_interest(Arc::clone(interest));
        }
    }

    fn router(&mut self, config: &Config) -> Arc<Router> {
        self.set_interests(&config.routes);
        let route = |config: &route::Config| {
            let (name, member) = self
                .members
                .get_key_value(config.name.as_str())
                .expect("every route of the configuration was put to work");
            Route {
                name: Arc::clone(name),
                rules: Rules::compile(&config.rules),
                lanes: member.sender.lanes(),
                max_samples_per_send: config.send.queue_config.max_samples_per_send,
                payload: config.payload,
                interest: Arc::clone(&member.interest.1),
                queue: member.store.queue.clone(),
            }
        };
        let routes: Vec<_> = config.routes.iter().map(route).collect();
        let metrics = RouterMetrics::new(
            &self.registry,
            routes
                .iter()
                .map(|route| (route.name.as_ref(), &route.rules)),
        );
        let limits = Limits {
            labels_per_series: config.receive.max_labels_per_series,
            label_name_bytes: config.receive.max_label_name_bytes,
            label_value_bytes: config.receive.max_label_value_bytes,
        };
        let external_labels = config.external_labels.clone();
        let families = Arc::clone(&self.families);
        Arc::new(
            Router::new(routes, external_labels, limits, families, metrics)
                .with_verdict_bounds(config.verdicts),
        )
    }
}
