//! From a 2.0 request to the carried form.
//!
//! References make a request larger than it is: a symbol of 64 KiB can be meant a million times.
//! So what is written has a limit, and so has the table; neither takes more memory than that.

use super::error::DecodeError;
use super::series::{Output, SeriesDecoder, Stop};
use super::symbols::Symbols;
use super::{Contents, SYMBOLS, TIMESERIES};
use crate::remote_write::wire::{Fields, Value};

/// So many invalid series are described.
const DESCRIBED: usize = 3;
/// A table larger than this is not kept for the next request, in bytes.
const KEPT_TABLE_BYTES: usize = 1024 * 1024;

/// Reads 2.0 requests, with a table that is used again.
#[derive(Debug, Default)]
pub struct Decoder {
    symbols: Symbols,
}

impl Decoder {
    /// Writes a decompressed 2.0 `request` to `buffer` in the carried form, which takes `limit`
    /// bytes at the most, and so does the table of symbols. What `buffer` held is forgotten.
    ///
    /// # Errors
    /// If the request is malformed, larger than the limit, or has invalid series.
    pub fn decode(
        &mut self,
        request: &[u8],
        limit: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<Contents, DecodeError> {
        buffer.clear();
        let decoded = self.decode_into(request, Output { buffer, limit });
        if self.symbols.capacity_bytes() > KEPT_TABLE_BYTES {
            self.symbols = Symbols::default();
        }
        decoded
    }

    fn decode_into(&mut self, request: &[u8], output: Output<'_>) -> Result<Contents, DecodeError> {
        let limit = output.limit;
        if u32::try_from(request.len()).is_err() {
            return Err(too_large(limit));
        }
        self.read_symbols(request, limit)?;
        let mut series = SeriesDecoder {
            symbols: &self.symbols,
            request,
            output,
            contents: Contents::default(),
        };
        let mut first = Vec::new();
        let mut index = 0;
        let mut fields = Fields::new(request);
        while let Some(field) = fields.next_field().map_err(DecodeError::Request)? {
            match (field.number, field.value) {
                (SYMBOLS, _) => {}
                (TIMESERIES, Value::Bytes(message)) => {
                    match series.decode(message) {
                        Err(Stop::TooLarge) => return Err(too_large(limit)),
                        Err(Stop::Invalid(why)) if first.len() < DESCRIBED => {
                            first.push((index, why));
                        }
                        Ok(()) | Err(Stop::Invalid(_)) => {}
                    }
                    index += 1;
                }
                _ => series
                    .put_unknown(&field)
                    .map_err(|_stop| too_large(limit))?,
            }
        }
        if first.is_empty() {
            Ok(series.contents)
        } else {
            Err(DecodeError::Series { first })
        }
    }

    /// Symbols may stand behind the series that mean them, so they are read first.
    fn read_symbols(&mut self, request: &[u8], limit: usize) -> Result<(), DecodeError> {
        self.symbols.clear();
        let mut has_series = false;
        let mut fields = Fields::new(request);
        while let Some(field) = fields.next_field().map_err(DecodeError::Request)? {
            match (field.number, field.value) {
                (SYMBOLS, Value::Bytes(symbol)) => {
                    let index = self.symbols.len();
                    if index == 0 && !symbol.is_empty() {
                        return Err(DecodeError::FirstSymbol);
                    }
                    if simdutf8::basic::from_utf8(symbol).is_err() {
                        return Err(DecodeError::NotUtf8 { index });
                    }
                    if self.symbols.next_size_bytes() > limit {
                        return Err(too_large(limit));
                    }
                    self.symbols.push(fields.offset(), symbol.len());
                }
                (TIMESERIES, Value::Bytes(_)) => has_series = true,
                (1..=3, _) => return Err(DecodeError::OtherMessage),
                (number @ (SYMBOLS | TIMESERIES), _) => {
                    return Err(DecodeError::WrongType { number });
                }
                _ => {}
            }
        }
        if has_series && self.symbols.len() == 0 {
            return Err(DecodeError::NoSymbols);
        }
        Ok(())
    }
}

fn too_large(limit: usize) -> DecodeError {
    DecodeError::TooLarge { limit }
}
