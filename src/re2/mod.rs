//! Go's regexps (RE2 syntax) on Rust's `regex`, and Go's replacement templates.
//!
//! Prometheus compiles a relabel regex as `^(?s:RE)$` with Go's regexp package. Rust's engine has
//! the same guarantees (linear time) but another dialect: `translate` writes a pattern so that it
//! means here what it means there, and refuses what Go refuses. Both are specified in
//! <https://github.com/google/re2/wiki/Syntax> and Go's `regexp/syntax`.
//!
//! Most relabel regexes are a few texts, or a prefix and anything. Those are compared, not run:
//! `Shape` knows them.

mod class;
mod shape;
mod template;
mod translate;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use regex::RegexBuilder;
use serde::{Serialize, Serializer};
use thiserror::Error;

use shape::Shape;
pub use template::Template;
use translate::{ENGINE_DEPTH_MAX, translate};

/// How large a compiled pattern may be, in bytes: the engine is given one after the other, so that
/// it is known of a pattern how large it is, about.
const COMPILED_BYTES: [usize; 7] = [
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
    10 << 20,
];
/// How long a pattern may be, in bytes, and what a class of Unicode's counts for in it: what is
/// parsed takes some hundred times as much, before its compiled size is known.
const PATTERN_BYTES: usize = 256 << 10;
const CLASS_BYTES: usize = 256;
/// How much of a pattern is quoted where something is wrong with it.
const QUOTED_CHARACTERS: usize = 200;

/// A Go regexp that matches whole texts, compiled.
#[derive(Clone, Debug)]
pub struct Regex {
    source: Arc<str>,
    compiled: regex::Regex,
    size_bytes: usize,
    shape: Arc<Shape>,
    /// The names of the groups, from group 1 on; empty where a group has none.
    names: Arc<[String]>,
}

/// Why a pattern is not a Go regexp, in the words of Go's parser.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("error parsing regexp: {reason}")]
pub struct ParseError {
    reason: String,
}

impl Regex {
    /// Compiles `source`, anchored at both ends, `.` matching line breaks too.
    ///
    /// # Errors
    /// If Go would refuse it, or it is too large when compiled.
    pub fn new(source: &str) -> Result<Self, ParseError> {
        if source.len() > PATTERN_BYTES {
            return Err(ParseError::too_large());
        }
        let translated = translate(&format!("^(?s:{source})$"), source)?;
        // A class of the pattern, as every backslash that stands for itself is written otherwise.
        let classes = ["\\p{", "\\P{"].map(|class| translated.pattern.matches(class).count());
        if source.len() + classes.iter().sum::<usize>() * CLASS_BYTES > PATTERN_BYTES {
            return Err(ParseError::too_large());
        }
        let (compiled, size_bytes) = compile(&translated.pattern)
            .map_err(|error| ParseError::from_engine(&error, source))?;
        Ok(Self {
            source: source.into(),
            shape: Arc::new(Shape::of(&compiled)),
            compiled,
            size_bytes,
            names: translated.names.into(),
        })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// What the compiled pattern takes at the most, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.shape
            .is_match(text)
            .unwrap_or_else(|| self.compiled.is_match(text))
    }

    /// Whether texts are only compared, so that asking costs next to nothing.
    #[must_use]
    pub fn is_compared(&self) -> bool {
        !matches!(self.shape.as_ref(), Shape::Other)
    }

    /// The texts that match, sorted, if they are few and can be named.
    #[must_use]
    pub fn finite(&self) -> Option<&[String]> {
        match self.shape.as_ref() {
            Shape::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    /// Expands `templates` with the groups of `text`; `None` if it does not match.
    #[must_use]
    pub fn expand<const N: usize>(
        &self,
        text: &str,
        templates: [&Template; N],
    ) -> Option<[String; N]> {
        let literal = |template: &Template| template.literal().unwrap_or_default().to_owned();
        if templates
            .iter()
            .all(|template| template.literal().is_some())
        {
            return self.is_match(text).then(|| templates.map(literal));
        }
        if self.shape.is_match(text) == Some(false) {
            return None;
        }
        let captures = self.compiled.captures(text)?;
        Some(templates.map(|template| template.expand(&captures, &self.names)))
    }
}

/// The compiled pattern, and the bound that it is within.
fn compile(pattern: &str) -> Result<(regex::Regex, usize), regex::Error> {
    let [bounds @ .., last] = COMPILED_BYTES;
    let build = |bound: usize| {
        RegexBuilder::new(pattern)
            .size_limit(bound)
            .nest_limit(ENGINE_DEPTH_MAX)
            .build()
            .map(|compiled| (compiled, bound))
    };
    for bound in bounds {
        match build(bound) {
            Err(regex::Error::CompiledTooBig(_)) => {}
            done => return done,
        }
    }
    build(last)
}

impl Serialize for Regex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl ParseError {
    fn new(reason: &str, excerpt: &str) -> Self {
        let shown: String = excerpt.chars().take(QUOTED_CHARACTERS).collect();
        let more = if shown.len() < excerpt.len() {
            "…"
        } else {
            ""
        };
        Self {
            reason: format!("{reason}: `{shown}{more}`"),
        }
    }

    fn too_large() -> Self {
        Self {
            reason: "expression too large: it is too long, or has too many classes".to_owned(),
        }
    }

    fn from_engine(error: &regex::Error, source: &str) -> Self {
        match error {
            regex::Error::CompiledTooBig(limit) => Self {
                reason: format!("expression too large: over {limit} bytes compiled"),
            },
            // The engine's message quotes the translated pattern over several lines; its last
            // line has the reason.
            other => {
                let text = other.to_string();
                let reason = text.lines().last().unwrap_or_default();
                Self::new(reason.trim_start_matches("error: "), source)
            }
        }
    }
}
