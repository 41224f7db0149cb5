//! The storage directory, and carrying commands out on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::command::{Command, CommandError, Filter};
use super::list::Listed;
use super::transfer::Moved;
use super::{RouteStore, show};
use crate::queue::{self, Journal, Options, directory_name, route_name};
use crate::telemetry::causes;

/// The storage directory, the stores in it that are open already, and what a command did there.
#[derive(Debug)]
pub struct Storage {
    path: PathBuf,
    running: BTreeMap<String, RouteStore>,
    /// The running relay's.
    journal: Option<Arc<Journal>>,
    stop: CancellationToken,
    put: AtomicU64,
}

impl Storage {
    /// Whether a directory is one that a relay has had: what is not is to be left alone.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn is_in(path: &Path) -> io::Result<bool> {
        Ok(queue::lock_file(path).try_exists()? || !stores(path)?.is_empty())
    }

    /// A directory that nothing else works on; the caller holds its lock.
    #[must_use]
    pub fn stopped(path: PathBuf) -> Self {
        Self::beside_relay(path, BTreeMap::new(), None, CancellationToken::new())
    }

    /// The directory of a relay with this journal, whose routes have the stores `running`. A
    /// command ends early when `stop` says so.
    #[must_use]
    pub fn beside_relay(
        path: PathBuf,
        running: BTreeMap<String, RouteStore>,
        journal: Option<Arc<Journal>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            path,
            running,
            journal,
            stop,
            put: AtomicU64::new(0),
        }
    }

    /// Carries out a command. What it answers, by command, in samples unless it says otherwise:
    ///
    /// - `list`: an array of [`Listed`];
    /// - `show`: `{series, more}`, see [`show`];
    /// - `purge`: `{batches, samples}`;
    /// - `replay`: `{batches, samples, unreadable}`, the last in batches;
    /// - `move`: `{batches, samples, parkedBatches, parkedSamples, unreadable}`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn execute(&self, command: Command) -> Result<Value, CommandError> {
        match command {
            Command::List {} => {
                let listed = self.list().await?;
                Ok(listed.iter().map(Listed::json).collect())
            }
            Command::Show {
                route,
                parked,
                limit,
            } => self.show(&route, parked, limit).await,
            Command::Replay { route, filter } => self.replay(&route, &filter).await,
            Command::Purge { route, parked } => self.purge(&route, parked).await,
            Command::Move { from, to } => self.move_store(&from, &to).await,
        }
    }

    /// Samples that [`Storage::execute`] made durable in a queue, whether or not it came to an end.
    #[must_use]
    pub fn put(&self) -> u64 {
        self.put.load(Ordering::Relaxed)
    }

    /// What every route has that has something here, in order of their names.
    ///
    /// # Errors
    /// If the directory cannot be read; a store that cannot be is listed with the reason.
    pub async fn list(&self) -> Result<Vec<Listed>, CommandError> {
        let mut listed = Vec::new();
        for route in self.routes()? {
            let store = match self.open(&route).await {
                // It was deleted meanwhile.
                Err(CommandError::NoSuchRoute(_)) => continue,
                store => store,
            };
            let contents = match &store {
                Ok(store) => Ok(store.contents()),
                Err(error) => Err(causes(error)),
            };
            if let Ok(store) = &store {
                self.close(&route, store).await;
            }
            let running = self.running.contains_key(&route);
            listed.push(Listed {
                route,
                running,
                suspended_by: None,
                contents,
            });
        }
        Ok(listed)
    }

    fn routes(&self) -> Result<BTreeSet<String>, CommandError> {
        let failed = |source| CommandError::Io {
            path: self.path.clone(),
            source,
        };
        let mut routes = stores(&self.path).map_err(failed)?;
        routes.extend(self.running.keys().cloned());
        Ok(routes)
    }

    async fn show(
        &self,
        route: &str,
        parked: Option<Filter>,
        limit: usize,
    ) -> Result<Value, CommandError> {
        let directory = self.directory(route)?;
        let shown = if let Some(filter) = parked {
            let store = self.open(route).await?;
            let parking = Arc::clone(&store.parking);
            let shown = spawn_blocking(move || show::parked(&parking, &filter, limit)).await;
            self.close(route, &store).await;
            shown.map(Ok)
        } else {
            spawn_blocking(move || {
                show::queued(&directory, limit).map_err(|source| CommandError::Io {
                    path: directory,
                    source,
                })
            })
            .await
        };
        shown.map_err(|_panic| CommandError::Panicked)?
    }

    async fn replay(&self, route: &str, filter: &Filter) -> Result<Value, CommandError> {
        let store = self.open(route).await?;
        let replayed = self.replay_batches(route, &store, filter).await;
        self.close(route, &store).await;
        let (replayed, unreadable) = replayed?;
        Ok(json!({
            "batches": replayed.batches,
            "samples": replayed.samples,
            "unreadable": unreadable,
        }))
    }

    async fn purge(&self, route: &str, parked: Option<Filter>) -> Result<Value, CommandError> {
        let store = self.open(route).await?;
        let purged = if let Some(filter) = parked {
            self.purge_parked(&store, &filter).await
        } else {
            let tally = store.queue.purge().await;
            tally.map_err(|source| self.failed(route, source))
        };
        let purged = purged.map(|tally| json!({"batches": tally.records, "samples": tally.weight}));
        self.close(route, &store).await;
        let purged = purged?;
        self.delete_if_empty(route, &store)?;
        Ok(purged)
    }

    async fn purge_parked(
        &self,
        store: &RouteStore,
        filter: &Filter,
    ) -> Result<queue::Tally, CommandError> {
        let mut purged = queue::Tally::default();
        for name in store.parking.names() {
            if filter.matches(name) {
                self.check_stop()?;
                self.remove(&store.parking, vec![name]).await?;
                purged.records += 1;
                purged.weight += name.samples;
            }
        }
        Ok(purged)
    }

    async fn move_store(&self, from: &str, to: &str) -> Result<Value, CommandError> {
        if from == to {
            return Err(CommandError::SameRoute);
        }
        if self.running.contains_key(from) {
            return Err(CommandError::Running(from.to_owned()));
        }
        let source = self.open(from).await?;
        // It need not be there yet.
        let target = match self.running.get(to) {
            Some(store) => Ok(store.clone()),
            None => self.open_anew(to).await,
        };
        let target = match target {
            Ok(target) => target,
            Err(error) => {
                self.close(from, &source).await;
                return Err(error);
            }
        };
        let mut moved = Moved::default();
        let result = self.transfer(&source, to, &target, &mut moved).await;
        self.close(to, &target).await;
        self.close(from, &source).await;
        result?;
        self.delete_if_empty(from, &source)?;
        let Moved {
            queued,
            parked,
            unreadable,
        } = moved;
        Ok(json!({
            "batches": queued.batches,
            "samples": queued.samples,
            "parkedBatches": parked.batches,
            "parkedSamples": parked.samples,
            "unreadable": unreadable,
        }))
    }

    /// That samples became durable in a queue.
    pub(super) fn note_put(&self, samples: u64) {
        self.put.fetch_add(samples, Ordering::Relaxed);
    }

    pub(super) fn check_stop(&self) -> Result<(), CommandError> {
        if self.stop.is_cancelled() {
            Err(CommandError::Stopping)
        } else {
            Ok(())
        }
    }

    /// What is waited for, unless a stop comes first.
    pub(super) async fn unless_stopped<T>(
        &self,
        awaited: impl Future<Output = T>,
    ) -> Result<T, CommandError> {
        let awaited = self.stop.run_until_cancelled(awaited).await;
        awaited.ok_or(CommandError::Stopping)
    }

    /// An error in the directory of a route.
    pub(super) fn failed(&self, route: &str, source: io::Error) -> CommandError {
        CommandError::Io {
            path: self.path.join(directory_name(route)),
            source,
        }
    }

    fn directory(&self, route: &str) -> Result<PathBuf, CommandError> {
        let directory = self.path.join(directory_name(route));
        if is_store(&directory) {
            Ok(directory)
        } else {
            Err(CommandError::NoSuchRoute(route.to_owned()))
        }
    }

    async fn open(&self, route: &str) -> Result<RouteStore, CommandError> {
        if let Some(store) = self.running.get(route) {
            return Ok(store.clone());
        }
        self.directory(route)?;
        self.open_anew(route).await
    }

    /// Opens a store whose bounds are not known here, so that they do not stand in the way.
    async fn open_anew(&self, route: &str) -> Result<RouteStore, CommandError> {
        let (path, route) = (self.path.clone(), route.to_owned());
        let options = Options {
            max_bytes: u64::MAX,
            ..Options::default()
        };
        let journal = self.journal.clone();
        let opened = spawn_blocking(move || {
            RouteStore::open(&path, &route, options, u64::MAX, journal.as_deref())
        });
        let opened = opened.await.map_err(|_panic| CommandError::Panicked)?;
        Ok(opened?)
    }

    async fn close(&self, route: &str, store: &RouteStore) {
        if !self.running.contains_key(route)
            && let Err(error) = store.queue.close().await
        {
            tracing::error!(route, %error, "queue did not close in order");
        }
    }

    /// Deletes a store that is closed and empty. What is not its own in the directory stays.
    fn delete_if_empty(&self, route: &str, store: &RouteStore) -> Result<(), CommandError> {
        let left = store.queue.stats().queued.records + store.parking.stats().batches;
        if left > 0 || self.running.contains_key(route) {
            return Ok(());
        }
        let directory = self.path.join(directory_name(route));
        let delete = || {
            store.parking.delete_directory()?;
            queue::delete(&directory)?;
            match fs::remove_dir(&directory) {
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
                result => result,
            }
        };
        delete().map_err(|source| self.failed(route, source))
    }
}

/// The routes that have a store in a directory.
fn stores(path: &Path) -> io::Result<BTreeSet<String>> {
    let mut routes = BTreeSet::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let is_store = is_store(&entry.path());
        let name = entry.file_name();
        routes.extend(name.to_str().filter(|_| is_store).and_then(route_name));
    }
    Ok(routes)
}

/// Whether a directory is a route's: what else lies beside them is nobody's to open or delete.
fn is_store(directory: &Path) -> bool {
    let is_part = |name: &str| {
        let segment = name.strip_suffix(".log");
        let is_position = |segment: &str| segment.len() == 20 && segment.parse::<u64>().is_ok();
        name == "progress" || name == "parked" || segment.is_some_and(is_position)
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|name| is_part(&name))
}
