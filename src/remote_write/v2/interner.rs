//! The table of symbols of a request that is being written: each string once.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::SYMBOLS;
use crate::remote_write::wire::put_bytes_field;

/// Gives each string its index. Used again from request to request.
#[derive(Debug)]
pub(super) struct Interner {
    /// The symbols as fields of the request.
    encoded: Vec<u8>,
    /// Where each stands in `encoded`, without tag and length.
    spans: Vec<(usize, usize)>,
    indexes: HashTable<u32>,
    /// Whoever writes the strings must not be able to make them collide.
    seed: u64,
}

impl Interner {
    pub(super) fn new() -> Self {
        let mut interner = Self {
            encoded: Vec::new(),
            spans: Vec::new(),
            indexes: HashTable::new(),
            seed: rand::random(),
        };
        interner.clear();
        interner
    }

    /// Forgets all but the empty string, which is the first by the specification.
    pub(super) fn clear(&mut self) {
        self.encoded.clear();
        self.spans.clear();
        self.indexes.clear();
        self.push(b"");
    }

    /// The memory that is held on to, in bytes, as far as it counts.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.encoded.capacity() + self.spans.capacity() * size_of::<(usize, usize)>()
    }

    /// All symbols, as fields of a request.
    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    #[inline]
    pub(super) fn intern(&mut self, text: &[u8]) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let hash = xxh3_64_with_seed(text, self.seed);
        let is_same = |index: &u32| text_of(&self.encoded, &self.spans, *index) == text;
        if let Some(&index) = self.indexes.find(hash, is_same) {
            return index;
        }
        let index = self.push(text);
        let (encoded, spans, seed) = (&self.encoded, &self.spans, self.seed);
        let hash_again = |index: &u32| xxh3_64_with_seed(text_of(encoded, spans, *index), seed);
        self.indexes.insert_unique(hash, index, hash_again);
        index
    }

    fn push(&mut self, text: &[u8]) -> u32 {
        put_bytes_field(&mut self.encoded, SYMBOLS, text);
        let end = self.encoded.len();
        let index = self.spans.len();
        self.spans.push((end - text.len(), end));
        u32::try_from(index).expect("a request of less than 4 GiB has fewer symbols")
    }
}

fn text_of<'e>(encoded: &'e [u8], spans: &[(usize, usize)], index: u32) -> &'e [u8] {
    let (start, end) = spans[index as usize];
    &encoded[start..end]
}
