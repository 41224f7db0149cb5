//! Snappy bodies and stored blocks: no panic, no memory that was not earned, and what was
//! compressed and joined comes back.

use bytes::Bytes;
use promrelay::remote_write::block::Block;
use promrelay::remote_write::snappy::{self, Compressor};

const LIMIT: u64 = 1 << 20;

/// Decompresses the bytes as they are, reads them as a block, and compresses them.
pub fn run(bytes: &[u8]) {
    let mut buffer = Vec::new();
    if let Ok(raw) = snappy::decompress(bytes, LIMIT, &mut buffer) {
        assert!(raw.len() as u64 <= LIMIT);
    }
    // An element of 3 bytes makes 64 at the most; a length in front is checked against that.
    assert!(
        buffer.len() <= bytes.len() * 22,
        "{} of {}",
        buffer.len(),
        bytes.len()
    );
    if let Ok(block) = Block::decode(Bytes::copy_from_slice(bytes)) {
        let mut encoded = Vec::new();
        block.encode_into(&mut encoded);
        let again = Block::decode(Bytes::from(encoded));
        assert_eq!(again.ok(), Some(block));
    }
    let (left, right) = bytes.split_at(bytes.len() / 2);
    let mut compressor = Compressor::default();
    let parts = [left, right].map(|part| compressor.elements(part).to_vec());
    let joined = snappy::join(bytes.len() as u64, parts.iter().map(Vec::as_slice));
    let raw = snappy::decompress(&joined, u64::MAX, &mut buffer);
    assert_eq!(raw.ok(), Some(bytes));
}
