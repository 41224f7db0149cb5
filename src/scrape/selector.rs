//! `match_target`: which targets a question is about, as a query selects series.

use std::str::FromStr;

use thiserror::Error;

use crate::re2::Regex;

/// Matchers on labels, of which all have to match: `{job="node",instance=~"a.*"}`.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    matchers: Vec<Matcher>,
}

#[derive(Clone, Debug)]
struct Matcher {
    name: String,
    test: Test,
    /// What the test has to say.
    wanted: bool,
}

#[derive(Clone, Debug)]
enum Test {
    Equal(String),
    Regex(Regex),
}

/// A text that is no selector.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a selector like {{job=\"node\"}}: {reason}")]
pub struct InvalidSelector {
    reason: String,
}

impl Selector {
    /// Whether all matchers match. A label that is not there is empty.
    pub(super) fn matches(&self, labels: &[(String, String)]) -> bool {
        self.matchers.iter().all(|matcher| {
            let found = labels.iter().find(|(name, _)| *name == matcher.name);
            let value = found.map_or("", |(_, value)| value.as_str());
            let says = match &matcher.test {
                Test::Equal(text) => value == text,
                Test::Regex(regex) => regex.is_match(value),
            };
            says == matcher.wanted
        })
    }
}

impl FromStr for Selector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let text = text.trim();
        let inner = text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let mut rest = inner.ok_or_else(|| invalid("it stands in braces"))?.trim();
        let mut matchers = Vec::new();
        while !rest.is_empty() {
            let (matcher, behind) = take_matcher(rest)?;
            matchers.push(matcher);
            rest = match behind.trim_start().strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if behind.trim().is_empty() => "",
                None => return Err(invalid("matchers are separated by commas")),
            };
        }
        Ok(Self { matchers })
    }
}

fn take_matcher(written: &str) -> Result<(Matcher, &str), InvalidSelector> {
    let operator = written
        .find(['=', '!'])
        .ok_or_else(|| invalid("a matcher has one of = != =~ !~"))?;
    let (name, rest) = written.split_at(operator);
    let operators = [("=~", true), ("!~", false), ("!=", false), ("=", true)];
    let found = operators
        .iter()
        .find_map(|&(sign, wanted)| Some((sign, wanted, rest.strip_prefix(sign)?)));
    let (sign, wanted, rest) = found.ok_or_else(|| invalid("a matcher has one of = != =~ !~"))?;
    let (value, behind) = take_string(rest.trim_start())?;
    let test = if sign.ends_with('~') {
        let regex = Regex::new(&value).map_err(|error| invalid(&error.to_string()))?;
        Test::Regex(regex)
    } else {
        Test::Equal(value)
    };
    let name = name.trim().trim_matches('"').to_owned();
    Ok((Matcher { name, test, wanted }, behind))
}

/// A string in double or single quotes, and what stands behind it.
fn take_string(text: &str) -> Result<(String, &str), InvalidSelector> {
    let mut characters = text.chars();
    let quote = characters
        .next()
        .filter(|quote| matches!(quote, '"' | '\''));
    let quote = quote.ok_or_else(|| invalid("a value stands in quotes"))?;
    let mut value = String::new();
    loop {
        match characters.next() {
            Some(end) if end == quote => return Ok((value, characters.as_str())),
            Some('\\') => value.push(match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(other) => other,
                None => return Err(invalid("a value has no end")),
            }),
            Some(other) => value.push(other),
            None => return Err(invalid("a value has no end")),
        }
    }
}

fn invalid(reason: &str) -> InvalidSelector {
    InvalidSelector {
        reason: reason.to_owned(),
    }
}
