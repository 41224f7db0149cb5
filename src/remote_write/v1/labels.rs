//! Reading the labels of one series, checked: valid UTF-8, a name in each, no name twice.
//!
//! UTF-8 is checked once for all labels of a series when they stand together, as they do in what
//! any sender writes: the tags and lengths between them are ASCII, so the whole stretch is valid
//! if the labels are (with lengths of 128 or more it may not be; then each is checked alone).

use std::fmt::Write as _;

use thiserror::Error;

use super::{LABEL_NAME, LABEL_VALUE};
use crate::model::Label;
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

/// Where a name or value stands in the series' message.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: usize,
    end: usize,
}

/// Collects where the labels of a series stand, then reads them all.
#[derive(Debug)]
pub(super) struct LabelReader {
    limits: Limits,
    /// At most as many as the limit allows; those beyond it are only counted.
    spans: Vec<(Span, Span)>,
    count: usize,
}

impl LabelReader {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            spans: Vec::new(),
            count: 0,
        }
    }

    /// Begins a series.
    pub(super) fn start(&mut self) {
        self.spans.clear();
        self.count = 0;
    }

    /// Notes one label of `message`: the field `raw`, which begins at `start` and holds `label`.
    #[inline]
    pub(super) fn push(
        &mut self,
        message: &[u8],
        start: usize,
        raw: &[u8],
        label: &[u8],
    ) -> Result<(), WireError> {
        debug_assert!(
            start + raw.len() <= message.len(),
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
            let span = Span {
                start: end - bytes.len(),
                end,
            };
            match field.number {
                LABEL_NAME => name = span,
                LABEL_VALUE => value = span,
                _ => {}
            }
        }
        self.count += 1;
        if self.count <= self.limits.labels_per_series {
            self.spans.push((name, value));
        }
        Ok(())
    }

    /// Reads the labels noted since [`Self::start`] into `labels`, sorted and without empty values.
    /// Answers whether they stand in `message` just so. `labels_end` is the end of the last one.
    #[inline]
    pub(super) fn finish<'a>(
        &self,
        message: &'a [u8],
        labels_end: usize,
        labels: &mut Vec<Label<'a>>,
    ) -> Result<bool, InvalidLabels> {
        labels.clear();
        let (count, limit) = (self.count, self.limits.labels_per_series);
        if count > limit {
            return Err(InvalidLabels::TooMany { count, limit });
        }
        let whole = simdutf8::basic::from_utf8(&message[..labels_end]).ok();
        let mut canonical = true;
        for &(name, value) in &self.spans {
            let label = Label {
                name: read(message, whole, name)?,
                value: read(message, whole, value)?,
            };
            self.check(label)?;
            if label.value.is_empty() {
                canonical = false;
                continue;
            }
            canonical &= labels.last().is_none_or(|last| last.name < label.name);
            labels.push(label);
        }
        if !canonical {
            labels.sort_unstable_by_key(|label| label.name);
            if let Some(pair) = labels.windows(2).find(|pair| pair[0].name == pair[1].name) {
                return Err(InvalidLabels::Duplicate(pair[0].name.to_owned()));
            }
        }
        if labels.is_empty() {
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

    /// The noted labels for an error message: whatever they hold, shortened.
    pub(super) fn describe(&self, message: &[u8]) -> String {
        let text = |span: Span| String::from_utf8_lossy(&message[span.start..span.end]);
        let mut description = String::from("{");
        for (index, &(name, value)) in self.spans.iter().enumerate() {
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

#[inline]
fn read<'a>(
    message: &'a [u8],
    whole: Option<&'a str>,
    Span { start, end }: Span,
) -> Result<&'a str, InvalidLabels> {
    // A span of a valid whole can still be invalid alone: its ends may lie within a character that
    // a length byte completes. `get` answers None for that.
    if let Some(text) = whole.and_then(|whole| whole.get(start..end)) {
        return Ok(text);
    }
    simdutf8::basic::from_utf8(&message[start..end]).map_err(|_why| InvalidLabels::NotUtf8)
}
