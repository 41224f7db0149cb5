//! The terminals that both text formats share.
//!
//! A cursor over the body. Which terminal can come next depends on where a line has got to, so
//! there is no stream of tokens: the parser asks for the one it wants, and gets it or not. What is
//! not taken stays where it is.

use std::str;

use memchr::{memchr, memchr3};

use super::error::{ParseError, Reason, quote};

/// A cursor over a body. A copy is a place to come back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    /// What is left of the body.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.input[self.at..]
    }

    /// What was read since `start`, an earlier copy of this cursor.
    pub(super) fn since(&self, start: Self) -> &'a [u8] {
        &self.input[start.at..self.at]
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    pub(super) fn at_end(&self) -> bool {
        self.at == self.input.len()
    }

    /// Takes `token` if it comes next.
    pub(super) fn take(&mut self, token: &[u8]) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Takes bytes as long as `wanted` likes them.
    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let len = rest.iter().position(|&byte| !wanted(byte));
        let taken = &rest[..len.unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    /// Takes blanks and tabs, and says whether there were any.
    pub(super) fn take_blanks(&mut self) -> bool {
        !self
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .is_empty()
    }

    /// Takes the rest of the line, without its line feed.
    pub(super) fn take_line(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let line = &rest[..memchr(b'\n', rest).unwrap_or(rest.len())];
        self.at += line.len();
        line
    }

    /// What looks like the series at the front of a line, name and braces. It can be wrong about
    /// where the series ends, and sees nothing in unusual spellings: it is a guess, and proven only
    /// by whoever knows it for a series. What a parser once took for one it takes for one again.
    pub(super) fn guess_series(&self) -> Option<&'a [u8]> {
        let rest = self.rest();
        let at = memchr3(b'{', b' ', b'\n', rest)?;
        let length = match rest[at] {
            b'{' => at + memchr(b'}', &rest[at..])? + 1,
            // Behind the blank there may be braces that belong to the series.
            b' ' if !matches!(rest.get(at + 1), Some(b'{' | b' ' | b'\t')) => at,
            _ => return None,
        };
        Some(&rest[..length])
    }

    /// Takes a metric's name: letters, digits, `_` and `:`, no digit first.
    pub(super) fn take_metric_name(&mut self) -> Option<&'a str> {
        self.take_identifier(|byte| is_label_start(byte) || byte == b':')
    }

    /// Takes a label's name: letters, digits and `_`, no digit first.
    pub(super) fn take_label_name(&mut self) -> Option<&'a str> {
        self.take_identifier(is_label_start)
    }

    fn take_identifier(&mut self, starts: impl Fn(u8) -> bool) -> Option<&'a str> {
        if !self.peek().is_some_and(&starts) {
            return None;
        }
        let name = self.take_while(|byte| starts(byte) || byte.is_ascii_digit());
        str::from_utf8(name).ok()
    }

    /// Takes a string in double quotes and returns what is between them, escapes as they are.
    ///
    /// A backslash keeps the next byte, unless that is a line feed, from ending the string.
    pub(super) fn take_quoted(&mut self, refused: &[u8]) -> Option<&'a [u8]> {
        let inside = self.rest().strip_prefix(b"\"")?;
        let mut at = 0;
        loop {
            match *inside.get(at)? {
                b'"' => break,
                b'\\' if *inside.get(at + 1)? != b'\n' => at += 2,
                b'\\' => return None,
                byte if refused.contains(&byte) => return None,
                _ => at += 1,
            }
        }
        self.at += at + 2;
        Some(&inside[..at])
    }

    /// The error that something else than `wanted` comes next.
    pub(super) fn expected(&self, wanted: &'static str) -> ParseError {
        let mut ahead = *self;
        let found = quote(ahead.take_line());
        self.error(Reason::Expected { wanted, found })
    }

    /// The error `reason`, here. Lines are only counted now that one is asked for.
    pub(super) fn error(&self, reason: Reason) -> ParseError {
        let before = &self.input[..self.at];
        let line = before.split(|&byte| byte == b'\n').count();
        ParseError { line, reason }
    }
}

/// Whether `text` is a metric's name that need not be quoted.
pub(super) fn is_metric_name(text: &str) -> bool {
    let is_first = |byte: &u8| is_label_start(*byte) || *byte == b':';
    // All bytes are looked at, so that it is done for many at a time.
    let is_one = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    text.as_bytes().first().is_some_and(is_first)
        && text
            .bytes()
            .fold(true, |is_name, byte| is_name & is_one(byte))
}

fn is_label_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}
