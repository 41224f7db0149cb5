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

/// How large a compiled pattern may be, in bytes.
const COMPILED_BYTES: usize = 10 * 1024 * 1024;

/// A Go regexp that matches whole texts, compiled.
#[derive(Clone, Debug)]
pub struct Regex {
    source: Arc<str>,
    compiled: regex::Regex,
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
        let translated = translate(&format!("^(?s:{source})$"), source)?;
        let compiled = RegexBuilder::new(&translated.pattern)
            .size_limit(COMPILED_BYTES)
            .nest_limit(ENGINE_DEPTH_MAX)
            .build()
            .map_err(|error| ParseError::from_engine(&error, source))?;
        Ok(Self {
            source: source.into(),
            shape: Arc::new(Shape::of(&compiled)),
            compiled,
            names: translated.names.into(),
        })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
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
        Self {
            reason: format!("{reason}: `{excerpt}`"),
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
