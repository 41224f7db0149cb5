//! The bytes of a journal's file: its header, its blocks, their entries. Specified in [`super`].

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut, Bytes};

use crate::queue::format::{check_version, checksum};

/// Bytes of a file before its first block.
pub(super) const FILE_HEADER_BYTES: u64 = 32;
/// Bytes of a block before its body.
const BLOCK_HEADER_BYTES: usize = 20;
/// Bytes of an entry before the queue's name.
const ENTRY_HEADER_BYTES: usize = 14;
const BLOCK_MARKER: [u8; 4] = [0xF5, b'P', b'r', 0xFB];
const MAGIC: &[u8; 8] = b"prmrelyJ";
const VERSION: u16 = 1;

/// The first bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    /// Every checksum of the file starts from it.
    pub salt: u32,
    /// Which file was begun after which.
    pub sequence: u64,
}

impl FileHeader {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32);
        bytes.put_slice(MAGIC);
        bytes.put_u16_le(VERSION);
        bytes.put_u16_le(0);
        bytes.put_u32_le(self.salt);
        bytes.put_u64_le(self.sequence);
        bytes.put_u32_le(0);
        let checksum = crc32fast::hash(&bytes);
        bytes.put_u32_le(checksum);
        bytes
    }

    /// The header at the start of `bytes`; `None` if it is damaged.
    ///
    /// # Errors
    /// If it is of another version.
    fn decode(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some((checked, mut checksum)) = bytes.split_at_checked(28) else {
            return Ok(None);
        };
        let is_whole = checksum.len() >= 4 && checksum.get_u32_le() == crc32fast::hash(checked);
        let Some(mut fields) = checked.strip_prefix(MAGIC).filter(|_| is_whole) else {
            return Ok(None);
        };
        check_version(fields.get_u16_le(), VERSION)?;
        fields.advance(2);
        Ok(Some(Self {
            salt: fields.get_u32_le(),
            sequence: fields.get_u64_le(),
        }))
    }
}

/// Begins a block in an empty buffer; [`end_block`] writes its header.
pub(super) fn begin_block(buffer: &mut Vec<u8>) {
    buffer.put_bytes(0, BLOCK_HEADER_BYTES);
}

/// Writes the header of the block that `block` is, for a file with this salt.
pub(super) fn end_block(salt: u32, block: &mut [u8]) {
    let (header, body) = block.split_at_mut(BLOCK_HEADER_BYTES);
    let sum = checksum(salt, body);
    let mut fields = &mut *header;
    fields.put_slice(&BLOCK_MARKER);
    fields.put_u32_le(sum);
    fields.put_u64_le(body.len() as u64);
    let (checked, last) = header.split_at_mut(BLOCK_HEADER_BYTES - 4);
    last.copy_from_slice(&checksum(salt, checked).to_le_bytes());
}

/// Begins the entry of a queue: its records are appended next, then comes [`end_entry`] with what
/// this answers.
pub(super) fn begin_entry(buffer: &mut Vec<u8>, name: &str, salt: u32) -> usize {
    // The name of a file: 255 bytes at the most.
    buffer.put_u16_le(u16::try_from(name.len()).expect("a directory has a short name"));
    buffer.put_u32_le(salt);
    buffer.put_u64_le(0);
    buffer.put_slice(name.as_bytes());
    buffer.len()
}

/// Ends the entry whose records begin at `start`.
pub(super) fn end_entry(buffer: &mut [u8], name_bytes: usize, start: usize) {
    let length = (buffer.len() - start) as u64;
    let at = start - name_bytes - 8;
    buffer[at..at + 8].copy_from_slice(&length.to_le_bytes());
}

/// What a queue appended, in a file that is read.
#[derive(Debug)]
pub(super) struct Entry {
    /// The name of its directory.
    pub name: String,
    pub salt: u32,
    /// Its records as they stand in its segments.
    pub records: Bytes,
    /// Where the block that it is in stands in the file.
    pub block: Range<u64>,
}

/// A file that is read.
#[derive(Debug)]
pub(super) struct Contents {
    pub path: PathBuf,
    pub header: FileHeader,
    pub entries: Vec<Entry>,
    /// Bytes before whole blocks that are not.
    pub damaged_bytes: u64,
}

/// Reads a file; `None` if it has no whole header, so that nothing in it was ever durable.
///
/// # Errors
/// If it cannot be read, or is of another version.
pub(super) fn read(path: &Path) -> io::Result<Option<Contents>> {
    let file = Bytes::from(fs::read(path)?);
    let Some(header) = FileHeader::decode(&file)? else {
        return Ok(None);
    };
    let mut contents = Contents {
        path: path.to_owned(),
        header,
        entries: Vec::new(),
        damaged_bytes: 0,
    };
    let mut at = usize::try_from(FILE_HEADER_BYTES).unwrap_or(usize::MAX);
    while let Some((start, body)) = next_block(header.salt, &file, at) {
        // Zeros are what was given back, or never written.
        if file[at..start].iter().any(|&byte| byte != 0) {
            contents.damaged_bytes += (start - at) as u64;
        }
        at = start + BLOCK_HEADER_BYTES + body.len();
        let block = start as u64..at as u64;
        read_entries(body, &block, &mut contents.entries);
    }
    Ok(Some(contents))
}

/// The first whole block from `from` on: where it begins, and its body.
fn next_block(salt: u32, file: &Bytes, from: usize) -> Option<(usize, Bytes)> {
    let rest = file.get(from..)?;
    let starts = memchr::memmem::find_iter(rest, &BLOCK_MARKER);
    starts
        .map(|at| from + at)
        .find_map(|at| Some((at, block_at(salt, file, at)?)))
}

/// The body of the block at `at`, if there is a whole one.
fn block_at(salt: u32, file: &Bytes, at: usize) -> Option<Bytes> {
    let header = file.get(at..)?.get(..BLOCK_HEADER_BYTES)?;
    let (checked, mut sum) = header.split_at(BLOCK_HEADER_BYTES - 4);
    if sum.get_u32_le() != checksum(salt, checked) {
        return None;
    }
    let mut fields = checked.strip_prefix(&BLOCK_MARKER)?;
    let sum = fields.get_u32_le();
    let length = usize::try_from(fields.get_u64_le()).ok()?;
    let start = at + BLOCK_HEADER_BYTES;
    let end = start.checked_add(length).filter(|&end| end <= file.len())?;
    let body = file.slice(start..end);
    (checksum(salt, &body) == sum).then_some(body)
}

/// Reads the entries of a block that is whole, and so just as it was written.
fn read_entries(mut body: Bytes, block: &Range<u64>, entries: &mut Vec<Entry>) {
    while body.len() >= ENTRY_HEADER_BYTES {
        let name_bytes = usize::from(body.get_u16_le());
        let salt = body.get_u32_le();
        let length = usize::try_from(body.get_u64_le()).unwrap_or(usize::MAX);
        if body.len() < name_bytes || body.len() - name_bytes < length {
            return;
        }
        let name = body.split_to(name_bytes);
        entries.push(Entry {
            name: String::from_utf8_lossy(&name).into_owned(),
            salt,
            records: body.split_to(length),
            block: block.clone(),
        });
    }
}
