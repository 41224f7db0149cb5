//! From a body to samples for the routes: parse, label, encode, compare with the scrape before.
//!
//! All of it takes CPU and waits for nothing. A body is taken as a whole or not at all: what fails
//! leaves no sample of the target, but the ends of the series that it had and the target's own.

use std::sync::Arc;

use super::blocks::Encoded;
use super::cache::{Cache, Known, Occurrence, Slot, Success};
use super::encode::{Kind, Outbound, convert_histogram};
use super::error::ScrapeError;
use super::families::Listener;
use super::fetch::Fetched;
use super::hashes::{Spelling, hash_labels};
use super::label::label;
use super::report;
use super::turn::{Context, Counts, Taken};
use super::value::Value;
use crate::exposition::openmetrics::{self, Created};
use crate::exposition::protobuf;
use crate::exposition::{Entry, Format, Series, text};
use crate::relabel::Scratch;
use crate::remote_write::v1::{DecodeError, encode_labels};
use crate::route::Delivery;

/// How far in the future a sample's own timestamp may lie.
const AHEAD_MAX_MS: i64 = 10 * 60 * 1000;

/// Takes the body of a scrape, or notes that there is none.
pub(super) fn take(
    context: Context<'_>,
    cache: &mut Cache,
    fetched: Result<Fetched, ScrapeError>,
) -> Taken {
    cache.begin();
    let mut intake = Intake::new(context, cache);
    let mut error = intake.take_body(fetched).err();
    if error.is_some() {
        intake.undo();
    }
    let counts = intake.counts;
    let (listener, mut outbound) = (intake.listener, intake.outbound);
    // An empty body says nothing, and what is known stays known.
    let is_heard = error.is_none() && counts.body_bytes != 0;
    let said = if is_heard {
        listener.close(outbound.buffer())
    } else {
        cache.said.clone()
    };
    let duration = context.started.elapsed();
    let deliveries = loop {
        let values = report::Values {
            is_up: error.is_none(),
            duration,
            counts,
        };
        match tell(cache, &mut outbound, context, &values) {
            Ok(deliveries) => break deliveries,
            Err(refused) => {
                outbound.clear();
                cache.fail();
                if error.replace(ScrapeError::Refused(refused)).is_some() {
                    // Not even the target's own series are taken.
                    break Vec::new();
                }
            }
        }
    };
    cache.is_reported = true;
    let families = Arc::clone(&said.families);
    let is_news = error.is_none() && !Arc::ptr_eq(&families, &cache.said.families);
    if error.is_none() {
        cache.said = said;
    }
    Taken {
        deliveries,
        families: is_news.then_some(families),
        success: if error.is_none() && is_heard {
            Success::Yes
        } else {
            Success::No
        },
        error,
        counts,
        duration,
    }
}

/// Adds the ends of series and the target's own, and hands all of it over.
fn tell(
    cache: &mut Cache,
    outbound: &mut Outbound<'_>,
    context: Context<'_>,
    values: &report::Values,
) -> Result<Vec<Delivery>, DecodeError> {
    tell_ends(cache, outbound, context.time_ms)?;
    report::write(outbound, context, values)?;
    cache.request_bytes = outbound.len();
    outbound.finish()
}

/// The ends of all series of a target that is scraped no more.
pub(super) fn take_leave(
    context: Context<'_>,
    cache: &mut Cache,
) -> Result<Vec<Delivery>, DecodeError> {
    cache.begin();
    let mut outbound = Outbound::new(context.router, 0);
    tell_ends(cache, &mut outbound, context.time_ms)?;
    if cache.is_reported {
        report::write_ends(&mut outbound, context)?;
    }
    outbound.finish()
}

fn tell_ends(cache: &Cache, outbound: &mut Outbound<'_>, time_ms: i64) -> Result<(), DecodeError> {
    for (labels, kind) in cache.ended(time_ms) {
        outbound.add_end(Encoded::Plain(&labels), kind, time_ms)?;
    }
    Ok(())
}

/// One body on its way.
struct Intake<'i, 'c> {
    context: Context<'c>,
    cache: &'i mut Cache,
    outbound: Outbound<'c>,
    counts: Counts,
    scratch: Scratch,
    block: Vec<u8>,
    /// What is known of the spelling that was looked up last.
    known: Known,
    listener: Listener<'c>,
    /// Samples that count for `sample_limit`.
    appended: u64,
}

/// Where a series stands in this scrape.
enum Place {
    /// Relabelling drops it.
    Nowhere,
    /// It is new; its labels, which have this hash, are in `block`.
    New {
        spelling: Spelling,
        hash: u64,
    },
    Known(Slot),
}

impl<'i, 'c> Intake<'i, 'c> {
    fn new(context: Context<'c>, cache: &'i mut Cache) -> Self {
        let listener = Listener::new(context.book, cache.said.clone(), context.started);
        // A few series more, or longer values, need no other memory.
        let expected_bytes = cache.request_bytes + cache.request_bytes / 16;
        Self {
            context,
            cache,
            outbound: Outbound::new(context.router, expected_bytes),
            counts: Counts::default(),
            scratch: Scratch::default(),
            block: Vec::new(),
            known: Known::New,
            listener,
            appended: 0,
        }
    }

    fn take_body(&mut self, fetched: Result<Fetched, ScrapeError>) -> Result<(), ScrapeError> {
        let body = fetched.and_then(|fetched| {
            let content_type = fetched.content_type.clone();
            Ok((fetched.decompress()?, content_type))
        });
        if let Err(ScrapeError::BodySize) = body {
            self.counts.body_bytes = -1;
        }
        let (body, content_type) = body?;
        self.counts.body_bytes = i64::try_from(body.len()).unwrap_or(i64::MAX);
        if body.is_empty() {
            return Ok(());
        }
        let config = &self.context.job.config;
        let fallback = config
            .fallback_protocol
            .map(super::protocol::Protocol::format);
        let format = Format::from_content_type(&content_type)
            .or_else(|error| fallback.ok_or(ScrapeError::ContentType(error)))?;
        match format {
            Format::Text => {
                let mut parser = text::Parser::new(&body);
                loop {
                    if parser.is_at_hash()
                        && self.listener.hears_expected(|family| {
                            parser.take_metadata(&family.metric, &family.help, family.metric_type)
                        })
                    {
                        continue;
                    }
                    let entry = parser.next_entry_with(|spelling| self.knows(spelling))?;
                    if !self.take_entry(entry)? {
                        break;
                    }
                }
            }
            Format::OpenMetrics => {
                let mut parser = openmetrics::Parser::new(&body, Created::Series);
                loop {
                    let entry = parser.next_entry_with(|spelling| self.knows(spelling))?;
                    if !self.take_entry(entry)? {
                        break;
                    }
                }
            }
            Format::Protobuf => {
                let mut parser = protobuf::Parser::new(&body, config.histograms);
                while self.take_entry(parser.next_entry()?)? {}
            }
        }
        let limit = config.limits.samples;
        if limit > 0 && self.appended > limit {
            return Err(ScrapeError::SampleLimit);
        }
        Ok(())
    }

    /// Whether another entry follows.
    fn take_entry(&mut self, entry: Entry<'_>) -> Result<bool, ScrapeError> {
        match entry {
            Entry::Series(series) => self.take_sample(&series, Value::Float(series.value))?,
            Entry::Histogram(sample) => {
                let value = Value::Histogram {
                    histogram: sample.histogram,
                    is_gauge: sample.is_gauge,
                };
                self.take_sample(&sample.series, value)?;
            }
            Entry::Type {
                metric,
                metric_type,
            } => {
                self.listener.family_of(metric).metric_type = metric_type;
            }
            Entry::Help { metric, text } => {
                let family = self.listener.family_of(metric);
                text.as_ref().clone_into(&mut family.help);
            }
            Entry::Unit { metric, unit } => {
                unit.clone_into(&mut self.listener.family_of(metric).unit);
            }
            Entry::Comment(_) => {}
            Entry::Eof => return Ok(false),
        }
        Ok(true)
    }

    fn take_sample(&mut self, series: &Series<'_>, value: Value<'_>) -> Result<(), ScrapeError> {
        self.counts.scraped += 1;
        let config = &self.context.job.config;
        let own_time = series.timestamp_ms.filter(|_| config.honor_timestamps);
        let (place, occurrence) = self.place(series)?;
        if let Place::Nowhere = place {
            return Ok(());
        }
        self.counts.kept += 1;
        if own_time.is_none() && occurrence == Occurrence::Again {
            self.counts.duplicates += 1;
            return Ok(());
        }
        self.appended += 1;
        if config.limits.samples > 0 && self.appended > config.limits.samples {
            // Go on for the counts; the scrape fails at its end.
            return Ok(());
        }
        if own_time.is_some_and(|time| time > self.context.time_ms.saturating_add(AHEAD_MAX_MS)) {
            self.counts.out_of_bounds += 1;
            return Ok(());
        }
        let time_ms = own_time.unwrap_or(self.context.time_ms);
        let labels_hash = match &place {
            Place::Nowhere => return Ok(()),
            Place::New { hash, .. } => *hash,
            Place::Known(slot) => self.cache.labels_hash(*slot),
        };
        let history = &mut self.cache.history;
        if !history.takes(labels_hash, time_ms, own_time.is_some(), || value.hash()) {
            self.counts.out_of_order += 1;
            return Ok(());
        }
        let slot = match place {
            Place::Nowhere => return Ok(()),
            Place::Known(slot) => slot,
            Place::New { spelling, hash } => {
                self.counts.series_added += 1;
                let added = self.cache.add_series(spelling, &self.block, hash);
                added.ok_or(ScrapeError::Labels)?
            }
        };
        let kind = self.write_sample(slot, series, value, time_ms)?;
        if own_time.is_none() || config.track_timestamps_staleness {
            self.cache.track(slot, kind);
        }
        Ok(())
    }

    /// Whether the labels of a spelling are known; what is known of it is kept for its sample,
    /// which comes next.
    fn knows(&mut self, spelling: &[u8]) -> bool {
        self.known = self.cache.look_up(Spelling::of(spelling));
        self.known != Known::New
    }

    /// Finds the labels of a series.
    fn place(&mut self, series: &Series<'_>) -> Result<(Place, Occurrence), ScrapeError> {
        let known = series.is_known || self.knows(series.exposed);
        match self.known {
            Known::Dropped => return Ok((Place::Nowhere, Occurrence::First)),
            Known::Series(slot, occurrence) => return Ok((Place::Known(slot), occurrence)),
            Known::New => debug_assert!(!known, "what is known is not new"),
        }
        let spelling = Spelling::of(series.exposed);
        let Context { job, target, .. } = self.context;
        let scratch = &mut self.scratch;
        let labelled = label(
            series,
            &target.labels,
            &job.config,
            &job.metric_rules,
            scratch,
        )?;
        let Some(set) = labelled else {
            self.cache.add_dropped(spelling);
            return Ok((Place::Nowhere, Occurrence::First));
        };
        self.block.clear();
        encode_labels(set.iter(), &mut self.block);
        let hash = hash_labels(&self.block);
        Ok((Place::New { spelling, hash }, self.cache.occurrence(hash)))
    }

    fn write_sample(
        &mut self,
        slot: Slot,
        series: &Series<'_>,
        value: Value<'_>,
        time_ms: i64,
    ) -> Result<Kind, ScrapeError> {
        let labels_hash = self.cache.labels_hash(slot);
        let exemplars = self.cache.history.news(labels_hash, series.exemplars());
        let exemplars = exemplars.into_iter();
        let labels = self.cache.labels(slot);
        let (histogram, is_gauge) = match value {
            Value::Float(value) => {
                let written = self.outbound.add_float(labels, value, time_ms, exemplars);
                return written.map(|()| Kind::Float).map_err(ScrapeError::Refused);
            }
            Value::Histogram {
                histogram,
                is_gauge,
            } => (histogram, is_gauge),
        };
        let Some(converted) = convert_histogram(histogram, is_gauge, time_ms) else {
            return Err(ScrapeError::Histogram(self.listener.metric().to_owned()));
        };
        let written = self.outbound.add_histogram(labels, &converted, exemplars);
        written.map_err(ScrapeError::Refused)?;
        Ok(if histogram.is_float() {
            Kind::FloatHistogram
        } else {
            Kind::Histogram
        })
    }

    /// Forgets the samples of a body that failed.
    fn undo(&mut self) {
        self.outbound.clear();
        self.cache.fail();
    }
}
