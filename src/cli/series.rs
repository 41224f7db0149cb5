//! Series as people write them: `name{label="value"}`, or a JSON object of labels.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::model::METRIC_NAME;

/// Labels by name.
pub(super) type Labels = BTreeMap<String, String>;

/// Why a text is no series.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum ParseError {
    /// Not a JSON object of strings.
    #[error("not a JSON object of labels: {0}")]
    Json(String),
    /// Something else than what has to stand there.
    #[error("expected {expected} at character {at}")]
    Expected { expected: &'static str, at: usize },
    /// A label that stands there twice.
    #[error("label `{0}` is there twice")]
    Duplicate(String),
    /// Neither a name nor a label.
    #[error("the series has no labels")]
    Empty,
}

/// Reads `name{a="b", "c.d"="e"}`, `{"name", a="b"}` or `{"__name__":"name","a":"b"}`.
pub(super) fn parse(text: &str) -> Result<Labels, ParseError> {
    let text = text.trim();
    if let Some(labels) = parse_json(text) {
        return labels;
    }
    let mut parser = Parser { text, at: 0 };
    let mut labels = Labels::new();
    let name = parser.take_while(|character| character != '{').trim();
    if !name.is_empty() {
        labels.insert(METRIC_NAME.to_owned(), name.to_owned());
    }
    if parser.eat('{') {
        parser.labels(&mut labels)?;
    }
    parser.skip_space();
    if parser.at < text.len() {
        return Err(parser.expected("the end"));
    }
    if labels.is_empty() {
        Err(ParseError::Empty)
    } else {
        Ok(labels)
    }
}

/// JSON and `{"name"}` begin alike: a colon after the first string tells.
fn parse_json(text: &str) -> Option<Result<Labels, ParseError>> {
    let mut parser = Parser { text, at: 0 };
    if !parser.eat('{') {
        return None;
    }
    parser.quoted().ok()?;
    if !parser.eat(':') {
        return None;
    }
    Some(serde_json::from_str(text).map_err(|error| ParseError::Json(error.to_string())))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn labels(&mut self, labels: &mut Labels) -> Result<(), ParseError> {
        while !self.eat('}') {
            let quoted = self.peek() == Some('"');
            let name = if quoted {
                self.quoted()?
            } else {
                self.bare_name()
            };
            if name.is_empty() {
                return Err(self.expected("a label name or `}`"));
            }
            if self.eat('=') {
                let value = self.quoted()?;
                add(labels, name, value)?;
            } else if quoted && !labels.contains_key(METRIC_NAME) {
                add(labels, METRIC_NAME.to_owned(), name)?;
            } else {
                return Err(self.expected("`=`"));
            }
            if !self.eat(',') && self.peek() != Some('}') {
                return Err(self.expected("`,` or `}`"));
            }
        }
        Ok(())
    }

    fn bare_name(&mut self) -> String {
        self.skip_space();
        self.take_while(|character| !matches!(character, '=' | ',' | '}' | '"'))
            .trim()
            .to_owned()
    }

    /// A string in double quotes, with `\\`, `\"` and `\n` as the exposition format has them.
    fn quoted(&mut self) -> Result<String, ParseError> {
        if !self.eat('"') {
            return Err(self.expected("`\"`"));
        }
        let mut value = String::new();
        let mut escaped = false;
        for (offset, character) in self.rest().char_indices() {
            match (escaped, character) {
                (false, '"') => {
                    self.at += offset + 1;
                    return Ok(value);
                }
                (false, '\\') => escaped = true,
                (true, 'n') => {
                    value.push('\n');
                    escaped = false;
                }
                (_, character) => {
                    value.push(character);
                    escaped = false;
                }
            }
        }
        self.at = self.text.len();
        Err(self.expected("`\"`"))
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.rest().chars().next()
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest
            .find(|character| !wanted(character))
            .unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn expected(&self, expected: &'static str) -> ParseError {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        ParseError::Expected {
            expected,
            at: before.chars().count() + 1,
        }
    }
}

fn add(labels: &mut Labels, name: String, value: String) -> Result<(), ParseError> {
    if labels.contains_key(&name) {
        return Err(ParseError::Duplicate(name));
    }
    labels.insert(name, value);
    Ok(())
}
