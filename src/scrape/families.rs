//! What one body says of its metric families.
//!
//! Bodies say the same from scrape to scrape: the family that stood here before is compared first,
//! so that most are neither hashed nor looked up, and whether they are due is asked once a minute.

use std::sync::Arc;

use tokio::time::Instant;

use super::metadata::{Book, Due, Families, Family, INTERVAL};

/// What a target said in its last scrape that succeeded.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) families: Families,
    /// When the book was last asked which of them are due.
    asked: Option<Instant>,
}

/// Reads the families of a body.
#[derive(Debug)]
pub(super) struct Listener<'b> {
    book: &'b Book,
    now: Instant,
    before: Said,
    /// Whether it is time to ask the book which families are due.
    asks: bool,
    /// The family that the current lines are about; without a name before the first.
    family: Family,
    families: Vec<Arc<Family>>,
    due: Vec<Arc<Family>>,
}

impl<'b> Listener<'b> {
    /// Listens to a target that said `before` in its last scrape.
    pub(super) fn new(book: &'b Book, before: Said, now: Instant) -> Self {
        let asks = before.asked.is_none_or(|asked| now >= asked + INTERVAL);
        Self {
            book,
            now,
            asks,
            family: Family::default(),
            families: Vec::with_capacity(before.families.len()),
            due: Vec::new(),
            before,
        }
    }

    /// The family named `metric`, which the next lines are about.
    pub(super) fn family_of(&mut self, metric: &str) -> &mut Family {
        if self.family.metric != metric {
            self.finish();
            self.family.restart(metric);
        }
        &mut self.family
    }

    /// The name of the family that the last lines were about.
    pub(super) fn metric(&self) -> &str {
        &self.family.metric
    }

    fn finish(&mut self) {
        if self.family.metric.is_empty() {
            return;
        }
        let before = self.before.families.get(self.families.len());
        let same = before.filter(|before| ***before == self.family);
        let family = match same {
            Some(same) if !self.asks => Arc::clone(same),
            _ => {
                let (family, due) = self.book.enter(&self.family, self.now);
                if due == Due::Now {
                    self.due.push(Arc::clone(&family));
                }
                family
            }
        };
        self.families.push(family);
        self.family.metric.clear();
    }

    /// The body is at its end: appends what is due to a request; answers what was said.
    pub(super) fn close(mut self, request: &mut Vec<u8>) -> Said {
        self.finish();
        for family in &self.due {
            family.encode(request);
        }
        let due = self.due.iter().map(AsRef::as_ref);
        self.book.written(due, self.now);
        let before = &self.before.families;
        let pairs = before.iter().zip(&self.families);
        let is_same = before.len() == self.families.len()
            && pairs.clone().all(|(before, now)| Arc::ptr_eq(before, now));
        Said {
            families: if is_same {
                Arc::clone(before)
            } else {
                self.families.into()
            },
            asked: if self.asks {
                Some(self.now)
            } else {
                self.before.asked
            },
        }
    }
}
