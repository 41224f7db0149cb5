//! Content type and encoding of a write, read as RFC 9110 has them.
//!
//! They alone say which message it is, and are looked at before anything else. Names are
//! case-insensitive, white space around `;` and quoted values are allowed, parameters that are not
//! known here are ignored. A missing content type means 1.0 and a missing encoding snappy, as
//! Prometheus takes them. What is there twice says nothing for certain, and is refused.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};

use super::Refusal;
use crate::remote_write::ProtobufMessage;

const MEDIA_TYPE: &str = "application/x-protobuf";
/// What is shown of a header, in bytes.
const SHOWN_BYTES: usize = 200;

/// Which message the body is, if it is one of those `accepted`, in snappy's block format.
pub(super) fn negotiate(
    headers: &HeaderMap,
    accepted: &[ProtobufMessage],
) -> Result<ProtobufMessage, Refusal> {
    let content_type = single(headers, &CONTENT_TYPE).map_err(Refusal::ContentType)?;
    let message = match &content_type {
        None => ProtobufMessage::V1,
        Some(text) => {
            message_of(text).ok_or_else(|| Refusal::ContentType(shortened(text.clone())))?
        }
    };
    if !accepted.contains(&message) {
        return Err(Refusal::Message(message));
    }
    let encoding = single(headers, &CONTENT_ENCODING).map_err(Refusal::ContentEncoding)?;
    match encoding {
        Some(encoding) if !encoding.trim().eq_ignore_ascii_case("snappy") => {
            Err(Refusal::ContentEncoding(shortened(encoding)))
        }
        _ => Ok(message),
    }
}

/// The message that a content type names; `None` if it names another or is not well-formed.
fn message_of(content_type: &str) -> Option<ProtobufMessage> {
    let end = content_type.find(';').unwrap_or(content_type.len());
    let (media_type, mut rest) = content_type.split_at(end);
    if !trim(media_type).eq_ignore_ascii_case(MEDIA_TYPE) {
        return None;
    }
    let mut message = None;
    while let Some(parameters) = rest.strip_prefix(';') {
        let Some((name, after)) = parameter_name(trim(parameters)) else {
            // An empty parameter is allowed.
            rest = trim(parameters);
            continue;
        };
        let (value, after) = parameter_value(after)?;
        rest = after;
        if name.eq_ignore_ascii_case("proto") {
            let named = ProtobufMessage::ALL
                .into_iter()
                .find(|message| message.name() == value)?;
            if message.replace(named).is_some() {
                return None;
            }
        }
    }
    let is_whole = rest.is_empty();
    is_whole.then(|| message.unwrap_or_default())
}

/// The token in front of a text, and what follows it. `None` if there is none.
fn parameter_name(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (!name.is_empty()).then_some((name, rest))
}

/// The value behind a parameter's name, and what follows it.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let value = trim(trim(text).strip_prefix('=')?);
    let Some(quoted) = value.strip_prefix('"') else {
        let (value, rest) = parameter_name(value)?;
        return Some((value.to_owned(), trim(rest)));
    };
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some((text, trim(characters.as_str()))),
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
}

fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The header's only value; all of them if it is there more than once.
fn single(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, String> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut values: Vec<_> = headers.get_all(name).iter().map(text).collect();
    if values.len() > 1 {
        return Err(shortened(values.join(", ")));
    }
    Ok(values.pop())
}

fn shortened(mut text: String) -> String {
    if text.len() > SHOWN_BYTES {
        text.truncate(text.floor_char_boundary(SHOWN_BYTES));
        text.push('…');
    }
    text
}
