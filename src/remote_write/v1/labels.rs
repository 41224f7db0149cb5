//! Reading the labels of one series, checked: valid UTF-8, a name in each, no name twice.
//!
//! Nearly every series stands as the specification wants it: labels in front, sorted, none empty.
//! [`LabelReader::read_alike`] takes those that differ in one value from the one before them, and
//! [`LabelReader::read_canonical`] the others in one go; whatever is otherwise, or wrong, goes
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

use super::alike::Likeness;
use super::{LABEL_NAME, LABEL_VALUE};
use crate::model::{Label, is_same};
use crate::remote_write::wire::{Fields, Value, WireError};

/// How much of a series is shown in an error, in bytes.
const DESCRIPTION_LIMIT_BYTES: usize = 256;

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
pub(super) type Span = Range<usize>;

/// Where a label stands.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelSpan {
    pub(super) name: Span,
    pub(super) value: Span,
}

/// The labels of one series: sorted by name, each name once, no empty value.
#[derive(Debug, Default)]
pub struct Labels<'a> {
    pub(super) message: &'a [u8],
    /// How much of the message, from its front, is valid UTF-8 as a whole, with all labels in it
    /// if it is not nothing.
    pub(super) text_end: usize,
    /// Where the labels stand, in its first `count` places; what is behind them is left from
    /// another series. At most as many as the limit allows; those beyond it are only counted.
    pub(super) places: Vec<LabelSpan>,
    pub(super) count: usize,
    /// Where the labels end, if they stand in front as the specification wants it and the next
    /// series is to be compared with them; else 0.
    pub(super) canonical_end: usize,
    changed: Option<usize>,
}

impl<'a> Labels<'a> {
    /// The labels in order of their names.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Label<'a>> + Clone {
        let text = self.text();
        let read = move |span| self.read(text, span);
        self.spans()
            .iter()
            .map(move |LabelSpan { name, value }| Label {
                name: read(name),
                value: read(value),
            })
    }

    /// The value of the label `name`.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.find_near(name, 0, 0).map(|(value, _)| value)
    }

    /// The value of the label `name` and its place: looked for at the place `near`, and then from
    /// the place `from` on.
    #[inline]
    #[must_use]
    pub fn find_near(&self, name: &[u8], from: usize, near: usize) -> Option<(&'a [u8], usize)> {
        let spans = self.spans();
        let is_it = |label: &LabelSpan| is_same(self.bytes(&label.name), name);
        if let Some(label) = spans.get(near)
            && is_it(label)
        {
            return Some((self.bytes(&label.value), near));
        }
        let at = from + spans.get(from..)?.iter().position(is_it)?;
        Some((self.value_at(at)?, at))
    }

    /// If all labels but one are known to be those of the series read before this one, that one's
    /// place: its name is the same, too, but its value may be another.
    #[inline]
    #[must_use]
    pub fn changed(&self) -> Option<usize> {
        self.changed
    }

    /// The value of the label at this place, if there is one.
    #[inline]
    #[must_use]
    pub fn value_at(&self, place: usize) -> Option<&'a [u8]> {
        Some(self.bytes(&self.spans().get(place)?.value))
    }

    /// Begins the series with this message.
    #[inline]
    pub(super) fn start(&mut self, message: &'a [u8]) {
        self.message = message;
        (self.text_end, self.count, self.canonical_end) = (0, 0, 0);
        self.changed = None;
    }

    /// Begins the series with this message, which has up to `end` the labels that are here but for
    /// the value at the place `changed`.
    #[inline]
    pub(super) fn become_alike(&mut self, message: &'a [u8], changed: usize, end: usize) {
        self.message = message;
        self.canonical_end = end;
        if self.text_end > 0 {
            self.text_end = end;
        }
        self.changed = Some(changed);
    }

    /// Has the value at `place` end at `to`, where it ended at `from`, and moves all behind it.
    pub(super) fn move_behind(&mut self, place: usize, from: usize, to: usize) {
        let moved = |at: usize| at - from + to;
        let mut labels = self.places[..self.count].iter_mut().skip(place);
        if let Some(label) = labels.next() {
            label.value.end = to;
        }
        for LabelSpan { name, value } in labels {
            *name = moved(name.start)..moved(name.end);
            *value = moved(value.start)..moved(value.end);
        }
    }

    /// Notes where one more label stands.
    pub(super) fn push(&mut self, label: LabelSpan) {
        match self.places.get_mut(self.count) {
            Some(place) => *place = label,
            None => self.places.push(label),
        }
        self.count += 1;
    }

    #[inline]
    pub(super) fn spans(&self) -> &[LabelSpan] {
        &self.places[..self.count]
    }

    /// The name of the last one that was noted.
    #[inline]
    pub(super) fn last_name(&self) -> &'a [u8] {
        self.spans()
            .last()
            .map_or(&[], |label| self.bytes(&label.name))
    }

    #[inline]
    pub(super) fn bytes(&self, span: &Span) -> &'a [u8] {
        &self.message[span.clone()]
    }

    /// The front of the message with all labels in it, if that is valid UTF-8 as a whole.
    fn text(&self) -> &'a str {
        from_utf8(&self.message[..self.text_end]).unwrap_or_default()
    }

    #[inline]
    fn read(&self, text: &'a str, span: &Span) -> &'a str {
        // What is here was found valid, so it is never replaced by nothing.
        self.checked(text, span).unwrap_or_default()
    }

    #[inline]
    fn checked(&self, text: &'a str, span: &Span) -> Result<&'a str, InvalidLabels> {
        // A span of a valid whole can still be invalid alone: its ends may lie within a character
        // that a length byte completes. `get` answers None for that.
        if let Some(text) = text.get(span.clone()) {
            return Ok(text);
        }
        from_utf8(self.bytes(span)).map_err(|_why| InvalidLabels::NotUtf8)
    }
}

/// Reads the labels of series into [`Labels`].
#[derive(Debug)]
pub(super) struct LabelReader {
    pub(super) limits: Limits,
    pub(super) likeness: Likeness,
    count: usize,
}

impl LabelReader {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            likeness: Likeness::default(),
            count: 0,
        }
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
            labels.push(LabelSpan { name, value });
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
        let text = from_utf8(&labels.message[..labels_end]).unwrap_or_default();
        labels.text_end = text.len();
        let mut canonical = true;
        let mut last = "";
        for LabelSpan { name, value } in labels.spans() {
            let (name, value) = (labels.checked(text, name)?, labels.checked(text, value)?);
            self.check(Label { name, value })?;
            canonical &= !value.is_empty() && last < name;
            last = name;
        }
        if !canonical {
            let message = labels.message;
            let name = |label: &LabelSpan| &message[label.name.clone()];
            labels.places.truncate(labels.count);
            labels.places.retain(|label| !label.value.is_empty());
            labels.places.sort_unstable_by_key(name);
            labels.count = labels.places.len();
            let mut pairs = labels.places.windows(2);
            if let Some(pair) = pairs.find(|pair| name(&pair[0]) == name(&pair[1])) {
                let twice = labels.read(text, &pair[0].name).to_owned();
                return Err(InvalidLabels::Duplicate(twice));
            }
        }
        if labels.count == 0 {
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
        for (index, LabelSpan { name, value }) in self.spans().iter().enumerate() {
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
