//! What an operator can do with queues and parked batches.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::StoreError;
use crate::queue::{AppendError, ReserveError};
use crate::send::parked::{ParkError, ParkedName};

/// A command. Its answer is JSON; [`super`] says what happens when one fails half way.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// Every route that has something on disk, with what it has.
    List {},
    /// The series and samples that wait in a route's queue, or its parked batches.
    Show {
        /// The route.
        route: String,
        /// These of the parked batches instead of the queue.
        #[serde(default)]
        parked: Option<Filter>,
        /// Series at the most.
        limit: usize,
    },
    /// Puts parked batches back into the queue, oldest first.
    Replay {
        /// The route.
        route: String,
        /// Which of them.
        filter: Filter,
    },
    /// Drops what is in the queue, or parked batches. A store in which nothing is left and that no
    /// running route has is deleted.
    Purge {
        /// The route.
        route: String,
        /// These of the parked batches instead of the queue.
        #[serde(default)]
        parked: Option<Filter>,
    },
    /// Puts what one route has, parked batches included, behind what another has.
    Move {
        /// The route that is left empty. It must not be running.
        from: String,
        /// The route that takes it.
        to: String,
    },
}

/// Which parked batches are meant; every condition has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Refused with this status code.
    pub status: Option<u16>,
    /// Parked then or later, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Parked before, in milliseconds since 1970.
    pub until_ms: Option<i64>,
}

/// Why a command was not carried out, or not to its end.
#[derive(Debug, Error)]
pub enum CommandError {
    /// There is nothing of that name.
    #[error(
        "there is no queue of a route {0} on disk; `promrelay queue list` shows those there are"
    )]
    NoSuchRoute(String),
    /// The route is at work.
    #[error("route {0} is running: it would go on filling the queue that is to be moved")]
    Running(String),
    /// One route cannot be moved to itself.
    #[error("the two routes are the same")]
    SameRoute,
    /// The directory cannot be read, or something in it cannot be deleted.
    #[error("cannot work on {path}")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A store cannot be opened.
    #[error("cannot open a store")]
    Open(#[from] StoreError),
    /// The queue that should take something has no room for it.
    #[error("the queue of route {route} takes no more; {samples} samples were put into it before")]
    Full {
        /// The route.
        route: String,
        /// What was put into it already.
        samples: u64,
        /// Why.
        #[source]
        source: ReserveError,
    },
    /// The route that should take parked batches has no room for more. They push nothing out.
    #[error("route {route} takes no more parked batches; purge or replay some, or raise its bound")]
    ParkedFull {
        /// The route.
        route: String,
        /// Why.
        #[source]
        source: ParkError,
    },
    /// The disk failed.
    #[error("the queue of route {route} could not store what was put into it")]
    Append {
        /// The route.
        route: String,
        /// What was put into it before.
        samples: u64,
        /// Why.
        #[source]
        source: AppendError,
    },
    /// It is too late for that, or for the rest of it.
    #[error("the relay is stopping")]
    Stopping,
    /// A thread of the relay panicked.
    #[error("internal error")]
    Panicked,
}

impl Filter {
    /// Whether a parked batch is meant.
    #[must_use]
    pub fn matches(&self, name: ParkedName) -> bool {
        self.status.is_none_or(|status| status == name.status)
            && self
                .since_ms
                .is_none_or(|since_ms| name.parked_ms >= since_ms)
            && self
                .until_ms
                .is_none_or(|until_ms| name.parked_ms < until_ms)
    }
}
