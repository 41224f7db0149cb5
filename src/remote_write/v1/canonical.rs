//! Labels that stand as the specification wants them, read in one go.
//!
//! This is where most of the time of a walk goes, and nearly all labels are short: they have
//! lengths of one byte each. [`read_short`] reads those with few steps that depend on each other,
//! and leaves whatever is otherwise, though it may be right, to [`LabelReader::read_other`].

use simdutf8::basic::from_utf8;

use super::labels::{LabelReader, LabelSpan, Labels, Limits, Span};
use crate::remote_write::wire::read_varint;

/// The tags of `TimeSeries.labels`, `Label.name` and `Label.value`.
pub(super) const LABEL_TAG: u8 = 0x0a;
const NAME_TAG: u8 = 0x0a;
const VALUE_TAG: u8 = 0x12;

/// How many labels there is room for at first.
const PLACES: usize = 32;

/// The front of a name: its first bytes as a number, with zeros for those that it has not. Where
/// two of these differ, they are in the order of their names.
type Front = u64;

/// The part of eight bytes that is the [`Front`] of a name, by the name's length.
static FRONTS: [Front; 0x80] = {
    let mut fronts = [Front::MAX; 0x80];
    let mut length = 0;
    while length < 8 {
        fronts[length] = !(Front::MAX >> (8 * length));
        length += 1;
    }
    fronts
};

/// A label whose lengths take one byte each.
pub(super) struct ShortLabel<'m> {
    pub(super) name_length: usize,
    /// Not zero.
    pub(super) value_length: usize,
    front: Front,
    /// What is behind the label.
    pub(super) rest: &'m [u8],
}

impl LabelReader {
    /// Reads the labels of a series that is encoded as the specification wants it, and answers
    /// where they end. `None` if anything about them is otherwise, or wrong.
    #[inline]
    pub(super) fn read_canonical<'a>(
        &mut self,
        labels: &mut Labels<'a>,
        message: &'a [u8],
    ) -> Option<usize> {
        labels.start(message);
        let (mut end, mut unchecked) = (0, 0);
        loop {
            end = read_short(labels, &self.limits, end);
            if message.get(end) != Some(&LABEL_TAG) {
                break;
            }
            end = self.read_other(labels, end, &mut unchecked)?;
        }
        let text = &message[unchecked..end];
        if !is_ascii(text) {
            from_utf8(text).ok()?;
        }
        if unchecked == 0 {
            labels.text_end = end;
        }
        if self.likeness.is_worth_a_try() {
            labels.canonical_end = end;
        }
        (end > 0).then_some(end)
    }

    /// Reads the label at `at` that [`read_short`] left, or makes room for it and answers `at`.
    /// From `unchecked` on, labels are not known to be UTF-8.
    #[cold]
    fn read_other(
        &self,
        labels: &mut Labels<'_>,
        at: usize,
        unchecked: &mut usize,
    ) -> Option<usize> {
        let Limits {
            labels_per_series,
            label_name_bytes,
            label_value_bytes,
        } = self.limits;
        if labels.count == labels_per_series {
            return None;
        }
        if labels.count == labels.places.len() {
            let room = PLACES.max(2 * labels.count);
            labels.places.resize(room, LabelSpan::default());
            return Some(at);
        }
        let message = labels.message;
        let label = label_at(message, at)?;
        let (name, value) = (labels.bytes(&label.name), labels.bytes(&label.value));
        let is_expected = (1..=label_name_bytes).contains(&name.len())
            && (1..=label_value_bytes).contains(&value.len())
            && labels.last_name() < name;
        if !is_expected {
            return None;
        }
        let end = label.value.end;
        if end - at >= 0x80 {
            // Its lengths may be no ASCII.
            from_utf8(&message[*unchecked..at]).ok()?;
            from_utf8(name).and(from_utf8(value)).ok()?;
            *unchecked = end;
        }
        labels.push(label);
        Some(end)
    }
}

/// Reads from `at` on for as long as labels are short, in order by their names' fronts alone,
/// within the limits, and there is room for them. Answers where the next one begins.
///
/// A function of its own, so that all that the loop needs stays in registers.
#[inline(never)]
fn read_short(labels: &mut Labels<'_>, limits: &Limits, at: usize) -> usize {
    let mut last = front_of(labels.last_name());
    let mut end = at;
    let mut rest = labels.message.get(at..).unwrap_or_default();
    let room = labels.places.len().min(limits.labels_per_series);
    let places = labels.places.get_mut(labels.count..room);
    let mut count = 0;
    for place in places.unwrap_or_default() {
        let Some(label) = short_label(rest) else {
            break;
        };
        let is_allowed = label.name_length <= limits.label_name_bytes
            && label.value_length - 1 < limits.label_value_bytes;
        // The front of an empty name is behind no other.
        if !is_allowed || label.front <= last {
            break;
        }
        (last, rest) = (label.front, label.rest);
        let name = end + 4..end + 4 + label.name_length;
        let value = name.end + 2..name.end + 2 + label.value_length;
        end = value.end;
        *place = LabelSpan { name, value };
        count += 1;
    }
    labels.count += count;
    end
}

/// The label at the front of `message`, if it is short, has a value, and eight bytes follow where
/// its name begins.
#[inline]
pub(super) fn short_label(message: &[u8]) -> Option<ShortLabel<'_>> {
    let front = message.first_chunk::<12>()?;
    let length = usize::from(front[1]);
    let (label, rest) = message.split_at_checked(2 + length)?;
    // The label's tag and length, and the name's: all four at once.
    let (&head, name) = front.split_first_chunk()?;
    let expected = u32::from_le_bytes([LABEL_TAG, 0, NAME_TAG, 0]);
    if u32::from_le_bytes(head) & u32::from_le_bytes([0xff, 0x80, 0xff, 0x80]) != expected {
        return None;
    }
    let name_length = usize::from(head[3]);
    // What the label's length leaves for the value has to be what the value's says.
    let value_length = length.checked_sub(5 + name_length)? + 1;
    let &value_head = label.get(4 + name_length..6 + name_length)?.first_chunk()?;
    if usize::from(u16::from_le_bytes(value_head)) != value_length << 8 | usize::from(VALUE_TAG) {
        return None;
    }
    Some(ShortLabel {
        name_length,
        value_length,
        front: Front::from_be_bytes(*name.first_chunk()?) & FRONTS.get(name_length)?,
        rest,
    })
}

fn front_of(name: &[u8]) -> Front {
    let mut front = [0; 8];
    for (to, from) in front.iter_mut().zip(name) {
        *to = *from;
    }
    Front::from_be_bytes(front)
}

/// Whether there is nothing but ASCII: by blocks, the last of which may overlap the one before it,
/// so that there is no rest to look at by the byte.
#[inline]
pub(super) fn is_ascii(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk() else {
        return bytes.is_ascii();
    };
    let blocks = bytes.as_chunks().0.iter().map(words);
    let all = blocks.fold(words(last), |all, block| {
        std::array::from_fn(|at| all[at] | block[at])
    });
    all.iter().all(|word| word & 0x8080_8080_8080_8080 == 0)
}

/// A block as words, each of which is gathered for itself: so no block waits for the one before it.
#[inline]
fn words(block: &[u8; 32]) -> [u64; 4] {
    let chunks = block.as_chunks::<8>().0;
    std::array::from_fn(|at| u64::from_ne_bytes(chunks[at]))
}

/// The label at `at` whatever its lengths.
fn label_at(message: &[u8], at: usize) -> Option<LabelSpan> {
    let label = field_at(message, at, LABEL_TAG)?;
    let name = field_at(message, label.start, NAME_TAG)?;
    let value = field_at(message, name.end, VALUE_TAG)?;
    (value.end == label.end).then_some(LabelSpan { name, value })
}

/// The bytes of the length-delimited field at `at`, if it has this tag.
fn field_at(message: &[u8], at: usize, tag: u8) -> Option<Span> {
    let [found, rest @ ..] = message.get(at..)? else {
        return None;
    };
    let (length, taken) = read_varint(rest).ok()?;
    let start = at + 1 + taken;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    (*found == tag && end <= message.len()).then_some(start..end)
}
