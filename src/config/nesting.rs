//! How deeply a text nests, and how long its numbers are, found before the YAML library reads it.
//!
//! The library looks at every open list for every token, and keeps all tokens of a document: a few
//! MiB of `[` take it minutes, and of `- ` a gigabyte, before anybody asks how deep they go. So the
//! text is walked over here first, token by token as the library's scanner does it (libyaml's
//! `scanner.c`, whose conditions these are), with nothing kept but what is open. What is no YAML
//! ends the walk: the library stops there too, and says why. An alias of a number is parsed as
//! often as it is used, so a number must not be as long as a file.

use super::yaml::{Place, SyntaxError};

/// How deeply lists and mappings may nest: the library reads no deeper.
const DEPTH_MAX: usize = 128;

/// How many characters a number may have.
const NUMBER_MAX: usize = 1024;

/// Walks over a text.
///
/// # Errors
/// If it nests too deeply or has a number that is too long.
pub(super) fn check(text: &str) -> Result<(), SyntaxError> {
    let mut scanner = Scanner {
        text: text.chars().collect(),
        at: 0,
        line: 0,
        column: 0,
        flow: 0,
        indents: vec![-1],
        key_allowed: true,
        key: None,
        number: 0,
    };
    while scanner.token().is_some() {
        let message = if scanner.flow.max(scanner.indents.len() - 1) > DEPTH_MAX {
            format!("lists and mappings nest more than {DEPTH_MAX} deep")
        } else if scanner.number > NUMBER_MAX {
            format!("a number has more than {NUMBER_MAX} digits: quote it if it is a text")
        } else {
            continue;
        };
        let place = Place {
            line: scanner.line + 1,
            column: usize::try_from(scanner.column).unwrap_or_default(),
        };
        return Err(SyntaxError { place, message });
    }
    Ok(())
}

struct Scanner {
    text: Vec<char>,
    at: usize,
    line: usize,
    column: isize,
    /// How many lists and mappings in brackets are open.
    flow: usize,
    /// Columns of the block collections that are open, below all of them -1.
    indents: Vec<isize>,
    key_allowed: bool,
    /// What can be a key if a `:` follows, outside brackets.
    key: Option<Key>,
    /// How many characters of a number the last scalar begins with.
    number: usize,
}

struct Key {
    column: isize,
    line: usize,
    at: usize,
}

/// `None` ends the walk.
type Step = Option<()>;

impl Scanner {
    fn peek(&self, ahead: usize) -> char {
        self.text.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn skip(&mut self, characters: usize) {
        self.at += characters;
        self.column += isize::try_from(characters).unwrap_or_default();
    }

    fn skip_break(&mut self) {
        let both = self.peek(0) == '\r' && self.peek(1) == '\n';
        self.at += if both { 2 } else { 1 };
        self.line += 1;
        self.column = 0;
    }

    fn skip_to_break(&mut self) {
        while !is_break_or_end(self.peek(0)) {
            self.skip(1);
        }
    }

    fn indent(&self) -> isize {
        self.indents.last().copied().unwrap_or(-1)
    }

    fn unroll(&mut self, column: isize) {
        while self.flow == 0 && self.indent() > column {
            self.indents.pop();
        }
    }

    fn roll(&mut self, column: isize) {
        if self.indent() < column {
            self.indents.push(column);
        }
    }

    /// What begins here can be a key.
    fn save_key(&mut self) {
        if self.flow == 0 && self.key_allowed {
            let (column, line, at) = (self.column, self.line, self.at);
            self.key = Some(Key { column, line, at });
        }
        self.key_allowed = false;
    }

    fn remove_key(&mut self) {
        if self.flow == 0 {
            self.key = None;
        }
    }

    fn is_document_mark(&self) -> bool {
        let three = [self.peek(0), self.peek(1), self.peek(2)];
        let is_mark = three == ['-'; 3] || three == ['.'; 3];
        self.column == 0 && is_mark && is_blank_or_end(self.peek(3))
    }

    /// Steps over the next token.
    fn token(&mut self) -> Step {
        self.skip_to_token();
        let (line, at) = (self.line, self.at);
        self.key
            .take_if(|key| key.line < line || key.at + 1024 < at);
        self.unroll(self.column);
        let indicates = self.flow > 0 || is_blank_or_end(self.peek(1));
        match self.peek(0) {
            '\0' => return None,
            '%' if self.column == 0 => self.mark(Self::skip_to_break),
            _ if self.is_document_mark() => self.mark(|scanner| scanner.skip(3)),
            '[' | '{' => {
                self.save_key();
                self.flow += 1;
                self.indicator(true);
            }
            ']' | '}' => {
                self.remove_key();
                self.flow = self.flow.saturating_sub(1);
                self.indicator(false);
            }
            ',' => {
                self.remove_key();
                self.indicator(true);
            }
            '-' if is_blank_or_end(self.peek(1)) => {
                self.block(self.column)?;
                self.indicator(true);
            }
            '?' if indicates => {
                self.block(self.column)?;
                self.indicator(self.flow == 0);
            }
            ':' if indicates => self.value()?,
            '*' | '&' => self.word(is_of_anchor),
            '!' if self.peek(1) == '<' => {
                self.skip(1);
                self.word(|c| is_of_tag(c) || ",[]".contains(c));
                self.skip(usize::from(self.peek(0) == '>'));
            }
            '!' => self.word(is_of_tag),
            '|' | '>' if self.flow == 0 => self.block_scalar()?,
            quote @ ('\'' | '"') => self.quoted(quote)?,
            '@' | '`' | '#' | '%' | '|' | '>' | '\t' => return None,
            '-' | '?' | ':' if indicates => return None,
            _ => self.plain()?,
        }
        Some(())
    }

    fn skip_to_token(&mut self) {
        loop {
            if self.at == 0 && self.peek(0) == '\u{feff}' {
                self.at = 1;
            }
            while self.peek(0) == ' '
                || ((self.flow > 0 || !self.key_allowed) && self.peek(0) == '\t')
            {
                self.skip(1);
            }
            if self.peek(0) == '#' {
                self.skip_to_break();
            }
            if !is_break(self.peek(0)) {
                return;
            }
            self.skip_break();
            self.key_allowed |= self.flow == 0;
        }
    }

    fn indicator(&mut self, key_allowed: bool) {
        self.key_allowed = key_allowed;
        self.skip(1);
    }

    /// A directive or the mark of a document.
    fn mark(&mut self, skip: impl FnOnce(&mut Self)) {
        self.unroll(-1);
        self.remove_key();
        self.key_allowed = false;
        skip(self);
    }

    /// A block collection has an entry at this column.
    fn block(&mut self, column: isize) -> Step {
        if self.flow == 0 {
            self.key_allowed.then(|| self.roll(column))?;
            self.key = None;
        }
        Some(())
    }

    fn value(&mut self) -> Step {
        let key = self.key.take_if(|_| self.flow == 0);
        if let Some(key) = key {
            self.roll(key.column);
            self.indicator(false);
        } else {
            self.block(self.column)?;
            self.indicator(self.flow == 0);
        }
        Some(())
    }

    /// An anchor, an alias or a tag, with the character that says which.
    fn word(&mut self, is_of_it: impl Fn(char) -> bool) {
        self.save_key();
        self.skip(1);
        while is_of_it(self.peek(0)) {
            self.skip(1);
        }
    }

    fn quoted(&mut self, quote: char) -> Step {
        self.save_key();
        self.skip(1);
        loop {
            match self.peek(0) {
                '\0' => return None,
                _ if self.is_document_mark() => return None,
                '\'' if quote == '\'' && self.peek(1) == '\'' => self.skip(2),
                '\\' if quote == '"' => {
                    self.skip(1);
                    self.skip_any();
                }
                end if end == quote => break,
                _ => self.skip_any(),
            }
        }
        self.skip(1);
        Some(())
    }

    fn skip_any(&mut self) {
        if is_break(self.peek(0)) {
            self.skip_break();
        } else {
            self.skip(1);
        }
    }

    fn plain(&mut self) -> Step {
        self.save_key();
        let begins = self.text.iter().skip(self.at);
        self.number = begins.take_while(|&&c| is_of_number(c)).count();
        let mut breaks = false;
        while !self.is_document_mark() && self.peek(0) != '#' {
            while !is_blank_or_end(self.peek(0)) {
                let (this, next) = (self.peek(0), self.peek(1));
                if self.flow > 0 && this == ':' && ",?[]{}".contains(next) {
                    return None;
                }
                if (this == ':' && is_blank_or_end(next))
                    || (self.flow > 0 && ",[]{}".contains(this))
                {
                    break;
                }
                breaks = false;
                self.skip(1);
            }
            if !is_blank_or_end(self.peek(0)) || self.peek(0) == '\0' {
                break;
            }
            while is_blank_or_end(self.peek(0)) && self.peek(0) != '\0' {
                let is_tab = self.peek(0) == '\t';
                if is_tab && breaks && self.column <= self.indent() {
                    return None;
                }
                breaks |= is_break(self.peek(0));
                self.skip_any();
            }
            if self.flow == 0 && self.column <= self.indent() {
                break;
            }
        }
        self.key_allowed |= breaks;
        Some(())
    }

    fn block_scalar(&mut self) -> Step {
        self.remove_key();
        self.key_allowed = true;
        self.skip(1);
        let mut increment = None;
        while let sign @ ('+' | '-' | '1'..='9') = self.peek(0) {
            increment = sign.to_digit(10).or(increment);
            self.skip(1);
        }
        while " \t".contains(self.peek(0)) {
            self.skip(1);
        }
        if self.peek(0) == '#' {
            self.skip_to_break();
        }
        is_break(self.peek(0)).then(|| self.skip_break())?;
        let increment = increment.and_then(|digit| isize::try_from(digit).ok());
        let indent = increment.map(|increment| self.indent().max(0) + increment);
        let indent = self.blank_lines(indent)?;
        while self.column == indent && self.peek(0) != '\0' {
            self.skip_to_break();
            is_break(self.peek(0)).then(|| self.skip_break())?;
            self.blank_lines(Some(indent))?;
        }
        Some(())
    }

    /// Steps over lines that hold nothing, and the indent of the one that does. Answers the
    /// indent of the scalar: if none is given, that of its first line.
    fn blank_lines(&mut self, indent: Option<isize>) -> Option<isize> {
        let mut deepest = 0;
        loop {
            while indent.is_none_or(|indent| self.column < indent) && self.peek(0) == ' ' {
                self.skip(1);
            }
            deepest = deepest.max(self.column);
            let is_before = indent.is_none_or(|indent| self.column < indent);
            if is_before && self.peek(0) == '\t' {
                return None;
            }
            if !is_break(self.peek(0)) {
                return Some(indent.unwrap_or_else(|| deepest.max(self.indent() + 1).max(1)));
            }
            self.skip_break();
        }
    }
}

fn is_break(character: char) -> bool {
    matches!(character, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_break_or_end(character: char) -> bool {
    character == '\0' || is_break(character)
}

fn is_blank_or_end(character: char) -> bool {
    matches!(character, ' ' | '\t') || is_break_or_end(character)
}

fn is_of_anchor(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}

fn is_of_number(character: char) -> bool {
    character.is_ascii_hexdigit() || "_.+-xo".contains(character)
}

fn is_of_tag(character: char) -> bool {
    is_of_anchor(character) || ";/?:@&=+$.%!~*'()".contains(character)
}
