//! A web configuration, checked and with its files read: what a listener works with.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::auth::Users;
use super::config::{ClientAuth, HttpServerConfig, RateLimit, WebConfig};
use super::tls;
use crate::http::server::Bucket;
use crate::settings::{ByteSize, Duration, Secret};

/// How long a file may be, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// The headers that may be set, and the values that they may have; none means any.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// Something that is wrong with a configuration, and the keys that lead to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// From the file's top.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
}

impl Mistake {
    pub(super) fn new(path: &[&str], message: impl Into<String>) -> Self {
        Self {
            path: path.iter().map(|&key| key.to_owned()).collect(),
            message: message.into(),
        }
    }
}

/// What a web configuration comes to.
pub struct Settings {
    tls: Option<Arc<rustls::ServerConfig>>,
    http2: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
    users: Users,
    /// Whether a client has to show a good certificate.
    needs_certificate: bool,
    request_rate: Option<Bucket>,
    byte_rate: Option<Bucket>,
}

impl Settings {
    /// Checks `config` and reads its files, whose names begin at `base`.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn build(config: &WebConfig, base: &Path) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let tls = &config.tls_server_config;
        let needs_certificate =
            tls.client_auth_type == Some(ClientAuth::RequireAndVerifyClientCert);
        let tls = tls.is_enabled().then(|| {
            let http2 = config.http_server_config.http2;
            tls::server(tls, base, http2, &mut mistakes)
        });
        let headers = headers(&config.http_server_config, &mut mistakes);
        let users = users(config, base, &mut mistakes);
        let (request_rate, byte_rate) = rates(config.rate_limit, &mut mistakes);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Self {
            tls: tls.flatten().map(Arc::new),
            http2: config.http_server_config.http2,
            headers,
            users,
            needs_certificate,
            request_rate,
            byte_rate,
        })
    }

    /// Plain HTTP for whoever shows this token.
    #[must_use]
    pub fn for_token(token: &Secret) -> Self {
        Self {
            tls: None,
            http2: true,
            headers: Vec::new(),
            users: Users::new(BTreeMap::new(), vec![token.reveal().to_owned()]),
            needs_certificate: false,
            request_rate: None,
            byte_rate: None,
        }
    }

    /// The files that `config` names, which begin at `base`: what to watch beside its own file.
    #[must_use]
    pub fn files(config: &WebConfig, base: &Path) -> Vec<PathBuf> {
        let tls = &config.tls_server_config;
        let files = [
            &tls.cert_file,
            &tls.key_file,
            &tls.client_ca_file,
            &config.bearer_tokens_file,
        ];
        let files = files.into_iter().flatten();
        files.map(|file| base.join(file)).collect()
    }

    /// TLS, if there is any.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<rustls::ServerConfig>> {
        self.tls.clone()
    }

    /// Whether anybody is kept out: by what he shows, or by his certificate.
    #[must_use]
    pub fn keeps_out(&self) -> bool {
        self.users.asks_who() || self.needs_certificate
    }

    pub(in crate::http) fn http2(&self) -> bool {
        self.http2
    }

    pub(in crate::http) fn users(&self) -> &Users {
        &self.users
    }

    pub(in crate::http) fn request_rate(&self) -> Option<&Bucket> {
        self.request_rate.as_ref()
    }

    pub(in crate::http) fn byte_rate(&self) -> Option<&Bucket> {
        self.byte_rate.as_ref()
    }

    /// How to say who one is.
    pub(in crate::http) fn challenges(&self) -> impl Iterator<Item = &'static str> {
        self.users.challenges()
    }

    pub(in crate::http) fn add_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// What it comes to, for people.
impl fmt::Display for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls.is_some() { "TLS" } else { "no TLS" };
        write!(formatter, "{tls}, {}", self.users)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("tls", &self.tls.is_some())
            .field("http2", &self.http2)
            .finish_non_exhaustive()
    }
}

/// A file's content, up to a limit.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(bytes)
}

/// The mistake of a file that cannot be read.
pub(super) fn unreadable(path: &[&str], file: &Path, error: &io::Error) -> Mistake {
    Mistake::new(path, format!("cannot read {}: {error}", file.display()))
}

fn headers(
    config: &HttpServerConfig,
    mistakes: &mut Vec<Mistake>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, value) in &config.headers {
        let mut mistake = |message: String| {
            let path = ["http_server_config", "headers", name];
            mistakes.push(Mistake::new(&path, message));
        };
        let Some((_, values)) = HEADERS.iter().find(|(known, _)| known == name) else {
            let names: Vec<_> = HEADERS.iter().map(|(name, _)| *name).collect();
            mistake(format!(
                "the header `{name}` cannot be set here, but {}",
                names.join(", ")
            ));
            continue;
        };
        if value.is_empty() {
            continue;
        }
        if !values.is_empty() && !values.contains(&value.as_str()) {
            mistake(format!("`{name}` can be {}", values.join(" or ")));
            continue;
        }
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => headers.push((name, value)),
            _ => mistake(format!("not a value of a header: {value:?}")),
        }
    }
    headers
}

fn users(config: &WebConfig, base: &Path, mistakes: &mut Vec<Mistake>) -> Users {
    for name in config.basic_auth_users.keys() {
        if name.contains(':') {
            let message = "a user's name with a colon in it cannot be sent";
            mistakes.push(Mistake::new(&["basic_auth_users", name], message));
        }
    }
    let mut tokens: Vec<String> = Vec::new();
    tokens.extend(
        config
            .bearer_tokens
            .iter()
            .map(|token| token.reveal().to_owned()),
    );
    if tokens.iter().any(|token| token.trim().is_empty()) {
        mistakes.push(Mistake::new(&["bearer_tokens"], "a token is empty"));
    }
    if let Some(file) = &config.bearer_tokens_file {
        let path = ["bearer_tokens_file"];
        match read(&base.join(file)).map(String::from_utf8) {
            Err(error) => mistakes.push(unreadable(&path, file, &error)),
            Ok(Err(_)) => mistakes.push(Mistake::new(&path, "the file is not UTF-8")),
            Ok(Ok(text)) => {
                let before = tokens.len();
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                tokens.extend(lines.map(str::to_owned));
                if tokens.len() == before {
                    mistakes.push(Mistake::new(&path, "there is no token in the file"));
                }
            }
        }
    }
    Users::new(config.basic_auth_users.clone(), tokens)
}

fn rates(limit: RateLimit, mistakes: &mut Vec<Mistake>) -> (Option<Bucket>, Option<Bucket>) {
    let interval = std::time::Duration::from(limit.interval).as_secs_f64();
    let has_interval = limit.interval > Duration::default();
    if has_interval && limit.burst == 0 {
        let message = "`burst` must be positive: no request would pass";
        mistakes.push(Mistake::new(&["rate_limit", "burst"], message));
    }
    let requests = has_interval.then(|| Bucket::new(1.0 / interval, limit.burst as f64));
    let has_bytes = limit.bytes_per_second > ByteSize::default();
    let bytes = limit.bytes_per_second.bytes() as f64;
    (requests, has_bytes.then(|| Bucket::new(bytes, bytes)))
}
