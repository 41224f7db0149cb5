//! From Go's dialect to Rust's, one construct at a time.
//!
//! What is written out is stricter than what came in: every literal is escaped, every Perl class
//! spelled out in ASCII, so that no construct of Rust's own can arise by accident.

use std::fmt::Write as _;

use super::ParseError;
use super::class;

/// The most that a counted repetition may say, as in Go.
const REPEAT_MAX: u32 = 1000;

/// A pattern in Rust's dialect.
pub(super) struct Translated {
    pub(super) pattern: String,
    /// The name of each group, from group 1 on; empty where it has none.
    pub(super) names: Vec<String>,
}

/// Translates `pattern`. Errors that concern it as a whole quote `source`, what the user wrote.
pub(super) fn translate(pattern: &str, source: &str) -> Result<Translated, ParseError> {
    let mut translator = Translator {
        rest: pattern,
        source,
        pattern: String::with_capacity(pattern.len() * 2),
        names: Vec::new(),
        depth: 0,
        repeatable: false,
        last_repeat: None,
    };
    while !translator.rest.is_empty() {
        translator.step()?;
    }
    if translator.depth > 0 {
        return Err(ParseError::new("missing closing )", source));
    }
    Ok(Translated {
        pattern: translator.pattern,
        names: translator.names,
    })
}

struct Translator<'p> {
    rest: &'p str,
    source: &'p str,
    pattern: String,
    names: Vec<String>,
    depth: usize,
    /// Whether there is something before this that can be repeated.
    repeatable: bool,
    /// What stood where the repetition just before this one began.
    last_repeat: Option<&'p str>,
}

impl<'p> Translator<'p> {
    fn step(&mut self) -> Result<(), ParseError> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(());
        };
        let before_repeat = self.last_repeat.take();
        match first {
            '(' => self.open(),
            ')' => self.close(),
            '|' => self.alternate(),
            '*' | '+' | '?' => self.repeat(1, before_repeat),
            '{' => match repetition(self.rest) {
                Some((length, min, max)) => self.count(length, min, max, before_repeat),
                None => self.literal('{'),
            },
            '[' => {
                let (class, rest) = class::translate(self.rest)?;
                self.pattern.push_str(&class);
                self.advance_to(rest);
                Ok(())
            }
            '.' | '^' | '$' => {
                self.pattern.push(first);
                self.advance(first.len_utf8());
                Ok(())
            }
            '\\' => self.escape(),
            other => self.literal(other),
        }
    }

    fn literal(&mut self, character: char) -> Result<(), ParseError> {
        class::push_literal(&mut self.pattern, character);
        self.advance(character.len_utf8());
        Ok(())
    }

    fn advance(&mut self, length: usize) {
        self.rest = self.rest.get(length..).unwrap_or_default();
        self.repeatable = true;
    }

    fn advance_to(&mut self, rest: &'p str) {
        self.rest = rest;
        self.repeatable = true;
    }

    fn open(&mut self) -> Result<(), ParseError> {
        let (opening, length) = match self.rest.strip_prefix("(?") {
            None => {
                self.names.push(String::new());
                ("(".to_owned(), 1)
            }
            Some(after) => self.open_special(after)?,
        };
        // `(?i)` sets flags and opens nothing.
        if !opening.ends_with(')') {
            self.depth += 1;
        }
        self.pattern.push_str(&opening);
        self.advance(length);
        self.repeatable = false;
        Ok(())
    }

    /// `(?P<name>`, `(?<name>`, `(?flags:` or `(?flags)`: what to write, and how much was read.
    fn open_special(&mut self, after: &'p str) -> Result<(String, usize), ParseError> {
        let named = after.strip_prefix("P<").map(|name| (name, 4));
        let plain = || after.strip_prefix('<').map(|name| (name, 3));
        if let Some((name, prefix)) = named.or_else(plain) {
            let lookbehind = prefix == 3 && name.starts_with(['=', '!']);
            if lookbehind {
                return Err(ParseError::new(
                    "invalid or unsupported Perl syntax",
                    excerpt(self.rest, 4),
                ));
            }
            let Some((name, _)) = name.split_once('>') else {
                return Err(ParseError::new("invalid named capture", self.source));
            };
            let valid = |character: char| character.is_ascii_alphanumeric() || character == '_';
            let length = prefix + name.len() + 1;
            if name.is_empty()
                || !name.chars().all(valid)
                || self.names.iter().any(|held| held == name)
            {
                let reason = "invalid named capture";
                return Err(ParseError::new(reason, excerpt(self.rest, length)));
            }
            self.names.push(name.to_owned());
            return Ok(("(".to_owned(), length));
        }
        let end = after.find([':', ')']).unwrap_or(after.len());
        let (flags, tail) = after.split_at(end);
        let (on, off) = flags
            .split_once('-')
            .map_or((flags, None), |(on, off)| (on, Some(off)));
        let known = |flags: &str| flags.chars().all(|flag| "imsU".contains(flag));
        let fine = known(on) && off.is_none_or(|off| known(off) && !off.is_empty());
        let fine = fine && !tail.is_empty() && (tail.starts_with(':') || !flags.is_empty());
        if !fine {
            let known_prefix = after
                .find(|flag| !"imsU-".contains(flag))
                .unwrap_or(after.len());
            let shown = excerpt(self.rest, 2 + known_prefix + 1);
            return Err(ParseError::new("invalid or unsupported Perl syntax", shown));
        }
        let length = 2 + end + 1;
        let mut opening = String::from("(?");
        on.chars()
            .chain(off.map(|_| '-'))
            .chain(off.unwrap_or_default().chars())
            .for_each(|flag| {
                opening.push(flag);
            });
        opening.push(if tail.starts_with(':') { ':' } else { ')' });
        Ok((opening, length))
    }

    fn close(&mut self) -> Result<(), ParseError> {
        if self.depth == 0 {
            return Err(ParseError::new("unexpected )", self.source));
        }
        self.depth -= 1;
        self.pattern.push(')');
        self.advance(1);
        Ok(())
    }

    fn alternate(&mut self) -> Result<(), ParseError> {
        self.pattern.push('|');
        self.advance(1);
        self.repeatable = false;
        Ok(())
    }

    fn count(
        &mut self,
        length: usize,
        min: u32,
        max: Option<u32>,
        before: Option<&'p str>,
    ) -> Result<(), ParseError> {
        let too_large = min > REPEAT_MAX || max.is_some_and(|max| max > REPEAT_MAX || min > max);
        if too_large {
            return Err(ParseError::new(
                "invalid repeat count",
                excerpt(self.rest, length),
            ));
        }
        self.repeat(length, before)
    }

    /// A repetition operator of `length` bytes, and the `?` that may make it lazy.
    fn repeat(&mut self, length: usize, before: Option<&'p str>) -> Result<(), ParseError> {
        let lazy = self
            .rest
            .get(length..)
            .is_some_and(|after| after.starts_with('?'));
        let whole = length + usize::from(lazy);
        if let Some(before) = before {
            let nested = before.len() - self.rest.len() + whole;
            let reason = "invalid nested repetition operator";
            return Err(ParseError::new(reason, excerpt(before, nested)));
        }
        if !self.repeatable {
            let reason = "missing argument to repetition operator";
            return Err(ParseError::new(reason, excerpt(self.rest, length)));
        }
        let start = self.rest;
        self.pattern.push_str(excerpt(start, whole));
        self.advance(whole);
        self.last_repeat = Some(start);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), ParseError> {
        if let Some(after) = self.rest.strip_prefix("\\Q") {
            let (quoted, rest) = after.split_once("\\E").unwrap_or((after, ""));
            for character in quoted.chars() {
                class::push_literal(&mut self.pattern, character);
                self.repeatable = true;
            }
            self.rest = rest;
            return Ok(());
        }
        let assertion = match self.rest.chars().nth(1) {
            Some('A') => Some("\\A"),
            Some('z') => Some("\\z"),
            Some('b') => Some("(?-u:\\b)"),
            Some('B') => Some("(?-u:\\B)"),
            _ => None,
        };
        if let Some(assertion) = assertion {
            self.pattern.push_str(assertion);
            self.advance(2);
            return Ok(());
        }
        if let Some((class, rest)) = class::named(self.rest)? {
            write!(self.pattern, "[{class}]").expect("writing to a string does not fail");
            self.advance_to(rest);
            return Ok(());
        }
        let (character, rest) = class::escaped(self.rest)?;
        class::push_literal(&mut self.pattern, character);
        self.advance_to(rest);
        Ok(())
    }
}

/// `{n}`, `{n,}` or `{n,m}` at the front of `text`: its length, and n and m. Anything else is no
/// repetition, and its brace a literal.
fn repetition(text: &str) -> Option<(usize, u32, Option<u32>)> {
    let inner = text.strip_prefix('{')?;
    let (inner, _) = inner.split_once('}')?;
    let number = |digits: &str| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits.len() == 1 || !digits.starts_with('0'));
        (plain && !digits.is_empty()).then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let (min, max) = match inner.split_once(',') {
        None => {
            let count = number(inner)?;
            (count, Some(count))
        }
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
    };
    Some((inner.len() + 2, min, max))
}

/// The first `length` bytes of `text`, or a little more or less to end between characters.
fn excerpt(text: &str, length: usize) -> &str {
    let end = text.len().min(length);
    text.get(..text.ceil_char_boundary(end)).unwrap_or(text)
}
