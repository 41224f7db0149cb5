//! What one body says of its metric families.
//!
//! Bodies say the same from scrape to scrape: the family that stood here before is compared first,
//! so that most are neither hashed nor looked up, and of text not even read. Whether they are due
//! is asked once a minute.

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
    /// The family that the current lines are about; without a name before the first, and while
    /// they are about `recalled`.
    family: Family,
    /// The family that the current lines are about, if they say what stood here before.
    recalled: Option<Arc<Family>>,
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
            recalled: None,
            families: Vec::with_capacity(before.families.len()),
            due: Vec::new(),
            before,
        }
    }

    /// The family named `metric`, which the next lines are about.
    pub(super) fn family_of(&mut self, metric: &str) -> &mut Family {
        if let Some(recalled) = self.recalled.take_if(|family| family.metric == metric) {
            // There is more to say of it.
            self.family = Arc::unwrap_or_clone(recalled);
        } else if self.recalled.is_some() || self.family.metric != metric {
            self.finish();
            self.family.restart(metric);
        }
        &mut self.family
    }

    /// Whether the next lines say the same as before of the family that is expected to come next,
    /// as `is_said` finds out: then they are heard.
    #[inline]
    pub(super) fn hears_expected(&mut self, is_said: impl FnOnce(&Family) -> bool) -> bool {
        let is_in_hand = self.recalled.is_some() || !self.family.metric.is_empty();
        let next = self.families.len() + usize::from(is_in_hand);
        let expected = self.before.families.get(next);
        // Text says nothing of units. Whether families are due is asked when they are read. What is
        // said of the family in hand is more of the same.
        let Some(expected) = expected.filter(|family| {
            !self.asks
                && family.unit.is_empty()
                && family.metric != self.metric()
                && is_said(family)
        }) else {
            return false;
        };
        let expected = Arc::clone(expected);
        self.finish();
        self.recalled = Some(expected);
        true
    }

    /// The name of the family that the last lines were about.
    pub(super) fn metric(&self) -> &str {
        let recalled = self.recalled.as_deref();
        &recalled.unwrap_or(&self.family).metric
    }

    fn finish(&mut self) {
        self.families.extend(self.recalled.take());
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
