//! What can go wrong, one type per operation.

use std::io;
use std::path::PathBuf;

/// Why a queue could not be opened. Never because of what is in its files.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct OpenError {
    pub(super) action: &'static str,
    pub(super) path: PathBuf,
    #[source]
    pub(super) source: io::Error,
}

/// Why there is no room for records. Nothing was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReserveError {
    /// As much as `max_bytes` allows is stored, or the disk is behind by more than 64 MiB.
    /// There will be room when records have been acknowledged.
    #[error("the queue is full: {used_bytes} of {max_bytes} bytes are in use")]
    Full {
        /// Bytes in use, on disk and on their way to it.
        used_bytes: u64,
        /// The bound.
        max_bytes: u64,
    },
    /// More than an empty queue could hold; to try again is in vain.
    #[error("{bytes} bytes do not fit in a queue of {max_bytes} bytes")]
    TooLarge {
        /// What was asked for.
        bytes: u64,
        /// The bound.
        max_bytes: u64,
    },
    /// The volume has less than `min_free_bytes` left.
    #[error("the disk has {free_bytes} bytes left, less than the {min_free_bytes} to keep free")]
    DiskLow {
        /// What is free.
        free_bytes: u64,
        /// What has to stay free.
        min_free_bytes: u64,
    },
    /// The last write found the disk full. Tried again every second, by itself.
    #[error("the disk is full")]
    DiskFull,
    /// A write or a sync has failed, and what the disk holds is not known for sure. The queue
    /// takes nothing more until it is opened again; what was durable before stays readable.
    #[error("the queue stopped writing until a restart: {reason}")]
    Failed {
        /// What failed, in words.
        reason: String,
    },
    /// The queue is closed.
    #[error("the queue is closed")]
    Closed,
}

/// Why appended records are not durable. They will not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk was full; the queue is whole and takes records again when there is space.
    #[error("the disk is full")]
    DiskFull,
    /// See [`ReserveError::Failed`].
    #[error("the queue stopped writing until a restart: {reason}")]
    Failed {
        /// What failed, in words.
        reason: String,
    },
}

/// Why a queue did not close in order: something it held is not on disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue had stopped writing: {reason}")]
pub struct CloseError {
    pub(super) reason: String,
}

/// Why a directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process (or another part of this one) works on it.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The lock file could not be made or locked.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}
