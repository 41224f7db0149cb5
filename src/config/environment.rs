//! `$(NAME)` in the file: the environment variable, as the operator's config reloader has it.
//!
//! Only names of letters, digits and `_` count; `$1`, `${1}` and `$$` are relabelling's. A comment
//! may say what it likes.

use super::Finding;

/// The text with variables filled in, and where the columns were before.
#[derive(Debug)]
pub(super) struct Expanded {
    text: String,
    shifts: Vec<Shift>,
}

/// A place where the text became longer or shorter.
#[derive(Debug)]
struct Shift {
    /// The line, from 1.
    line: usize,
    /// Where the value stands in the expanded line: columns from 1, the end not included.
    start: usize,
    end: usize,
    /// The length of `$(NAME)`.
    written: usize,
}

impl Expanded {
    /// Fills in the variables.
    ///
    /// # Errors
    /// For each variable that is not set, or whose value has a line break.
    pub(super) fn new(
        text: &str,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<Finding>> {
        let mut expanded = Self {
            text: String::with_capacity(text.len()),
            shifts: Vec::new(),
        };
        let mut findings = Vec::new();
        for (index, line) in text.split_inclusive('\n').enumerate() {
            expanded.line(index + 1, line, &env, &mut findings);
        }
        if findings.is_empty() {
            Ok(expanded)
        } else {
            Err(findings)
        }
    }

    /// The text to parse.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The column in the user's file of a column in the expanded text.
    pub(super) fn column(&self, line: usize, column: usize) -> usize {
        let mut original = column;
        for shift in self
            .shifts
            .iter()
            .filter(|shift| shift.line == line && shift.start < column)
        {
            let grown = shift.end - shift.start;
            // Within a value is at its beginning.
            let passed = grown.min(column - shift.start);
            let written = if passed < grown { 0 } else { shift.written };
            original = original + written - passed;
        }
        original
    }

    fn line(
        &mut self,
        number: usize,
        line: &str,
        env: &impl Fn(&str) -> Option<String>,
        findings: &mut Vec<Finding>,
    ) {
        let comment = comment(line);
        let (mut rest, mut read, mut written) = (line, 0, 0);
        while let Some((before, name, after)) = variable(rest) {
            let column = line_chars(line, read + before.len()) + 1;
            self.text.push_str(before);
            written += before.chars().count();
            let length = rest.len() - before.len() - after.len();
            let reference = rest
                .get(before.len()..before.len() + length)
                .unwrap_or_default();
            let in_comment = comment.is_some_and(|start| read + before.len() >= start);
            let finding = |message| Finding {
                line: number,
                column,
                message,
            };
            let value = match env(name) {
                _ if in_comment => reference.to_owned(),
                Some(value) if value.contains(['\n', '\r']) => {
                    let message = format!("environment variable `{name}` has a line break");
                    findings.push(finding(message));
                    String::new()
                }
                Some(value) => value,
                None => {
                    let message = format!(
                        "environment variable `{name}` is not set: set it, or write its value"
                    );
                    findings.push(finding(message));
                    String::new()
                }
            };
            let end = written + value.chars().count();
            let (start, end_column) = (written + 1, end + 1);
            let shift = Shift {
                line: number,
                start,
                end: end_column,
                written: length,
            };
            self.shifts.push(shift);
            self.text.push_str(&value);
            written = end;
            read += before.len() + length;
            rest = after;
        }
        self.text.push_str(rest);
    }
}

/// The first `$(NAME)`: what stands before it, the name, and what follows.
fn variable(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find("$(")?;
        let (before, after) = text.split_at(at);
        let inner = after.strip_prefix("$(")?;
        if let Some((name, rest)) = inner.split_once(')')
            && is_name(name)
        {
            return Some((before, name, rest));
        }
        from = at + 2;
    }
}

fn is_name(name: &str) -> bool {
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Where a comment begins, if the line has one: at a `#` in front or behind white space, outside of
/// quotes.
fn comment(line: &str) -> Option<usize> {
    let (mut quote, mut before) = (None, ' ');
    for (at, character) in line.char_indices() {
        match (quote, character) {
            (None, '#') if before.is_whitespace() => return Some(at),
            (None, '"' | '\'') if before.is_whitespace() || "[{,:".contains(before) => {
                quote = Some(character);
            }
            (Some(open), close) if open == close && before != '\\' => quote = None,
            _ => {}
        }
        before = character;
    }
    None
}

fn line_chars(line: &str, bytes: usize) -> usize {
    line.get(..bytes).map_or(0, |before| before.chars().count())
}
