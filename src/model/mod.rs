//! The data model: labels, and sets of them.
//!
//! A series is its labels plus an opaque payload (samples, exemplars, histograms, fields that are
//! not known here). Only labels are opened, and they are borrowed from the request for as long as
//! no rule changes them.

use std::borrow::Cow;
use std::cmp::Ordering;

#[cfg(test)]
mod tests;

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// Whether two short texts are the same. Those that differ mostly do so in their length or at
/// their end.
#[inline]
#[must_use]
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match (one.last_chunk::<8>(), other.last_chunk::<8>()) {
        (Some(end), Some(other_end)) => {
            let (chunks, others) = (one.as_chunks::<8>().0, other.as_chunks::<8>().0);
            end == other_end && chunks.iter().zip(others).all(|(one, other)| one == other)
        }
        _ => one.iter().eq(other),
    }
}

/// One label of a series, borrowed from where it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label<'a> {
    /// The name, never empty in a valid series.
    pub name: &'a str,
    /// The value; an empty value means the same as no label at all.
    pub value: &'a str,
}

/// The labels of one series: sorted by name (bytewise), each name at most once, no empty value.
///
/// What relabelling works on. Names and values stay borrowed until a rule writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSet<'a> {
    labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> LabelSet<'a> {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of the label `name`; empty if there is none, as Prometheus reads it.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.find(name).map_or("", |at| &self.labels[at].1)
    }

    /// The value of the label `name` as it is held, so that one that is borrowed is copied as such.
    #[must_use]
    pub fn get_held(&self, name: &str) -> Option<&Cow<'a, str>> {
        self.find(name).map(|at| &self.labels[at].1)
    }

    /// Whether there is a label `name`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Sets the label `name`; an empty `value` removes it.
    pub fn set(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let (name, value) = (name.into(), value.into());
        match self.position(&name) {
            Ok(at) if value.is_empty() => drop(self.labels.remove(at)),
            Ok(at) => self.labels[at].1 = value,
            Err(_) if value.is_empty() => {}
            Err(at) => self.labels.insert(at, (name, value)),
        }
    }

    /// Removes the label `name`, if it is there.
    pub fn remove(&mut self, name: &str) {
        if let Ok(at) = self.position(name) {
            self.labels.remove(at);
        }
    }

    /// Keeps only the labels for whose names `keep` answers true.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.labels.retain(|(name, _)| keep(name));
    }

    /// Puts `labels` in place of what is held: sorted, each name once, no value empty.
    pub fn assign_sorted(&mut self, labels: impl Iterator<Item = Label<'a>>) {
        self.labels.clear();
        let borrow = |label: Label<'a>| (Cow::Borrowed(label.name), Cow::Borrowed(label.value));
        self.labels.extend(labels.map(borrow));
        debug_assert!(
            self.labels.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "the labels are sorted"
        );
    }

    /// Empties the set and keeps its memory for the next series.
    pub fn clear(&mut self) {
        self.labels.clear();
    }

    /// The labels in order of their names.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Label<'_>> + Clone {
        self.labels
            .iter()
            .map(|(name, value)| Label { name, value })
    }

    /// The same with the values as they are held.
    pub fn held(&self) -> impl Iterator<Item = (&str, &Cow<'a, str>)> {
        self.labels
            .iter()
            .map(|(name, value)| (name.as_ref(), value))
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no label at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Where the label `name` is. Names are few and mostly of different lengths: to look at each is
    /// faster than to halve.
    #[inline]
    fn find(&self, name: &str) -> Option<usize> {
        let is_it = |(held, _): &(Cow<'_, str>, _)| is_same(held.as_bytes(), name.as_bytes());
        self.labels.iter().position(is_it)
    }

    /// Where the label `name` is or belongs. Most names differ in their first byte already.
    #[inline]
    fn position(&self, name: &str) -> Result<usize, usize> {
        let name = name.as_bytes();
        let compare = |held: &[u8]| {
            let first = held.first().cmp(&name.first());
            first.then_with(|| held.cmp(name))
        };
        for (at, (held, _)) in self.labels.iter().enumerate() {
            match compare(held.as_bytes()) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(at),
                Ordering::Greater => return Err(at),
            }
        }
        Err(self.labels.len())
    }
}

impl<'a> FromIterator<Label<'a>> for LabelSet<'a> {
    /// Collects labels in any order; of a repeated name the last value stays.
    fn from_iter<I: IntoIterator<Item = Label<'a>>>(labels: I) -> Self {
        let mut set = Self::new();
        set.extend(labels);
        set
    }
}

impl<'a> Extend<Label<'a>> for LabelSet<'a> {
    fn extend<I: IntoIterator<Item = Label<'a>>>(&mut self, labels: I) {
        for label in labels {
            let sorted_after = self
                .labels
                .last()
                .is_none_or(|(last, _)| last.as_ref() < label.name);
            if sorted_after && !label.value.is_empty() {
                self.labels
                    .push((Cow::Borrowed(label.name), Cow::Borrowed(label.value)));
            } else {
                self.set(label.name, label.value);
            }
        }
    }
}
