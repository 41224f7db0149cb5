//! A series that has the labels of the one before it, but for the value of one.
//!
//! Most have: the series of a metric follow each other and differ in a `container`, an `le` or a
//! `cpu`; those of a target often differ in their names alone. Such a series is read with two
//! comparisons and one label, and who looks up labels need not look for what is the same
//! ([`Labels::changed`]).
//!
//! A series of which more differs is left to [`LabelReader::read_canonical`], which takes nothing
//! over. To go on behind a second label that differs was tried: each further comparison is one more
//! end that the processor does not foresee, and that costs as much as it spares.

use simdutf8::basic::from_utf8;

use super::canonical::{LABEL_TAG, ShortLabel, short_label};
use super::labels::{LabelReader, Labels};
use crate::model::is_same;

/// After so many series in a row of which more differed ...
const TRIES: u32 = 4;
/// ... so many are not compared.
const PAUSE: u32 = 8;

/// What was seen of series that were compared with the one before them.
#[derive(Debug, Default)]
pub(super) struct Likeness {
    /// The place of the label that was the last to differ alone.
    place: usize,
    /// Series in a row of which more differed; beyond [`TRIES`] those that were not compared.
    misses: u32,
}

impl Likeness {
    /// Whether the next series is to be compared with one that was read in full.
    pub(super) fn is_worth_a_try(&mut self) -> bool {
        if self.misses < TRIES {
            return true;
        }
        self.misses += 1;
        if self.misses < TRIES + PAUSE {
            return false;
        }
        self.misses = TRIES - 1;
        true
    }
}

impl LabelReader {
    /// Reads the labels of `message` if they are those in `labels` but for one value, and answers
    /// where they end. Else `labels` stay as they are.
    #[inline]
    pub(super) fn read_alike<'a>(
        &mut self,
        labels: &mut Labels<'a>,
        message: &'a [u8],
    ) -> Option<usize> {
        if labels.canonical_end == 0 {
            return None;
        }
        if let Some(end) = self.read_with_change(labels, message, self.likeness.place) {
            self.likeness.misses = 0;
            return Some(end);
        }
        self.look_for_change(labels, message)
    }

    /// The same, when it is not the label that was the last to differ.
    #[inline(never)]
    fn look_for_change<'a>(&mut self, labels: &mut Labels<'a>, message: &'a [u8]) -> Option<usize> {
        self.likeness.misses += 1;
        let place = first_change(labels, message)?;
        if place == self.likeness.place {
            return None;
        }
        let end = self.read_with_change(labels, message, place)?;
        self.likeness = Likeness { place, misses: 0 };
        Some(end)
    }

    /// The same, if it is the label at `place` that differs.
    #[inline]
    fn read_with_change<'a>(
        &self,
        labels: &mut Labels<'a>,
        message: &'a [u8],
        place: usize,
    ) -> Option<usize> {
        let known = &labels.message[..labels.canonical_end];
        let before = labels.spans().get(place)?;
        // Where it begins if its lengths take one byte each. If they take more, a byte of them that
        // others follow stands where one of its tags should be, and neither comparison holds.
        let start = before.name.start - 4;
        if message.get(..=start)? != &known[..=start] {
            return None;
        }
        let ShortLabel {
            name_length,
            value_length,
            rest,
            ..
        } = short_label(&message[start..])?;
        let name = start + 2..before.name.end;
        if name_length != before.name.len()
            || !is_same(&message[name.clone()], &known[name])
            || value_length > self.limits.label_value_bytes
        {
            return None;
        }
        let known_rest = &known[before.value.end..];
        let (rest, payload) = rest.split_at_checked(known_rest.len())?;
        if rest != known_rest || payload.first() == Some(&LABEL_TAG) {
            return None;
        }
        let value = before.name.end + 2..before.name.end + 2 + value_length;
        // Tags are ASCII: no character spans what stands around it, all of which was valid.
        let text = &message[value.clone()];
        if !text.is_ascii() {
            from_utf8(text).ok()?;
        }
        let (end_before, end) = (before.value.end, value.end + rest.len());
        if value.end != end_before {
            labels.move_behind(place, end_before, value.end);
        }
        labels.become_alike(message, place, end);
        Some(end)
    }
}

/// The place of the first label that is not the same in `message`.
fn first_change(labels: &Labels<'_>, message: &[u8]) -> Option<usize> {
    let known = &labels.message[..labels.canonical_end];
    let words = known.as_chunks::<8>().0.iter();
    let same = words.zip(message.as_chunks::<8>().0);
    let same = 8 * same.take_while(|(one, other)| one == other).count();
    let rest = known[same..].iter().zip(message.get(same..)?);
    let same = same + rest.take_while(|(one, other)| one == other).count();
    let mut labels = labels.spans().iter();
    labels.position(|label| same < label.value.end)
}
