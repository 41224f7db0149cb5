//! Telling an append that was cut short from damage, at the end of the last segment.
//!
//! An append that did not come to its end is nobody's loss: nobody was told that it was durable.
//! It is a record that the file ends in, or one of which some sectors are still the zeros that the
//! file had been lengthened by. Anything else was whole once.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::format::{RECORD_HEADER_BYTES, RecordHeader};
use super::segment::{CHUNK_BYTES, SegmentFile, read_range};

/// What a disk writes as a whole.
const SECTOR_BYTES: usize = 512;
/// So many zeros say that a sector, or the part of one, was not written: what is stored is
/// compressed or checksummed.
const TELLING_ZEROS: usize = 8;

/// Whether what is at `offset`, after the last whole record of a file, was whole once.
pub(super) fn looks_damaged(file: &SegmentFile, offset: u64) -> io::Result<bool> {
    let start = read_range(&file.file, offset, RECORD_HEADER_BYTES)?;
    if start.len() < RECORD_HEADER_BYTES {
        return Ok(false);
    }
    let Some(header) = RecordHeader::decode(file.salt, &start) else {
        let gaps = Gaps::find(file, offset, file.length)?;
        return Ok(gaps.first.is_none_or(|gap| gap >= gaps.written_end));
    };
    let end = offset + header.stored_bytes();
    if end > file.length {
        return Ok(false);
    }
    Ok(Gaps::find(file, offset, end)?.first.is_none())
}

/// What was not written of a part of a file.
struct Gaps {
    /// The first sector that is all zeros.
    first: Option<u64>,
    /// Where the last one ends that is not.
    written_end: u64,
}

impl Gaps {
    fn find(file: &SegmentFile, from: u64, to: u64) -> io::Result<Self> {
        let mut gaps = Self {
            first: None,
            written_end: from,
        };
        let mut reader = BufReader::with_capacity(CHUNK_BYTES, &file.file);
        reader.seek(SeekFrom::Start(from))?;
        let mut offset = from;
        while offset < to {
            let mut sector = [0; SECTOR_BYTES];
            let in_sector = SECTOR_BYTES as u64 - offset % SECTOR_BYTES as u64;
            let length = usize::try_from(in_sector.min(to - offset)).unwrap_or(SECTOR_BYTES);
            let sector = &mut sector[..length];
            reader.read_exact(sector)?;
            let end = offset + length as u64;
            if sector.iter().any(|&byte| byte != 0) {
                gaps.written_end = end;
            } else if length >= TELLING_ZEROS {
                gaps.first.get_or_insert(offset);
            }
            offset = end;
        }
        Ok(gaps)
    }
}
