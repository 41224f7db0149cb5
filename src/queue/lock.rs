//! One process per storage directory.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::LockError;

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
    fs::create_dir_all(path).map_err(failed)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join(LOCK_FILE))
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
