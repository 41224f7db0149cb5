//! What is in the storage directory: each route's queue, and what was parked of it.
//!
//! [`RouteStore`] is one route's part of it, open. [`Command`] is what an operator does with it:
//! list, show, replay, purge, move. The commands are the same beside a running relay, which carries
//! them out on the stores that it has open, and on the files of a stopped one.
//!
//! Whatever goes wrong on the way (the queue is full, the disk fails, the process dies): what has
//! been replayed or moved is at its new place, the rest where it was, and the group of records
//! (up to 1 MiB) in between can be at both. A parked batch that cannot be read stays where it is,
//! and the answer counts it.

pub mod api;
mod command;
mod list;
mod show;
mod storage;
#[cfg(test)]
mod tests;
mod transfer;

use std::io;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use crate::queue::{Journal, OpenError, Options, Queue, directory_name};
use crate::send::parked::Parking;

pub use command::{Command, CommandError, Filter};
pub use list::{Contents, Listed};
pub use storage::Storage;

/// The store of one route, open.
#[derive(Clone, Debug)]
pub struct RouteStore {
    /// What waits to be delivered.
    pub queue: Queue,
    /// What was refused.
    pub parking: Arc<Parking>,
}

/// Why the store of a route was not opened.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Its queue cannot be opened.
    #[error("cannot open the queue of route {route}")]
    Queue {
        /// The route's name.
        route: String,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// Its parked batches cannot be listed.
    #[error("cannot list the parked batches of route {route}")]
    Parked {
        /// The route's name.
        route: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl RouteStore {
    /// What is in it, in numbers.
    #[must_use]
    pub fn contents(&self) -> Contents {
        Contents {
            queue: self.queue.stats(),
            max_bytes: Some(self.queue.options().max_bytes).filter(|&bytes| bytes < u64::MAX),
            parked: self.parking.stats(),
        }
    }

    /// Opens the store of `route` under `storage_path`, and makes it if it is not there. What
    /// is appended becomes durable in `journal`, if there is one. Blocks.
    ///
    /// # Errors
    /// If files cannot be read or written; never for what is in them.
    pub fn open(
        storage_path: &Path,
        route: &str,
        options: Options,
        parked_max_bytes: u64,
        journal: Option<&Journal>,
    ) -> Result<Self, StoreError> {
        let directory = storage_path.join(directory_name(route));
        let route = || route.to_owned();
        let opened = match journal {
            Some(journal) => Queue::open_journaled(&directory, options, journal),
            None => Queue::open(&directory, options),
        };
        let (queue, _) = opened.map_err(|source| StoreError::Queue {
            route: route(),
            source,
        })?;
        let parking = Parking::open(&directory, parked_max_bytes);
        let parking = parking.map_err(|source| StoreError::Parked {
            route: route(),
            source,
        })?;
        Ok(Self {
            queue,
            parking: Arc::new(parking),
        })
    }
}
