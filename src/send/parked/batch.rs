//! A parked batch as a file's content.

use std::io;

use bytes::{Buf as _, BufMut as _, Bytes};
use thiserror::Error;

use crate::remote_write::block::{Block, BlockError};

const MAGIC: &[u8; 8] = b"prmrelyR";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 36;
const CHECKSUM_BYTES: usize = 4;
/// How much of a receiver's words is kept, in bytes.
const WORDS_BYTES: usize = 4096;

/// What a receiver refused, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedBatch {
    /// The status code of its answer.
    pub status: u16,
    /// Its words.
    pub words: String,
    /// The stream of the queue that the block was in.
    pub stream: u16,
    /// When it was parked, in milliseconds since 1970.
    pub parked_ms: i64,
    /// When the oldest sample in it came, in milliseconds since 1970.
    pub appended_ms: i64,
    /// The batch.
    pub block: Block,
}

/// Why a parked batch cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read the file")]
    Io(#[from] io::Error),
    /// Its checksum or its layout is wrong.
    #[error("the file is damaged")]
    Damaged,
    /// Another version of promrelay wrote it.
    #[error("the file has version {0}, which this promrelay cannot read")]
    UnknownVersion(u16),
    /// Its block cannot be read.
    #[error("the batch in the file cannot be read")]
    Block(#[from] BlockError),
}

impl ParkedBatch {
    pub(super) fn samples(&self) -> u64 {
        self.block.counts.samples
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let words = self.words.floor_char_boundary(WORDS_BYTES);
        let words = self.words.get(..words).unwrap_or_default();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + words.len() + 64);
        bytes.put_slice(MAGIC);
        bytes.put_u16_le(VERSION);
        bytes.put_u16_le(self.status);
        bytes.put_u16_le(self.stream);
        bytes.put_u16_le(0);
        bytes.put_i64_le(self.parked_ms);
        bytes.put_i64_le(self.appended_ms);
        bytes.put_u32_le(u32::try_from(words.len()).expect("cut to less than 4 GiB"));
        bytes.put_slice(words.as_bytes());
        self.block.encode_into(&mut bytes);
        let checksum = crc32fast::hash(&bytes);
        bytes.put_u32_le(checksum);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ReadError> {
        let checked = bytes.len().checked_sub(CHECKSUM_BYTES);
        let (checked, mut checksum) = checked
            .and_then(|checked| bytes.split_at_checked(checked))
            .ok_or(ReadError::Damaged)?;
        let is_whole = checksum.get_u32_le() == crc32fast::hash(checked);
        let mut fields = checked.strip_prefix(MAGIC).ok_or(ReadError::Damaged)?;
        if !is_whole || checked.len() < HEADER_BYTES {
            return Err(ReadError::Damaged);
        }
        let version = fields.get_u16_le();
        if version != VERSION {
            return Err(ReadError::UnknownVersion(version));
        }
        let (status, stream, _) = (
            fields.get_u16_le(),
            fields.get_u16_le(),
            fields.get_u16_le(),
        );
        let (parked_ms, appended_ms) = (fields.get_i64_le(), fields.get_i64_le());
        let words = fields.get_u32_le() as usize;
        let (words, block) = fields.split_at_checked(words).ok_or(ReadError::Damaged)?;
        Ok(Self {
            status,
            words: String::from_utf8_lossy(words).into_owned(),
            stream,
            parked_ms,
            appended_ms,
            block: Block::decode(Bytes::copy_from_slice(block))?,
        })
    }
}
