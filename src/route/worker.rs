//! One pass over one request: look each series up, and copy it to the routes that keep it.

use std::sync::Arc;

use super::delivery::{Delivery, RouteShare};
use super::metrics::Tally;
use super::notes::Notes;
use super::outbox::Outbox;
use super::request::Request;
use super::router::{Route, Router};
use super::verdict::{Activity, Decision, Size, Verdict, VerdictId, VerdictTable};
use crate::model::{LabelSet, METRIC_NAME};
use crate::relabel::{Outcome, Scratch};
use crate::remote_write::block::Form;
use crate::remote_write::snappy::Compressor;
use crate::remote_write::v1::{DecodeError, Labels, Part, Series, Walker, encode_labels};
use crate::send::families::Lessons;

/// What is carried of fields that are not known here, in bytes per request. None is in use; one
/// block of each route has to hold them all.
const UNKNOWN_BYTES: usize = 64 * 1024;

/// The state that handling a request needs, used again from request to request.
#[derive(Debug)]
pub(super) struct Worker {
    table: VerdictTable,
    /// Series and samples of this request under each verdict.
    by_verdict: Vec<(u64, u64)>,
    /// What this request says of metric families.
    lessons: Lessons,
    sorter: Sorter,
}

/// What fills the routes' outboxes.
#[derive(Debug)]
struct Sorter {
    outboxes: Vec<Outbox>,
    tally: Tally,
    compressor: Compressor,
    /// The finished blocks of the request, all routes'.
    arena: Vec<u8>,
    /// The labels of the current series, encoded, if they are not forwarded as they came.
    label_block: Vec<u8>,
    /// The same after one route's rules changed them.
    rewritten: Vec<u8>,
    /// Which metrics routes keep whose rules are run on each series.
    notes: Notes,
    scratch: Scratch,
}

impl Worker {
    pub(super) fn new(router: &Router) -> Self {
        let outbox = |route: &Route| Outbox::new(route.max_samples_per_send);
        let sorter = Sorter {
            outboxes: router.routes().iter().map(outbox).collect(),
            tally: Tally::new(router.routes().iter().map(|route| route.rules.len())),
            compressor: Compressor::default(),
            arena: Vec::new(),
            label_block: Vec::new(),
            rewritten: Vec::new(),
            notes: Notes::new(router.routes().len()),
            scratch: Scratch::default(),
        };
        Self {
            table: router.verdict_table(),
            by_verdict: Vec::new(),
            lessons: Lessons::default(),
            sorter,
        }
    }

    /// Takes what happened in the verdict table since the last call.
    pub(super) fn take_activity(&mut self) -> Activity {
        self.table.take_activity()
    }

    pub(super) fn table_size(&self) -> Size {
        self.table.size()
    }

    /// See [`Router::route`].
    pub(super) fn route(
        &mut self,
        router: &Arc<Router>,
        request: Request<'_>,
    ) -> Result<Delivery, DecodeError> {
        for (outbox, route) in self.sorter.outboxes.iter_mut().zip(router.routes()) {
            outbox.start(request.form, route.lanes.get());
        }
        let walked = self.walk(router, &request);
        if walked.is_err() {
            self.by_verdict.clear();
            self.lessons.clear();
            self.sorter.clear();
        }
        walked.map(|()| self.finish(router, &request))
    }

    fn walk(&mut self, router: &Router, request: &Request<'_>) -> Result<(), DecodeError> {
        let mut recent = self.table.start_request();
        let mut walker = Walker::new(request.bytes(), router.limits());
        let mut series = Series::default();
        let mut set = LabelSet::new();
        let mut unknown = Vec::new();
        while let Some(part) = walker.next_part(&mut series)? {
            match part {
                Part::Series => {
                    let id = self.table.look_up(&series.labels, &mut recent);
                    self.count(id, series.samples);
                    let verdict = self.table.verdict(id);
                    self.sorter.add_series(router, verdict, &series, &mut set);
                    if request.form == Form::Carried && verdict.concerned().next().is_some() {
                        self.lessons.hear_series(router.families(), &series);
                    }
                }
                Part::Metadata(field) => {
                    self.sorter.tally.receive_metadata();
                    self.lessons.hear_field(router.families(), field)?;
                }
                Part::Unknown(field) if unknown.len() + field.len() > UNKNOWN_BYTES => {
                    let limit = UNKNOWN_BYTES;
                    return Err(DecodeError::Unknown { limit });
                }
                Part::Unknown(field) => unknown.extend_from_slice(field),
            }
        }
        self.sorter.add_unknown(&unknown);
        Ok(())
    }

    /// Counts a series under its verdict; the routes' counts follow once per request.
    #[inline]
    fn count(&mut self, VerdictId(index): VerdictId, samples: u64) {
        if self.by_verdict.len() <= index {
            self.by_verdict.resize(index + 1, (0, 0));
        }
        let (series, held) = &mut self.by_verdict[index];
        *series += 1;
        *held += samples;
    }

    fn finish(&mut self, router: &Arc<Router>, request: &Request<'_>) -> Delivery {
        router.families().learn(&mut self.lessons);
        let tally = &mut self.sorter.tally;
        let counted = self.by_verdict.drain(..).enumerate();
        for (index, (series, samples)) in counted.filter(|(_, (series, _))| *series > 0) {
            tally.receive(series, samples);
            let decisions = self.table.verdict(VerdictId(index)).decisions();
            for (route, decision) in decisions.iter().enumerate() {
                match *decision {
                    Decision::Kept if router.routes()[route].rules.rewrites() => {}
                    Decision::Kept => tally.keep(route, samples),
                    Decision::Dropped(rule) => tally.drop(route, rule, samples),
                    Decision::Open => {}
                }
            }
        }
        tally.settle();
        let (arena, shares, tally) = self.sorter.take(request);
        Delivery::new(Arc::clone(router), arena, shares, tally)
    }
}

impl Sorter {
    /// Copies a series to every route whose rules keep it.
    #[inline]
    fn add_series<'s>(
        &mut self,
        router: &'s Router,
        verdict: &Verdict,
        series: &Series<'s>,
        set: &mut LabelSet<'s>,
    ) {
        self.label_block.clear();
        let mut encoded = false;
        for (index, decision) in verdict.concerned() {
            let rewrites = router.routes()[index].rules.rewrites();
            match decision {
                Decision::Dropped(_) => {}
                Decision::Kept if !rewrites => {
                    if !encoded {
                        self.encode_own_labels(router, series, set);
                        encoded = true;
                    }
                    self.forward(&router.routes()[index], index, series);
                }
                Decision::Kept | Decision::Open => {
                    self.rewrite(router, (index, decision), series, set);
                }
            }
        }
    }

    /// Encodes the labels of a series that cannot be forwarded as it came: because external labels
    /// are added to it, or because its labels are not sorted.
    #[inline]
    fn encode_own_labels<'s>(
        &mut self,
        router: &'s Router,
        series: &Series<'s>,
        set: &mut LabelSet<'s>,
    ) {
        if series.canonical().is_none() || router.lacks_external_labels(&series.labels) {
            router.with_external_labels(&series.labels, set);
            encode_labels(set.iter(), &mut self.label_block);
        }
    }

    #[inline]
    fn forward(&mut self, route: &Route, index: usize, series: &Series<'_>) {
        let as_it_came = series.canonical().filter(|_| self.label_block.is_empty());
        let label_block = match as_it_came {
            Some(_) => series.label_block().unwrap_or_default(),
            None => &self.label_block,
        };
        let outbox = &mut self.outboxes[index];
        let lane = outbox.lane_of(label_block);
        let output = (&mut self.compressor, &mut self.arena);
        if !series.is_within(route.payload) {
            let Some(samples) = leave_out(&mut self.tally, route, index, series) else {
                return;
            };
            outbox.add_series(lane, samples, output, |buffer| {
                series.encode_part(label_block, route.payload, buffer);
            });
            return;
        }
        outbox.add_series(lane, series.samples, output, |buffer| match as_it_came {
            Some(field) => buffer.extend_from_slice(field),
            None => series.encode_with(label_block, buffer),
        });
    }

    /// Runs a route's rules on a series, those that change labels or all, and copies what they
    /// make of it.
    fn rewrite<'s>(
        &mut self,
        router: &'s Router,
        (index, decision): (usize, Decision),
        series: &Series<'s>,
        set: &mut LabelSet<'s>,
    ) {
        let route = &router.routes()[index];
        let rules = &route.rules;
        router.with_external_labels(&series.labels, set);
        let outcome = match decision {
            Decision::Kept => rules.rewrite(set, &mut self.scratch),
            Decision::Open | Decision::Dropped(_) => rules.apply(set, &mut self.scratch),
        };
        match outcome {
            Outcome::Dropped { rule } => return self.tally.drop(index, rule, series.samples),
            // The rules took every label away: there is nothing left to send.
            Outcome::Kept if set.is_empty() => {
                return self.tally.drop(index, rules.len(), series.samples);
            }
            Outcome::Kept => self.tally.keep(index, series.samples),
        }
        self.notes
            .note(index, &route.interest, name_of(&series.labels));
        self.rewritten.clear();
        encode_labels(set.iter(), &mut self.rewritten);
        let outbox = &mut self.outboxes[index];
        let lane = outbox.lane_of(&self.rewritten);
        let output = (&mut self.compressor, &mut self.arena);
        if series.is_within(route.payload) {
            outbox.add_series(lane, series.samples, output, |buffer| {
                series.encode_with(&self.rewritten, buffer);
            });
        } else if let Some(samples) = leave_out(&mut self.tally, route, index, series) {
            outbox.add_series(lane, samples, output, |buffer| {
                series.encode_part(&self.rewritten, route.payload, buffer);
            });
        }
    }

    /// What is not understood goes to every route that keeps something of this request.
    fn add_unknown(&mut self, fields: &[u8]) {
        if fields.is_empty() {
            return;
        }
        for outbox in self.outboxes.iter_mut().filter(|outbox| !outbox.is_empty()) {
            outbox.add_field(fields, &mut self.compressor, &mut self.arena);
        }
    }

    /// Takes what `request` left, and is as new.
    fn take(&mut self, request: &Request<'_>) -> (Vec<u8>, Vec<RouteShare>, Tally) {
        let mut shares = Vec::new();
        for (route, outbox) in self.outboxes.iter_mut().enumerate() {
            let records = outbox.finish(request, &mut self.compressor, &mut self.arena);
            if !records.is_empty() {
                shares.push(RouteShare { route, records });
            }
        }
        (std::mem::take(&mut self.arena), shares, self.tally.take())
    }

    /// Forgets a request that was refused half way.
    fn clear(&mut self) {
        self.outboxes.iter_mut().for_each(Outbox::clear);
        self.arena.clear();
        self.tally.clear();
    }
}

/// Counts what the route does not take of a series that it keeps. Answers how many samples are
/// left, `None` if nothing is.
#[cold]
fn leave_out(tally: &mut Tally, route: &Route, index: usize, series: &Series<'_>) -> Option<u64> {
    let unless = |taken: bool, count: u64| if taken { 0 } else { count };
    let histograms = unless(route.payload.histograms, series.histograms);
    let exemplars = unless(route.payload.exemplars, series.exemplars);
    tally.leave_out(index, route.rules.len(), histograms, exemplars);
    let samples = series.samples - histograms;
    (samples > 0 || series.exemplars > exemplars).then_some(samples)
}

/// The metric's name; empty if the series has none.
fn name_of<'l>(labels: &Labels<'l>) -> &'l str {
    let name = labels.find(METRIC_NAME.as_bytes());
    name.and_then(|name| str::from_utf8(name).ok())
        .unwrap_or_default()
}
