//! Opening: what is there, what is left of it, and where writing goes on.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use tracing::warn;

use super::active::Active;
use super::disk::{OpenLog, is_shortage, make_directory, remove_file, sync_directory};
use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader, Summary};
use super::journal::Core;
use super::progress::Progress;
use super::resync::{find_record, set_aside, set_aside_segment};
use super::segment::{self, Bounds, SegmentFile, Stop, Verify};
use super::shared::Shared;
use super::state::{Health, Segment, State};
use super::tail::looks_damaged;
use super::{OpenError, Options, Tally};

/// What was found and mended when a queue was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// What is queued.
    pub queued: Tally,
    /// Segment files.
    pub segments: usize,
    /// Bytes that an append left that did not come to its end; they were cut off.
    pub torn_bytes: u64,
    /// Damaged regions before whole records.
    pub corrupt_regions: u64,
    /// Their bytes.
    pub corrupt_bytes: u64,
    /// Segments that had to be read because they had no valid footer; the last one never has.
    pub scanned_segments: u64,
}

/// A queue about to run.
pub(super) struct Recovered {
    pub shared: Arc<Shared>,
    pub active: Option<Active>,
    pub recovery: Recovery,
}

/// One segment, looked at.
struct Loaded {
    segment: Segment,
    summary: Summary,
    /// Whether what follows the records is to be cut off.
    has_tail: bool,
}

pub(super) fn open(
    directory: &Path,
    options: Options,
    journal: Option<Arc<Core>>,
    open_log: &OpenLog,
) -> Result<Recovered, OpenError> {
    let failed = |action| {
        let path = directory.to_owned();
        move |source| OpenError {
            action,
            path,
            source,
        }
    };
    make_directory(directory).map_err(failed("create the queue"))?;
    let saved = Progress::load(directory).map_err(failed("read the progress of the queue"))?;
    let mut opening = Opening {
        directory,
        progress: saved.unwrap_or_default(),
        recovery: Recovery::default(),
    };
    let (salt, mut loaded) = opening.load().map_err(failed("read the queue"))?;
    let next_position = loaded.iter().map(|loaded| loaded.segment.last + 1).max();
    let Opening {
        mut progress,
        mut recovery,
        ..
    } = opening;
    progress.next_position = progress.unused_position().max(next_position.unwrap_or(1));

    let last = loaded.pop_if(|last| !last.segment.sealed);
    let mut state = State {
        options,
        progress,
        segments: loaded.into_iter().map(|loaded| loaded.segment).collect(),
        ..State::default()
    };
    for at in (0..state.segments.len()).rev() {
        state.segments[at].sealed = true;
        state.remove_if_consumed(at);
    }
    state.counters.corrupt_regions = recovery.corrupt_regions;
    state.counters.corrupt_bytes = recovery.corrupt_bytes;
    let first = state.progress.next_position;
    // All that is there is synced before anything is written.
    state.written_through = first - 1;
    state.synced_through = first - 1;
    let shared = Arc::new(Shared::new(directory.to_owned(), salt, journal, state));
    let active = match last {
        Some(last) => resume(&shared, open_log, last).map(Some),
        None => create(&shared, open_log, first),
    };
    let active = active.map_err(failed("write to the queue"))?;
    let opened = shared.lock().stats();
    recovery.queued = opened.queued;
    recovery.segments = opened.segments;
    Ok(Recovered {
        shared,
        active,
        recovery,
    })
}

/// Goes on writing the last segment. It is synced first: what the crashed process had not synced
/// is readable from now on, so it has to be durable.
fn resume(shared: &Shared, open_log: &OpenLog, last: Loaded) -> io::Result<Active> {
    let first = last.segment.first;
    let mut file = (open_log)(&segment::path(&shared.directory, first))?;
    if last.has_tail {
        file.truncate(last.segment.data_end)?;
    }
    file.sync()?;
    sync_directory(&shared.directory)?;
    let end = last.segment.data_end;
    shared.lock().segments.push_back(last.segment);
    Ok(Active::resume(file, end, last.summary))
}

/// Starts a segment, unless the disk is full: then the writer does it when there is space.
fn create(shared: &Shared, open_log: &OpenLog, first: u64) -> io::Result<Option<Active>> {
    match Active::create(open_log, shared, first) {
        Ok(active) => Ok(Some(active)),
        Err(error) if is_shortage(&error) => {
            let directory = shared.directory.display();
            warn!(%directory, %error, "the disk is full; the queue refuses records");
            shared.lock().health = Health::DiskFull;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

struct Opening<'a> {
    directory: &'a Path,
    progress: Progress,
    recovery: Recovery,
}

impl Opening<'_> {
    /// The queue's salt and its segments in order.
    fn load(&mut self) -> io::Result<(u32, Vec<Loaded>)> {
        let files = segment::list(self.directory)?;
        let mut firsts: Vec<u64> = files.keys().copied().collect();
        let mut salt = None;
        let mut damaged = Vec::new();
        for &first in &firsts {
            match SegmentFile::salt_of(&segment::path(self.directory, first))? {
                Some(found) => salt = salt.or(Some(found)),
                None => damaged.push(first),
            }
        }
        for &first in &damaged {
            if salt.is_none() {
                salt = SegmentFile::salt_of_record(&segment::path(self.directory, first))?;
            }
        }
        let readable = salt.is_some();
        let salt = salt.unwrap_or_else(rand::random);
        for first in damaged {
            // A file that is shorter than a header is a crash's, not a damaged one.
            if files
                .get(&first)
                .is_some_and(|&bytes| bytes <= SEGMENT_HEADER_BYTES)
            {
                remove_file(&segment::path(self.directory, first))?;
                firsts.retain(|&other| other != first);
            } else if !readable {
                self.recovery.corrupt_regions += 1;
                self.recovery.corrupt_bytes += files.get(&first).copied().unwrap_or(0);
                set_aside_segment(self.directory, first)?;
                firsts.retain(|&other| other != first);
            } else {
                self.recovery.corrupt_regions += 1;
                self.recovery.corrupt_bytes += SEGMENT_HEADER_BYTES;
                repair_header(self.directory, SegmentHeader { salt, first })?;
            }
        }
        let mut loaded = Vec::with_capacity(firsts.len());
        for (at, &first) in firsts.iter().enumerate() {
            let next = firsts.get(at + 1).copied();
            loaded.push(self.load_segment(salt, first, next)?);
        }
        Ok((salt, loaded))
    }

    fn load_segment(&mut self, salt: u32, first: u64, next: Option<u64>) -> io::Result<Loaded> {
        let file = SegmentFile::open(&segment::path(self.directory, first), salt)?;
        let bounds = Bounds {
            above: first.saturating_sub(1),
            below: next.unwrap_or(u64::MAX),
        };
        let mut segment = Segment {
            first,
            last: bounds.above,
            data_end: SEGMENT_HEADER_BYTES,
            file_bytes: file.length,
            sealed: false,
            queued: Tally::default(),
            oldest_ms: 0,
            newest_ms: 0,
        };
        let Some((summary, end, data_end)) = file.footer()? else {
            self.recovery.scanned_segments += u64::from(next.is_some());
            return self.scan(&file, segment, bounds, next);
        };
        segment.sealed = true;
        segment.data_end = data_end;
        segment.last = end.saturating_sub(1).max(bounds.above);
        if !self.count(&mut segment, &summary) {
            segment.queued = Tally::default();
            let progress = &self.progress;
            let stop = file.walk(
                SEGMENT_HEADER_BYTES,
                bounds,
                Verify::Headers,
                |header, _| {
                    if header.position > progress.settled_through(header.stream) {
                        segment.add(header);
                    }
                },
            )?;
            if matches!(stop, Stop::Damage { .. }) {
                segment.queued = Tally::default();
                segment.last = bounds.above;
                return self.scan(&file, segment, bounds, next);
            }
        }
        Ok(Loaded {
            segment,
            summary,
            has_tail: false,
        })
    }

    /// Counts what is left of a sealed segment by its summary; false if a stream is partly
    /// acknowledged, so that the summary cannot tell.
    fn count(&self, segment: &mut Segment, summary: &Summary) -> bool {
        let mut ages: Option<(i64, i64)> = None;
        for (&stream, in_stream) in &summary.streams {
            let settled = self.progress.settled_through(stream);
            if in_stream.last <= settled {
                continue;
            }
            if in_stream.first <= settled {
                return false;
            }
            segment.queued += in_stream.tally;
            let (oldest_ms, newest_ms) = ages.unwrap_or((i64::MAX, i64::MIN));
            ages = Some((
                oldest_ms.min(in_stream.oldest_ms),
                newest_ms.max(in_stream.newest_ms),
            ));
        }
        (segment.oldest_ms, segment.newest_ms) = ages.unwrap_or_default();
        true
    }

    /// Reads a whole segment, past all damage.
    fn scan(
        &mut self,
        file: &SegmentFile,
        mut segment: Segment,
        mut bounds: Bounds,
        next: Option<u64>,
    ) -> io::Result<Loaded> {
        let mut summary = Summary::default();
        let mut from = SEGMENT_HEADER_BYTES.min(file.length);
        let mut has_tail = false;
        segment.data_end = loop {
            let progress = &self.progress;
            let stop = file.walk(from, bounds, Verify::Payloads, |header, _| {
                summary.add(header);
                segment.last = header.position;
                if header.position > progress.settled_through(header.stream) {
                    segment.add(header);
                }
            })?;
            bounds.above = segment.last;
            match stop {
                Stop::End { offset } => break offset,
                Stop::Zeros { offset } => {
                    has_tail = next.is_none();
                    break offset;
                }
                Stop::Damage { offset } => {
                    let found = find_record(file, offset + 1, file.length, bounds)?;
                    let end = found.unwrap_or(file.length);
                    if found.is_none() && next.is_none() {
                        self.cut(file, segment.first, offset)?;
                        has_tail = true;
                        break offset;
                    }
                    self.recovery.corrupt_regions += 1;
                    self.recovery.corrupt_bytes += end - offset;
                    set_aside(self.directory, segment.first, &file.file, offset, end);
                    let Some(found) = found else { break offset };
                    from = found;
                }
            }
        };
        if has_tail {
            segment.file_bytes = segment.data_end;
        }
        // A last segment that has bytes after its records was sealed, and its trailer is damaged.
        segment.sealed = next.is_some() || segment.data_end < segment.file_bytes;
        Ok(Loaded {
            segment,
            summary,
            has_tail,
        })
    }

    /// Notes a torn tail, and keeps a copy if it does not look like an append cut short.
    fn cut(&mut self, file: &SegmentFile, first: u64, offset: u64) -> io::Result<()> {
        let bytes = file.length - offset;
        self.recovery.torn_bytes += bytes;
        let segment = segment::path(self.directory, first);
        let segment = segment.display();
        warn!(%segment, offset, bytes, "cut off an append that had not come to its end");
        if looks_damaged(file, offset)? {
            self.recovery.corrupt_regions += 1;
            self.recovery.corrupt_bytes += bytes;
            set_aside(self.directory, first, &file.file, offset, file.length);
        }
        Ok(())
    }
}

/// Writes a damaged header again, so that the segment can be read when no other tells the salt.
pub(super) fn repair_header(directory: &Path, header: SegmentHeader) -> io::Result<()> {
    let path = segment::path(directory, header.first);
    warn!(segment = %path.display(), "wrote the damaged header of a segment again");
    let mut file = File::options().write(true).open(path)?;
    file.write_all(&header.encode())?;
    file.sync_data()
}
