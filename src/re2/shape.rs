//! What is decided about a text without running an automaton.

use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Class, Dot, Hir, HirKind, Look};

/// How many texts a shape names at the most.
const TEXTS_MAX: usize = 64;
/// How many texts and prefixes it compares with at the most.
const ALTERNATIVES_MAX: usize = 256;
/// So many texts are looked at one by one, which mostly compares lengths; more are halved.
const FEW: usize = 8;

/// What a pattern comes down to.
#[derive(Debug)]
pub(super) enum Shape {
    /// A few texts, sorted: `a`, `pod|service`, `https?`.
    Texts(Vec<String>),
    /// Texts, sorted, and prefixes with at least so many bytes after them: `node_.*`, `(.*)`,
    /// `job;(?:up|node_(?:cpu|disk)_.+)`.
    Alternatives {
        texts: Vec<String>,
        prefixes: Vec<(String, usize)>,
    },
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
            .or_else(|| alternatives(&hir))
            .unwrap_or(Self::Other)
    }

    /// Whether `text` matches, if that can be told here.
    pub(super) fn is_match(&self, text: &str) -> Option<bool> {
        match self {
            Self::Texts(texts) => Some(holds(texts, text)),
            Self::Alternatives { texts, prefixes } => {
                let begins = |(prefix, more): &(String, usize)| {
                    let rest = text.strip_prefix(prefix.as_str());
                    rest.is_some_and(|rest| rest.len() >= *more)
                };
                Some(holds(texts, text) || prefixes.iter().any(begins))
            }
            Self::Other => None,
        }
    }
}

/// Whether `text` is one of `texts`, which are sorted.
fn holds(texts: &[String], text: &str) -> bool {
    if texts.len() <= FEW {
        // Those of one length mostly differ in their last byte, which takes no call to compare.
        let last = text.as_bytes().last();
        let is_it = |held: &String| held.as_bytes().last() == last && held == text;
        return texts.iter().any(is_it);
    }
    texts
        .binary_search_by(|held| held.as_str().cmp(text))
        .is_ok()
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

/// One way to match: this text, and after it nothing or at least so many bytes of anything.
#[derive(Clone, Debug, Default)]
struct Alternative {
    text: String,
    more: Option<usize>,
}

/// What stands between the anchors, if it comes down to texts and prefixes.
fn alternatives(hir: &Hir) -> Option<Shape> {
    let HirKind::Concat(parts) = hir.kind() else {
        return None;
    };
    let [first, parts @ .., last] = parts.as_slice() else {
        return None;
    };
    let anchor =
        |hir: &Hir, anchor: Look| matches!(hir.kind(), HirKind::Look(look) if *look == anchor);
    if !anchor(first, Look::Start) || !anchor(last, Look::End) {
        return None;
    }
    let (mut texts, mut prefixes) = (Vec::new(), Vec::new());
    for Alternative { text, more } in expand_all(parts)? {
        match more {
            None => texts.push(text),
            Some(more) => prefixes.push((text, more)),
        }
    }
    texts.sort();
    Some(Shape::Alternatives { texts, prefixes })
}

/// All ways to match `parts` one after the other. `None` if they are too many or of another kind.
fn expand_all(parts: &[Hir]) -> Option<Vec<Alternative>> {
    let mut all = vec![Alternative::default()];
    for part in parts {
        let next = expand(part)?;
        // Only the end of a text can be anything.
        if all.iter().any(|one| one.more.is_some()) || all.len() * next.len() > ALTERNATIVES_MAX {
            return None;
        }
        let join = |one: &Alternative| {
            let join = |other: &Alternative| Alternative {
                text: format!("{}{}", one.text, other.text),
                more: other.more,
            };
            next.iter().map(join).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(join).collect();
    }
    Some(all)
}

fn expand(hir: &Hir) -> Option<Vec<Alternative>> {
    if let Some(more) = anything(hir) {
        return Some(vec![Alternative {
            text: String::new(),
            more: Some(more),
        }]);
    }
    match hir.kind() {
        HirKind::Empty => Some(vec![Alternative::default()]),
        HirKind::Literal(literal) => Some(vec![Alternative {
            text: String::from_utf8(literal.0.to_vec()).ok()?,
            more: None,
        }]),
        HirKind::Capture(capture) => expand(&capture.sub),
        HirKind::Concat(parts) => expand_all(parts),
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(expand(part)?);
                if all.len() > ALTERNATIVES_MAX {
                    return None;
                }
            }
            Some(all)
        }
        HirKind::Repetition(repetition) if (repetition.min, repetition.max) == (0, Some(1)) => {
            let mut all = expand(&repetition.sub)?;
            all.push(Alternative::default());
            Some(all)
        }
        HirKind::Class(Class::Unicode(class)) => {
            let characters = class.iter().flat_map(|range| range.start()..=range.end());
            let characters: Vec<_> = characters.take(ALTERNATIVES_MAX + 1).collect();
            let alternative = |character: &char| Alternative {
                text: character.to_string(),
                more: None,
            };
            let few = characters.len() <= ALTERNATIVES_MAX;
            few.then(|| characters.iter().map(alternative).collect())
        }
        _ => None,
    }
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
