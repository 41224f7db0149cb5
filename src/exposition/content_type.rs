//! Which format a body is in, by the `Content-Type` it came with (RFC 9110, section 8.3).

use thiserror::Error;

/// The formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, any version: [`super::text`].
    Text,
    /// OpenMetrics text, any version: [`super::openmetrics`].
    OpenMetrics,
    /// Delimited protobuf: [`super::protobuf`].
    Protobuf,
}

/// A `Content-Type` that names no format.
///
/// Prometheus then takes the job's `fallback_scrape_protocol`, or fails the scrape without one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ContentTypeError {
    /// There is none.
    #[error("target sends no Content-Type")]
    Missing,
    /// It is no media type.
    #[error("target sends malformed Content-Type {0:?}")]
    Malformed(String),
    /// It is some other media type.
    #[error("target sends unsupported Content-Type {0:?}")]
    Unsupported(String),
}

impl Format {
    /// The format that `content_type`, a header's value, stands for. Parameters such as the
    /// version or the charset have to be well-formed, and are not looked at otherwise.
    ///
    /// # Errors
    /// It names no format.
    pub fn from_content_type(content_type: &str) -> Result<Self, ContentTypeError> {
        if content_type.is_empty() {
            return Err(ContentTypeError::Missing);
        }
        let media_type = parse_media_type(content_type)
            .ok_or_else(|| ContentTypeError::Malformed(content_type.into()))?;
        match media_type.as_str() {
            "text/plain" => Ok(Self::Text),
            "application/openmetrics-text" => Ok(Self::OpenMetrics),
            "application/vnd.google.protobuf" => Ok(Self::Protobuf),
            _ => Err(ContentTypeError::Unsupported(content_type.into())),
        }
    }
}

/// `type/subtype` in lower case, if all of `text` is well-formed.
fn parse_media_type(text: &str) -> Option<String> {
    let (media_type, parameters) = text.split_once(';').unwrap_or((text, ""));
    let media_type = media_type.trim();
    let (kind, subtype) = media_type.split_once('/')?;
    let well_formed = is_token(kind) && is_token(subtype) && are_parameters(parameters);
    well_formed.then(|| media_type.to_ascii_lowercase())
}

/// Whether `text` is `name=value` any number of times, separated by `;`, no name twice.
fn are_parameters(text: &str) -> bool {
    let mut names: Vec<String> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('=') else {
            return false;
        };
        let Some(behind) = skip_value(after) else {
            return false;
        };
        let name = name.to_ascii_lowercase();
        if !is_token(&name) || names.contains(&name) || names.len() == PARAMETERS_MAX {
            return false;
        }
        names.push(name);
        rest = match behind.trim_start().strip_prefix(';') {
            Some(next) => next.trim(),
            None if behind.trim().is_empty() => "",
            None => return false,
        };
    }
    true
}

/// More parameters than any target has a use for.
const PARAMETERS_MAX: usize = 16;

/// What stands behind a parameter's value: a token, or a quoted string.
fn skip_value(text: &str) -> Option<&str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ';' || c.is_ascii_whitespace());
        let (value, behind) = text.split_at(end.unwrap_or(text.len()));
        return is_token(value).then_some(behind);
    };
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some(characters.as_str()),
            '\\' => drop(characters.next()?),
            _ => {}
        }
    }
}

fn is_token(text: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(in_token)
}
