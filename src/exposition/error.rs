//! Why a body is refused, and where.

use thiserror::Error;

/// A body is not in the format it is said to be in.
///
/// Entries before the error are as good as any; Prometheus throws away the whole scrape.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct ParseError {
    /// The line in which parsing stopped, from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// The grammar wants something else here.
    #[error("expected {wanted}, found {found:?}")]
    Expected {
        /// What the grammar wants.
        wanted: &'static str,
        /// The rest of the line, shortened.
        found: String,
    },
    /// Not a number as Go's `strconv.ParseFloat` reads it, or not in the range of a double.
    #[error("invalid number {0:?}")]
    Number(String),
    /// A timestamp that is not a finite number of milliseconds in 64 bits.
    #[error("invalid timestamp {0:?}")]
    Timestamp(String),
    /// Text that has to be UTF-8 is not.
    #[error("{0} is not valid UTF-8")]
    Utf8(&'static str),
    /// The braces hold labels but no metric name.
    #[error("no metric name")]
    NameMissing,
    /// The braces hold a second metric name.
    #[error("a second metric name {0:?}")]
    NameRepeated(String),
    /// A `# TYPE` with a word that the format does not know.
    #[error("unknown metric type {0:?}")]
    MetricType(String),
    /// OpenMetrics wants a metric's name to end in its unit.
    #[error("unit {unit:?} is not a suffix of metric {metric:?}")]
    Unit {
        /// The unit.
        unit: String,
        /// The metric's name.
        metric: String,
    },
    /// An OpenMetrics body that was cut off, or never closed.
    #[error("body does not end with \"# EOF\"")]
    EofMissing,
    /// Something follows the end of an OpenMetrics body.
    #[error("data after \"# EOF\"")]
    DataAfterEof,
}

/// How much of the body an error quotes, in bytes.
const QUOTED_BYTES: usize = 40;

/// The beginning of `bytes`, fit for an error.
pub(super) fn quote(bytes: &[u8]) -> String {
    let shown = bytes.get(..QUOTED_BYTES).unwrap_or(bytes);
    String::from_utf8_lossy(shown).into_owned()
}
