//! A server's words without what it was shown: some repeat the token that they refuse.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::Url;

/// What is shown in place of a secret.
const SHOWN: &str = "<secret>";
/// A secret that is shorter is no secret, and stands in many a word.
const MIN_BYTES: usize = 4;

/// Replaces in `words` what `headers` and the users' parts of `urls` hold.
pub(super) fn redact<'h>(
    words: &str,
    headers: impl Iterator<Item = &'h HeaderValue>,
    urls: impl Iterator<Item = Url>,
) -> String {
    let mut secrets = Vec::new();
    for header in headers {
        add_header(header.as_bytes(), &mut secrets);
    }
    for url in urls {
        let (user, Some(password)) = (url.username(), url.password()) else {
            continue;
        };
        let decode = |text: &str| {
            let pair = format!("={}", text.replace('+', "%2B"));
            let mut decoded = url::form_urlencoded::parse(pair.as_bytes());
            decoded.next().map(|(_, text)| text.into_owned())
        };
        let pair = [user, password].map(|part| decode(part).unwrap_or_default());
        secrets.push(STANDARD.encode(pair.join(":")));
        secrets.push(password.to_owned());
        secrets.extend(pair.into_iter().nth(1));
    }
    secrets.retain(|secret| secret.len() >= MIN_BYTES);
    // The longer first: another can be a part of it.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let replace = |words: String, secret: &String| words.replace(secret, SHOWN);
    secrets.iter().fold(words.to_owned(), replace)
}

/// The header's value, what follows its scheme, and of `Basic` the password.
fn add_header(value: &[u8], secrets: &mut Vec<String>) {
    let Ok(value) = str::from_utf8(value) else {
        return;
    };
    secrets.push(value.to_owned());
    let Some((scheme, credentials)) = value.split_once(' ') else {
        return;
    };
    secrets.push(credentials.to_owned());
    if scheme != "Basic" {
        return;
    }
    let decoded = STANDARD.decode(credentials).ok();
    let pair = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some((_, password)) = pair.as_ref().and_then(|pair| pair.split_once(':')) {
        secrets.push(password.to_owned());
    }
}
