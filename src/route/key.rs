//! The key of the verdict table: the values of the labels that decide.
//!
//! Those of a series are compared and hashed where they stand in the request. Only where the table
//! has none that is equal are they put together.

use std::hash::{Hash, Hasher};

use hashbrown::Equivalent;

use super::verdict::{Known, VerdictId};
use crate::model::is_same;
use crate::remote_write::v1::Labels;
use crate::remote_write::wire::{put_varint, read_varint};

/// A label that decides.
#[derive(Debug)]
pub(super) struct Deciding {
    pub(super) name: String,
    /// The external label's value or "".
    pub(super) external: String,
}

/// The deciding labels' values, each behind its length, in the order of their names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key(Box<[u8]>);

/// What a series has in place of a [`Key`]: the values where they stand.
pub(super) struct Values<'v> {
    deciding: &'v [Deciding],
    found: &'v [Found<'v>],
}

/// The series before, within one request: in real payloads most have the name of the one before
/// them, and their labels in the same places.
#[derive(Debug)]
pub(super) struct Recent<'r> {
    found: Box<[Found<'r>]>,
    /// What the table has for the values of the series before, when its look-up is done.
    pub(super) last: Option<Known>,
}

/// A deciding label as a series has it.
#[derive(Clone, Debug, Default)]
struct Found<'r> {
    /// `None` if the series lacks it.
    value: Option<&'r [u8]>,
    /// Where it stood when it was last there.
    place: usize,
}

impl<'r> Recent<'r> {
    /// Before the first series of a request.
    pub(super) fn new(deciding: &[Deciding]) -> Self {
        Self {
            found: vec![Found::default(); deciding.len()].into(),
            last: None,
        }
    }

    /// Looks up the deciding labels of the next series; no series of the walk is left out. Answers
    /// its verdict if it is known because they are the same as those before.
    #[inline]
    pub(super) fn next(&mut self, deciding: &[Deciding], labels: &Labels<'r>) -> Option<VerdictId> {
        if let (Some(changed), Some(last)) = (labels.changed(), self.last) {
            // What was found before still stands for the same values, but for this one.
            let is_it = |found: &&mut Found<'_>| found.place == changed && found.value.is_some();
            let Some(found) = self.found.iter_mut().find(is_it) else {
                return Some(last.id);
            };
            if let Some(value) = labels.value_at(changed) {
                let before = found.value.replace(value)?;
                return is_same(before, value).then_some(last.id);
            }
        }
        let (mut from, mut is_same_key) = (0, true);
        for (Deciding { name, .. }, found) in deciding.iter().zip(&mut self.found) {
            let mut value = None;
            if let Some((there, at)) = labels.find_near(name.as_bytes(), from, found.place) {
                value = Some(there);
                found.place = at;
                from = at + 1;
            }
            is_same_key &= match (value, found.value) {
                (Some(value), Some(last)) => is_same(value, last),
                (None, None) => true,
                _ => false,
            };
            found.value = value;
        }
        self.last.filter(|_| is_same_key).map(|last| last.id)
    }

    /// The values of the series that [`Self::next`] saw.
    #[inline]
    pub(super) fn values<'v>(&'v self, deciding: &'v [Deciding]) -> Values<'v> {
        Values {
            deciding,
            found: &self.found,
        }
    }
}

impl Values<'_> {
    #[inline]
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let pairs = self.deciding.iter().zip(self.found);
        pairs.map(|(label, found)| found.value.unwrap_or(label.external.as_bytes()))
    }

    /// The values put together.
    pub(super) fn key(&self) -> Key {
        Key::new(self.iter())
    }
}

impl Key {
    /// Puts values together.
    pub(super) fn new<'v>(values: impl Iterator<Item = &'v [u8]>) -> Self {
        let mut key = Vec::new();
        for value in values {
            put_varint(&mut key, value.len() as u64);
            key.extend_from_slice(value);
        }
        Self(key.into())
    }

    /// How many bytes it takes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value that begins at `start`, and where the one after it does.
    #[inline]
    fn value(&self, start: usize) -> Option<(&[u8], usize)> {
        let rest = self.0.get(start..)?;
        let (length, taken) = read_varint(rest).ok()?;
        let end = taken + usize::try_from(length).ok()?;
        Some((rest.get(taken..end)?, start + end))
    }
}

/// As [`Values`] are hashed: each alone and without its length, which the hasher mixes in. What is
/// equal is not decided by a hash.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut start = 0;
        while let Some((value, next)) = self.value(start) {
            state.write(value);
            start = next;
        }
    }
}

impl Hash for Values<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.iter().for_each(|value| state.write(value));
    }
}

impl Equivalent<Key> for Values<'_> {
    #[inline]
    fn equivalent(&self, key: &Key) -> bool {
        let mut start = 0;
        self.iter().all(|value| match key.value(start) {
            Some((held, next)) => {
                start = next;
                is_same(held, value)
            }
            None => false,
        })
    }
}
