//! After a crash: bringing what the journal holds back into the queues.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tracing::{error, info, warn};

use super::active::{HALF_RESERVE, RESERVE};
use super::file::{Contents, Entry, FILE_HEADER_BYTES, read};
use crate::queue::OpenError;
use crate::queue::disk::{give_back, is_shortage, remove_file, sync_directory, write_durably};
use crate::queue::format::{
    RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader, checksum,
};
use crate::queue::progress::Progress;
use crate::queue::recovery::repair_header;
use crate::queue::resync::find_record;
use crate::queue::segment::{self, Bounds, CHUNK_BYTES, SegmentFile, Stop, Verify, read_range};

/// Records by position, as they stand in a segment.
type Records = BTreeMap<u64, Bytes>;

/// What a journal holds.
struct Found {
    files: Vec<PathBuf>,
    /// The sequence of the last file.
    sequence: u64,
    /// By the name of a queue's directory its salt and its records. Where a queue was deleted and
    /// made again, only the newer one's.
    queues: BTreeMap<String, (u32, Records)>,
}

/// Brings everything back, deletes the journal, and answers the sequence of its last file.
pub(super) fn recover(storage_path: &Path) -> Result<u64, OpenError> {
    let directory = storage_path.join(super::DIRECTORY);
    let removed = remove_file(&directory.join(HALF_RESERVE));
    removed.map_err(failed("delete what is done of", &directory))?;
    let found = find(&directory).map_err(failed("read", &directory))?;
    let bring_back = |name: &String| {
        let (salt, records) = &found.queues[name];
        let queue = storage_path.join(name);
        let brought = bring_back(&queue, *salt, records)?;
        if brought > 0 {
            let queue = queue.display();
            info!(%queue, records = brought, "brought records back from the journal");
        }
        Ok(())
    };
    let failed_queue = |name: &String| {
        let queue = storage_path.join(name);
        failed("bring the journal's records back into", &queue)
    };
    let bring_back_all = |names: Vec<_>| {
        let mut lacking = Vec::new();
        for name in names {
            match bring_back(name) {
                Err(error) if is_shortage(&error) => lacking.push((name, error)),
                brought => brought.map_err(failed_queue(name))?,
            }
        }
        Ok(lacking)
    };
    // Those that find no space wait until the others need the journal no more.
    let mut lacking = bring_back_all(found.queues.keys().collect())?;
    while !lacking.is_empty() {
        let names: Vec<_> = lacking.iter().map(|(name, _)| *name).collect();
        let room = make_room(&directory, &found.files, &names);
        room.map_err(failed("give back what is done of", &directory))?;
        let mut still = bring_back_all(names)?;
        if still.len() == lacking.len() {
            let (name, error) = still.swap_remove(0);
            return Err(failed_queue(name)(error));
        }
        lacking = still;
    }
    let delete = || {
        found.files.iter().try_for_each(|path| remove_file(path))?;
        if found.files.is_empty() {
            return Ok(());
        }
        sync_directory(&directory)
    };
    delete().map_err(failed("delete what is done of", &directory))?;
    Ok(found.sequence)
}

/// Gives back all that was kept for this, and what the files hold of none of these queues. A crash
/// meanwhile takes nothing that they need.
fn make_room(directory: &Path, files: &[PathBuf], queues: &[&String]) -> io::Result<()> {
    remove_file(&directory.join(RESERVE))?;
    for path in files {
        let Some(contents) = read(path)? else {
            continue;
        };
        let file = File::options().write(true).open(path)?;
        let mut done = FILE_HEADER_BYTES;
        let mut unneeded = Vec::new();
        for entry in contents.entries {
            if queues.contains(&&entry.name) {
                unneeded.push(done..entry.block.start);
                done = entry.block.end;
            }
        }
        unneeded.push(done..file.metadata()?.len());
        let mut unneeded = unneeded.into_iter().filter(|bytes| !bytes.is_empty());
        if let Err(error) = unneeded.try_for_each(|bytes| give_back(&file, bytes)) {
            let file = path.display();
            warn!(%file, %error, "cannot give back what is done of the journal");
        }
        file.sync_all()?;
    }
    Ok(())
}

/// Brings back what the journal holds of one queue, which is not open while others are.
pub(super) fn recover_queue(storage_path: &Path, name: &str) -> Result<(), OpenError> {
    let directory = storage_path.join(super::DIRECTORY);
    let mut found = find(&directory).map_err(failed("read", &directory))?;
    let Some((salt, records)) = found.queues.remove(name) else {
        return Ok(());
    };
    let queue = storage_path.join(name);
    let brought = bring_back(&queue, salt, &records);
    brought
        .map(drop)
        .map_err(failed("bring the journal's records back into", &queue))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |source| OpenError {
        action,
        path,
        source,
    }
}

fn find(directory: &Path) -> io::Result<Found> {
    let files = list(directory)?;
    let mut contents: Vec<Contents> = Vec::new();
    for path in &files {
        contents.extend(read(path)?);
    }
    contents.sort_unstable_by_key(|contents| contents.header.sequence);
    let sequence = contents.last().map_or(0, |last| last.header.sequence);
    let mut queues: BTreeMap<String, (u32, Records)> = BTreeMap::new();
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
            ..
        } in entries
        {
            let queue = queues.entry(name).or_default();
            if queue.0 != salt {
                *queue = (salt, Records::new());
            }
            queue.1.extend(split(salt, records));
        }
    }
    Ok(Found {
        files,
        sequence,
        queues,
    })
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

/// Writes the end of the queue in `directory` anew, with what it lacks of these records. Answers
/// how many that are.
///
/// All of it is written, whatever of it can be read: after a sync that failed the system may have
/// in memory what the disk has not, and would say so only once.
fn bring_back(directory: &Path, salt: u32, records: &Records) -> io::Result<usize> {
    let Some(last) = last_segment(directory, salt)? else {
        return Ok(0);
    };
    // What comes before is in segments that were synced before this one was begun, or deleted.
    let after = || records.range(last..);
    let Some((&from, _)) = after().next() else {
        return Ok(0);
    };
    let path = segment::path(directory, last);
    let mut tail = Tail::find(&SegmentFile::open(&path, salt)?, last, from)?;
    let mut positions = tail.records.keys();
    let may_be_cut = positions.all(|position| records.contains_key(position));
    let progress = Progress::load(directory)?.unwrap_or_default();
    let mut brought = 0;
    for (&position, record) in after() {
        let header = RecordHeader::decode(salt, record);
        let is_settled = |header: RecordHeader| position <= progress.settled_through(header.stream);
        if !tail.records.contains_key(&position) && !header.is_some_and(is_settled) {
            tail.records.insert(position, record.clone());
            brought += 1;
        }
    }
    let written = if may_be_cut {
        tail.write_in_place(&path)
    } else {
        tail.write_anew(&path)
    };
    match written {
        // A recovery before this one brought it all back, and part of the journal has gone since.
        Err(error) if is_shortage(&error) && !may_be_cut && brought == 0 => {
            File::options().write(true).open(&path)?.sync_data()?;
        }
        written => written?,
    }
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

/// The end of the last segment, from a position on: it may not have been synced when the journal
/// was written, so that any part of it can be missing, whether or not a footer follows.
struct Tail {
    /// Where it begins.
    start: u64,
    /// What is whole in it.
    records: Records,
}

impl Tail {
    fn find(file: &SegmentFile, segment: u64, from: u64) -> io::Result<Self> {
        let mut tail = Self {
            start: SEGMENT_HEADER_BYTES,
            records: Records::new(),
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
            match find_record(file, damage + 1, file.length, bounds)? {
                Some(next) => offset = next,
                None => return Ok(tail),
            }
        }
    }

    /// Cuts the segment off where the tail begins, and writes it there: a crash on the way leaves
    /// nothing that the journal does not have.
    fn write_in_place(&self, segment: &Path) -> io::Result<()> {
        let mut file = File::options().write(true).open(segment)?;
        file.set_len(self.start)?;
        file.seek(SeekFrom::Start(self.start))?;
        let mut file = BufWriter::with_capacity(CHUNK_BYTES, file);
        for record in self.records.values() {
            file.write_all(record)?;
        }
        file.into_inner()?.sync_data()
    }

    /// The same for a tail in which there is more than the journal has.
    fn write_anew(&self, segment: &Path) -> io::Result<()> {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        let mut bytes = read_range(&File::open(segment)?, 0, start)?;
        for record in self.records.values() {
            bytes.extend_from_slice(record);
        }
        write_durably(segment, &bytes)
    }
}
