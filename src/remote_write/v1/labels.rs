//! Reading the labels of one series, checked: valid UTF-8, a name in each, no name twice.
//!
//! Nearly every series stands as the specification wants it: labels in front, sorted, none empty.
//! [`LabelReader::read_canonical`] takes those in one go; whatever is otherwise, or wrong, goes
//! label by label through [`LabelReader::push`] and [`LabelReader::finish`], which say what it is.
//!
//! UTF-8 is checked once for all labels of a series that stand together: the tags and lengths
//! between them are ASCII, so the whole stretch is valid if the labels are (with lengths of 128 or
//! more it may not be; such a label is checked alone). No label becomes a `str` before it is asked
//! for: most series are dropped or forwarded for two of their labels.

use std::fmt::Write as _;
use std::ops::Range;

use simdutf8::basic::from_utf8;
use thiserror::Error;

use super::{LABEL_NAME, LABEL_VALUE};
use crate::model::Label;
use crate::remote_write::wire::{Fields, Value, WireError, read_varint};

/// How much of a series is shown in an error, in bytes.
const DESCRIPTION_LIMIT_BYTES: usize = 256;
/// The tags of `TimeSeries.labels`, `Label.name` and `Label.value`.
const LABEL_TAG: u8 = 0x0a;
const NAME_TAG: u8 = 0x0a;
const VALUE_TAG: u8 = 0x12;

/// Bounds on the labels of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many labels a series may have.
    pub labels_per_series: usize,
    /// How long a label's name may be, in bytes.
    pub label_name_bytes: usize,
    /// How long a label's value may be, in bytes.
    pub label_value_bytes: usize,
}

/// Why the labels of a series are refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidLabels {
    /// No label at all, or only empty ones.
    #[error("series has no labels")]
    None,
    /// A label without a name.
    #[error("label name is empty")]
    EmptyName,
    /// The same name twice.
    #[error("label `{0}` is there twice")]
    Duplicate(String),
    /// A name or value that is not UTF-8.
    #[error("label is not valid UTF-8")]
    NotUtf8,
    /// More labels than the limit.
    #[error("{count} labels are over the limit of {limit}")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many may be.
        limit: usize,
    },
    /// A name longer than the limit.
    #[error("label name of {length} bytes is over the limit of {limit}")]
    NameTooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A value longer than the limit.
    #[error("value of label `{name}` has {length} bytes, over the limit of {limit}")]
    ValueTooLong {
        /// The label's name.
        name: String,
        /// The value's length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

/// Where something stands in the series' message.
type Span = Range<usize>;

/// Where a label stands.
#[derive(Clone, Debug, Default)]
struct LabelSpan {
    name: Span,
    value: Span,
}

/// The labels of one series: sorted by name, each name once, no empty value.
#[derive(Debug, Default)]
pub struct Labels<'a> {
    message: &'a [u8],
    /// The front of the message with all labels in it, if that is valid UTF-8 as a whole.
    text: &'a str,
    /// At most as many as the limit allows; those beyond it are only counted.
    spans: Vec<LabelSpan>,
}

impl<'a> Labels<'a> {
    /// The labels in order of their names.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Label<'a>> + Clone {
        self.spans.iter().map(|LabelSpan { name, value }| Label {
            name: self.read(name),
            value: self.read(value),
        })
    }

    /// The value of the label `name`, looked for from the label `from` on, and the place after it.
    #[inline]
    #[must_use]
    pub fn find(&self, name: &[u8], from: usize) -> Option<(&'a [u8], usize)> {
        let is_it = |label: &LabelSpan| self.bytes(&label.name) == name;
        let at = from + self.spans.get(from..)?.iter().position(is_it)?;
        Some((self.bytes(&self.spans[at].value), at + 1))
    }

    /// Begins the series with this message.
    pub(super) fn start(&mut self, message: &'a [u8]) {
        self.message = message;
        self.text = "";
        self.spans.clear();
    }

    #[inline]
    fn bytes(&self, span: &Span) -> &'a [u8] {
        &self.message[span.clone()]
    }

    #[inline]
    fn read(&self, span: &Span) -> &'a str {
        // What is here was found valid, so it is never replaced by nothing.
        self.checked(span).unwrap_or_default()
    }

    #[inline]
    fn checked(&self, span: &Span) -> Result<&'a str, InvalidLabels> {
        // A span of a valid whole can still be invalid alone: its ends may lie within a character
        // that a length byte completes. `get` answers None for that.
        if let Some(text) = self.text.get(span.clone()) {
            return Ok(text);
        }
        from_utf8(self.bytes(span)).map_err(|_why| InvalidLabels::NotUtf8)
    }
}

/// Reads the labels of series into [`Labels`].
#[derive(Debug)]
pub(super) struct LabelReader {
    limits: Limits,
    count: usize,
}

impl LabelReader {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, count: 0 }
    }

    /// Reads the labels of a series that is encoded as the specification wants it, and answers
    /// where they end. `None` if anything about them is otherwise, or wrong.
    #[inline]
    pub(super) fn read_canonical(&self, labels: &mut Labels<'_>) -> Option<usize> {
        let message = labels.message;
        let (mut end, mut unchecked) = (0, 0);
        let mut last: &[u8] = &[];
        while message.get(end) == Some(&LABEL_TAG) {
            let front = short_label(message, end).or_else(|| long_label(message, end))?;
            let (name, value) = (labels.bytes(&front.name), labels.bytes(&front.value));
            let is_expected = self.allow(name, value) && is_after(name, last);
            if !is_expected || labels.spans.len() == self.limits.labels_per_series {
                return None;
            }
            if front.value.end - end >= 0x80 {
                // Its lengths may be no ASCII.
                from_utf8(&message[unchecked..end]).ok()?;
                from_utf8(name).and(from_utf8(value)).ok()?;
                unchecked = front.value.end;
            }
            last = name;
            end = front.value.end;
            labels.spans.push(front);
        }
        let text = from_utf8(&message[unchecked..end]).ok()?;
        if unchecked == 0 {
            labels.text = text;
        }
        (end > 0).then_some(end)
    }

    /// Whether a label is within the limits and not empty.
    #[inline]
    fn allow(&self, name: &[u8], value: &[u8]) -> bool {
        (1..=self.limits.label_name_bytes).contains(&name.len())
            && (1..=self.limits.label_value_bytes).contains(&value.len())
    }

    /// Begins a series whose labels are pushed one by one.
    pub(super) fn start(&mut self) {
        self.count = 0;
    }

    /// Notes one label: the field `raw`, which begins at `start` and holds `label`.
    pub(super) fn push(
        &mut self,
        labels: &mut Labels<'_>,
        start: usize,
        raw: &[u8],
        label: &[u8],
    ) -> Result<(), WireError> {
        debug_assert!(
            start + raw.len() <= labels.message.len(),
            "the field lies within its message"
        );
        let label_start = start + raw.len() - label.len();
        let (mut name, mut value) = (Span::default(), Span::default());
        let mut fields = Fields::new(label);
        while let Some(field) = fields.next_field()? {
            let Value::Bytes(bytes) = field.value else {
                continue;
            };
            let end = label_start + fields.offset();
            let span = end - bytes.len()..end;
            match field.number {
                LABEL_NAME => name = span,
                LABEL_VALUE => value = span,
                _ => {}
            }
        }
        self.count += 1;
        if self.count <= self.limits.labels_per_series {
            labels.spans.push(LabelSpan { name, value });
        }
        Ok(())
    }

    /// Checks the labels noted since [`Self::start`], sorts them and leaves out empty ones. Answers
    /// whether they stand in the message just so. `labels_end` is the end of the last one.
    pub(super) fn finish(
        &self,
        labels: &mut Labels<'_>,
        labels_end: usize,
    ) -> Result<bool, InvalidLabels> {
        let (count, limit) = (self.count, self.limits.labels_per_series);
        if count > limit {
            return Err(InvalidLabels::TooMany { count, limit });
        }
        labels.text = from_utf8(&labels.message[..labels_end]).unwrap_or_default();
        let mut canonical = true;
        let mut last = "";
        for LabelSpan { name, value } in &labels.spans {
            let (name, value) = (labels.checked(name)?, labels.checked(value)?);
            self.check(Label { name, value })?;
            canonical &= !value.is_empty() && last < name;
            last = name;
        }
        if !canonical {
            let message = labels.message;
            let name = |label: &LabelSpan| &message[label.name.clone()];
            labels.spans.retain(|label| !label.value.is_empty());
            labels.spans.sort_unstable_by_key(name);
            let mut pairs = labels.spans.windows(2);
            if let Some(pair) = pairs.find(|pair| name(&pair[0]) == name(&pair[1])) {
                let twice = labels.read(&pair[0].name).to_owned();
                return Err(InvalidLabels::Duplicate(twice));
            }
        }
        if labels.spans.is_empty() {
            Err(InvalidLabels::None)
        } else {
            Ok(canonical)
        }
    }

    #[inline]
    fn check(&self, label: Label<'_>) -> Result<(), InvalidLabels> {
        let Limits {
            label_name_bytes,
            label_value_bytes,
            ..
        } = self.limits;
        let (name, value) = (label.name.len(), label.value.len());
        if name == 0 {
            return Err(InvalidLabels::EmptyName);
        }
        if name > label_name_bytes {
            return Err(InvalidLabels::NameTooLong {
                length: name,
                limit: label_name_bytes,
            });
        }
        if value > label_value_bytes {
            return Err(InvalidLabels::ValueTooLong {
                name: label.name.to_owned(),
                length: value,
                limit: label_value_bytes,
            });
        }
        Ok(())
    }
}

impl Labels<'_> {
    /// The labels for an error message: whatever they hold, shortened.
    pub(super) fn describe(&self) -> String {
        // No more of a text than is shown: to write all of one that is too long takes longer than
        // all else that is done with its request.
        let text = |span| {
            let bytes = self.bytes(span);
            let shown = bytes.get(..2 * DESCRIPTION_LIMIT_BYTES).unwrap_or(bytes);
            String::from_utf8_lossy(shown)
        };
        let mut description = String::from("{");
        for (index, LabelSpan { name, value }) in self.spans.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(description, "{comma}{}={:?}", text(name), text(value))
                .expect("writing to a string does not fail");
            if description.len() > DESCRIPTION_LIMIT_BYTES {
                let cut = description.floor_char_boundary(DESCRIPTION_LIMIT_BYTES);
                description.truncate(cut);
                description.push('…');
                return description + "}";
            }
        }
        description + "}"
    }
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
