//! `kubernetes_sd_configs`: targets that Kubernetes' API tells, by list and watch.
//!
//! One watcher for each kind of objects and namespace fills a picture of the cluster; nothing is
//! published until all of them have listed once, so that no target comes without the labels of its
//! pod or service. Changes are gathered for a second. What cannot be reached stays as it was.
//!
//! The API is spoken with promrelay's own HTTP client and types of the few fields that become
//! labels: the usual client library has a second HTTP client, a second YAML reader and types of
//! all of Kubernetes.

mod access;
mod config;
mod endpoints;
mod meta;
mod objects;
mod pod;
mod resources;
mod service;
#[cfg(test)]
mod tests;
mod watch;
mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join, join_all};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

pub use access::KubernetesError;
pub use config::{AttachMetadata, KubernetesConfig, Namespaces, Role, Selector};

use super::publish::Provider;
use crate::http::client::WithClient;
use access::Access;
use objects::{EndpointSlice, Endpoints, Ingress, Namespace, Node, Object, Pod, Service};
use watch::{Event, Watcher};
use world::{Changes, World, apply, source};

/// How long changes are gathered.
const GATHER: Duration = Duration::from_secs(1);
/// Events of one watcher that wait to be taken.
const EVENTS: usize = 64;

/// The cluster of an entry of `kubernetes_sd_configs`.
#[derive(Debug)]
pub(super) struct Cluster {
    access: Access,
}

/// What watchers share.
#[derive(Default)]
struct State {
    world: World,
    /// Objects of the role's own kind that changed.
    changes: Changes,
    /// Whether anything else did, so that every group can be another.
    all: bool,
    /// Watchers that have not listed yet.
    unlisted: usize,
}

#[derive(Clone)]
struct Shared {
    config: Arc<KubernetesConfig>,
    provider: Arc<Provider>,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl Cluster {
    pub(super) fn new(
        config: &WithClient<KubernetesConfig>,
        base_directory: &Path,
    ) -> Result<Self, KubernetesError> {
        Ok(Self {
            access: Access::new(config, base_directory)?,
        })
    }

    /// Keeps the targets up to date; never returns.
    pub(super) async fn run(self, config: KubernetesConfig, provider: Provider) {
        let shared = Shared {
            config: Arc::new(config),
            provider: Arc::new(provider),
            state: Arc::default(),
            changed: Arc::default(),
        };
        let feeds = self.feeds(&shared);
        shared.state.lock().await.unlisted = feeds.len();
        join(join_all(feeds), shared.publish()).await;
    }

    /// The watchers that the role needs.
    fn feeds(&self, shared: &Shared) -> Vec<BoxFuture<'static, ()>> {
        let (role, attach) = (shared.config.role, shared.config.attach_metadata);
        let mut feeds = Vec::new();
        match role {
            Role::Pod => self.add::<Pod>(shared, Role::Pod, &mut feeds),
            Role::Service => self.add::<Service>(shared, Role::Service, &mut feeds),
            Role::Ingress => self.add::<Ingress>(shared, Role::Ingress, &mut feeds),
            Role::Node => self.add_global::<Node>(shared, Some(Role::Node), &mut feeds),
            Role::Endpoints => self.add::<Endpoints>(shared, Role::Endpoints, &mut feeds),
            Role::EndpointSlice => {
                self.add::<EndpointSlice>(shared, Role::EndpointSlice, &mut feeds);
            }
        }
        if matches!(role, Role::Endpoints | Role::EndpointSlice) {
            self.add::<Service>(shared, Role::Service, &mut feeds);
            self.add::<Pod>(shared, Role::Pod, &mut feeds);
        }
        if attach.node && matches!(role, Role::Pod | Role::Endpoints | Role::EndpointSlice) {
            self.add_global::<Node>(shared, None, &mut feeds);
        }
        if attach.namespace && role != Role::Node {
            self.add_global::<Namespace>(shared, None, &mut feeds);
        }
        feeds
    }

    /// Watches objects in the namespaces of the configuration, selected as those of `role`.
    fn add<T: Object>(&self, shared: &Shared, role: Role, feeds: &mut Vec<BoxFuture<'static, ()>>) {
        let mut names: Vec<&str> = shared
            .config
            .namespaces
            .names
            .iter()
            .map(String::as_str)
            .collect();
        if shared.config.namespaces.own_namespace {
            names.extend(self.access.own_namespace.as_deref());
        }
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            self.add_global::<T>(shared, Some(role), feeds);
        }
        for name in names {
            let (label, field) = shared.selector(Some(role));
            let watcher = Watcher::new::<T>(&self.access, Some(name), label, field);
            let primary = role == shared.config.role;
            let feed = shared
                .clone()
                .feed::<T>(watcher, Some(name.to_owned()), primary);
            feeds.push(Box::pin(feed));
        }
    }

    /// Watches objects in the whole cluster.
    fn add_global<T: Object>(
        &self,
        shared: &Shared,
        role: Option<Role>,
        feeds: &mut Vec<BoxFuture<'static, ()>>,
    ) {
        let (label, field) = shared.selector(role);
        let watcher = Watcher::new::<T>(&self.access, None, label, field);
        let primary = role == Some(shared.config.role);
        feeds.push(Box::pin(shared.clone().feed::<T>(watcher, None, primary)));
    }
}

impl Shared {
    fn selector(&self, role: Option<Role>) -> (&str, &str) {
        let mut selectors = self.config.selectors.iter();
        let selector = selectors.find(|selector| Some(selector.role) == role);
        selector.map_or(("", ""), |selector| (&selector.label, &selector.field))
    }

    /// Takes what a watcher says into the picture; never returns.
    async fn feed<T: Object>(self, watcher: Watcher, within: Option<String>, primary: bool) {
        let (sender, mut events) = mpsc::channel(EVENTS);
        let take = async {
            let mut listed = false;
            while let Some(event) = events.recv().await {
                if let Event::Failed(error) = &event {
                    self.provider.failed(T::RESOURCE, error);
                    continue;
                }
                let first = matches!(event, Event::All(_)) && !listed;
                listed |= first;
                let mut state = self.state.lock().await;
                let state = &mut *state;
                let mut changes = Changes::default();
                apply(
                    T::among(&mut state.world),
                    event,
                    within.as_deref(),
                    &mut changes,
                );
                if primary {
                    state.changes.0.append(&mut changes.0);
                } else {
                    state.all |= !changes.0.is_empty();
                }
                if first {
                    state.unlisted -= 1;
                    state.all = true;
                }
                self.provider.succeeded();
                self.changed.notify_one();
            }
        };
        join(watcher.run(sender), take).await;
    }

    /// Turns the picture into target groups whenever it changed; never returns.
    async fn publish(&self) {
        loop {
            self.changed.notified().await;
            let mut state = Arc::clone(&self.state).lock_owned().await;
            if state.unlisted > 0 {
                continue;
            }
            let all = std::mem::take(&mut state.all);
            let changes = std::mem::take(&mut state.changes);
            let shared = self.clone();
            // Thousands of groups take longer than a reactor should be held.
            let done = spawn_blocking(move || shared.put(&state, all, &changes));
            if done.await.is_err() {
                return;
            }
            sleep(GATHER).await;
        }
    }

    fn put(&self, state: &OwnedMutexGuard<State>, all: bool, changes: &Changes) {
        let (role, attach) = (self.config.role, self.config.attach_metadata);
        let group = |key| state.world.group(role, key, attach);
        if all {
            let groups = state.world.keys(role).iter().filter_map(group).collect();
            self.provider.replace(groups);
            return;
        }
        for key in &changes.0 {
            match group(key) {
                Some(group) => self.provider.put(group),
                None => self.provider.remove(&source(role, key)),
            }
        }
    }
}
