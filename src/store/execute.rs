//! Carrying commands out.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::command::{Command, CommandError, Filter, Storage};
use super::{RouteStore, show};
use crate::queue::{self, Options, Queue, Record, directory_name, route_name};
use crate::send::parked::{ParkedBatch, ParkedName, Parking};

/// How long the next record of a queue may take to be read, with all attempts of the reader.
const READ_WITHIN: Duration = Duration::from_secs(10);

impl Storage {
    /// Carries out a command. What it answers, by command, in samples unless it says otherwise:
    ///
    /// - `list`: an array of `{route, running, queuedSamples, queuedRecords, queuedBytes,
    ///   oldestMs, failed, parkedBatches, parkedSamples, parkedBytes, parkedOldestMs}`;
    /// - `show`: an array with an object per series, see [`show`];
    /// - `replay`, `purge`: `{batches, samples}`;
    /// - `move`: `{batches, samples, parkedBatches, parkedSamples}`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn execute(&self, command: Command) -> Result<Value, CommandError> {
        match command {
            Command::List {} => self.list().await,
            Command::Show {
                route,
                parked,
                filter,
                limit,
            } => self.show(&route, parked, filter, limit).await,
            Command::Replay { route, filter } => self.replay(&route, &filter).await,
            Command::Purge {
                route,
                parked,
                filter,
            } => self.purge(&route, parked, &filter).await,
            Command::Move { from, to } => self.move_store(&from, &to).await,
        }
    }

    /// The routes that have a directory here, in order of their names.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn routes(path: &Path) -> Result<Vec<String>, CommandError> {
        let failed = |source| CommandError::Io {
            path: path.to_owned(),
            source,
        };
        let mut routes = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_store = is_store(&entry.path());
            let name = entry.file_name();
            routes.extend(name.to_str().filter(|_| is_store).and_then(route_name));
        }
        routes.sort_unstable();
        Ok(routes)
    }

    async fn list(&self) -> Result<Value, CommandError> {
        let mut listed = Vec::new();
        for route in Self::routes(&self.path)? {
            let store = self.open(&route).await?;
            let (stats, parked) = (store.queue.stats(), store.parking.stats());
            listed.push(json!({
                "route": route,
                "running": self.running.contains_key(&route),
                "queuedSamples": stats.queued.weight,
                "queuedRecords": stats.queued.records,
                "queuedBytes": stats.queued.bytes,
                "oldestMs": stats.oldest_ms,
                "failed": stats.failed,
                "parkedBatches": parked.batches,
                "parkedSamples": parked.samples,
                "parkedBytes": parked.bytes,
                "parkedOldestMs": parked.oldest_ms,
            }));
            self.close(&route, &store).await;
        }
        Ok(Value::Array(listed))
    }

    async fn show(
        &self,
        route: &str,
        parked: bool,
        filter: Filter,
        limit: usize,
    ) -> Result<Value, CommandError> {
        let directory = self.directory(route)?;
        let shown = if parked {
            let store = self.open(route).await?;
            let (parking, name) = (Arc::clone(&store.parking), route.to_owned());
            let shown = move || show::parked(&name, &parking, &filter, limit);
            let shown = spawn_blocking(shown).await;
            self.close(route, &store).await;
            shown
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
        let replayed = replay(route, &store.parking, filter, route, &store.queue).await;
        self.close(route, &store).await;
        replayed.map(Moved::answer)
    }

    async fn purge(
        &self,
        route: &str,
        parked: bool,
        filter: &Filter,
    ) -> Result<Value, CommandError> {
        let store = self.open(route).await?;
        let mut purged = Moved::default();
        if parked {
            for name in store.parking.names() {
                if filter.matches(name) {
                    remove(&store.parking, name, &self.path)?;
                    purged.add(name.samples);
                }
            }
        } else {
            let tally = store.queue.purge();
            (purged.batches, purged.samples) = (tally.records, tally.weight);
        }
        self.close(route, &store).await;
        self.delete_if_empty(route, &store)?;
        Ok(purged.answer())
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
            Some(store) => store.clone(),
            None => self.open_anew(to).await?,
        };
        let moved = transfer(from, &source, to, &target).await;
        self.close(to, &target).await;
        self.close(from, &source).await;
        self.delete_if_empty(from, &source)?;
        moved.map(|(queued, parked)| {
            json!({
                "batches": queued.batches,
                "samples": queued.samples,
                "parkedBatches": parked.batches,
                "parkedSamples": parked.samples,
            })
        })
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
        let opened = spawn_blocking(move || RouteStore::open(&path, &route, options, u64::MAX));
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

    /// Deletes the directory of a store that is closed and empty.
    fn delete_if_empty(&self, route: &str, store: &RouteStore) -> Result<(), CommandError> {
        let left = store.queue.stats().queued.records + store.parking.stats().batches;
        if left > 0 || self.running.contains_key(route) {
            return Ok(());
        }
        let path = self.path.join(directory_name(route));
        match queue::purge(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(CommandError::Io { path, source })
            }
            _ => Ok(()),
        }
    }
}

/// Whether a directory is a route's: what else lies beside them is nobody's to open or delete.
fn is_store(directory: &Path) -> bool {
    let is_part = |name: &str| {
        let segment = name.strip_suffix(".log");
        let is_position = |segment: &str| segment.len() == 20 && segment.parse::<u64>().is_ok();
        name == "progress" || name == "parked" || segment.is_some_and(is_position)
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|name| is_part(&name))
}

/// What a command has done.
#[derive(Clone, Copy, Debug, Default)]
struct Moved {
    batches: u64,
    samples: u64,
}

impl Moved {
    fn add(&mut self, samples: u64) {
        self.batches += 1;
        self.samples += samples;
    }

    fn answer(self) -> Value {
        json!({"batches": self.batches, "samples": self.samples})
    }
}

/// Puts the parked batches of `from` that `filter` means into the queue of `to`.
async fn replay(
    from: &str,
    parking: &Arc<Parking>,
    filter: &Filter,
    to: &str,
    queue: &Queue,
) -> Result<Moved, CommandError> {
    let mut moved = Moved::default();
    for name in parking
        .names()
        .into_iter()
        .filter(|&name| filter.matches(name))
    {
        let batch = read(from, parking, name).await?;
        let mut bytes = Vec::new();
        batch.block.encode_into(&mut bytes);
        let record = Record {
            stream: batch.stream,
            weight: u32::try_from(name.samples).unwrap_or(u32::MAX),
            appended_ms: batch.appended_ms,
            bytes: &bytes,
        };
        append(to, queue, record, moved.samples).await?;
        remove(parking, name, Path::new(""))?;
        moved.add(name.samples);
    }
    Ok(moved)
}

/// Puts all that waits in one store, and all that is parked there, into another.
async fn transfer(
    from: &str,
    source: &RouteStore,
    to: &str,
    target: &RouteStore,
) -> Result<(Moved, Moved), CommandError> {
    let (mut moved, mut moved_parked) = (Moved::default(), Moved::default());
    let mut reader = source.queue.reader();
    while source.queue.stats().queued.records > 0 {
        // Damage can leave less to be read than is counted, and a reader waits for more.
        let Ok(Some(entry)) = timeout(READ_WITHIN, reader.next()).await else {
            break;
        };
        let record = Record {
            stream: entry.stream,
            weight: entry.weight,
            appended_ms: entry.appended_ms,
            bytes: &entry.bytes,
        };
        append(to, &target.queue, record, moved.samples).await?;
        source.queue.acknowledge(entry.stream, entry.position);
        moved.add(u64::from(entry.weight));
    }
    for name in source.parking.names() {
        let batch = read(from, &source.parking, name).await?;
        let (parking, path) = (Arc::clone(&target.parking), PathBuf::from(name.to_string()));
        let parked = spawn_blocking(move || parking.park(&batch)).await;
        let parked = parked.map_err(|_panic| CommandError::Panicked)?;
        parked.map_err(|error| CommandError::Io {
            path,
            source: std::io::Error::other(error),
        })?;
        remove(&source.parking, name, Path::new(""))?;
        moved_parked.add(name.samples);
    }
    Ok((moved, moved_parked))
}

async fn append(
    route: &str,
    queue: &Queue,
    record: Record<'_>,
    samples: u64,
) -> Result<(), CommandError> {
    let reservation = queue.reserve(Queue::stored_size(record.bytes.len()));
    let reservation = reservation.map_err(|source| CommandError::Full {
        route: route.to_owned(),
        samples,
        source,
    })?;
    let receipt = queue.append(reservation, &[record]);
    receipt
        .durable()
        .await
        .map_err(|source| CommandError::Append {
            route: route.to_owned(),
            samples,
            source,
        })
}

async fn read(
    route: &str,
    parking: &Arc<Parking>,
    name: ParkedName,
) -> Result<ParkedBatch, CommandError> {
    let parking = Arc::clone(parking);
    let read = spawn_blocking(move || parking.read(name)).await;
    let read = read.map_err(|_panic| CommandError::Panicked)?;
    read.map_err(|source| CommandError::Read {
        route: route.to_owned(),
        name,
        source,
    })
}

fn remove(parking: &Parking, name: ParkedName, directory: &Path) -> Result<(), CommandError> {
    parking.remove(name).map_err(|source| CommandError::Io {
        path: directory.join(name.to_string()),
        source,
    })
}
