//! Getting past damage: finding the next whole record, and keeping a copy of what lies before it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tracing::{error, warn};

use super::format::RECORD_MARKER;
use super::segment::{Bounds, CHUNK_BYTES, SegmentFile, read_range};

pub(super) const DIRECTORY: &str = "corrupt";
const MAX_COPIED_BYTES: u64 = 64 << 20;
const MAX_COPIES: usize = 256;

/// The offset of the first record that is whole in `from..end`.
pub(super) fn find_record(
    segment: &SegmentFile,
    from: u64,
    end: u64,
    bounds: Bounds,
) -> io::Result<Option<u64>> {
    let mut offset = from;
    while offset < end {
        let chunk = read_range(&segment.file, offset, CHUNK_BYTES)?;
        for (at, window) in chunk.windows(RECORD_MARKER.len()).enumerate() {
            let candidate = offset + at as u64;
            if candidate >= end {
                return Ok(None);
            }
            if window == RECORD_MARKER && segment.is_record(candidate, end, bounds)? {
                return Ok(Some(candidate));
            }
        }
        if chunk.len() < RECORD_MARKER.len() {
            return Ok(None);
        }
        // A marker may begin in this chunk and end in the next.
        offset += (chunk.len() - (RECORD_MARKER.len() - 1)) as u64;
    }
    Ok(None)
}

/// Logs the damaged bytes `from..to` of a segment and copies them aside, within the bounds.
///
/// Failing to copy is logged and no more: the bytes also stay where they are until their segment
/// is deleted, and there is nothing better to do with the records after them than to go on.
pub(super) fn set_aside(directory: &Path, first: u64, file: &File, from: u64, to: u64) {
    let segment = super::segment::path(directory, first);
    let segment = segment.display();
    let bytes = to - from;
    match copy(directory, first, file, from, to) {
        Ok(Some(copy)) => {
            let copy = copy.display();
            error!(%segment, offset = from, bytes, %copy, "skipped damaged bytes of a queue");
        }
        Ok(None) => error!(%segment, offset = from, bytes, "skipped damaged bytes of a queue"),
        Err(error) => {
            error!(%segment, offset = from, bytes, %error, "skipped damaged bytes of a queue");
        }
    }
}

/// Moves a segment of which nothing can be read out of the way.
pub(super) fn set_aside_segment(directory: &Path, first: u64) -> io::Result<()> {
    let segment = super::segment::path(directory, first);
    let aside = directory.join(DIRECTORY);
    fs::create_dir_all(&aside)?;
    error!(segment = %segment.display(), "set a segment aside whose header is damaged");
    fs::rename(&segment, aside.join(format!("{first:020}-0.bin")))
}

fn copy(
    directory: &Path,
    first: u64,
    mut file: &File,
    from: u64,
    to: u64,
) -> io::Result<Option<PathBuf>> {
    let aside = directory.join(DIRECTORY);
    fs::create_dir_all(&aside)?;
    let path = aside.join(format!("{first:020}-{from}.bin"));
    let (mut copies, mut copied_bytes) = (0, 0);
    for entry in fs::read_dir(&aside)? {
        copies += 1;
        copied_bytes += entry?.metadata()?.len();
    }
    let room = MAX_COPIED_BYTES.saturating_sub(copied_bytes);
    if copies >= MAX_COPIES || room == 0 {
        warn!(directory = %aside.display(), "no more damaged bytes are copied aside");
        return Ok(None);
    }
    let mut target = match File::options().write(true).create_new(true).open(&path) {
        Ok(target) => target,
        // The same damage was met before.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Some(path)),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(from))?;
    io::copy(&mut file.take((to - from).min(room)), &mut target)?;
    Ok(Some(path))
}
