//! How many series of a request are not valid, and what is wrong with the first of them.

use std::fmt;

use crate::remote_write::v1::{DecodeError, Limits, Series, Walker};
use crate::remote_write::v2;
use crate::telemetry::causes;

/// So many invalid series are described.
const DESCRIBED: usize = 3;

/// Why a request is refused that has invalid series; its words are for the sender.
#[derive(Debug, Default)]
pub struct InvalidSeries {
    invalid: u64,
    all: u64,
    described: Vec<String>,
}

impl std::error::Error for InvalidSeries {}

impl fmt::Display for InvalidSeries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invalid, all, .. } = self;
        write!(formatter, "{invalid} of {all} series are not valid")?;
        for (index, description) in self.described.iter().enumerate() {
            let mark = if index == 0 { ':' } else { ';' };
            write!(formatter, "{mark} {description}")?;
        }
        if self.invalid > self.described.len() as u64 {
            write!(formatter, "; …")?;
        }
        write!(formatter, "; nothing of the request was kept")
    }
}

/// Walks a request that was refused for its series once more, to count them. `known` are those
/// which were found before the walk; they are empty in `request`.
pub(super) fn count_invalid(
    request: &[u8],
    limits: Limits,
    known: &[(usize, v2::InvalidSeries)],
) -> InvalidSeries {
    let mut found = InvalidSeries::default();
    let mut walker = Walker::new(request, limits);
    let mut series = Series::default();
    loop {
        let error = match walker.next_part(&mut series) {
            Ok(Some(_)) => {
                found.all = walker.series() as u64;
                continue;
            }
            Err(error @ (DecodeError::Series { .. } | DecodeError::Labels { .. })) => error,
            Ok(None) | Err(_) => return found,
        };
        found.all = walker.series() as u64;
        found.invalid += 1;
        if found.described.len() < DESCRIBED {
            let index = walker.series() - 1;
            let known = known.iter().find(|(place, _)| *place == index);
            found.described.push(match known {
                Some((_, why)) => format!("series {index}: {}", causes(why)),
                None => causes(&error),
            });
        }
    }
}
