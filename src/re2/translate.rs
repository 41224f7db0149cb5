//! From Go's dialect to Rust's, one construct at a time.
//!
//! What is written out is stricter than what came in: every literal is escaped, every Perl class
//! spelled out in ASCII, so that no construct of Rust's own can arise by accident.
//!
//! In three places nobody goes it is stricter than Go: a repetition right after `(?flags)` or
//! `\Q\E` is refused (Go applies it to what stands before), so are surrogate code points (Go never
//! matches them), and groups nest less deeply.

use std::fmt::Write as _;

use super::ParseError;
use super::class;

/// The most that a counted repetition may say, and that nested ones may multiply to, as in Go.
const REPEAT_MAX: u32 = 1000;
/// How deeply groups may nest.
const DEPTH_MAX: u32 = 250;
/// How deeply syntax may nest in what is written out: a group can hold an alternation of
/// concatenations of repetitions, each a level of its own.
pub(super) const ENGINE_DEPTH_MAX: u32 = 4 * (DEPTH_MAX + 2);
/// The flags that a group can set.
const FLAGS: [char; 4] = ['i', 'm', 's', 'U'];

/// A pattern in Rust's dialect.
pub(super) struct Translated {
    pub(super) pattern: String,
    /// The name of each group, from group 1 on; empty where it has none. Groups may share one.
    pub(super) names: Vec<String>,
}

/// Translates `pattern`. Errors that concern it as a whole quote `source`, what the user wrote.
pub(super) fn translate(pattern: &str, source: &str) -> Result<Translated, ParseError> {
    let mut translator = Translator {
        rest: pattern,
        source,
        pattern: String::with_capacity(pattern.len() * 2),
        names: Vec::new(),
        groups: Vec::new(),
        heaviest: 0,
        atom: None,
        last_repeat: None,
    };
    while !translator.rest.is_empty() {
        translator.step()?;
    }
    if !translator.groups.is_empty() {
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
    /// The open groups, each as the value that `heaviest` has outside it.
    groups: Vec<u32>,
    /// The largest weight in this group so far. Counted repetitions inside one another weigh their
    /// product; what is not repeated weighs 1.
    heaviest: u32,
    /// The weight of what stands before this and can be repeated, if anything can.
    atom: Option<u32>,
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
            '(' => self.open()?,
            ')' => self.close()?,
            '|' => self.alternate(),
            '*' => self.repeat(&Repetition::new(1, 0, None), before_repeat)?,
            '+' => self.repeat(&Repetition::new(1, 1, None), before_repeat)?,
            '?' => self.repeat(&Repetition::new(1, 0, Some(1)), before_repeat)?,
            '{' => match Repetition::counted(self.rest) {
                Some(repetition) => self.repeat(&repetition, before_repeat)?,
                None => self.literal('{'),
            },
            '[' => {
                let (class, rest) = class::translate(self.rest)?;
                self.pattern.push_str(&class);
                self.advance_to(rest);
            }
            '.' | '^' | '$' => {
                self.pattern.push(first);
                self.advance(1);
            }
            '\\' => self.escape()?,
            other => self.literal(other),
        }
        Ok(())
    }

    fn literal(&mut self, character: char) {
        class::push_literal(&mut self.pattern, character);
        self.advance(character.len_utf8());
    }

    /// Steps over something that can be repeated.
    fn advance(&mut self, length: usize) {
        self.advance_to(self.rest.get(length..).unwrap_or_default());
    }

    fn advance_to(&mut self, rest: &'p str) {
        self.settle();
        self.rest = rest;
        self.atom = Some(1);
    }

    /// Ends what could be repeated so far.
    fn settle(&mut self) {
        self.heaviest = self.heaviest.max(self.atom.take().unwrap_or_default());
    }

    fn open(&mut self) -> Result<(), ParseError> {
        let special = self.rest.strip_prefix("(?");
        let named = special.and_then(|after| {
            let name = after.strip_prefix("P<").or(after.strip_prefix('<'))?;
            (!name.starts_with(['=', '!'])).then_some(name)
        });
        let (opening, rest) = match (special, named) {
            (None, _) => {
                self.names.push(String::new());
                ("(".to_owned(), self.rest.get(1..).unwrap_or_default())
            }
            (_, Some(name)) => ("(".to_owned(), self.name(name)?),
            (Some(after), None) => self.flags(after)?,
        };
        self.settle();
        self.rest = rest;
        // `(?i)` sets flags and opens nothing, `(?)` does not even that.
        if opening.starts_with('(') && !opening.ends_with(')') {
            self.groups.push(std::mem::take(&mut self.heaviest));
            if self.groups.len() > DEPTH_MAX as usize {
                return Err(ParseError::new("expression nests too deeply", self.source));
            }
        }
        self.pattern.push_str(&opening);
        Ok(())
    }

    /// Reads the name of a group from `text`, what follows `(?P<` or `(?<`; answers what follows.
    fn name(&mut self, text: &'p str) -> Result<&'p str, ParseError> {
        let reason = "invalid named capture";
        let Some((name, rest)) = text.split_once('>') else {
            return Err(ParseError::new(reason, self.source));
        };
        let valid = |character: char| character.is_ascii_alphanumeric() || character == '_';
        if name.is_empty() || !name.chars().all(valid) {
            let length = self.rest.len() - rest.len();
            return Err(ParseError::new(reason, excerpt(self.rest, length)));
        }
        self.names.push(name.to_owned());
        Ok(rest)
    }

    /// Reads `flags:` or `flags)` from `text`, what follows `(?`: what to write, and what follows.
    fn flags(&self, text: &'p str) -> Result<(String, &'p str), ParseError> {
        let (mut on, mut off) = (String::new(), None::<String>);
        for (at, character) in text.char_indices() {
            let after = at + character.len_utf8();
            match character {
                flag if FLAGS.contains(&flag) => off.as_mut().unwrap_or(&mut on).push(flag),
                '-' if off.is_none() => off = Some(String::new()),
                ':' | ')' if off.as_deref() != Some("") => {
                    let rest = text.get(after..).unwrap_or_default();
                    return Ok((opening(&on, &off.unwrap_or_default(), character), rest));
                }
                _ => {
                    let shown = excerpt(self.rest, 2 + after);
                    return Err(ParseError::new("invalid or unsupported Perl syntax", shown));
                }
            }
        }
        Err(ParseError::new("missing closing )", self.source))
    }

    fn close(&mut self) -> Result<(), ParseError> {
        self.settle();
        let Some(outside) = self.groups.pop() else {
            return Err(ParseError::new("unexpected )", self.source));
        };
        let inside = std::mem::replace(&mut self.heaviest, outside);
        self.pattern.push(')');
        self.advance(1);
        self.atom = Some(inside);
        Ok(())
    }

    fn alternate(&mut self) {
        self.pattern.push('|');
        self.advance(1);
        self.atom = None;
    }

    /// A repetition, and the `?` that may make it lazy. `before` is what stood where another began
    /// that ended just here.
    fn repeat(
        &mut self,
        repetition: &Repetition,
        before: Option<&'p str>,
    ) -> Result<(), ParseError> {
        let start = self.rest;
        let refused = |reason, excerpt| Err(ParseError::new(reason, excerpt));
        if !repetition.is_valid() {
            return refused("invalid repeat count", excerpt(start, repetition.length));
        }
        let after = start.get(repetition.length..).unwrap_or_default();
        let length = repetition.length + usize::from(after.starts_with('?'));
        if let Some(before) = before {
            let nested = excerpt(before, before.len() - start.len() + length);
            return refused("invalid nested repetition operator", nested);
        }
        let written = excerpt(start, length);
        let Some(weight) = self.atom.take() else {
            return refused("missing argument to repetition operator", written);
        };
        let weight = repetition.weight(weight);
        if weight > REPEAT_MAX {
            return refused("invalid repeat count", written);
        }
        self.pattern.push_str(written);
        self.advance(length);
        self.atom = Some(weight);
        self.last_repeat = Some(start);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), ParseError> {
        if let Some(after) = self.rest.strip_prefix("\\Q") {
            let (quoted, rest) = after.split_once("\\E").unwrap_or((after, ""));
            for character in quoted.chars() {
                class::push_literal(&mut self.pattern, character);
            }
            self.advance_to(rest);
            if quoted.is_empty() {
                self.atom = None;
            }
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

/// The opening of a group that sets flags, or of nothing if it closes at once. Rust refuses a flag
/// that is named twice; in Go the last word counts.
fn opening(on: &str, off: &str, end: char) -> String {
    let chosen = |accept: &dyn Fn(char) -> bool| -> String {
        FLAGS.into_iter().filter(|&flag| accept(flag)).collect()
    };
    let on = chosen(&|flag| on.contains(flag) && !off.contains(flag));
    let off = chosen(&|flag| off.contains(flag));
    match (on.as_str(), off.as_str()) {
        ("", "") if end == ')' => String::new(),
        (on, "") => format!("(?{on}{end}"),
        (on, off) => format!("(?{on}-{off}{end}"),
    }
}

/// A repetition operator.
struct Repetition {
    /// How long it is, in bytes.
    length: usize,
    min: u32,
    /// `None` if it has no end.
    max: Option<u32>,
}

impl Repetition {
    fn new(length: usize, min: u32, max: Option<u32>) -> Self {
        Self { length, min, max }
    }

    /// `{n}`, `{n,}` or `{n,m}` at the front of `text`. Anything else is no repetition, and its
    /// brace a literal.
    fn counted(text: &str) -> Option<Self> {
        let (inner, _) = text.strip_prefix('{')?.split_once('}')?;
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits.len() == 1 || !digits.starts_with('0'));
            (plain && !digits.is_empty()).then(|| digits.parse().unwrap_or(u32::MAX))
        };
        let (min, max) = match inner.split_once(',') {
            None => (number(inner)?, Some(number(inner)?)),
            Some((min, "")) => (number(min)?, None),
            Some((min, max)) => (number(min)?, Some(number(max)?)),
        };
        Some(Self::new(inner.len() + 2, min, max))
    }

    fn is_valid(&self) -> bool {
        let max_is_valid = |max| max <= REPEAT_MAX && self.min <= max;
        self.min <= REPEAT_MAX && self.max.is_none_or(max_is_valid)
    }

    /// What something of this weight weighs when it is repeated.
    fn weight(&self, of: u32) -> u32 {
        match self.max.unwrap_or(self.min) {
            0 if self.max.is_some() => 0,
            count => count.max(1).saturating_mul(of.max(1)),
        }
    }
}

/// The first `length` bytes of `text`, or a little more to end between characters.
fn excerpt(text: &str, length: usize) -> &str {
    (length..text.len())
        .find_map(|end| text.get(..end))
        .unwrap_or(text)
}
