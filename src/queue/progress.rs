//! What has been dealt with, and the small file that remembers it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use bytes::{Buf, BufMut};

use super::disk::{remove_file, write_durably};
use super::format::check_version;

const FILE: &str = "progress";
const NEW_FILE: &str = "progress.new";
const MAGIC: &[u8; 8] = b"prmrelyP";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 32;
const ENTRY_BYTES: usize = 10;
const CHECKSUM_BYTES: usize = 4;
/// The version, and what pads it.
const VERSION_BYTES: usize = 4;

/// What has been dealt with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Everything up to here was dropped or purged.
    pub dropped_through: u64,
    /// The position that the next record will have; tells it even when every segment is gone.
    pub next_position: u64,
    /// Per stream, the last position that was acknowledged.
    pub acknowledged: BTreeMap<u16, u64>,
}

impl Progress {
    /// The last position of `stream` that has been dealt with.
    pub(super) fn settled_through(&self, stream: u16) -> u64 {
        let acknowledged = self.acknowledged.get(&stream).copied().unwrap_or(0);
        acknowledged.max(self.dropped_through)
    }

    /// A position that no record has had yet, as far as this tells.
    pub(super) fn unused_position(&self) -> u64 {
        let last = self.acknowledged.values().copied().max().unwrap_or(0);
        let last = last.max(self.dropped_through);
        self.next_position.max(last.saturating_add(1))
    }

    /// Reads the file; `None` if there is none or it is damaged. An error if it is of another
    /// version.
    pub(super) fn load(directory: &Path) -> io::Result<Option<Self>> {
        match fs::read(directory.join(FILE)) {
            Ok(bytes) => {
                let Some(whole) = whole(&bytes) else {
                    return Ok(None);
                };
                check_version(u16::from_le_bytes([whole[0], whole[1]]), VERSION)?;
                Ok(Self::decode(whole))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file, all or nothing as far as other processes see. Not synced: see the bound
    /// on repetition in [`super`].
    pub(super) fn save(&self, directory: &Path) -> io::Result<()> {
        let new = directory.join(NEW_FILE);
        fs::write(&new, self.encode())?;
        fs::rename(&new, directory.join(FILE))
    }

    /// The same, synced.
    pub(super) fn save_durably(&self, directory: &Path) -> io::Result<()> {
        write_durably(&directory.join(FILE), &self.encode())
    }

    /// Deletes what was saved.
    pub(super) fn delete(directory: &Path) -> io::Result<()> {
        remove_file(&directory.join(NEW_FILE))?;
        remove_file(&directory.join(FILE))
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(
            HEADER_BYTES + self.acknowledged.len() * ENTRY_BYTES + CHECKSUM_BYTES,
        );
        let entries = u32::try_from(self.acknowledged.len()).expect("at most 65536 streams");
        bytes.put_slice(MAGIC);
        bytes.put_u16_le(VERSION);
        bytes.put_u16_le(0);
        bytes.put_u32_le(entries);
        bytes.put_u64_le(self.dropped_through);
        bytes.put_u64_le(self.next_position);
        for (&stream, &position) in &self.acknowledged {
            bytes.put_u16_le(stream);
            bytes.put_u64_le(position);
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.put_u32_le(checksum);
        bytes
    }

    /// Decodes what follows the magic.
    fn decode(mut fields: &[u8]) -> Option<Self> {
        fields.advance(VERSION_BYTES);
        let entries = fields.get_u32_le() as usize;
        let dropped_through = fields.get_u64_le();
        let next_position = fields.get_u64_le();
        if fields.len() != entries.checked_mul(ENTRY_BYTES)? {
            return None;
        }
        let mut acknowledged = BTreeMap::new();
        while fields.has_remaining() {
            acknowledged.insert(fields.get_u16_le(), fields.get_u64_le());
        }
        Some(Self {
            dropped_through,
            next_position,
            acknowledged,
        })
    }
}

/// What is between magic and checksum, if the file is whole.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let checked = bytes.get(..bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
    let checksum = bytes.get(checked.len()..)?.get_u32_le();
    let is_whole = checksum == crc32fast::hash(checked) && checked.len() >= HEADER_BYTES;
    checked.strip_prefix(MAGIC).filter(|_| is_whole)
}
