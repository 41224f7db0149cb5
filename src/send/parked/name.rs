//! The names of parked batches' files, which sort by time and tell what one asks for first.

use std::fmt;

/// Their ending.
const SUFFIX: &str = ".parked";

/// The name of a parked batch. Sorts by when it was parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParkedName {
    /// When it was parked, in milliseconds since 1970.
    pub parked_ms: i64,
    /// Tells apart what was parked in the same millisecond.
    pub number: u32,
    /// The status code that the receiver answered.
    pub status: u16,
    /// Samples in it.
    pub samples: u64,
}

impl ParkedName {
    /// Reads a name; `None` if it is none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(SUFFIX)?.split('-');
        let name = Self {
            parked_ms: parts.next()?.parse().ok()?,
            number: parts.next()?.parse().ok()?,
            status: parts.next()?.parse().ok()?,
            samples: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(name)
    }
}

impl fmt::Display for ParkedName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            parked_ms,
            number,
            status,
            samples,
        } = self;
        let parked_ms = (*parked_ms).max(0);
        write!(
            out,
            "{parked_ms:013}-{number:06}-{status:03}-{samples}{SUFFIX}"
        )
    }
}
