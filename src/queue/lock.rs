//! One process per storage directory.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::LockError;
use super::disk::make_directory;

const LOCK_FILE: &str = "lock";

/// The right to work on a directory, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct DirectoryLock {
    path: PathBuf,
    _file: File,
}

impl DirectoryLock {
    /// The directory that is locked.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The file that is there if the directory `path` has ever been locked.
#[must_use]
pub fn lock_file(path: &Path) -> PathBuf {
    path.join(LOCK_FILE)
}

/// Locks the directory `path`, and makes it if it is not there.
///
/// The lock is the operating system's on the file `lock` inside, so that it ends with the process,
/// however that ends; the file itself means nothing and stays.
///
/// # Errors
/// [`LockError::InUse`] if somebody else holds the lock; an I/O error otherwise.
pub fn lock_directory(path: &Path) -> Result<DirectoryLock, LockError> {
    let failed = |source| LockError::Io {
        path: path.to_owned(),
        source,
    };
    make_directory(path).map_err(failed)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock_file(path))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(DirectoryLock {
            path: path.to_owned(),
            _file: file,
        }),
        Err(TryLockError::WouldBlock) => Err(LockError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
