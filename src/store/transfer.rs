//! Putting what a store has into a queue: replay and move.
//!
//! Records go in groups, so that a backlog does not wait for a sync per record. A group is taken
//! from where it was only when it is durable at its new place.

use std::collections::BTreeMap;
use std::io;
use std::mem::take;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::RouteStore;
use super::command::{CommandError, Filter};
use super::storage::Storage;
use crate::queue::{Queue, Record};
use crate::send::parked::{ParkError, ParkedBatch, ParkedName, Parking, ReadError};

/// Bytes of a group, unless one record alone is larger.
const GROUP_BYTES: u64 = 1 << 20;

/// How much of something was moved.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Amount {
    pub batches: u64,
    pub samples: u64,
}

/// What a move has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    pub queued: Amount,
    pub parked: Amount,
    /// Parked batches that stayed, because they cannot be read.
    pub unreadable: u64,
}

/// Records on their way into a queue, each with what is to be done when it is durable there.
struct Group<'a, Origin> {
    storage: &'a Storage,
    route: &'a str,
    queue: &'a Queue,
    records: Vec<(Waiting, Origin)>,
    bytes: u64,
    max_bytes: u64,
}

struct Waiting {
    stream: u16,
    weight: u32,
    appended_ms: i64,
    bytes: Bytes,
}

impl Amount {
    fn add(&mut self, samples: u64) {
        self.batches += 1;
        self.samples += samples;
    }
}

impl<'a, Origin> Group<'a, Origin> {
    fn new(storage: &'a Storage, route: &'a str, queue: &'a Queue) -> Self {
        Self {
            storage,
            route,
            queue,
            records: Vec::new(),
            bytes: 0,
            // A small queue takes what there is room for.
            max_bytes: GROUP_BYTES.min(queue.options().max_bytes / 8),
        }
    }

    /// Whether another record of this size makes it too large.
    fn is_full_for(&self, payload_bytes: usize) -> bool {
        let size = Queue::stored_size(payload_bytes);
        !self.records.is_empty() && self.bytes + size > self.max_bytes
    }

    fn add(&mut self, record: Waiting, origin: Origin) {
        self.bytes += Queue::stored_size(record.bytes.len());
        self.records.push((record, origin));
    }

    /// Makes the records durable, and answers where they came from.
    async fn store(&mut self) -> Result<Vec<Origin>, CommandError> {
        if self.records.is_empty() {
            return Ok(Vec::new());
        }
        self.storage.check_stop()?;
        let samples = self.storage.put();
        let reserved = self.queue.reserve(take(&mut self.bytes));
        let reservation = reserved.map_err(|source| CommandError::Full {
            route: self.route.to_owned(),
            samples,
            source,
        })?;
        let records = take(&mut self.records);
        let appended: Vec<Record<'_>> = records.iter().map(|(record, _)| record.record()).collect();
        let stored = self.queue.append(reservation, &appended).durable().await;
        stored.map_err(|source| CommandError::Append {
            route: self.route.to_owned(),
            samples,
            source,
        })?;
        let weights = appended.iter().map(|record| u64::from(record.weight));
        self.storage.note_put(weights.sum());
        Ok(records.into_iter().map(|(_, origin)| origin).collect())
    }
}

impl Waiting {
    fn record(&self) -> Record<'_> {
        Record {
            stream: self.stream,
            weight: self.weight,
            appended_ms: self.appended_ms,
            bytes: &self.bytes,
        }
    }
}

impl Storage {
    /// Puts the parked batches that `filter` means back into the queue. Answers also how many
    /// cannot be read.
    pub(super) async fn replay_batches(
        &self,
        route: &str,
        store: &RouteStore,
        filter: &Filter,
    ) -> Result<(Amount, u64), CommandError> {
        let (mut replayed, mut unreadable) = (Amount::default(), 0);
        let mut group = Group::new(self, route, &store.queue);
        let names = store.parking.names();
        for name in names.into_iter().filter(|&name| filter.matches(name)) {
            self.check_stop()?;
            let batch = match self.read(&store.parking, name).await? {
                Ok(Some(batch)) => batch,
                Ok(None) => continue,
                Err(_reported) => {
                    unreadable += 1;
                    continue;
                }
            };
            let mut bytes = Vec::new();
            batch.block.encode_into(&mut bytes);
            if group.is_full_for(bytes.len()) {
                let stored = group.store().await?;
                self.unpark(&store.parking, stored, &mut replayed).await?;
            }
            let record = Waiting {
                stream: batch.stream,
                weight: u32::try_from(name.samples).unwrap_or(u32::MAX),
                appended_ms: batch.appended_ms,
                bytes: bytes.into(),
            };
            group.add(record, name);
        }
        let stored = group.store().await?;
        self.unpark(&store.parking, stored, &mut replayed).await?;
        Ok((replayed, unreadable))
    }

    /// Puts all that waits in one store, and all that is parked there, into another.
    pub(super) async fn transfer(
        &self,
        source: &RouteStore,
        to: &str,
        target: &RouteStore,
        moved: &mut Moved,
    ) -> Result<(), CommandError> {
        let mut reader = source.queue.reader();
        let mut group = Group::new(self, to, &target.queue);
        // It waits for as long as a file cannot be opened.
        while let Some(entry) = self.unless_stopped(reader.next_stored()).await? {
            self.check_stop()?;
            if group.is_full_for(entry.bytes.len()) {
                acknowledge(&source.queue, group.store().await?, &mut moved.queued);
            }
            let origin = (entry.stream, entry.position, entry.weight);
            let record = Waiting {
                stream: entry.stream,
                weight: entry.weight,
                appended_ms: entry.appended_ms,
                bytes: entry.bytes,
            };
            group.add(record, origin);
        }
        acknowledge(&source.queue, group.store().await?, &mut moved.queued);
        for name in source.parking.names() {
            self.check_stop()?;
            match self.read(&source.parking, name).await? {
                Ok(Some(batch)) => {
                    self.park(to, &target.parking, batch).await?;
                    self.unpark(&source.parking, vec![name], &mut moved.parked)
                        .await?;
                }
                Ok(None) => {}
                Err(_reported) => moved.unreadable += 1,
            }
        }
        Ok(())
    }

    /// Reads a parked batch; `None` if it is gone. One that cannot be read is logged.
    async fn read(
        &self,
        parking: &Arc<Parking>,
        name: ParkedName,
    ) -> Result<Result<Option<ParkedBatch>, ReadError>, CommandError> {
        let parking = Arc::clone(parking);
        let read = spawn_blocking(move || parking.read(name)).await;
        let read = read.map_err(|_panic| CommandError::Panicked)?;
        Ok(match read {
            Ok(batch) => Ok(Some(batch)),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                tracing::warn!(%name, %error, "passed over a parked batch that cannot be read");
                Err(error)
            }
        })
    }

    async fn park(
        &self,
        route: &str,
        parking: &Arc<Parking>,
        batch: ParkedBatch,
    ) -> Result<(), CommandError> {
        let parking = Arc::clone(parking);
        let parked = spawn_blocking(move || parking.park_if_room(&batch)).await;
        let parked = parked.map_err(|_panic| CommandError::Panicked)?;
        parked.map_err(|source| match source {
            ParkError::Write { path, source } => CommandError::Io { path, source },
            source => CommandError::ParkedFull {
                route: route.to_owned(),
                source,
            },
        })
    }

    /// Deletes parked batches that are somewhere else now.
    async fn unpark(
        &self,
        parking: &Arc<Parking>,
        names: Vec<ParkedName>,
        amount: &mut Amount,
    ) -> Result<(), CommandError> {
        for name in &names {
            amount.add(name.samples);
        }
        self.remove(parking, names).await
    }

    /// Deletes parked batches.
    pub(super) async fn remove(
        &self,
        parking: &Arc<Parking>,
        names: Vec<ParkedName>,
    ) -> Result<(), CommandError> {
        let parking = Arc::clone(parking);
        let remove = move || {
            names.into_iter().try_for_each(|name| {
                parking.remove(name).map_err(|source| CommandError::Io {
                    path: name.to_string().into(),
                    source,
                })
            })
        };
        spawn_blocking(remove)
            .await
            .map_err(|_panic| CommandError::Panicked)?
    }
}

/// Acknowledges records that are somewhere else now.
fn acknowledge(
    queue: &Queue,
    stored: Vec<(u16, crate::queue::Position, u32)>,
    amount: &mut Amount,
) {
    let mut through = BTreeMap::new();
    for (stream, position, weight) in stored {
        through.insert(stream, position);
        amount.add(u64::from(weight));
    }
    for (stream, position) in through {
        queue.acknowledge(stream, position);
    }
}
