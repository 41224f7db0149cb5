//! The HTTP client in Prometheus' keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::MapAccess;
use serde::{Deserialize, Serialize};

use crate::settings::{HttpUrl, Secret};

/// How requests of a component are made: credentials, TLS, proxies, redirects.
///
/// Its keys stand beside the keys of whoever has such a client; see [`super::WithClient`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientConfig {
    /// A user's name and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// The `Authorization` header in another scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// A token that another server gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// The old way to write `authorization: {credentials: …}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<Secret>,
    /// The old way to write `authorization: {credentials_file: …}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token_file: Option<PathBuf>,
    /// Certificates.
    #[serde(skip_serializing_if = "TlsConfig::is_default")]
    pub tls_config: TlsConfig,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// Whether HTTP/2 is spoken to who offers it.
    pub enable_http2: bool,
    /// A proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<HttpUrl>,
    /// Hosts that are reached without it, with commas.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub no_proxy: String,
    /// Whether `HTTP_PROXY` and the like name the proxy.
    #[serde(skip_serializing_if = "is_false")]
    pub proxy_from_environment: bool,
    /// Headers that the proxy gets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
    /// Headers of the user's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub http_headers: BTreeMap<String, HeaderValues>,
}

/// `basic_auth`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuth {
    /// The user's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The file with the user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_file: Option<PathBuf>,
    /// The password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The file with the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
}

/// `authorization`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Authorization {
    /// The scheme.
    #[serde(rename = "type")]
    pub scheme: String,
    /// What follows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Secret>,
    /// The file with what follows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
}

/// `oauth2`, with the grant of client credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OAuth2 {
    /// Who asks.
    pub client_id: String,
    /// Its secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// The file with its secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// What for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Who gives tokens.
    pub token_url: Option<HttpUrl>,
    /// More of the request for a token. Prometheus shows it; some servers want a password here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoint_params: BTreeMap<String, Secret>,
    /// Certificates of the connection to who gives tokens.
    #[serde(skip_serializing_if = "TlsConfig::is_default")]
    pub tls_config: TlsConfig,
    /// Its proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<HttpUrl>,
    /// As above.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub no_proxy: String,
    /// As above.
    #[serde(skip_serializing_if = "is_false")]
    pub proxy_from_environment: bool,
    /// As above.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

/// `tls_config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The certificates that are trusted, in PEM, instead of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The file with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The client's certificate, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// The file with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// The client's key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// The file with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate must have, if not the URL's host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_name: String,
    /// Whether any certificate will do.
    #[serde(skip_serializing_if = "is_false")]
    pub insecure_skip_verify: bool,
    /// The oldest version of TLS that will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<TlsVersion>,
    /// The newest one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_version: Option<TlsVersion>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsVersion {
    /// 1.0, which promrelay does not speak: good as a lower bound only.
    #[serde(rename = "TLS10")]
    Tls10,
    /// 1.1, as 1.0.
    #[serde(rename = "TLS11")]
    Tls11,
    /// 1.2.
    #[serde(rename = "TLS12")]
    Tls12,
    /// 1.3.
    #[serde(rename = "TLS13")]
    Tls13,
}

/// What a header of `http_headers` holds; all of it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderValues {
    /// Values that may be seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Values that may not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// Files with values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            basic_auth: None,
            authorization: None,
            oauth2: None,
            bearer_token: None,
            bearer_token_file: None,
            tls_config: TlsConfig::default(),
            follow_redirects: true,
            enable_http2: true,
            proxy_url: None,
            no_proxy: String::new(),
            proxy_from_environment: false,
            proxy_connect_header: BTreeMap::new(),
            http_headers: BTreeMap::new(),
        }
    }
}

impl Default for Authorization {
    fn default() -> Self {
        Self {
            scheme: "Bearer".to_owned(),
            credentials: None,
            credentials_file: None,
        }
    }
}

impl ClientConfig {
    /// The keys.
    pub const KEYS: [&'static str; 13] = [
        "authorization",
        "basic_auth",
        "bearer_token",
        "bearer_token_file",
        "enable_http2",
        "follow_redirects",
        "http_headers",
        "no_proxy",
        "oauth2",
        "proxy_connect_header",
        "proxy_from_environment",
        "proxy_url",
        "tls_config",
    ];

    /// Takes the value of `key` from `map`, if it is one of [`Self::KEYS`].
    pub(super) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
    ) -> Result<bool, A::Error> {
        match key {
            "authorization" => self.authorization = map.next_value()?,
            "basic_auth" => self.basic_auth = map.next_value()?,
            "bearer_token" => self.bearer_token = map.next_value()?,
            "bearer_token_file" => self.bearer_token_file = map.next_value()?,
            "enable_http2" => self.enable_http2 = map.next_value()?,
            "follow_redirects" => self.follow_redirects = map.next_value()?,
            "http_headers" => self.http_headers = map.next_value()?,
            "no_proxy" => self.no_proxy = map.next_value()?,
            "oauth2" => self.oauth2 = map.next_value()?,
            "proxy_connect_header" => self.proxy_connect_header = map.next_value()?,
            "proxy_from_environment" => self.proxy_from_environment = map.next_value()?,
            "proxy_url" => self.proxy_url = map.next_value()?,
            "tls_config" => self.tls_config = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The same with the old `bearer_token` in the form of today, and names of files that begin at
    /// `base`.
    #[must_use]
    pub fn resolved(mut self, base: &Path) -> Self {
        if self.bearer_token.is_some() || self.bearer_token_file.is_some() {
            self.authorization = Some(Authorization {
                credentials: self.bearer_token.take(),
                credentials_file: self.bearer_token_file.take(),
                ..Authorization::default()
            });
        }
        let join = |path: &mut Option<PathBuf>| *path = path.take().map(|path| base.join(path));
        let tls = |tls: &mut TlsConfig| {
            let files = [&mut tls.ca_file, &mut tls.cert_file, &mut tls.key_file];
            files.into_iter().for_each(join);
        };
        tls(&mut self.tls_config);
        if let Some(basic) = &mut self.basic_auth {
            join(&mut basic.username_file);
            join(&mut basic.password_file);
        }
        if let Some(authorization) = &mut self.authorization {
            join(&mut authorization.credentials_file);
        }
        if let Some(oauth2) = &mut self.oauth2 {
            join(&mut oauth2.client_secret_file);
            tls(&mut oauth2.tls_config);
        }
        for header in self.http_headers.values_mut() {
            for file in &mut header.files {
                *file = base.join(&*file);
            }
        }
        self
    }
}

impl OAuth2 {
    /// The client that asks for tokens.
    pub(super) fn client(&self) -> ClientConfig {
        ClientConfig {
            tls_config: self.tls_config.clone(),
            proxy_url: self.proxy_url.clone(),
            no_proxy: self.no_proxy.clone(),
            proxy_from_environment: self.proxy_from_environment,
            proxy_connect_header: self.proxy_connect_header.clone(),
            follow_redirects: false,
            ..ClientConfig::default()
        }
    }
}

impl TlsConfig {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}
