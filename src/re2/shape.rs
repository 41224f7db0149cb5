//! What is decided about a text without running an automaton.

use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Dot, Hir, HirKind, Look};

/// How many texts a shape holds at the most.
const TEXTS_MAX: usize = 64;

/// What a pattern comes down to.
#[derive(Debug)]
pub(super) enum Shape {
    /// A few texts, sorted: `a`, `pod|service`, `https?`.
    Texts(Vec<String>),
    /// A prefix and at least so many bytes after it: `node_.*`, `(.*)`, `.+`.
    Prefix { prefix: String, more: usize },
    /// Anything else.
    Other,
}

impl Shape {
    pub(super) fn of(compiled: &regex::Regex) -> Self {
        let Ok(hir) = regex_syntax::parse(compiled.as_str()) else {
            return Self::Other;
        };
        // A pattern like `a)|(b` slips out of the anchors.
        let starts = hir.properties().look_set_prefix().contains(Look::Start);
        let ends = hir.properties().look_set_suffix().contains(Look::End);
        if !starts || !ends {
            return Self::Other;
        }
        texts(&hir, compiled)
            .or_else(|| prefix(&hir))
            .unwrap_or(Self::Other)
    }

    /// Whether `text` matches, if that can be told here.
    pub(super) fn is_match(&self, text: &str) -> Option<bool> {
        match self {
            Self::Texts(texts) => {
                let found = texts.binary_search_by(|held| held.as_str().cmp(text));
                Some(found.is_ok())
            }
            Self::Prefix { prefix, more } => {
                let rest = text.strip_prefix(prefix.as_str());
                Some(rest.is_some_and(|rest| rest.len() >= *more))
            }
            Self::Other => None,
        }
    }
}

/// The literals of the whole pattern. They are candidates: assertions like `\b` can refuse some.
fn texts(hir: &Hir, compiled: &regex::Regex) -> Option<Shape> {
    let mut extractor = Extractor::new();
    extractor.limit_total(TEXTS_MAX);
    let found = extractor.extract(hir);
    let literals = found.literals().filter(|_| found.is_exact())?;
    let mut texts = Vec::with_capacity(literals.len());
    for literal in literals {
        let text = String::from_utf8(literal.as_bytes().to_vec()).ok()?;
        if compiled.is_match(&text) {
            texts.push(text);
        }
    }
    texts.sort();
    texts.dedup();
    Some(Shape::Texts(texts))
}

/// Between the anchors perhaps a literal, then `.*` or `.+` that takes line breaks too.
fn prefix(hir: &Hir) -> Option<Shape> {
    let HirKind::Concat(parts) = hir.kind() else {
        return None;
    };
    let (literal, rest) = match parts.as_slice() {
        [_, rest, _] => (None, rest),
        [_, literal, rest, _] => (Some(literal), rest),
        _ => return None,
    };
    let more = anything(rest)?;
    let prefix = match literal.map(Hir::kind) {
        None => String::new(),
        Some(HirKind::Literal(literal)) => String::from_utf8(literal.0.to_vec()).ok()?,
        Some(_) => return None,
    };
    Some(Shape::Prefix { prefix, more })
}

/// How many bytes at least, if `hir` takes any text but perhaps the empty one.
fn anything(hir: &Hir) -> Option<usize> {
    match hir.kind() {
        HirKind::Capture(capture) => anything(&capture.sub),
        HirKind::Repetition(repetition)
            if repetition.min <= 1
                && repetition.max.is_none()
                && *repetition.sub == Hir::dot(Dot::AnyChar) =>
        {
            Some(usize::from(repetition.min > 0))
        }
        _ => None,
    }
}
