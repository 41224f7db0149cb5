//! What stands between braces: labels, and in the newer formats the metric's name.
//!
//! ```text
//! braces = "{" [ item { "," item } [ "," ] ] "}"
//! item   = string                              the metric's name, quoted
//!        | ( label-name | string ) "=" string  a label
//! ```
//!
//! Prometheus' text format has blanks between the terminals, and forgives a missing comma.

use std::borrow::Cow;
use std::str;

use super::MetricType;
use super::error::{ParseError, Reason};
use super::lexer::Lexer;
use super::number::canonical_bound;
use crate::model::METRIC_NAME;

/// A label's name and value, without escapes.
pub(super) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Whose braces these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Braces {
    /// A series' in Prometheus' text format.
    Text,
    /// A series' in OpenMetrics.
    OpenMetrics,
    /// An exemplar's in OpenMetrics: no metric name, and no NUL in a value.
    Exemplar,
}

impl Braces {
    /// The bytes that a label's value cannot hold unescaped.
    fn refused_in_values(self) -> &'static [u8] {
        match self {
            Self::Text => b"",
            Self::OpenMetrics => b"\n",
            Self::Exemplar => b"\n\0",
        }
    }

    fn skip_blanks(self, lexer: &mut Lexer<'_>) {
        if self == Self::Text {
            lexer.take_blanks();
        }
    }
}

/// Reads on after `{` up to and with `}`, and appends the labels to `out` as they come.
///
/// A quoted metric name goes to `name`, and is an error if there is one already.
pub(super) fn parse_braces<'a>(
    lexer: &mut Lexer<'a>,
    braces: Braces,
    name: &mut Option<Cow<'a, str>>,
    out: &mut Vec<Pair<'a>>,
) -> Result<(), ParseError> {
    loop {
        braces.skip_blanks(lexer);
        if lexer.take(b"}") {
            return Ok(());
        }
        parse_item(lexer, braces, name, out)?;
        braces.skip_blanks(lexer);
        let separated = lexer.take(b",") || lexer.peek() == Some(b'}');
        if !separated && braces != Braces::Text {
            return Err(lexer.expected("a comma or a closing brace"));
        }
    }
}

fn parse_item<'a>(
    lexer: &mut Lexer<'a>,
    braces: Braces,
    name: &mut Option<Cow<'a, str>>,
    out: &mut Vec<Pair<'a>>,
) -> Result<(), ParseError> {
    let start = *lexer;
    let quoted = lexer.peek() == Some(b'"');
    let Some(key) = parse_key(lexer, braces)? else {
        return Err(start.expected("a label name"));
    };
    braces.skip_blanks(lexer);
    let alone = matches!(lexer.peek(), Some(b',' | b'}'));
    if quoted && alone && braces != Braces::Exemplar {
        if name.is_some() {
            return Err(start.error(Reason::NameRepeated(key.into_owned())));
        }
        *name = Some(key);
        return Ok(());
    }
    if !lexer.take(b"=") {
        return Err(lexer.expected("\"=\""));
    }
    braces.skip_blanks(lexer);
    let Some(value) = lexer.take_quoted(braces.refused_in_values()) else {
        return Err(lexer.expected("a label value in double quotes"));
    };
    out.push((key, unescape(lexer, value, "label value")?));
    Ok(())
}

fn parse_key<'a>(
    lexer: &mut Lexer<'a>,
    braces: Braces,
) -> Result<Option<Cow<'a, str>>, ParseError> {
    if let Some(name) = lexer.take_label_name() {
        return Ok(Some(Cow::Borrowed(name)));
    }
    let refused: &[u8] = if braces == Braces::Text { b"" } else { b"\n" };
    match lexer.take_quoted(refused) {
        Some(name) => unescape(lexer, name, "name").map(Some),
        None => Ok(None),
    }
}

/// Resolves `\\`, `\"` and `\n`. Any other escape stays as it is written.
pub(super) fn unescape<'a>(
    lexer: &Lexer<'a>,
    raw: &'a [u8],
    what: &'static str,
) -> Result<Cow<'a, str>, ParseError> {
    utf8(lexer, raw, what).map(|text| resolve_escapes(text, true))
}

/// `raw` as text, or the error that `what` is none.
pub(super) fn utf8<'a>(
    lexer: &Lexer<'_>,
    raw: &'a [u8],
    what: &'static str,
) -> Result<&'a str, ParseError> {
    match str::from_utf8(raw) {
        Ok(text) => Ok(text),
        Err(_) => Err(lexer.error(Reason::Utf8(what))),
    }
}

/// Takes the metric's name in a line of metadata. Escapes stay, as in Prometheus.
pub(super) fn take_family_name<'a>(
    lexer: &mut Lexer<'a>,
    refused: &[u8],
) -> Result<&'a str, ParseError> {
    if let Some(name) = lexer.take_metric_name() {
        return Ok(name);
    }
    match lexer.take_quoted(refused) {
        Some(name) => utf8(lexer, name, "name"),
        None => Err(lexer.expected("a metric name")),
    }
}

/// Resolves `\\` and `\n`, and `\"` if `quotes`.
pub(super) fn resolve_escapes(text: &str, quotes: bool) -> Cow<'_, str> {
    let Some((plain, mut rest)) = text.split_once('\\') else {
        return Cow::Borrowed(text);
    };
    let mut resolved = String::with_capacity(text.len());
    resolved.push_str(plain);
    loop {
        let mut after = rest.chars();
        let (replaced, taken) = match after.next() {
            Some('\\') => ('\\', true),
            Some('n') => ('\n', true),
            Some('"') if quotes => ('"', true),
            _ => ('\\', false),
        };
        resolved.push(replaced);
        rest = if taken { after.as_str() } else { rest };
        let Some((plain, behind)) = rest.split_once('\\') else {
            resolved.push_str(rest);
            return Cow::Owned(resolved);
        };
        resolved.push_str(plain);
        rest = behind;
    }
}

/// Completes the labels of a series: its name among them, bounds in one spelling, sorted.
pub(super) fn finish<'a>(labels: &mut Vec<Pair<'a>>, name: Cow<'a, str>, metric_type: MetricType) {
    labels.insert(0, (Cow::Borrowed(METRIC_NAME), name));
    if let Some(bound_name) = bound_label(metric_type) {
        for (_, value) in labels.iter_mut().filter(|(name, _)| name == bound_name) {
            *value = canonical_bound(std::mem::take(value));
        }
    }
    sort(labels);
}

/// Sorts by name; labels of the same name stay in the body's order.
pub(super) fn sort(labels: &mut [Pair<'_>]) {
    labels.sort_by(|left, right| left.0.cmp(&right.0));
}

/// The label that tells the series of one metric of this type apart, and holds a number.
pub(super) fn bound_label(metric_type: MetricType) -> Option<&'static str> {
    match metric_type {
        MetricType::Histogram => Some("le"),
        MetricType::Summary => Some("quantile"),
        _ => None,
    }
}
