//! Content type and encoding of a write, read as RFC 9110 has them.
//!
//! Names are case-insensitive, white space around `;` and quoted values are allowed. A missing
//! content type means 1.0 and a missing encoding snappy, as Prometheus takes them.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};

use super::Refusal;

const MEDIA_TYPE: &str = "application/x-protobuf";
const MESSAGE: &str = "prometheus.WriteRequest";

/// Accepts what is a remote-write 1.0 request in snappy's block format.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    let content_type = text(headers, &CONTENT_TYPE).unwrap_or_else(|| MEDIA_TYPE.to_owned());
    if !is_supported(&content_type) {
        return Err(Refusal::ContentType(content_type));
    }
    match text(headers, &CONTENT_ENCODING) {
        Some(encoding) if !encoding.trim().eq_ignore_ascii_case("snappy") => {
            Err(Refusal::ContentEncoding(encoding))
        }
        _ => Ok(()),
    }
}

fn is_supported(content_type: &str) -> bool {
    let mut parts = content_type.split(';');
    let media_type = parts.next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(MEDIA_TYPE) && parts.all(is_supported_parameter)
}

fn is_supported_parameter(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return parameter.trim().is_empty();
    };
    let value = value.trim();
    let unquoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    !name.trim().eq_ignore_ascii_case("proto") || unquoted.unwrap_or(value) == MESSAGE
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
