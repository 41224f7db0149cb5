//! OpenMetrics text, versions 0.0.1 and 1.0.
//!
//! ```text
//! body     = { line LF } "# EOF" [ LF ]
//! line     = "# " ("HELP" | "TYPE" | "UNIT") " " name " " text
//!          | ( name [ braces ] | braces ) " " value [ " " timestamp ] [ exemplar ]
//! exemplar = " # " braces " " value [ " " timestamp ]
//! ```
//!
//! Stricter than Prometheus' own format: exactly one blank where there is one, no empty lines, no
//! comments, commas between labels, and an end that shows that nothing was cut off. Timestamps
//! are seconds with a fraction.
//!
//! A `_created` line is a series like others, as Prometheus has it where nothing else is
//! configured, or the [start](Series::start_timestamp_ms) of the lines around it: [`Created`] says
//! which. As in Prometheus it stays a series even then if the type of its metric is not known, and
//! so does one that no sample of a counter, histogram or summary precedes.

use std::borrow::Cow;

use super::created::{self, Found};
use super::error::{ParseError, Reason, quote};
use super::labels::{self, Braces, Pair, parse_braces, resolve_escapes, take_family_name, utf8};
use super::lexer::Lexer;
use super::number::{parse_value, seconds_to_ms};
use super::{Entry, Exemplar, MetricType, Series};

/// What the `_created` lines of OpenMetrics are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// Series.
    Series,
    /// Starts of other series (Prometheus' feature `created-timestamp-zero-ingestion`).
    Starts,
}

/// Reads a body in OpenMetrics' text format.
#[derive(Debug)]
pub struct Parser<'a> {
    lexer: Lexer<'a>,
    created_lines: Created,
    /// Of the last `# TYPE`, whichever metric that was about.
    metric_type: MetricType,
    labels: Vec<Pair<'a>>,
    exemplars: Vec<Exemplar<'a>>,
    /// The labels of a line that is looked at ahead of its turn.
    labels_ahead: Vec<Pair<'a>>,
    /// The metric whose start was looked for last; `None` before the first.
    created: Option<Found>,
}

impl<'a> Parser<'a> {
    /// A parser of `body`, which is looked at as entries are asked for.
    #[must_use]
    pub fn new(body: &'a (impl AsRef<[u8]> + ?Sized), created_lines: Created) -> Self {
        Self {
            lexer: Lexer::new(body.as_ref()),
            created_lines,
            metric_type: MetricType::Unknown,
            labels: Vec::new(),
            exemplars: Vec::new(),
            labels_ahead: Vec::new(),
            created: None,
        }
    }

    /// The next entry, or [`Entry::Eof`].
    ///
    /// # Errors
    /// The next line is not in this format, or the body ends without saying so. There is no use
    /// in asking for more.
    pub fn next_entry(&mut self) -> Result<Entry<'_>, ParseError> {
        self.next_entry_with(|_| false)
    }

    /// The next entry. The labels of a series are not read if `knows` its spelling, which must be
    /// one that this format yielded before. (They are always read where `_created` lines are
    /// starts: only labels tell whose.)
    ///
    /// # Errors
    /// As [`Self::next_entry`].
    pub fn next_entry_with(
        &mut self,
        mut knows: impl FnMut(&[u8]) -> bool,
    ) -> Result<Entry<'_>, ParseError> {
        loop {
            match self.lexer.peek() {
                None => return Err(self.lexer.error(Reason::EofMissing)),
                Some(b'#') => return self.parse_hash(),
                Some(_) => {}
            }
            let guess = self.lexer.guess_series();
            let guess = guess.filter(|_| self.created_lines == Created::Series);
            let recalled = guess.filter(|guess| knows(guess));
            let (exposed, value) = match recalled {
                Some(exposed) => (exposed, self.parse_known(exposed)?),
                None => self.parse_series()?,
            };
            let timestamp_ms = self.parse_sample_end()?;
            if self.is_start_of_others() {
                continue;
            }
            let start_timestamp_ms = self.find_start();
            return Ok(Entry::Series(Series {
                labels: &self.labels,
                exemplars: &self.exemplars,
                exposed,
                is_known: recalled.is_some(),
                value,
                timestamp_ms,
                start_timestamp_ms,
            }));
        }
    }

    /// Metadata, or the end of the body.
    fn parse_hash(&mut self) -> Result<Entry<'_>, ParseError> {
        let start = self.lexer;
        if self.lexer.take(b"# EOF") {
            self.lexer.take(b"\n");
            if !self.lexer.at_end() {
                return Err(self.lexer.error(Reason::DataAfterEof));
            }
            self.lexer = start;
            Ok(Entry::Eof)
        } else if self.lexer.take(b"# HELP ") {
            let (metric, text) = self.parse_metadata()?;
            let text = resolve_escapes(utf8(&start, text, "help text")?, true);
            Ok(Entry::Help { metric, text })
        } else if self.lexer.take(b"# TYPE ") {
            let (metric, text) = self.parse_metadata()?;
            let Some(metric_type) = parse_type(text) else {
                return Err(start.error(Reason::MetricType(quote(text))));
            };
            self.metric_type = metric_type;
            Ok(Entry::Type {
                metric,
                metric_type,
            })
        } else if self.lexer.take(b"# UNIT ") {
            let (metric, text) = self.parse_metadata()?;
            let unit = utf8(&start, text, "unit")?;
            check_unit(start, metric, unit)?;
            Ok(Entry::Unit { metric, unit })
        } else {
            Err(start.expected("HELP, TYPE, UNIT or EOF after \"# \""))
        }
    }

    /// A metric's name and the text behind it, which is there even if it is empty.
    fn parse_metadata(&mut self) -> Result<(&'a str, &'a [u8]), ParseError> {
        let metric = take_family_name(&mut self.lexer, b"")?;
        if !self.lexer.take(b" ") {
            return Err(self.lexer.expected("a blank and text"));
        }
        let text = self.lexer.take_line();
        take_line_end(&mut self.lexer)?;
        Ok((metric, text))
    }

    /// The value behind a series that is known.
    fn parse_known(&mut self, exposed: &[u8]) -> Result<f64, ParseError> {
        self.labels.clear();
        self.lexer.take(exposed);
        take_value(&mut self.lexer)
    }

    fn parse_series(&mut self) -> Result<(&'a [u8], f64), ParseError> {
        parse_series(&mut self.lexer, self.metric_type, &mut self.labels)
    }

    /// What may follow a value: a timestamp, an exemplar, and then only the end of the line.
    fn parse_sample_end(&mut self) -> Result<Option<i64>, ParseError> {
        self.exemplars.clear();
        let mut timestamp_ms = None;
        if self.lexer.peek() == Some(b' ') && !self.lexer.rest().starts_with(EXEMPLAR) {
            timestamp_ms = Some(take_timestamp(&mut self.lexer)?);
        }
        if self.lexer.take(EXEMPLAR) {
            let exemplar = parse_exemplar(&mut self.lexer)?;
            self.exemplars.push(exemplar);
        }
        take_line_end(&mut self.lexer)?;
        Ok(timestamp_ms)
    }

    /// Whether the line just read only tells when others began.
    fn is_start_of_others(&self) -> bool {
        self.created.is_some()
            && created::has_start(self.metric_type)
            && created::is_created(&self.labels)
    }

    /// The start of the series just read, from the lines around it.
    fn find_start(&mut self) -> Option<i64> {
        let has_start = created::has_start(self.metric_type);
        if self.created_lines == Created::Series || !has_start {
            return None;
        }
        let metric = created::metric_hash(&self.labels, self.metric_type);
        if let Some(found) = self.created.filter(|found| found.metric == metric) {
            return found.start_timestamp_ms;
        }
        let start_timestamp_ms = self.look_ahead(metric);
        self.created = Some(Found {
            metric,
            start_timestamp_ms,
        });
        start_timestamp_ms
    }

    /// Looks for the `_created` line among the lines of `metric` that come next.
    ///
    /// What is wrong with them is said when it is their turn.
    fn look_ahead(&mut self, metric: u64) -> Option<i64> {
        let mut ahead = self.lexer;
        while ahead.peek().is_some_and(|byte| byte != b'#') {
            let (metric_type, labels) = (self.metric_type, &mut self.labels_ahead);
            let (_, value) = parse_series(&mut ahead, metric_type, labels).ok()?;
            if created::metric_hash(labels, metric_type) != metric {
                return None;
            }
            if created::is_created(labels) {
                return Some(seconds_to_ms(value));
            }
            ahead.take_line();
            take_line_end(&mut ahead).ok()?;
        }
        None
    }
}

/// What is between a sample and its exemplar, with the exemplar's opening brace.
const EXEMPLAR: &[u8] = b" # {";

/// A series and its value: what it is spelled like, and how much.
fn parse_series<'a>(
    lexer: &mut Lexer<'a>,
    metric_type: MetricType,
    labels: &mut Vec<Pair<'a>>,
) -> Result<(&'a [u8], f64), ParseError> {
    let start = *lexer;
    let mut name = lexer.take_metric_name().map(Cow::Borrowed);
    labels.clear();
    if lexer.take(b"{") {
        parse_braces(lexer, Braces::OpenMetrics, &mut name, labels)?;
    } else if name.is_none() {
        return Err(start.expected("a metric name or a brace"));
    }
    let Some(name) = name else {
        return Err(start.error(Reason::NameMissing));
    };
    labels::finish(labels, name, metric_type);
    let exposed = lexer.since(start);
    Ok((exposed, take_value(lexer)?))
}

fn parse_exemplar<'a>(lexer: &mut Lexer<'a>) -> Result<Exemplar<'a>, ParseError> {
    let mut labels = Vec::new();
    parse_braces(lexer, Braces::Exemplar, &mut None, &mut labels)?;
    labels::sort(&mut labels);
    let value = take_value(lexer)?;
    let timestamp_ms = match lexer.peek() {
        Some(b' ') => Some(take_timestamp(lexer)?),
        _ => None,
    };
    Ok(Exemplar {
        labels,
        value,
        timestamp_ms,
    })
}

fn take_value(lexer: &mut Lexer<'_>) -> Result<f64, ParseError> {
    let Some(text) = take_word(lexer) else {
        return Err(lexer.expected("a blank and a value"));
    };
    parse_value(text).ok_or_else(|| lexer.error(Reason::Number(quote(text))))
}

fn take_timestamp(lexer: &mut Lexer<'_>) -> Result<i64, ParseError> {
    let Some(text) = take_word(lexer) else {
        return Err(lexer.expected("a timestamp, an exemplar or the end of the line"));
    };
    let seconds = parse_value(text).filter(|seconds| seconds.is_finite());
    let seconds = seconds.ok_or_else(|| lexer.error(Reason::Timestamp(quote(text))))?;
    Ok(seconds_to_ms(seconds))
}

/// One blank and everything up to the next one.
fn take_word<'a>(lexer: &mut Lexer<'a>) -> Option<&'a [u8]> {
    let mut ahead = *lexer;
    let blank = ahead.take(b" ");
    let word = ahead.take_while(|byte| !matches!(byte, b' ' | b'\n'));
    if !blank || word.is_empty() {
        return None;
    }
    *lexer = ahead;
    Some(word)
}

fn take_line_end(lexer: &mut Lexer<'_>) -> Result<(), ParseError> {
    if lexer.take(b"\n") {
        return Ok(());
    }
    if lexer.at_end() {
        return Err(lexer.error(Reason::EofMissing));
    }
    Err(lexer.expected("the end of the line"))
}

fn parse_type(text: &[u8]) -> Option<MetricType> {
    Some(match text {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"gaugehistogram" => MetricType::GaugeHistogram,
        b"summary" => MetricType::Summary,
        b"info" => MetricType::Info,
        b"stateset" => MetricType::Stateset,
        b"unknown" => MetricType::Unknown,
        _ => return None,
    })
}

/// A metric's name ends in `_` and its unit, if it has one.
fn check_unit(line: Lexer<'_>, metric: &str, unit: &str) -> Result<(), ParseError> {
    let named = metric
        .strip_suffix(unit)
        .is_some_and(|rest| rest.ends_with('_'));
    if unit.is_empty() || named {
        return Ok(());
    }
    Err(line.error(Reason::Unit {
        unit: quote(unit.as_bytes()),
        metric: quote(metric.as_bytes()),
    }))
}
