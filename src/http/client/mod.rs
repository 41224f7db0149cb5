//! The HTTP client of whoever fetches something: Prometheus' `HTTPClientConfig`.
//!
//! Secrets and certificates are in the configuration or in files; the files are looked at again at
//! most once a second, so that what is rotated needs no reload. Nothing of a secret gets into
//! errors, logs or the status pages; what a server says of it is for [`Client::redact`].
//!
//! Credentials stay with the host that a request was made for, as in Go: a redirect to another, or
//! from https to http, goes on without them, and so does everything after it. What is posted is
//! not redirected there at all if there are credentials: without the header that names a tenant,
//! another tenant would get the data.
//!
//! One thing is not as in Prometheus: `server_name` is the name that the certificate must have, but
//! the name that the server is asked for (SNI) remains the URL's host.

mod check;
mod config;
mod credentials;
mod inline;
mod oauth2;
mod redact;
#[cfg(test)]
mod tests;
mod tls;
mod transport;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Response;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

pub use check::{Mistake, is_reserved};
pub use config::{
    Authorization, BasicAuth, ClientConfig, HeaderValues, OAuth2, TlsConfig, TlsVersion,
};
pub use inline::{BesideClient, WithClient, beside_client};
pub use oauth2::TokenError;
pub use tls::TlsError;
pub use transport::BuildError;

use crate::settings::HttpUrl;
use credentials::Headers;
use oauth2::Tokens;
use transport::{IDLE, Transport};

/// Redirects that are followed, as in Go.
const MAX_REDIRECTS: usize = 10;
/// How long what was read from files is taken for what they hold.
const FRESH: Duration = Duration::from_secs(1);

/// Why a request was not answered.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The URL, or one that a redirect names, cannot be requested.
    #[error("not a valid http or https URL")]
    Url,
    /// A file with a secret cannot be read.
    #[error("cannot read the secret in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Certificates cannot be read again.
    #[error("cannot read the certificates")]
    Tls(#[source] TlsError),
    /// A secret has characters that a header cannot have.
    #[error("the credentials cannot stand in a header")]
    Header,
    /// There is no token.
    #[error("cannot get an OAuth 2.0 token")]
    Token(#[source] TokenError),
    /// The server was not reached, or the connection broke.
    #[error("cannot send the request")]
    Send(#[source] reqwest::Error),
    /// Redirects do not end.
    #[error("stopped after {MAX_REDIRECTS} redirects")]
    Redirects,
}

impl RequestError {
    /// The URL can have a password in it, and is known to the caller.
    fn send(error: reqwest::Error) -> Self {
        Self::Send(error.without_url())
    }
}

/// An HTTP client. Cheap to clone; clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    config: ClientConfig,
    transport: Transport,
    tokens: Option<Tokens>,
    headers: Mutex<Option<(Instant, Headers)>>,
}

impl ClientConfig {
    /// Makes a client. Names of files begin at `base_directory`.
    ///
    /// # Errors
    /// If keys exclude each other, or certificates cannot be read or used. Secrets are read when
    /// they are needed.
    pub fn build(&self, base_directory: &Path) -> Result<Client, BuildError> {
        self.build_for(base_directory, IDLE)
    }

    /// The same, for servers that give up a connection which is `idle` for longer.
    ///
    /// # Errors
    /// As above.
    pub fn build_for(&self, base_directory: &Path, idle: Duration) -> Result<Client, BuildError> {
        self.check().map_err(BuildError::Config)?;
        let config = self.clone().resolved(base_directory);
        let tokens = match &config.oauth2 {
            Some(oauth2) => Some(Tokens::new(
                oauth2.clone(),
                Transport::new(oauth2.client(), IDLE)?,
            )),
            None => None,
        };
        let transport = Transport::new(config.clone(), idle)?;
        let headers = Mutex::default();
        let shared = Arc::new(Shared {
            config,
            transport,
            tokens,
            headers,
        });
        Ok(Client { shared })
    }
}

impl Client {
    /// Requests `url`, with `headers` of the caller's and those of the configuration, and follows
    /// redirects if it may. There is no timeout but on connecting (30 s): the caller has one around
    /// this and around reading the body, which is not decompressed.
    ///
    /// # Errors
    /// If there is no answer. An answer with any status is none.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection that it used.
    pub async fn get(&self, url: &str, headers: HeaderMap) -> Result<Response, RequestError> {
        self.send(parse(url)?, Request::get(headers)).await
    }

    /// The same for who has read the URL before.
    ///
    /// # Errors
    /// As above.
    ///
    /// # Cancel safety
    /// As above.
    pub async fn get_url(&self, url: &Url, headers: HeaderMap) -> Result<Response, RequestError> {
        let url = requestable(url.clone())?;
        self.send(url, Request::get(headers)).await
    }

    /// Posts `body` to `url`, otherwise like [`Self::get`]. Of redirects those are followed after
    /// which it is still posted (307 and 308); others are the answer, and so is one to where the
    /// credentials must not go.
    ///
    /// # Errors
    /// As above.
    ///
    /// # Cancel safety
    /// As above; the server may have got all of it.
    pub async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, RequestError> {
        let request = Request {
            method: Method::POST,
            headers,
            body,
        };
        self.send(parse(url)?, request).await
    }

    async fn send(&self, first: Url, request: Request) -> Result<Response, RequestError> {
        let mut own = self.headers().await?;
        if let Some(tokens) = &self.shared.tokens {
            own.secret.insert(AUTHORIZATION, tokens.header().await?);
        }
        let client = self.shared.transport.client().await?;
        let in_url = !first.username().is_empty() || first.password().is_some();
        let has_secrets = in_url || !own.secret.is_empty();
        let (mut url, mut at_home) = (first.clone(), true);
        for _ in 0..=MAX_REDIRECTS {
            let mut headers = request.headers.clone();
            append(&mut headers, &own.open);
            if at_home {
                append(&mut headers, &own.secret);
            }
            let agent = concat!("promrelay/", env!("CARGO_PKG_VERSION"));
            headers
                .entry(USER_AGENT)
                .or_insert(HeaderValue::from_static(agent));
            let sent = client
                .request(request.method.clone(), url.clone())
                .headers(headers)
                .body(request.body.clone());
            let response = sent.send().await.map_err(RequestError::send)?;
            if !self.shared.config.follow_redirects || !request.goes_on(response.status()) {
                return Ok(response);
            }
            let Some(target) = response.headers().get(LOCATION) else {
                return Ok(response);
            };
            let joined = target
                .to_str()
                .ok()
                .and_then(|target| url.join(target).ok());
            url = parse(joined.ok_or(RequestError::Url)?.as_str())?;
            at_home &= stays(&first, &url);
            if !at_home && has_secrets && request.method == Method::POST {
                return Ok(response);
            }
        }
        Err(RequestError::Redirects)
    }

    /// `words` of the server at `url`, without what this client showed it last.
    pub async fn redact(&self, url: &str, words: &str) -> String {
        let known = self.shared.headers.lock().await;
        let known = known.as_ref().map(|(_, headers)| headers.secret.clone());
        let token = match &self.shared.tokens {
            Some(tokens) => tokens.known().await,
            None => None,
        };
        let config = &self.shared.config;
        let of_proxy = config.proxy_connect_header.values().flatten();
        let of_proxy = of_proxy.map(|secret| credentials::value(secret.reveal()));
        let of_proxy: Vec<_> = of_proxy.filter_map(Result::ok).collect();
        let own = known.iter().flat_map(HeaderMap::values);
        let proxy = config.proxy_url.as_ref().map(HttpUrl::as_str);
        let urls = [Some(url), proxy].into_iter().flatten();
        let urls = urls.filter_map(|url| Url::parse(url).ok());
        redact::redact(words, own.chain(&token).chain(&of_proxy), urls)
    }

    async fn headers(&self) -> Result<Headers, RequestError> {
        let mut known = self.shared.headers.lock().await;
        let config = &self.shared.config;
        if let Some((read, headers)) = &*known
            && (read.elapsed() < FRESH || !credentials::has_files(config))
        {
            return Ok(headers.clone());
        }
        let headers = Headers::read(config).await?;
        *known = Some((Instant::now(), headers.clone()));
        Ok(headers)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A request, but for what the configuration adds.
struct Request {
    method: Method,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    fn get(headers: HeaderMap) -> Self {
        Self {
            method: Method::GET,
            headers,
            body: Bytes::new(),
        }
    }

    /// Whether an answer with `status` redirects to where this same request can go.
    fn goes_on(&self, status: StatusCode) -> bool {
        match status.as_u16() {
            307 | 308 => true,
            // A POST would go on as a GET, without its body.
            301..=303 => self.method == Method::GET,
            _ => false,
        }
    }
}

fn append(all: &mut HeaderMap, more: &HeaderMap) {
    for (name, value) in more {
        all.append(name, value.clone());
    }
}

fn parse(url: &str) -> Result<Url, RequestError> {
    requestable(Url::parse(url).ok().ok_or(RequestError::Url)?)
}

fn requestable(url: Url) -> Result<Url, RequestError> {
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(RequestError::Url),
    }
}

/// Whether a redirect from `first` to `url` may have the credentials.
fn stays(first: &Url, url: &Url) -> bool {
    first.host_str() == url.host_str() && (first.scheme() == "http" || url.scheme() == "https")
}
