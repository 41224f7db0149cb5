//! Segment files: their names, and walking over the records in one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::format::{
    Kind, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader, Summary,
    TRAILER_BYTES, checksum, decode_trailer,
};

/// How much is read at a time.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

const EXTENSION: &str = ".log";

/// The file of the segment `first`.
pub(super) fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}{EXTENSION}"))
}

/// The segments of a directory, by name, with their lengths.
pub(super) fn list(directory: &Path) -> io::Result<BTreeMap<u64, u64>> {
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(first) = name.to_str().and_then(|name| name.strip_suffix(EXTENSION)) else {
            continue;
        };
        if let (20, Ok(first)) = (first.len(), first.parse()) {
            match entry.metadata() {
                Ok(metadata) => drop(segments.insert(first, metadata.len())),
                // It was consumed and deleted meanwhile, when a running queue is inspected.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(segments)
}

/// A segment that is being read.
#[derive(Debug)]
pub(super) struct SegmentFile {
    pub file: File,
    pub salt: u32,
    /// Bytes of the file when it was opened: one that is written to grows.
    pub length: u64,
}

/// Which positions a record may have: above the first and below the second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub above: u64,
    pub below: u64,
}

impl Bounds {
    pub(super) fn contain(self, position: u64) -> bool {
        self.above < position && position < self.below
    }
}

/// How carefully to walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verify {
    /// Headers only; payloads are skipped.
    Headers,
    /// Everything.
    Payloads,
}

/// Where a walk ended, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// At the end of the file or the footer.
    End { offset: u64 },
    /// At zeros that last to the end of the file: it was lengthened for records that never came.
    Zeros { offset: u64 },
    /// At something that is not a whole record.
    Damage { offset: u64 },
}

impl SegmentFile {
    /// Reads the header; the salt is `None` if it is damaged. An error if it is of another version.
    pub(super) fn salt_of(path: &Path) -> io::Result<Option<u32>> {
        let mut header = Vec::with_capacity(32);
        File::open(path)?
            .take(SEGMENT_HEADER_BYTES)
            .read_to_end(&mut header)?;
        Ok(SegmentHeader::decode(&header)?.map(|header| header.salt))
    }

    /// The salt of a segment whose header is damaged, from its first record; `None` if that is
    /// damaged too, or there is none.
    pub(super) fn salt_of_record(path: &Path) -> io::Result<Option<u32>> {
        let file = File::open(path)?;
        let left = file.metadata()?.len().saturating_sub(SEGMENT_HEADER_BYTES);
        let header = read_range(&file, SEGMENT_HEADER_BYTES, RECORD_HEADER_BYTES)?;
        let record = RecordHeader::decode_with_salt(&header);
        let Some((salt, header)) = record.filter(|(_, header)| header.stored_bytes() <= left)
        else {
            return Ok(None);
        };
        let payload_at = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES as u64;
        let payload = read_range(&file, payload_at, header.length as usize)?;
        Ok((checksum(salt, &payload) == header.payload_checksum).then_some(salt))
    }

    pub(super) fn open(path: &Path, salt: u32) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, salt, length })
    }

    /// The summary at the end of a sealed segment, the position that ends it and where its records
    /// end; `None` if there is no whole footer.
    pub(super) fn footer(&self) -> io::Result<Option<(Summary, u64, u64)>> {
        let shortest = SEGMENT_HEADER_BYTES + (RECORD_HEADER_BYTES + TRAILER_BYTES) as u64;
        if self.length < shortest {
            return Ok(None);
        }
        let trailer_at = self.length - TRAILER_BYTES as u64;
        let trailer = read_range(&self.file, trailer_at, TRAILER_BYTES)?;
        let Some(bytes) = decode_trailer(&trailer) else {
            return Ok(None);
        };
        let Some(offset) = trailer_at.checked_sub(bytes) else {
            return Ok(None);
        };
        let Ok(bytes) = usize::try_from(bytes) else {
            return Ok(None);
        };
        let record = read_range(&self.file, offset, bytes)?;
        let footer = Summary::decode_footer(self.salt, &record);
        Ok(footer.map(|(summary, end)| (summary, end, offset)))
    }

    /// Visits the records from `offset` on, up to the footer, the end or the first damage.
    pub(super) fn walk(
        &self,
        mut offset: u64,
        mut bounds: Bounds,
        verify: Verify,
        mut visit: impl FnMut(&RecordHeader, u64),
    ) -> io::Result<Stop> {
        let mut file = BufReader::with_capacity(CHUNK_BYTES, &self.file);
        file.seek(SeekFrom::Start(offset))?;
        while offset < self.length {
            let mut bytes = [0; RECORD_HEADER_BYTES];
            let left = self.length - offset;
            if left < RECORD_HEADER_BYTES as u64 {
                return self.stop_at(offset);
            }
            file.read_exact(&mut bytes)?;
            let header = RecordHeader::decode(self.salt, &bytes);
            let Some(header) = header.filter(|header| header.stored_bytes() <= left) else {
                return self.stop_at(offset);
            };
            if header.kind == Kind::Footer {
                return Ok(Stop::End { offset });
            }
            let whole = match verify {
                Verify::Headers => {
                    file.seek_relative(i64::from(header.length))?;
                    true
                }
                Verify::Payloads => {
                    read_checksum(&mut file, self.salt, header.length)? == header.payload_checksum
                }
            };
            if !whole || !bounds.contain(header.position) {
                return Ok(Stop::Damage { offset });
            }
            visit(&header, offset);
            bounds.above = header.position;
            offset += header.stored_bytes();
        }
        Ok(Stop::End { offset })
    }

    /// Why a walk ends at `offset`, where no record is.
    fn stop_at(&self, offset: u64) -> io::Result<Stop> {
        let mut at = offset;
        while at < self.length {
            let chunk = read_range(&self.file, at, CHUNK_BYTES)?;
            if chunk.is_empty() || chunk.iter().any(|&byte| byte != 0) {
                return Ok(Stop::Damage { offset });
            }
            at += chunk.len() as u64;
        }
        Ok(Stop::Zeros { offset })
    }

    /// Whether a record starts at `offset` that is whole before `end`.
    pub(super) fn is_record(&self, offset: u64, end: u64, bounds: Bounds) -> io::Result<bool> {
        let left = end.saturating_sub(offset);
        if left < RECORD_HEADER_BYTES as u64 {
            return Ok(false);
        }
        let bytes = read_range(&self.file, offset, RECORD_HEADER_BYTES)?;
        let header = RecordHeader::decode(self.salt, &bytes);
        let fits = |header: &RecordHeader| {
            let in_bounds = header.kind == Kind::Footer || bounds.contain(header.position);
            in_bounds && header.stored_bytes() <= left
        };
        let Some(header) = header.filter(fits) else {
            return Ok(false);
        };
        // No more than this record: where many begin that are none, each is looked at.
        let capacity = usize::try_from(header.stored_bytes()).unwrap_or(CHUNK_BYTES);
        let mut payload = BufReader::with_capacity(capacity.min(CHUNK_BYTES), &self.file);
        payload.seek(SeekFrom::Start(offset + RECORD_HEADER_BYTES as u64))?;
        let sum = read_checksum(&mut payload, self.salt, header.length)?;
        Ok(sum == header.payload_checksum)
    }
}

/// Reads `length` bytes at `offset`; fewer only where the file ends.
pub(super) fn read_range(mut file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::with_capacity(length);
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same of what the system has in memory, without waiting for the disk; `None` if it has not
/// all of it, or cannot tell.
#[cfg(target_os = "linux")]
pub(super) fn read_cached(file: &File, offset: u64, length: usize) -> Option<Vec<u8>> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut bytes = vec![0; length];
    let mut into = [io::IoSliceMut::new(&mut bytes)];
    let read = preadv2(file, &mut into, offset, ReadWriteFlags::NOWAIT).ok()?;
    (read == length).then_some(bytes)
}

/// The same of what the system has in memory, where it would say so.
#[cfg(not(target_os = "linux"))]
pub(super) fn read_cached(_file: &File, _offset: u64, _length: usize) -> Option<Vec<u8>> {
    None
}

fn read_checksum(file: &mut impl BufRead, salt: u32, length: u32) -> io::Result<u32> {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    let mut left = length as usize;
    while left > 0 {
        let chunk = file.fill_buf()?;
        if chunk.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let taken = chunk.len().min(left);
        hasher.update(&chunk[..taken]);
        file.consume(taken);
        left -= taken;
    }
    Ok(hasher.finalize())
}
