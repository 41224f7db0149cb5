//! A durable first-in-first-out queue of bytes: append, sync, read, acknowledge.
//!
//! One queue is one directory. It knows nothing of what it stores but three opaque numbers per
//! record: its *stream* (records of one stream are acknowledged in order), its *weight* (summed,
//! never understood) and the time it was appended.
//!
//! # Guarantees
//! 1. When [`Receipt::durable`] answers `Ok`, the records survive a power cut
//!    ([`Durability::Fsync`]) or the end of the process ([`Durability::Async`]; a power cut takes
//!    at most what was appended in the 100 ms before, plus the time of one sync).
//! 2. The order of calls to [`Queue::append`] is the order of the log and of reading. The records
//!    of one call become durable together; of a call that a crash cut off, some may be found.
//! 3. What was not durable is never read, what was is read until its stream acknowledges it, and
//!    nothing is read that was not appended.
//! 4. A restart repeats at most (a) records that were read and not acknowledged, and (b) records
//!    acknowledged in the last second before a crash (none after [`Queue::close`]). Progress is
//!    not synced: a power cut can take more of it, but brings back no more than the acknowledged
//!    records of segments that had not been deleted, or whose deletion the power cut undid.
//! 5. The files of a queue take at most [`Options::max_bytes`], footers, one append's overshoot and
//!    the zeros that the last segment ends in (at most 128 KiB, and 1/256 of `max_bytes`) aside;
//!    what waits in memory for the disk takes at most 64 MiB, or one append if that is larger. A
//!    reader holds 256 KiB or one record. Per segment, per stream and per record that was read and
//!    not acknowledged there is one small entry in memory; nothing per record that waits on disk.
//!
//! # How it works
//! [`Queue::append`] copies records into the *pending group*, under a short lock. Each queue has
//! one thread that writes: it takes the whole group, writes it with one `write`, syncs with one
//! `fdatasync`, answers everybody who waits for the group, and takes what has come meanwhile. A
//! group in which nobody is in a hurry ([`Queue::append_with`]) waits for more of its kind. A
//! thread and not a job on the runtime's pool, so that a disk that hangs holds up neither other
//! blocking work nor another queue, and a queue needs no runtime to be written; a parked thread
//! costs a few KiB. The same thread cuts segments, deletes consumed ones and saves progress.
//!
//! With a [`Journal`], which all queues of a directory share, records become durable there first:
//! one sync does for all queues ([`append_all`]), and for all that was appended by then: who has
//! more to append says so ([`Patience`]). The queue's thread is handed what is durable, and writes
//! it without a sync.
//!
//! # On disk
//! All integers are little-endian. `crc(x)` is the CRC-32 (IEEE) of `x` *started from the queue's
//! salt* (the CRC register's initial value as `crc32fast::Hasher::new_with_initial` takes it).
//!
//! ```text
//! <directory>/
//!   00000000000000000001.log   a segment, named by a position: none of its records is below it
//!   progress                   what has been acknowledged
//!   corrupt/<segment>-<offset>.bin   copies of damaged regions (at most 64 MiB and 256 files)
//!
//! segment  = header(32) record* [ footer trailer ]     the footer when it is complete ("sealed")
//! header   = "prmrelyQ" version:u16=1 0:u16 salt:u32 first_position:u64 0:u32
//!            plain CRC-32 of the 28 bytes before:u32
//! record   = F5 50 72 FA  length:u32  position:u64  appended_ms:i64  weight:u32  stream:u16
//!            kind:u16 (0 data, 1 footer)  crc(payload):u32  crc(the 36 bytes before):u32
//!            payload: length bytes
//! footer   = a record of kind 1 whose position is above all others of the segment; its payload
//!            has one entry of 64 bytes per stream, in order of streams:
//!            stream:u16 0:[u8;6] records:u64 weight:u64 stored_bytes:u64
//!            first_position:u64 last_position:u64 oldest_ms:i64 newest_ms:i64
//! trailer  = bytes of the footer record:u32 "PrQ$"
//! progress = "prmrelyP" version:u16=1 0:u16 entries:u32 dropped_through:u64 next_position:u64
//!            ( stream:u16 position:u64 )*   plain CRC-32 of all before:u32
//! ```
//! Positions grow from record to record, through all segments, and are never used twice. The salt
//! is drawn at random when a queue is made and is the same in all its segments. Since it goes into
//! every checksum, a record that some payload contains is not taken for a record of this queue.
//! A record has been dealt with if its position is at most `dropped_through`, or at most its
//! stream's position in `progress`.
//!
//! Under [`Durability::Fsync`] without a journal the segment that is being written is lengthened by
//! zeros ahead of small records, since a file that does not grow is synced at less cost; they are
//! cut off when it is sealed or the queue is closed.
//!
//! To read: take the segments by name; read records while their checksums hold and their
//! positions grow; where one does not, search on byte by byte for the next whole one. The header
//! has its own checksum, so that a damaged length leads nowhere. Only the last segment may lack
//! its footer, or end in zeros, without harm; the footer is a summary, and all in it can be had by
//! reading.
//!
//! # When something fails
//!
//! - *A crash while writing*: the torn tail is cut on open; none of it had been answered for. What
//!   lacks sectors is a torn tail, what does not is taken for damage.
//! - *Damage in the middle*: skipped to the next whole record; copied to `corrupt/`, counted,
//!   logged.
//! - *A segment's header is damaged*: the salt is taken from another segment, or deduced from the
//!   first record; if that is damaged too, the file is moved to `corrupt/`.
//! - *A newer version has written it*: opening fails, and nothing is touched.
//! - *A footer is damaged or missing*: the segment is read once, on open.
//! - *`progress` is damaged or missing*: records whose segments are still there are repeated.
//! - *A write finds the disk full*: the file is cut back to what is durable, and
//!   [`ReserveError::DiskFull`] answers until a trial write, once a second, succeeds. The last
//!   segment is deleted then too, if all in it has been dealt with.
//! - *Any other failed write, any failed sync*: poisoned, [`ReserveError::Failed`] until it is
//!   opened again. A sync is never repeated, since the second may succeed without having written
//!   what the first lost. Reading goes on.
//! - *Either of these behind a journal*: what it holds waits there for space, or for a restart;
//!   after a failed sync nothing is read that no earlier sync has seen to.
//! - *A failed read*: tried again every second. Bytes that could not be read five times count as
//!   damaged, up to the end of the segment, and so does a file that is gone; one that cannot be
//!   opened does not.
//! - *No file can be opened for want of descriptors or memory*: as when the disk is full.
//! - *A failed save of progress*: logged and tried again every second. A purge, which waits for
//!   it, fails.
//! - *A failed delete*: logged; a consumed segment that is still there is deleted on open.

use std::ops::AddAssign;
use std::time::Duration;

use bytes::Bytes;

mod active;
mod alarm;
mod append;
mod commit;
mod delivery;
mod disk;
mod error;
mod format;
mod group;
mod handle;
mod health;
mod housekeeping;
mod inspect;
mod journal;
mod lock;
mod name;
mod progress;
mod reader;
mod recovery;
mod resync;
mod salt;
mod segment;
mod shared;
mod state;
mod tail;
#[cfg(test)]
mod tests;

pub use append::{Append, Patience, Receipt, append_all};
pub use disk::{make_directory, write_durably};
pub use error::{AppendError, CloseError, LockError, OpenError, ReserveError};
pub use handle::{Queue, Reservation};
pub use inspect::{Inspect, Inspected, delete, inspect};
pub use journal::{Journal, JournalStats, recover as recover_journal};
pub use lock::{DirectoryLock, lock_directory, lock_file};
pub use name::{MAX_REVERSIBLE_BYTES, directory_name, route_name};
pub use reader::Reader;
pub use recovery::Recovery;

/// The bounds and the habits of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of all segment files plus what is on its way to them. Default 1 GiB.
    pub max_bytes: u64,
    /// Records older than this are dropped. Default: none are.
    pub max_age: Option<Duration>,
    /// What happens when there is no room. Default [`OnFull::Refuse`].
    pub on_full: OnFull,
    /// What "durable" means. Default [`Durability::Fsync`].
    pub durability: Durability,
    /// A segment is sealed when it has this many bytes; at most an eighth of `max_bytes` is used.
    /// Default 16 MiB.
    pub segment_bytes: u64,
    /// Bytes that have to stay free on the volume, where the system tells (Unix). Default 0.
    pub min_free_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_bytes: 1 << 30,
            max_age: None,
            on_full: OnFull::default(),
            durability: Durability::default(),
            segment_bytes: 16 << 20,
            min_free_bytes: 0,
        }
    }
}

/// What a full queue does with new records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// It refuses them, and their sender keeps them.
    #[default]
    Refuse,
    /// It drops its oldest records, a whole segment at a time, and counts them.
    DropOldest,
}

/// What "durable" means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// On the disk.
    #[default]
    Fsync,
    /// With the operating system, and on the disk 100 ms later.
    Async,
}

/// A record to append.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The stream it belongs to.
    pub stream: u16,
    /// What it weighs (samples, say).
    pub weight: u32,
    /// Now, in milliseconds since 1970.
    pub appended_ms: i64,
    /// The payload.
    pub bytes: &'a [u8],
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is in the log; acknowledge it with this.
    pub position: Position,
    /// The stream it belongs to.
    pub stream: u16,
    /// What it weighs.
    pub weight: u32,
    /// When it was appended, in milliseconds since 1970.
    pub appended_ms: i64,
    /// The payload.
    pub bytes: Bytes,
}

/// A record's place in its queue: later records have greater ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// The position as a number, for people.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

/// How much of something: a count of records, and what they sum up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records.
    pub records: u64,
    /// The sum of their weights.
    pub weight: u64,
    /// The bytes they are stored in, headers included: the sum of [`Queue::stored_size`].
    pub bytes: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.weight += other.weight;
        self.bytes += other.bytes;
    }
}

impl Tally {
    /// Takes `other` away; never below nothing, as a damaged footer could otherwise make it.
    fn remove(&mut self, other: Self) {
        self.records = self.records.saturating_sub(other.records);
        self.weight = self.weight.saturating_sub(other.weight);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// A queue in numbers. Counters count since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// What is durable and not acknowledged, and what was read before it was dropped and is still
    /// in its reader's hands: see [`Queue::withdraw`].
    pub queued: Tally,
    /// Bytes of all segment files, without zeros that the last one ends in.
    pub disk_bytes: u64,
    /// Segment files.
    pub segments: usize,
    /// When the oldest queued record was appended, in milliseconds since 1970. Exact after open
    /// and where the reader is; a lower bound within the segment before which it stands.
    pub oldest_ms: Option<i64>,
    /// What was appended and became durable.
    pub appended: Tally,
    /// What was acknowledged.
    pub acknowledged: Tally,
    /// What was dropped because the queue was full.
    pub dropped_full: Tally,
    /// What was dropped because it was too old.
    pub dropped_age: Tally,
    /// What was dropped by [`Queue::purge`].
    pub purged: Tally,
    /// What was appended and did not become durable, because the disk failed or was full.
    pub not_stored: Tally,
    /// What was counted as queued and turned out to be damaged when it was read.
    pub lost: Tally,
    /// Damaged regions that were met, on open or later.
    pub corrupt_regions: u64,
    /// Their bytes.
    pub corrupt_bytes: u64,
    /// Syncs of segment files.
    pub syncs: u64,
    /// Why the queue takes nothing more, if it does not.
    pub failed: Option<String>,
    /// Whether it waits for space on the disk, which is full or below [`Options::min_free_bytes`].
    pub disk_full: bool,
}
