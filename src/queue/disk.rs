//! The little that the queue asks of a file system, and where tests make it fail.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A segment that is being written.
pub(super) trait LogFile: Send {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Returns when everything written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file off.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

impl LogFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        write_at(self, offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

#[cfg(unix)]
fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    file.write_all_at(bytes, offset)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    use std::io::{Seek as _, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

/// Opens a segment for writing, and makes it if it is not there.
pub(super) type OpenLog = Arc<dyn Fn(&Path) -> io::Result<Box<dyn LogFile>> + Send + Sync>;

/// The [`OpenLog`] of everyday life.
pub(super) fn open_log(path: &Path) -> io::Result<Box<dyn LogFile>> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    Ok(Box::new(file))
}

/// Makes a directory that is not there, and those above it; when this returns a power cut does not
/// take its name.
///
/// # Errors
/// If it cannot be made.
pub fn make_directory(directory: &Path) -> io::Result<()> {
    let parent = directory.parent().map(|parent| match parent.as_os_str() {
        // A relative name's.
        name if name.is_empty() => Path::new("."),
        _ => parent,
    });
    if directory.is_dir() {
        // Whoever made it may have been killed before its name was on the disk. It may also be
        // somebody else's who lets nobody look into its parent.
        drop(parent.map(sync_directory));
        return Ok(());
    }
    if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
        make_directory(parent)?;
    }
    match fs::create_dir(directory) {
        // Somebody was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && directory.is_dir() => {}
        made => made?,
    }
    parent.map_or(Ok(()), sync_directory)
}

/// Makes the names in a directory durable. Windows has no such call and needs none.
///
/// # Errors
/// If the directory cannot be opened or synced.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory)?.sync_all()
    } else {
        Ok(())
    }
}

/// Writes a file, all of it or nothing, and returns when it is on the disk.
///
/// # Errors
/// If it cannot be written; then there is no file of that name unless there was one before.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_added_extension("new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&new, path)
    };
    if let Err(error) = write() {
        // Nobody must take a part for the whole; its ending says what it is if it stays.
        drop(remove_file(&new));
        return Err(error);
    }
    path.parent().map_or(Ok(()), sync_directory)
}

/// Gives the space of these bytes of a file back, which are zeros from then on. There is one byte
/// at least.
///
/// # Errors
/// If the system or the file system cannot do that.
#[cfg(target_os = "linux")]
pub(super) fn give_back(file: &File, bytes: Range<u64>) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(file, hole, bytes.start, bytes.end - bytes.start)?;
    Ok(())
}

/// No other system is known to do that for every program.
#[cfg(not(target_os = "linux"))]
pub(super) fn give_back(_file: &File, _bytes: Range<u64>) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Whether something failed for want of space, which is nobody's fault and passes; or of
/// descriptors or memory, which pass as well.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    let is_space = matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::FileTooLarge | ErrorKind::QuotaExceeded
    );
    is_space || error.kind() == ErrorKind::OutOfMemory || lacks_descriptors(error)
}

#[cfg(unix)]
fn lacks_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

/// `ERROR_TOO_MANY_OPEN_FILES`.
#[cfg(not(unix))]
fn lacks_descriptors(error: &io::Error) -> bool {
    error.raw_os_error() == Some(4)
}

/// Bytes that are free on the volume of `directory`; `None` where that cannot be told.
#[cfg(unix)]
pub(super) fn free_bytes(directory: &Path) -> Option<u64> {
    let volume = rustix::fs::statvfs(directory).ok()?;
    volume.f_bavail.checked_mul(volume.f_frsize)
}

/// Bytes that are free on the volume of `directory`; `None` where that cannot be told.
#[cfg(not(unix))]
pub(super) fn free_bytes(_directory: &Path) -> Option<u64> {
    None
}

/// Cuts a file off after its first bytes.
pub(super) fn keep_start(path: &Path, bytes: u64) -> io::Result<()> {
    File::options().write(true).open(path)?.set_len(bytes)
}

/// Removes a file that may be gone already.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
