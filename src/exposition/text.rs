//! Prometheus' text format, versions 0.0.4 and 1.0.
//!
//! ```text
//! body     = { line LF }                        the last LF may be missing
//! line     = "" | comment | metadata | sample   blanks and tabs between the terminals
//! metadata = "#" ("HELP" | "TYPE") name text
//! sample   = ( name [ braces ] | braces ) value [ timestamp ]
//! ```
//!
//! 1.0 adds names in double quotes; a body of either version is read the same way. There are
//! neither exemplars nor start timestamps, and a timestamp is an integer of milliseconds, without
//! a sign.

use std::borrow::Cow;
use std::str;

use super::error::{ParseError, Reason, quote};
use super::labels::{self, Braces, Pair, parse_braces, resolve_escapes, take_family_name, utf8};
use super::lexer::{Lexer, is_metric_name};
use super::number::parse_value;
use super::{Entry, MetricType, Series};

/// The types of metrics that the format has.
const TYPES: [(&str, MetricType); 5] = [
    ("counter", MetricType::Counter),
    ("gauge", MetricType::Gauge),
    ("histogram", MetricType::Histogram),
    ("summary", MetricType::Summary),
    ("untyped", MetricType::Unknown),
];

/// Reads a body in Prometheus' text format.
#[derive(Debug)]
pub struct Parser<'a> {
    lexer: Lexer<'a>,
    /// Of the last `# TYPE`, whichever metric that was about.
    metric_type: MetricType,
    labels: Vec<Pair<'a>>,
}

impl<'a> Parser<'a> {
    /// A parser of `body`, which is looked at as entries are asked for.
    #[must_use]
    pub fn new(body: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self {
            lexer: Lexer::new(body.as_ref()),
            metric_type: MetricType::Unknown,
            labels: Vec::new(),
        }
    }

    /// The next entry, or [`Entry::Eof`].
    ///
    /// # Errors
    /// The next line is not in this format. There is no use in asking for more.
    pub fn next_entry(&mut self) -> Result<Entry<'_>, ParseError> {
        self.next_entry_with(|_| false)
    }

    /// The next entry. The labels of a series are not read if `knows` its spelling, which must be
    /// one that this format yielded before.
    ///
    /// # Errors
    /// As [`Self::next_entry`].
    pub fn next_entry_with(
        &mut self,
        knows: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Entry<'_>, ParseError> {
        loop {
            self.lexer.take_blanks();
            if !self.lexer.take(b"\n") {
                break;
            }
        }
        match self.lexer.peek() {
            None => Ok(Entry::Eof),
            Some(b'#') => self.parse_hash(),
            Some(_) => self.parse_sample(knows),
        }
    }

    /// Whether a comment or metadata comes next, for all that its first byte says.
    #[must_use]
    pub fn is_at_hash(&self) -> bool {
        self.lexer.peek() == Some(b'#')
    }

    /// Takes the lines that say this of a metric family, if they come next and are spelled as most
    /// exporters do, a `HELP` before a `TYPE`: then they need not be read. Else takes nothing, and
    /// [`Self::next_entry`] says what they are.
    pub fn take_metadata(&mut self, metric: &str, help: &str, metric_type: MetricType) -> bool {
        let Some(&(word, _)) = TYPES.iter().find(|(_, known)| *known == metric_type) else {
            return false;
        };
        // Names that have to be quoted and texts with escapes do not stand there as they are meant.
        if !is_metric_name(metric) || help.contains(['\\', '\n']) {
            return false;
        }
        let mut ahead = self.lexer;
        let mut take = |text: &str| ahead.take(text.as_bytes());
        let is_said = (help.is_empty()
            || take("# HELP ") && take(metric) && take(" ") && take(help) && take("\n"))
            && (take("# TYPE ") && take(metric) && take(" ") && take(word) && take("\n"));
        if is_said {
            self.lexer = ahead;
            self.metric_type = metric_type;
        }
        is_said
    }

    /// A line that starts with `#`: metadata if its first word says so, else a comment.
    fn parse_hash(&mut self) -> Result<Entry<'_>, ParseError> {
        let start = self.lexer;
        self.lexer.take(b"#");
        let blanks = self.lexer.take_blanks();
        if blanks && self.take_word(b"HELP") {
            return self.parse_help();
        }
        if blanks && self.take_word(b"TYPE") {
            return self.parse_type();
        }
        self.lexer.take_line();
        let comment = String::from_utf8_lossy(self.lexer.since(start));
        Ok(Entry::Comment(comment))
    }

    fn take_word(&mut self, word: &[u8]) -> bool {
        let mut ahead = self.lexer;
        let found = ahead.take(word) && ahead.take_blanks();
        if found {
            self.lexer = ahead;
        }
        found
    }

    fn parse_help(&mut self) -> Result<Entry<'_>, ParseError> {
        let (metric, text) = self.parse_metadata()?;
        let text = resolve_escapes(utf8(&self.lexer, text, "help text")?, false);
        Ok(Entry::Help { metric, text })
    }

    fn parse_type(&mut self) -> Result<Entry<'_>, ParseError> {
        let (metric, text) = self.parse_metadata()?;
        let named = TYPES.iter().find(|(word, _)| word.as_bytes() == text);
        let Some(&(_, metric_type)) = named else {
            return Err(self.lexer.error(Reason::MetricType(quote(text))));
        };
        self.metric_type = metric_type;
        Ok(Entry::Type {
            metric,
            metric_type: self.metric_type,
        })
    }

    /// A metric's name and the text behind it. The one byte between them is not looked at.
    fn parse_metadata(&mut self) -> Result<(&'a str, &'a [u8]), ParseError> {
        let metric = take_family_name(&mut self.lexer, b"")?;
        let line = self.lexer.take_line();
        Ok((metric, line.get(1..).unwrap_or_default()))
    }

    fn parse_sample(&mut self, knows: impl FnOnce(&[u8]) -> bool) -> Result<Entry<'_>, ParseError> {
        self.labels.clear();
        let recalled = self.lexer.guess_series().filter(|guess| knows(guess));
        let exposed = match recalled {
            Some(exposed) => {
                self.lexer.take(exposed);
                exposed
            }
            None => self.parse_series()?,
        };
        let value = self.parse_value()?;
        let timestamp_ms = self.parse_timestamp()?;
        Ok(Entry::Series(Series {
            labels: &self.labels,
            exemplars: &[],
            exposed,
            is_known: recalled.is_some(),
            value,
            timestamp_ms,
            start_timestamp_ms: None,
        }))
    }

    /// Reads the labels; answers their spelling.
    fn parse_series(&mut self) -> Result<&'a [u8], ParseError> {
        let start = self.lexer;
        let mut name = self.lexer.take_metric_name().map(Cow::Borrowed);
        let mut exposed = self.lexer.since(start);
        self.lexer.take_blanks();
        if self.lexer.take(b"{") {
            parse_braces(&mut self.lexer, Braces::Text, &mut name, &mut self.labels)?;
            exposed = self.lexer.since(start);
        } else if name.is_none() {
            return Err(start.expected("a metric name or a brace"));
        }
        let Some(name) = name else {
            return Err(start.error(Reason::NameMissing));
        };
        labels::finish(&mut self.labels, name, self.metric_type);
        Ok(exposed)
    }

    fn parse_value(&mut self) -> Result<f64, ParseError> {
        self.lexer.take_blanks();
        let start = self.lexer;
        let text = self
            .lexer
            .take_while(|byte| !matches!(byte, b'{' | b' ' | b'\t' | b'\n'));
        if text.is_empty() {
            return Err(start.expected("a value"));
        }
        parse_value(text).ok_or_else(|| start.error(Reason::Number(quote(text))))
    }

    /// What may follow a value: a timestamp, and then only the end of the line.
    fn parse_timestamp(&mut self) -> Result<Option<i64>, ParseError> {
        self.lexer.take_blanks();
        if self.take_line_end() {
            return Ok(None);
        }
        let start = self.lexer;
        let digits = self.lexer.take_while(|byte| byte.is_ascii_digit());
        if digits.is_empty() {
            return Err(start.expected("a timestamp or the end of the line"));
        }
        let timestamp_ms = str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse().ok());
        if timestamp_ms.is_none() {
            return Err(start.error(Reason::Timestamp(quote(digits))));
        }
        self.lexer.take_blanks();
        if !self.take_line_end() {
            return Err(self.lexer.expected("the end of the line"));
        }
        Ok(timestamp_ms)
    }

    fn take_line_end(&mut self) -> bool {
        self.lexer.take(b"\n") || self.lexer.at_end()
    }
}
