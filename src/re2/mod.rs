//! Go's regexps (RE2 syntax) on Rust's `regex`, and Go's replacement templates.
//!
//! Prometheus compiles a relabel regex as `^(?s:RE)$` with Go's regexp package. Rust's engine has
//! the same guarantees (linear time) but another dialect: [`translate`] writes a pattern so that it
//! means here what it means there, and refuses what Go refuses. Both are specified in
//! <https://github.com/google/re2/wiki/Syntax> and Go's `regexp/syntax`.

mod class;
mod template;
mod translate;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use regex::RegexBuilder;
use regex_syntax::hir::literal::Extractor;
use thiserror::Error;

pub use template::Template;
use translate::translate;

/// How large a compiled pattern may be, in bytes.
const COMPILED_BYTES: usize = 10 * 1024 * 1024;
/// How many texts [`Regex::finite`] names at the most.
const FINITE_TEXTS: usize = 64;

/// A Go regexp that matches whole texts, compiled.
#[derive(Clone, Debug)]
pub struct Regex {
    source: Arc<str>,
    compiled: regex::Regex,
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
            .build()
            .map_err(|error| ParseError::from_engine(&error, source))?;
        Ok(Self {
            source: source.into(),
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
        self.compiled.is_match(text)
    }

    /// The texts that match, if they are few and can be named.
    #[must_use]
    pub fn finite(&self) -> Option<Vec<String>> {
        let hir = regex_syntax::parse(self.compiled.as_str()).ok()?;
        let mut extractor = Extractor::new();
        extractor.limit_total(FINITE_TEXTS);
        let found = extractor.extract(&hir);
        let literals = found.literals().filter(|_| found.is_exact())?;
        // The anchors make a literal of the whole text; a candidate still has to match.
        let texts = literals
            .iter()
            .map(|literal| String::from_utf8(literal.as_bytes().to_vec()));
        let texts: Vec<_> = texts.collect::<Result<_, _>>().ok()?;
        Some(
            texts
                .into_iter()
                .filter(|text| self.is_match(text))
                .collect(),
        )
    }

    /// Expands `templates` with the groups of `text`; `None` if it does not match.
    #[must_use]
    pub fn expand<const N: usize>(
        &self,
        text: &str,
        templates: [&Template; N],
    ) -> Option<[String; N]> {
        let captures = self.compiled.captures(text)?;
        Some(templates.map(|template| template.expand(&captures, &self.names)))
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
