//! How deeply a text may nest, by a look at its brackets and dashes before it is read.
//!
//! The YAML library refuses what nests more than 128 deep, but only once it has read all of it, and
//! for each token it looks at everything that is open: a few MiB of `[` take it minutes, and of
//! `- ` gigabytes. No file that anybody means comes near these bounds, whatever brackets its texts
//! hold. It is a glance and no proof: brackets that close in a comment hide as many that do not,
//! and whoever writes the file could do worse.

use super::yaml::{Place, SyntaxError};

/// So many brackets more are open than were closed, those in texts counted as well.
const OPEN_MAX: usize = 10_000;
/// So many lists begin in one line, or keys.
const MARKS_MAX: usize = 1000;

/// Finds what the library would choke on.
///
/// # Errors
/// Where the text nests far too deeply.
pub(super) fn check(text: &str) -> Result<(), SyntaxError> {
    let mut open = 0_usize;
    for (index, line) in text.lines().enumerate() {
        for bracket in line.bytes() {
            match bracket {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
        }
        let marks = line.split_ascii_whitespace();
        let marks = marks.take_while(|word| matches!(*word, "-" | "?")).count();
        if open > OPEN_MAX || marks > MARKS_MAX {
            return Err(SyntaxError {
                place: Place {
                    line: index + 1,
                    column: 1,
                },
                message: "lists and mappings nest more than 128 deep".to_owned(),
            });
        }
    }
    Ok(())
}
