//! Numbers, read and written as Go does, because Prometheus' data depends on it.

use std::borrow::Cow;

/// The NaN that Prometheus stores. (Its staleness marker is another one, which no target can send.)
const NORMAL_NAN: u64 = 0x7ff8_0000_0000_0001;

/// Reads a sample's value: decimal, or a word for infinity or NaN, in any case.
///
/// `None` where Go's `strconv.ParseFloat` fails (also on overflow), and for what Prometheus takes
/// out of Go's syntax: hexadecimal and `_`.
pub(super) fn parse_value(text: &[u8]) -> Option<f64> {
    let text = str::from_utf8(text).ok()?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.eq_ignore_ascii_case("nan") {
        return (unsigned.len() == text.len()).then_some(f64::from_bits(NORMAL_NAN));
    }
    let value: f64 = text.parse().ok()?;
    let overflowed = value.is_infinite() && !unsigned.starts_with(['i', 'I']);
    (!overflowed).then_some(value)
}

/// `value`, and if it is a NaN then the one that Prometheus stores.
pub(super) fn normal(value: f64) -> f64 {
    if value.is_nan() {
        f64::from_bits(NORMAL_NAN)
    } else {
        value
    }
}

/// Seconds to milliseconds: the fraction is cut off, and what does not fit saturates.
#[expect(
    clippy::cast_possible_truncation,
    reason = "saturation is what is meant"
)]
pub(super) fn seconds_to_ms(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}

/// The bound of a bucket, or a quantile, in its one spelling: `1` and `1e0` become `1.0`.
///
/// Prometheus does this since 3.0, so that a series is the same whichever format it came in. What
/// is no number stays as it is.
pub(super) fn canonical_bound(text: Cow<'_, str>) -> Cow<'_, str> {
    let Some(bound) = parse_value(text.as_bytes()).or_else(|| parse_hexadecimal(&text)) else {
        return text;
    };
    let canonical = format_bound(bound);
    if canonical == text {
        return text;
    }
    Cow::Owned(canonical)
}

/// The shortest decimal that reads back as `bound`, with an exponent below 1e-4 and from 1e6 on
/// as Go's `%g` has it, and `.0` where it would look like an integer.
pub(super) fn format_bound(bound: f64) -> String {
    if bound.is_nan() {
        return "NaN".into();
    }
    if bound.is_infinite() {
        return if bound > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    if bound == 0.0 {
        return "0.0".into();
    }
    // Rust's shortest digits are Go's; only the layout differs.
    let scientific = format!("{bound:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..GO_SHORTEST_EXPONENT).contains(&exponent) {
        return format!("{bound:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// The exponent from which Go's shortest `%g` writes it.
const GO_SHORTEST_EXPONENT: i32 = 6;

/// `0x1.8p3` and the like, which Go takes for a bound though not for a value.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    let digits = unsigned
        .strip_prefix(b"0x")
        .or_else(|| unsigned.strip_prefix(b"0X"))?;
    let split = digits.iter().position(|byte| matches!(byte, b'p' | b'P'))?;
    let (mantissa, power) = (&digits[..split], &digits[split + 1..]);
    let mut exponent: i32 = str::from_utf8(power).ok()?.parse().ok()?;
    let mut value: u64 = 0;
    let mut seen = false;
    let mut fraction = false;
    for &byte in mantissa {
        if byte == b'.' && !fraction {
            fraction = true;
            continue;
        }
        let digit = char::from(byte).to_digit(16)?;
        // More digits than a double holds would need rounding; such a bound stays as it is.
        value = value.checked_mul(16).filter(|value| value >> 53 == 0)? + u64::from(digit);
        exponent = exponent.checked_sub(if fraction { 4 } else { 0 })?;
        seen = true;
    }
    let magnitude = value as f64 * f64::from(exponent).exp2();
    let value = if negative { -magnitude } else { magnitude };
    (seen && value.is_finite()).then_some(value)
}
