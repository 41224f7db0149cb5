//! After a crash: bringing what the journal holds back into the queues.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tracing::{error, info};

use super::file::{Contents, Entry, read};
use crate::queue::OpenError;
use crate::queue::disk::{remove_file, sync_directory, write_durably};
use crate::queue::format::{
    RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader, checksum,
};
use crate::queue::progress::Progress;
use crate::queue::recovery::repair_header;
use crate::queue::resync::find_record;
use crate::queue::segment::{self, Bounds, SegmentFile, Stop, Verify, read_range};

/// Records by position, as they stand in a segment.
type Records = BTreeMap<u64, Bytes>;

/// Brings everything back, deletes the journal, and answers the sequence of its last file.
pub(super) fn recover(storage_path: &Path) -> Result<u64, OpenError> {
    let directory = storage_path.join(super::DIRECTORY);
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| OpenError {
            action,
            path,
            source,
        }
    };
    let files = list(&directory).map_err(failed("list", &directory))?;
    let mut contents: Vec<Contents> = Vec::new();
    for path in &files {
        contents.extend(read(path).map_err(failed("read", path))?);
    }
    contents.sort_unstable_by_key(|contents| contents.header.sequence);
    let sequence = contents.last().map_or(0, |last| last.header.sequence);
    let mut queues: BTreeMap<(String, u32), Records> = BTreeMap::new();
    for Contents {
        path,
        entries,
        damaged_bytes,
        ..
    } in contents
    {
        if damaged_bytes > 0 {
            let file = path.display();
            error!(%file, bytes = damaged_bytes, "skipped damaged bytes of the journal");
        }
        for Entry {
            name,
            salt,
            records,
        } in entries
        {
            let queue = queues.entry((name, salt)).or_default();
            queue.extend(split(salt, records));
        }
    }
    for ((name, salt), records) in queues {
        let queue = storage_path.join(&name);
        let brought = bring_back(&queue, salt, records);
        let brought = brought.map_err(failed("bring the journal's records back into", &queue))?;
        if brought > 0 {
            let queue = queue.display();
            info!(%queue, records = brought, "brought records back from the journal");
        }
    }
    let delete = || {
        files.iter().try_for_each(|path| remove_file(path))?;
        if files.is_empty() {
            return Ok(());
        }
        sync_directory(&directory)
    };
    delete().map_err(failed("delete what is done of", &directory))?;
    Ok(sequence)
}

/// The files of a journal; none if there is no journal.
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.parse::<u64>().ok());
        if number.is_some() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// The records of an entry, which is as it was written.
fn split(salt: u32, mut bytes: Bytes) -> impl Iterator<Item = (u64, Bytes)> {
    std::iter::from_fn(move || {
        let header = RecordHeader::decode(salt, &bytes)?;
        let length = usize::try_from(header.stored_bytes()).ok()?;
        let record = (length <= bytes.len()).then(|| bytes.split_to(length))?;
        let payload = record.get(RECORD_HEADER_BYTES..)?;
        (checksum(salt, payload) == header.payload_checksum).then_some((header.position, record))
    })
}

/// Writes what the queue in `directory` lacks of these records. Answers how many that are.
fn bring_back(directory: &Path, salt: u32, mut records: Records) -> io::Result<usize> {
    let Some(last) = last_segment(directory, salt)? else {
        return Ok(0);
    };
    let progress = Progress::load(directory)?.unwrap_or_default();
    let file = SegmentFile::open(&segment::path(directory, last), salt)?;
    // What comes before was synced when its segment was sealed, or has been deleted since.
    let sealed = file.footer()?.map(|(_, end, _)| end);
    let first = sealed.map_or(last, |end| end.max(last));
    records = records.split_off(&first);
    records.retain(|&position, record| {
        let header = RecordHeader::decode(salt, record);
        header.is_some_and(|header| position > progress.settled_through(header.stream))
    });
    let Some(&from) = records.keys().next() else {
        sync(&file)?;
        return Ok(0);
    };
    if sealed.is_some() {
        let header = SegmentHeader { salt, first: from };
        write_segment(directory, header.first, &header.encode(), &records)?;
        return Ok(records.len());
    }
    let mut tail = Tail::find(&file, last, from)?;
    let before = tail.records.len();
    for (position, record) in records {
        tail.records.entry(position).or_insert(record);
    }
    let brought = tail.records.len() - before;
    if brought == 0 && tail.is_whole {
        sync(&file)?;
        return Ok(0);
    }
    let start = read_range(
        &file.file,
        0,
        usize::try_from(tail.start).unwrap_or(usize::MAX),
    )?;
    write_segment(directory, last, &start, &tail.records)?;
    Ok(brought)
}

/// The last segment of the queue with this salt in `directory`; `None` if there is no such queue.
fn last_segment(directory: &Path, salt: u32) -> io::Result<Option<u64>> {
    if !directory.is_dir() {
        return Ok(None);
    }
    let segments = segment::list(directory)?;
    let mut damaged = Vec::new();
    for &first in segments.keys() {
        match SegmentFile::salt_of(&segment::path(directory, first))? {
            Some(found) if found != salt => return Ok(None),
            Some(_) => {}
            None => damaged.push(first),
        }
    }
    // The journal knows the salt for sure.
    for first in damaged {
        repair_header(directory, SegmentHeader { salt, first })?;
    }
    Ok(segments.keys().next_back().copied())
}

/// The end of a segment that is not sealed, from a position on: what was not synced when the
/// journal was written, so that any part of it can be missing.
struct Tail {
    /// Where it begins.
    start: u64,
    /// What is whole in it.
    records: Records,
    /// Whether nothing else is in it.
    is_whole: bool,
}

impl Tail {
    fn find(file: &SegmentFile, segment: u64, from: u64) -> io::Result<Self> {
        let mut tail = Self {
            start: SEGMENT_HEADER_BYTES,
            records: Records::new(),
            is_whole: true,
        };
        let mut bounds = Bounds {
            above: segment.saturating_sub(1),
            below: u64::MAX,
        };
        let mut offset = SEGMENT_HEADER_BYTES.min(file.length);
        loop {
            let mut found = Vec::new();
            let stop = file.walk(offset, bounds, Verify::Payloads, |header, at| {
                bounds.above = header.position;
                if header.position < from {
                    // Damage before it is older than the journal: opening the queue sees to that.
                    tail.start = at + header.stored_bytes();
                    tail.is_whole = true;
                } else {
                    found.push((header.position, at, header.stored_bytes()));
                }
            })?;
            for (position, at, length) in found {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let record = read_range(&file.file, at, length)?;
                tail.records.insert(position, record.into());
            }
            let Stop::Damage { offset: damage } = stop else {
                return Ok(tail);
            };
            tail.is_whole = false;
            match find_record(file, damage + 1, file.length, bounds)? {
                Some(next) => offset = next,
                None => return Ok(tail),
            }
        }
    }
}

/// Writes a segment anew, all of it or nothing.
fn write_segment(directory: &Path, first: u64, start: &[u8], records: &Records) -> io::Result<()> {
    let length: usize = records.values().map(Bytes::len).sum();
    let mut bytes = Vec::with_capacity(start.len() + length);
    bytes.extend_from_slice(start);
    for record in records.values() {
        bytes.extend_from_slice(record);
    }
    write_durably(&segment::path(directory, first), &bytes)
}

fn sync(segment: &SegmentFile) -> io::Result<()> {
    segment.file.sync_data()
}
