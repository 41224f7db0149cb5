//! Reading the labels of a series that stands as the specification wants it, as nearly all do:
//! labels in front, sorted, none empty.
//!
//! A series mostly differs from the one before it in a label or two: in its name, or in what tells
//! the series of a metric apart. What is the same byte by byte is not read again: it was found
//! valid there. So a series costs a comparison with the one before it and the reading of what is
//! new, whatever the number of its labels.
//!
//! UTF-8 is checked once for all new labels that stand together: the tags and lengths between them
//! are ASCII, so the whole stretch is valid if the labels are (with lengths of 128 or more it may
//! not be; such a label is checked alone).

use simdutf8::basic::from_utf8;

use super::labels::{LabelSpan, Labels, Limits, Span};
use crate::remote_write::wire::read_varint;

/// The tags of `TimeSeries.labels`, `Label.name` and `Label.value`.
const LABEL_TAG: u8 = 0x0a;
const NAME_TAG: u8 = 0x0a;
const VALUE_TAG: u8 = 0x12;

/// Reads the labels in front of `message`, and answers where they end. `None` if anything about
/// them is not as the specification wants it, or wrong. `labels` hold those of the series before.
#[inline]
pub(super) fn read_canonical<'a>(
    labels: &mut Labels<'a>,
    message: &'a [u8],
    limits: &Limits,
) -> Option<usize> {
    let is_known = std::mem::take(&mut labels.is_canonical);
    if !is_known {
        labels.start(&[]);
    }
    let (before, spans) = (&labels.message[..labels.end], &mut labels.spans);
    let known = spans.len();
    let name_of = |label: &LabelSpan| &message[label.name.clone()];
    // Of the label `index`: where those in front of it end, here and in the series before, and how
    // far UTF-8 is checked.
    let (mut index, mut end, mut end_before, mut checked) = (0, 0, 0, 0);
    loop {
        if index < known {
            let same = end_before + common_prefix(&message[end..], &before[end_before..]);
            let repeated = spans[index..]
                .iter()
                .take_while(|label| label.value.end <= same);
            let repeated = index..index + repeated.count();
            if let Some(last) = repeated.clone().last() {
                let length = spans[last].value.end - end_before;
                for label in &mut spans[repeated.clone()] {
                    label.shift(end_before, end);
                }
                let first = repeated.start;
                if first > 0 && !is_after(name_of(&spans[first]), name_of(&spans[first - 1])) {
                    return None;
                }
                from_utf8(&message[checked..end]).ok()?;
                index = repeated.end;
                end_before += length;
                end += length;
                checked = end;
            }
        }
        if message.get(end) != Some(&LABEL_TAG) {
            break;
        }
        let label = short_label(message, end).or_else(|| long_label(message, end))?;
        let (name, value) = (name_of(&label), &message[label.value.clone()]);
        let last = index.checked_sub(1).map(|last| name_of(&spans[last]));
        let is_expected = allow(limits, name, value) && is_after(name, last.unwrap_or_default());
        if !is_expected || index == limits.labels_per_series {
            return None;
        }
        if label.value.end - end >= 0x80 {
            // Its lengths may be no ASCII.
            from_utf8(&message[checked..end]).ok()?;
            from_utf8(name).and(from_utf8(value)).ok()?;
            checked = label.value.end;
        }
        end = label.value.end;
        if let Some(place) = spans.get_mut(index) {
            end_before = place.value.end;
            *place = label;
        } else {
            spans.push(label);
        }
        index += 1;
    }
    from_utf8(&message[checked..end]).ok()?;
    spans.truncate(index);
    labels.message = message;
    labels.end = end;
    labels.is_canonical = end > 0;
    labels.is_canonical.then_some(end)
}

/// How many bytes are the same at the front of both.
#[inline]
fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    const BLOCK: usize = 32;
    let blocks = left.as_chunks::<BLOCK>().0.iter().zip(right.as_chunks().0);
    let same = BLOCK * blocks.take_while(|(left, right)| left == right).count();
    let rest = left[same..].iter().zip(&right[same..]);
    same + rest.take_while(|(left, right)| left == right).count()
}

/// Whether a label is within the limits and not empty.
#[inline]
fn allow(limits: &Limits, name: &[u8], value: &[u8]) -> bool {
    (1..=limits.label_name_bytes).contains(&name.len())
        && (1..=limits.label_value_bytes).contains(&value.len())
}

/// Whether a name comes after the one before it. Mostly their first bytes tell, and names are too
/// short for a comparison of whole blocks to gain anything.
#[inline]
fn is_after(name: &[u8], last: &[u8]) -> bool {
    last.iter().lt(name)
}

/// The label at `at` if its lengths take one byte each, as nearly all do.
#[inline]
fn short_label(message: &[u8], at: usize) -> Option<LabelSpan> {
    let [LABEL_TAG, length, rest @ ..] = message.get(at..)? else {
        return None;
    };
    let [NAME_TAG, name_length, rest @ ..] = rest.get(..usize::from(*length))? else {
        return None;
    };
    let [VALUE_TAG, value_length, value @ ..] = rest.get(usize::from(*name_length)..)? else {
        return None;
    };
    let is_short = *length < 0x80 && usize::from(*value_length) == value.len();
    let name = at + 4..at + 4 + usize::from(*name_length);
    let value = name.end + 2..at + 2 + usize::from(*length);
    is_short.then_some(LabelSpan { name, value })
}

/// The label at `at` whatever its lengths.
fn long_label(message: &[u8], at: usize) -> Option<LabelSpan> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Label;
    use crate::remote_write::v1::encode_labels;

    const LIMITS: Limits = Limits {
        labels_per_series: 5,
        label_name_bytes: 12,
        label_value_bytes: 200,
    };

    /// Names and values of which many are the same, some too long and some not sorted.
    fn label() -> impl Strategy<Value = (String, String)> {
        let name = prop_oneof![
            9 => "[a-e]",
            3 => "[a-c]_name",
            1 => "[a-b]é",
            1 => Just("a_name_that_is_long".to_owned()),
            1 => Just(String::new()),
        ];
        let value = prop_oneof![
            6 => "[xy]",
            3 => "[xy]{30,34}",
            1 => "é{40,64}",
            1 => "x{100,210}",
            1 => Just(String::new()),
        ];
        (name, value)
    }

    /// What makes a series of another: labels in place of some of its own, a sample or not behind
    /// them, and a byte of it changed.
    type Edit = (
        Vec<(prop::sample::Index, (String, String))>,
        bool,
        Option<(prop::sample::Index, u8)>,
    );

    fn edit() -> impl Strategy<Value = Edit> {
        let labels = prop::collection::vec((any::<prop::sample::Index>(), label()), 0..3);
        let byte = prop_oneof![Just(0xff), Just(0x80), any::<u8>()];
        let change = prop::option::weighted(0.3, (any::<prop::sample::Index>(), byte));
        (labels, any::<bool>(), change)
    }

    fn series(labels: &[(String, String)], (edits, more, change): &Edit) -> Vec<u8> {
        let mut labels = labels.to_vec();
        for (at, label) in edits
            .iter()
            .filter(|_| !labels.is_empty())
            .collect::<Vec<_>>()
        {
            let at = at.index(labels.len());
            labels[at] = label.clone();
        }
        let mut message = Vec::new();
        let labels = labels.iter().map(|(name, value)| Label { name, value });
        encode_labels(labels, &mut message);
        if *more {
            message.extend([0x12, 2, 0x10, 7]);
        }
        if let Some((at, byte)) = change.filter(|_| !message.is_empty()) {
            let at = at.index(message.len());
            message[at] = byte;
        }
        message
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn what_a_series_is_read_as_does_not_depend_on_the_one_before(
            base in prop::collection::btree_map("[a-f]", "[xy]{1,40}", 0..6),
            edits in prop::collection::vec(edit(), 1..12),
        ) {
            let base: Vec<_> = base.into_iter().collect();
            let messages: Vec<_> = edits.iter().map(|edit| series(&base, edit)).collect();
            let mut labels = Labels::default();
            for message in &messages {
                let end = read_canonical(&mut labels, message, &LIMITS);
                let mut alone = Labels::default();
                prop_assert_eq!(end, read_canonical(&mut alone, message, &LIMITS));
                prop_assert_eq!(labels.is_canonical, end.is_some());
                if end.is_some() {
                    prop_assert!(labels.iter().eq(alone.iter()));
                    prop_assert_eq!(labels.end, alone.end);
                }
            }
        }
    }

    #[test]
    fn what_is_the_same_is_counted_to_the_byte() {
        let left: Vec<u8> = (0..100).collect();
        for same in 0..100 {
            let mut right = left.clone();
            right[same] ^= 0x80;
            assert_eq!(common_prefix(&left, &right), same);
            assert_eq!(common_prefix(&left, &left[..same]), same);
        }
        assert_eq!(common_prefix(&left, &left), 100);
    }
}
