//! Replacement templates as Go's `Regexp.Expand` reads them.
//!
//! `$1`, `${1}`, `$name` and `${name}` stand for groups; a name is as long as it can be, so `$1x`
//! is the group named `1x`. An unknown group is empty, `$$` is a dollar, and a dollar that begins
//! neither stands for itself.

use std::sync::LazyLock;

use regex::Captures;

/// A group's name in a template: letters, decimal digits and underscores as Go's `unicode` package
/// tells them.
static NAME: LazyLock<regex::Regex> =
    LazyLock::new(|| regex::Regex::new(r"^[\pL\p{Nd}_]+").expect("the pattern is valid"));

/// A replacement template, parsed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Number(usize),
    Name(String),
}

impl Template {
    /// Parses a template; every text is one.
    #[must_use]
    pub fn new(source: &str) -> Self {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some((before, after)) = rest.split_once('$') {
            text.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                text.push('$');
                rest = after;
            } else if let Some((name, after)) = group(after) {
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(number(name).map_or_else(|| Part::Name(name.into()), Part::Number));
                rest = after;
            } else {
                text.push('$');
                rest = after;
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Self {
            source: source.to_owned(),
            parts,
        }
    }

    /// The template as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The template's text if no group stands in it.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    pub(super) fn expand(&self, captures: &Captures<'_>, names: &[String]) -> String {
        let group = |number| captures.get(number).map(|matched| matched.as_str());
        let mut expanded = String::new();
        for part in &self.parts {
            let text = match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Number(number) => group(*number),
                Part::Name(wanted) => {
                    let mut same = (1..).zip(names).filter(|(_, name)| *name == wanted);
                    same.find_map(|(number, _)| group(number))
                }
            };
            expanded.push_str(text.unwrap_or_default());
        }
        expanded
    }
}

/// The group's name at the front of `text` (what follows a dollar), and what follows it.
fn group(text: &str) -> Option<(&str, &str)> {
    let (inner, braced) = match text.strip_prefix('{') {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let (name, after) = inner.split_at(NAME.find(inner)?.end());
    if braced {
        after.strip_prefix('}').map(|after| (name, after))
    } else {
        Some((name, after))
    }
}

/// A group's number: digits without a leading zero.
fn number(name: &str) -> Option<usize> {
    if !name.bytes().all(|byte| byte.is_ascii_digit()) || (name.len() > 1 && name.starts_with('0'))
    {
        return None;
    }
    name.parse()
        .ok()
        .filter(|&number: &usize| number < 100_000_000)
}
