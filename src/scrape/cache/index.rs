//! Finding series that do not come in the order of the scrape before.

use hashbrown::HashMap;

use super::Entry;

/// Finds entries wherever they are.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) by_spelling: HashMap<u128, usize>,
    /// One of the entries with these labels.
    pub(super) by_labels: HashMap<u64, usize>,
    /// The entries that this scrape had, in its order.
    pub(super) order: Vec<usize>,
}

impl Index {
    /// Of entries whose first `in_order` this scrape had already.
    pub(super) fn new(entries: &[Entry], in_order: usize) -> Self {
        let mut index = Self {
            by_spelling: HashMap::with_capacity(entries.len()),
            by_labels: HashMap::with_capacity(entries.len()),
            order: (0..in_order).collect(),
        };
        for (at, entry) in entries.iter().enumerate() {
            index.by_spelling.insert(entry.spelling, at);
            if entry.labels.is_some() {
                index.by_labels.entry(entry.labels_hash).or_insert(at);
            }
        }
        index
    }
}

/// Puts entries into the order of the last scrape; those that it did not have stand behind.
pub(super) fn sort(entries: &mut Vec<Entry>, order: &[usize]) {
    let mut ranks = vec![usize::MAX; entries.len()];
    for (rank, &at) in order.iter().enumerate() {
        ranks[at] = rank;
    }
    let mut ranked: Vec<_> = ranks.into_iter().zip(entries.drain(..)).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    entries.extend(ranked.into_iter().map(|(_, entry)| entry));
}

/// Keeps of `common` the labels that several of the entries still have; none is tracked yet.
pub(super) fn keep_common(common: &mut HashMap<u64, bool>, entries: &[Entry]) {
    if common.is_empty() {
        return;
    }
    let mut spellings: HashMap<u64, u32> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.labels.is_some()) {
        *spellings.entry(entry.labels_hash).or_default() += 1;
    }
    common.retain(|hash, is_tracked| {
        *is_tracked = false;
        spellings.get(hash).is_some_and(|&spellings| spellings > 1)
    });
}
