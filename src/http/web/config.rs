//! The keys of a web configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::names::{CipherSuite, Curve, PasswordHash, Version};
use crate::settings::{ByteSize, Duration, Secret};

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// TLS; without it HTTP is plain.
    pub tls_server_config: TlsServerConfig,
    /// HTTP.
    pub http_server_config: HttpServerConfig,
    /// Users by name, with their passwords' bcrypt hashes.
    pub basic_auth_users: BTreeMap<String, PasswordHash>,
    /// Tokens, of which one will do instead of a user's password. Not in the toolkit.
    pub bearer_tokens: Vec<Secret>,
    /// A file with such tokens, one a line. Not in the toolkit.
    pub bearer_tokens_file: Option<PathBuf>,
    /// Bounds on what comes, by time.
    pub rate_limit: RateLimit,
}

/// `tls_server_config`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsServerConfig {
    /// The server's certificate and those between it and the root, in PEM.
    pub cert: Option<String>,
    /// Its key, in PEM.
    pub key: Option<Secret>,
    /// The certificates that clients' certificates are signed with, in PEM.
    pub client_ca: Option<String>,
    /// The file with the server's certificate.
    pub cert_file: Option<PathBuf>,
    /// The file with its key.
    pub key_file: Option<PathBuf>,
    /// The file with the certificates that clients' certificates are signed with.
    pub client_ca_file: Option<PathBuf>,
    /// What clients have to show.
    pub client_auth_type: Option<ClientAuth>,
    /// The names of which a client's certificate must have one.
    pub client_allowed_sans: Option<Vec<String>>,
    /// The oldest version of TLS.
    pub min_version: Version,
    /// The newest one.
    pub max_version: Version,
    /// What TLS 1.2 may use.
    pub cipher_suites: Vec<CipherSuite>,
    /// What keys are agreed on with.
    pub curve_preferences: Vec<Curve>,
    /// Whether the order of the suites is the server's.
    pub prefer_server_cipher_suites: bool,
}

/// What clients have to show, in Go's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ClientAuth {
    /// Nothing.
    #[default]
    NoClientCert,
    /// A certificate if they have one; anybody's will do.
    RequestClientCert,
    /// A certificate; anybody's will do.
    #[serde(alias = "RequireClientCert")]
    RequireAnyClientCert,
    /// A certificate if they have one, and then a good one.
    VerifyClientCertIfGiven,
    /// A good certificate.
    RequireAndVerifyClientCert,
}

/// `http_server_config`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpServerConfig {
    /// Whether HTTP/2 is offered.
    pub http2: bool,
    /// Headers that answers get.
    pub headers: BTreeMap<String, String>,
}

/// `rate_limit`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimit {
    /// The time between two requests; no limit without one.
    pub interval: Duration,
    /// How many requests may come at once after a quiet time.
    pub burst: u64,
    /// Bytes of requests' bodies; no limit without one. Not in the toolkit.
    pub bytes_per_second: ByteSize,
}

impl Default for TlsServerConfig {
    fn default() -> Self {
        Self {
            cert: None,
            key: None,
            client_ca: None,
            cert_file: None,
            key_file: None,
            client_ca_file: None,
            client_auth_type: None,
            client_allowed_sans: None,
            min_version: Version::Tls12,
            max_version: Version::Tls13,
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
            prefer_server_cipher_suites: true,
        }
    }
}

impl Default for HttpServerConfig {
    fn default() -> Self {
        Self {
            http2: true,
            headers: BTreeMap::new(),
        }
    }
}

impl TlsServerConfig {
    /// Whether there is to be TLS.
    pub(super) fn is_enabled(&self) -> bool {
        let texts = self.cert.is_some() || self.key.is_some() || self.client_ca.is_some();
        let files = [&self.cert_file, &self.key_file, &self.client_ca_file];
        texts || files.iter().any(|file| file.is_some()) || self.client_auth_type.is_some()
    }
}
