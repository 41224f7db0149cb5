//! A sample as it was exposed: labels, value, and what hangs on it.

use std::borrow::Cow;

use super::labels::Pair;
use super::protobuf::Histogram;
use crate::model::Label;

/// A sample of a series, borrowed from the parser until its next entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Series<'p> {
    pub(super) labels: &'p [Pair<'p>],
    pub(super) exemplars: &'p [Exemplar<'p>],
    /// The series as the body spells it, name and labels. The same series is usually spelled the
    /// same in the next scrape, so this is a key for whatever was worked out about it. (Protobuf
    /// has no spelling: there it is the sorted labels, each text followed by the byte 0xff.)
    pub exposed: &'p [u8],
    /// Whether the caller knows this spelling, so that its labels were not read: there are none.
    pub is_known: bool,
    /// The value. Every NaN has the bits that Prometheus stores for one, never those of a
    /// staleness marker.
    pub value: f64,
    /// When it was measured, in milliseconds since 1970, if the target says so.
    pub timestamp_ms: Option<i64>,
    /// When the series began, in milliseconds since 1970, if the target says so.
    pub start_timestamp_ms: Option<i64>,
}

impl<'p> Series<'p> {
    /// The labels with `__name__` among them, sorted by name (bytewise).
    ///
    /// A name can be there twice ([`Self::repeated_label`]) and a value can be empty.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = Label<'p>> + Clone + use<'p> {
        self.labels.iter().map(borrow)
    }

    /// The first label name that occurs more than once. Prometheus refuses such a series.
    #[must_use]
    pub fn repeated_label(&self) -> Option<&'p str> {
        let same = |pair: &&[Pair<'p>]| pair[0].0 == pair[1].0;
        self.labels.windows(2).find(same).map(|pair| &*pair[0].0)
    }

    /// The exemplars of this sample.
    #[must_use]
    pub fn exemplars(&self) -> &'p [Exemplar<'p>] {
        self.exemplars
    }
}

/// A sample that is a whole native histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSample<'p> {
    /// Labels, times and exemplars. The value means nothing.
    pub series: Series<'p>,
    /// The histogram as the target sent it: its spans and counts are not checked against each
    /// other.
    pub histogram: &'p Histogram,
    /// Whether its counts can go down.
    pub is_gauge: bool,
}

/// A trace, or the like, that stands for a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar<'p> {
    pub(super) labels: Vec<Pair<'p>>,
    /// The value that was observed.
    pub value: f64,
    /// When, in milliseconds since 1970, if the target says so.
    pub timestamp_ms: Option<i64>,
}

impl Exemplar<'_> {
    /// The labels, sorted by name (bytewise).
    pub fn labels(&self) -> impl ExactSizeIterator<Item = Label<'_>> + Clone {
        self.labels.iter().map(borrow)
    }
}

fn borrow<'p>((name, value): &'p (Cow<'_, str>, Cow<'_, str>)) -> Label<'p> {
    Label { name, value }
}
