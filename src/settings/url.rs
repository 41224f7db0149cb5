//! URLs of receivers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use url::Url;

/// An `http` or `https` URL with a host.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(Url);

/// A text that is no such URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidUrl {
    /// Nothing is there.
    #[error("url for remote_write is empty")]
    Empty,
    /// It cannot be parsed.
    #[error("not a valid URL: {0}: write it like http://host:9090/path")]
    Syntax(url::ParseError),
    /// It is of another scheme. Which is not told: of `user:password@host` it is the user.
    #[error("URL scheme must be 'http' or 'https': write it like http://host:9090/path")]
    Scheme,
}

impl HttpUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// If it is not an `http` or `https` URL with a host.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        if text.is_empty() {
            return Err(InvalidUrl::Empty);
        }
        let url = Url::parse(text).map_err(InvalidUrl::Syntax)?;
        match url.scheme() {
            "http" | "https" => Ok(Self(url)),
            _ => Err(InvalidUrl::Scheme),
        }
    }

    /// The URL as it is requested.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The last segment of the path that is not empty, or the host.
    #[must_use]
    pub fn last_segment(&self) -> &str {
        let segments = self.0.path_segments();
        let last = segments.and_then(|segments| segments.rev().find(|segment| !segment.is_empty()));
        last.or(self.0.host_str()).unwrap_or_default()
    }

    /// The URL with its password, if it has one, not shown.
    #[must_use]
    pub fn redacted(&self) -> String {
        let mut url = self.0.clone();
        if url.password().is_some() && url.set_password(Some("xxxxx")).is_err() {
            return String::from("<url>");
        }
        url.into()
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.redacted())
    }
}

impl<'de> Deserialize<'de> for HttpUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl Serialize for HttpUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.redacted())
    }
}
