//! Hashes by which series, families and targets are known.
//!
//! Two that have the same hash are taken for one. So the hashes have a seed that nobody outside
//! knows: whoever has a say in the labels of one series cannot make it another. It is that of the
//! process, as caches go from one job to the next.

use std::sync::LazyLock;

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed, xxh3_128_with_seed};

static SEED: LazyLock<u64> = LazyLock::new(rand::random);

/// A spelling of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spelling(pub(super) u128);

impl Spelling {
    pub(super) fn of(exposed: &[u8]) -> Self {
        Self(xxh3_128_with_seed(exposed, *SEED))
    }
}

/// The hash by which the labels of a series are known.
pub(super) fn hash_labels(encoded: &[u8]) -> u64 {
    xxh3_64_with_seed(encoded, *SEED)
}

/// A hash of several texts.
pub(super) fn hasher() -> Xxh3 {
    Xxh3::with_seed(*SEED)
}
