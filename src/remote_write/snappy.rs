//! Snappy's block format with nothing taken on trust, and blocks that join.
//!
//! A block is a varint (the decompressed length) followed by elements. Remote write uses this
//! format only, never the framed one.

use snap::raw::{Decoder, Encoder, max_compress_len};
use thiserror::Error;

use super::wire::{put_varint, read_varint};

/// The most that snappy can expand: a two-byte-offset copy turns 3 bytes into 64.
const MAX_EXPANSION: u64 = 22;

/// A compressor's buffer that is larger than this is not kept for smaller blocks, in bytes.
const KEPT_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Why a block was not decompressed.
#[derive(Debug, Error)]
pub enum DecompressError {
    /// There is no valid length at the front.
    #[error("snappy block has no valid length in front")]
    NoLength,
    /// The length in front is more than these bytes can expand to, so it is not allocated.
    #[error("snappy block of {compressed} bytes claims to hold {claimed} bytes, which cannot be")]
    Impossible {
        /// The bytes that came.
        compressed: usize,
        /// What its header says.
        claimed: u64,
    },
    /// The length in front is over the limit.
    #[error("decompressed body would be {claimed} bytes, over the limit of {limit}")]
    TooLarge {
        /// What its header says.
        claimed: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The elements are not valid, or do not add up to the length in front.
    #[error("snappy block is corrupt")]
    Corrupt(#[source] snap::Error),
}

/// Decompresses `block` to the front of `buffer` (which only ever grows, so that it can be used
/// again without being cleared) and returns the part that was written.
///
/// # Errors
/// Before anything is allocated if the length in front is missing, impossible or over `limit`;
/// then if the elements are corrupt.
pub fn decompress<'b>(
    block: &[u8],
    limit: u64,
    buffer: &'b mut Vec<u8>,
) -> Result<&'b [u8], DecompressError> {
    let (claimed, _) = read_varint(block).map_err(|_why| DecompressError::NoLength)?;
    if claimed > limit {
        return Err(DecompressError::TooLarge { claimed, limit });
    }
    let compressed = block.len();
    if claimed > MAX_EXPANSION.saturating_mul(compressed as u64) {
        return Err(DecompressError::Impossible {
            compressed,
            claimed,
        });
    }
    let length =
        usize::try_from(claimed).map_err(|_why| DecompressError::TooLarge { claimed, limit })?;
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    let written = Decoder::new()
        .decompress(block, &mut buffer[..length])
        .map_err(DecompressError::Corrupt)?;
    Ok(&buffer[..written])
}

/// Compresses blocks with tables and buffers that are used again.
pub struct Compressor {
    encoder: Encoder,
    buffer: Vec<u8>,
}

impl Default for Compressor {
    fn default() -> Self {
        Self {
            encoder: Encoder::new(),
            buffer: Vec::new(),
        }
    }
}

impl Compressor {
    /// The elements of `raw` compressed: a block without the length in front.
    ///
    /// `raw` is at most 4 GiB, as the format has it.
    pub fn elements(&mut self, raw: &[u8]) -> &[u8] {
        let bound = max_compress_len(raw.len());
        if self.buffer.len() > KEPT_BUFFER_BYTES.max(bound) {
            self.buffer = Vec::new();
        }
        if self.buffer.len() < bound {
            self.buffer.resize(bound, 0);
        }
        let written = self
            .encoder
            .compress(raw, &mut self.buffer)
            .expect("the buffer has the length that the encoder asks for");
        let block = &self.buffer[..written];
        elements(block)
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// The elements of a block, without the length in front; nothing of what has no valid length.
#[must_use]
pub fn elements(block: &[u8]) -> &[u8] {
    read_varint(block).map_or(&[], |(_, preamble)| &block[preamble..])
}

/// Joins elements into one block: the sum of their decompressed lengths, then all elements.
#[must_use]
pub fn join<'a>(raw_len: u64, elements: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<u8> {
    let total: usize = elements.clone().map(<[u8]>::len).sum();
    let mut block = Vec::with_capacity(10 + total);
    put_varint(&mut block, raw_len);
    for part in elements {
        block.extend_from_slice(part);
    }
    block
}
