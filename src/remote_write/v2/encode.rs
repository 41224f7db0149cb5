//! From requests in either form to one 2.0 request.

use super::interner::Interner;
use super::{
    CREATED_TIMESTAMP, Contents, EXEMPLARS, HISTOGRAMS, LABELS_REFS, METADATA, SAMPLES, TIMESERIES,
};
use crate::remote_write::block::Form;
use crate::remote_write::carried::{
    self, EXEMPLAR_FIELDS, Label, LeftOut, METADATA_HELP, METADATA_TYPE, METADATA_UNIT, NAME,
    SERIES_METADATA, SeriesMetadata, UNKNOWN, put_known,
};
use crate::remote_write::v1;
use crate::remote_write::wire::{
    Field, Fields, Value, WireError, close_field, open_field, put_bytes_field, put_bytes_header,
    put_varint, put_varint_field, varint_len,
};

/// What is known of a metric by its name, for series that say nothing themselves.
pub type Lookup<'l> = dyn Fn(&[u8]) -> Option<SeriesMetadata<'l>> + 'l;

/// Buffers larger than this are not kept for the next request, in bytes.
const KEPT_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Writes 2.0 requests, with a table and buffers that are used again: [`Self::begin`], then
/// [`Self::add`] whatever goes into the request, then [`Self::finish`].
#[derive(Debug)]
pub struct Encoder {
    interner: Interner,
    /// All but the symbols, encoded.
    body: Vec<u8>,
    /// The labels of the current series, and of the current exemplar.
    labels: References,
    exemplar: References,
    contents: Contents,
    left_out: LeftOut,
}

/// What is known of a series before it is written.
#[derive(Debug, Default)]
struct Survey<'a> {
    name: &'a [u8],
    contents: Contents,
    says_metadata: bool,
}

/// What of a series is written: one of a 2.0 request has samples or histograms, not both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    /// It has only one of the two.
    All,
    /// Its samples and exemplars.
    Samples,
    /// Its histograms.
    Histograms,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            interner: Interner::new(),
            body: Vec::new(),
            labels: References::default(),
            exemplar: References::default(),
            contents: Contents::default(),
            left_out: LeftOut::default(),
        }
    }
}

impl Encoder {
    /// Begins a request; what was added to one that was not finished is forgotten.
    pub fn begin(&mut self) {
        if self.interner.capacity_bytes() > KEPT_BUFFER_BYTES {
            self.interner = Interner::new();
        }
        if self.body.capacity() > KEPT_BUFFER_BYTES {
            self.body = Vec::new();
        }
        self.interner.clear();
        self.body.clear();
        (self.contents, self.left_out) = (Contents::default(), LeftOut::default());
    }

    /// Adds all series of a decompressed `request`. `lookup` is asked for the metadata of those
    /// that say nothing of it.
    ///
    /// # Errors
    /// If the request is malformed; then nothing of it was added.
    pub fn add(
        &mut self,
        form: Form,
        request: &[u8],
        lookup: &Lookup<'_>,
    ) -> Result<(), WireError> {
        let before = (self.body.len(), self.contents, self.left_out);
        let added = self.add_fields(form, request, lookup);
        if added.is_err() {
            self.body.truncate(before.0);
            (self.contents, self.left_out) = (before.1, before.2);
        }
        added
    }

    /// Appends the request to `buffer`, decompressed. Answers what it holds, and what was left out
    /// of what was added.
    pub fn finish(&mut self, buffer: &mut Vec<u8>) -> (Contents, LeftOut) {
        let symbols = self.interner.encoded();
        buffer.reserve(symbols.len() + self.body.len());
        buffer.extend_from_slice(symbols);
        buffer.extend_from_slice(&self.body);
        (self.contents, self.left_out)
    }

    fn add_fields(
        &mut self,
        form: Form,
        request: &[u8],
        lookup: &Lookup<'_>,
    ) -> Result<(), WireError> {
        let mut fields = Fields::new(request);
        while let Some(field) = fields.next_field()? {
            match (form, field.number, field.value) {
                (_, v1::TIMESERIES, Value::Bytes(message)) => {
                    self.add_series(form, message, lookup)?;
                }
                (Form::Carried, UNKNOWN, Value::Bytes(raw)) => self.body.extend_from_slice(raw),
                (_, v1::METADATA, _) => self.left_out.metadata += 1,
                _ => self.left_out.unknown_fields += 1,
            }
        }
        Ok(())
    }

    fn add_series(
        &mut self,
        form: Form,
        message: &[u8],
        lookup: &Lookup<'_>,
    ) -> Result<(), WireError> {
        let survey = self.survey(form, message)?;
        let Contents {
            samples,
            histograms,
            exemplars,
        } = survey.contents;
        if samples == 0 && histograms == 0 {
            self.left_out.series += 1;
            self.left_out.exemplars += exemplars;
            return Ok(());
        }
        self.contents.samples += samples;
        self.contents.histograms += histograms;
        self.contents.exemplars += exemplars;
        let metadata = if survey.says_metadata {
            None
        } else {
            lookup(survey.name)
        };
        if samples > 0 && histograms > 0 {
            self.put_series(form, message, Half::Samples, metadata)?;
            self.put_series(form, message, Half::Histograms, metadata)
        } else {
            self.put_series(form, message, Half::All, metadata)
        }
    }

    /// Reads the labels into references, and looks what else there is.
    fn survey<'a>(&mut self, form: Form, message: &'a [u8]) -> Result<Survey<'a>, WireError> {
        let mut survey = Survey::default();
        self.labels.clear();
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next_field()? {
            match (form, field.number, field.value) {
                (_, v1::LABELS, Value::Bytes(label)) => {
                    let label = Label::read(label)?;
                    if label.name == NAME {
                        survey.name = label.value;
                    }
                    self.left_out.unknown_fields += label.unknown;
                    self.labels.push(&mut self.interner, label);
                }
                (_, v1::SAMPLES, Value::Bytes(_)) => survey.contents.samples += 1,
                (_, v1::HISTOGRAMS, Value::Bytes(_)) => survey.contents.histograms += 1,
                (_, v1::EXEMPLARS, Value::Bytes(_)) => survey.contents.exemplars += 1,
                (Form::Carried, SERIES_METADATA, Value::Bytes(said)) => {
                    survey.says_metadata |= !said.is_empty();
                }
                (Form::Carried, carried::CREATED_TIMESTAMP | UNKNOWN, _) => {}
                _ => self.left_out.unknown_fields += 1,
            }
        }
        Ok(survey)
    }

    /// Writes what belongs to `half` of a series, and what belongs to all of it.
    fn put_series(
        &mut self,
        form: Form,
        message: &[u8],
        half: Half,
        metadata: Option<SeriesMetadata<'_>>,
    ) -> Result<(), WireError> {
        let start = open_field(&mut self.body, TIMESERIES);
        self.labels.put(&mut self.body);
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next_field()? {
            let Value::Bytes(inner) = field.value else {
                if let (Form::Carried, carried::CREATED_TIMESTAMP, Value::Varint(timestamp)) =
                    (form, field.number, field.value)
                {
                    put_varint_field(&mut self.body, CREATED_TIMESTAMP, timestamp);
                }
                continue;
            };
            match (form, field.number) {
                (_, v1::SAMPLES) if half != Half::Histograms => {
                    self.put_data(form, SAMPLES, &field, inner)?;
                }
                (_, v1::HISTOGRAMS) if half != Half::Samples => {
                    self.put_data(form, HISTOGRAMS, &field, inner)?;
                }
                (_, v1::EXEMPLARS) if half != Half::Histograms => self.put_exemplar(form, inner)?,
                (Form::Carried, SERIES_METADATA) if metadata.is_none() => {
                    self.put_metadata(inner)?;
                }
                (Form::Carried, UNKNOWN) => self.body.extend_from_slice(inner),
                _ => {}
            }
        }
        if let Some(metadata) = metadata {
            self.put_looked_up(metadata);
        }
        close_field(&mut self.body, start);
        Ok(())
    }

    /// A sample or a histogram. What a 1.0 request has there beyond 1.0 means something else.
    #[inline]
    fn put_data(
        &mut self,
        form: Form,
        number: u32,
        field: &Field<'_>,
        inner: &[u8],
    ) -> Result<(), WireError> {
        match form {
            Form::Carried => put_bytes_field(&mut self.body, number, inner),
            Form::Plain => put_known(&mut self.body, number, field, inner, &mut self.left_out)?,
        }
        Ok(())
    }

    fn put_exemplar(&mut self, form: Form, message: &[u8]) -> Result<(), WireError> {
        self.exemplar.clear();
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next_field()? {
            if let (v1::LABELS, Value::Bytes(label)) = (field.number, field.value) {
                let label = Label::read(label)?;
                self.left_out.unknown_fields += label.unknown;
                self.exemplar.push(&mut self.interner, label);
            }
        }
        let start = open_field(&mut self.body, EXEMPLARS);
        self.exemplar.put(&mut self.body);
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next_field()? {
            if field.number > EXEMPLAR_FIELDS && form == Form::Plain {
                self.left_out.unknown_fields += 1;
            } else if field.number != v1::LABELS {
                self.body.extend_from_slice(field.raw);
            }
        }
        close_field(&mut self.body, start);
        Ok(())
    }

    fn put_metadata(&mut self, message: &[u8]) -> Result<(), WireError> {
        let start = open_field(&mut self.body, METADATA);
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next_field()? {
            match (field.number, field.value) {
                (METADATA_HELP | METADATA_UNIT, Value::Bytes(text)) => {
                    let reference = self.interner.intern(text);
                    put_varint_field(&mut self.body, field.number, reference.into());
                }
                _ => self.body.extend_from_slice(field.raw),
            }
        }
        close_field(&mut self.body, start);
        Ok(())
    }

    fn put_looked_up(&mut self, metadata: SeriesMetadata<'_>) {
        let start = open_field(&mut self.body, METADATA);
        let numbers = [
            (METADATA_TYPE, metadata.metric_type),
            (METADATA_HELP, self.interner.intern(metadata.help).into()),
            (METADATA_UNIT, self.interner.intern(metadata.unit).into()),
        ];
        for (number, value) in numbers.into_iter().filter(|&(_, value)| value != 0) {
            put_varint_field(&mut self.body, number, value);
        }
        close_field(&mut self.body, start);
    }
}

/// The labels of a series or an exemplar as references. Used again.
#[derive(Debug, Default)]
struct References {
    references: Vec<u32>,
    /// What they take in the request, in bytes.
    length: usize,
}

impl References {
    fn clear(&mut self) {
        self.references.clear();
        self.length = 0;
    }

    #[inline]
    fn push(&mut self, interner: &mut Interner, label: Label<'_>) {
        for text in [label.name, label.value] {
            let reference = interner.intern(text);
            self.references.push(reference);
            self.length += varint_len(reference.into());
        }
    }

    /// Appends them as a packed field; nothing if there are none.
    fn put(&self, buffer: &mut Vec<u8>) {
        if self.references.is_empty() {
            return;
        }
        put_bytes_header(buffer, LABELS_REFS, self.length);
        for &reference in &self.references {
            put_varint(buffer, reference.into());
        }
    }
}
