//! What a `labelmap` makes of names, where the names that its regex matches are few.

use crate::re2::{Regex, Template};

/// What each name is mapped to, sorted by name; never nothing.
#[derive(Debug)]
pub(super) struct Mapped {
    names: Vec<(String, String)>,
    is_chain: bool,
}

impl Mapped {
    /// `None` if the names cannot be named.
    pub(super) fn new(regex: &Regex, replacement: &Template) -> Option<Self> {
        let map = |name: &String| {
            let [mapped] = regex.expand(name, [replacement])?;
            (!mapped.is_empty()).then(|| (name.clone(), mapped))
        };
        let names: Vec<_> = regex.finite()?.iter().filter_map(map).collect();
        let is_source = |mapped: &String| names.iter().any(|(name, _)| name == mapped);
        let is_chain = names.iter().any(|(name, to)| name != to && is_source(to));
        Some(Self { names, is_chain })
    }

    /// Whether a name that is mapped is also one that another is mapped to: then no label may be
    /// set before all have been read.
    pub(super) fn is_chain(&self) -> bool {
        self.is_chain
    }

    /// The names, and what each is mapped to.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.names.iter();
        names.map(|(name, mapped)| (name.as_str(), mapped.as_str()))
    }

    /// What `name` is mapped to.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.iter().find(|(held, _)| *held == name);
        found.map(|(_, mapped)| mapped)
    }
}
