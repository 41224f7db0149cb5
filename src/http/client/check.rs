//! What of a client's configuration does not go together, in Prometheus' words.

use http::{HeaderName, HeaderValue};

use super::config::{ClientConfig, OAuth2, TlsConfig, TlsVersion};
use crate::settings::Secret;

/// Headers that are the protocol's own and the connection's, whoever the client is.
const RESERVED_HEADERS: [&str; 18] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "www-authenticate",
    "x-prometheus-remote-read-version",
    "x-prometheus-remote-write-version",
];
/// Those that `http_headers` cannot set besides.
const RESERVED_HERE: [&str; 2] = ["authorization", "x-prometheus-scrape-timeout-seconds"];

/// Whether no user may set this header of any request.
#[must_use]
pub fn is_reserved(name: &HeaderName) -> bool {
    RESERVED_HEADERS.contains(&name.as_str())
}

impl ClientConfig {
    /// Says what is wrong, if anything is.
    ///
    /// # Errors
    /// If keys exclude each other or a value cannot be used.
    pub fn check(&self) -> Result<(), String> {
        self.check_credentials()?;
        check_tls(&self.tls_config)?;
        check_proxy(self)?;
        for (name, header) in &self.http_headers {
            let Ok(parsed) = HeaderName::try_from(name) else {
                return Err(format!(
                    "`http_headers`: {name:?} is not a valid header name"
                ));
            };
            if is_reserved(&parsed) || RESERVED_HERE.contains(&parsed.as_str()) {
                return Err(format!(
                    "`http_headers`: setting header {name:?} is not allowed"
                ));
            }
            let secrets = header.secrets.iter().map(Secret::reveal);
            let mut values = header.values.iter().map(String::as_str).chain(secrets);
            if values.any(|value| HeaderValue::from_str(value).is_err()) {
                return Err(format!(
                    "`http_headers`: a value of {name:?} cannot stand in a header"
                ));
            }
        }
        self.oauth2.as_ref().map_or(Ok(()), check_oauth2)
    }

    fn check_credentials(&self) -> Result<(), String> {
        let both = "must be configured";
        let token = self.bearer_token.is_some() || self.bearer_token_file.is_some();
        if self.bearer_token.is_some() && self.bearer_token_file.is_some() {
            return Err(format!(
                "at most one of bearer_token & bearer_token_file {both}"
            ));
        }
        if token && (self.basic_auth.is_some() || self.oauth2.is_some()) {
            return Err(format!(
                "at most one of basic_auth, oauth2, bearer_token & bearer_token_file {both}"
            ));
        }
        if token && self.authorization.is_some() {
            let message = "authorization is not compatible with bearer_token & bearer_token_file";
            return Err(message.to_owned());
        }
        if let Some(basic) = &self.basic_auth {
            if !basic.username.is_empty() && basic.username_file.is_some() {
                return Err(format!(
                    "at most one of basic_auth username & username_file {both}"
                ));
            }
            if basic.password.is_some() && basic.password_file.is_some() {
                return Err(format!(
                    "at most one of basic_auth password & password_file {both}"
                ));
            }
        }
        if let Some(authorization) = &self.authorization {
            if authorization.credentials.is_some() && authorization.credentials_file.is_some() {
                return Err(format!(
                    "at most one of authorization credentials & credentials_file {both}"
                ));
            }
            if authorization.scheme.trim().eq_ignore_ascii_case("basic") {
                let message =
                    "authorization type cannot be set to \"basic\", use \"basic_auth\" instead";
                return Err(message.to_owned());
            }
        }
        let given = [
            self.basic_auth.is_some(),
            self.oauth2.is_some(),
            self.authorization.is_some(),
        ];
        if given.iter().filter(|given| **given).count() > 1 {
            return Err(format!(
                "at most one of basic_auth, oauth2 & authorization {both}"
            ));
        }
        Ok(())
    }
}

fn check_oauth2(oauth2: &OAuth2) -> Result<(), String> {
    if oauth2.client_id.is_empty() {
        return Err("oauth2 client_id must be configured".to_owned());
    }
    if oauth2.token_url.is_none() {
        return Err("oauth2 token_url must be configured".to_owned());
    }
    if oauth2.client_secret.is_some() && oauth2.client_secret_file.is_some() {
        let message = "at most one of oauth2 client_secret & client_secret_file must be configured";
        return Err(message.to_owned());
    }
    oauth2.client().check()
}

fn check_tls(tls: &TlsConfig) -> Result<(), String> {
    let pairs = [
        ("ca", tls.ca.is_some(), tls.ca_file.is_some()),
        ("cert", tls.cert.is_some(), tls.cert_file.is_some()),
        ("key", tls.key.is_some(), tls.key_file.is_some()),
    ];
    for (name, inline, file) in pairs {
        if inline && file {
            return Err(format!(
                "at most one of {name} and {name}_file must be configured"
            ));
        }
    }
    let [_, certificate, key] = pairs.map(|(_, inline, file)| inline || file);
    if certificate && !key {
        let message =
            "exactly one of key or key_file must be configured when a client certificate is";
        return Err(format!("{message} configured"));
    }
    if key && !certificate {
        let message = "exactly one of cert or cert_file must be configured when a client key is";
        return Err(format!("{message} configured"));
    }
    if tls
        .max_version
        .is_some_and(|version| version < TlsVersion::Tls12)
    {
        return Err("`tls_config`: promrelay speaks TLS12 and TLS13 only".to_owned());
    }
    if tls.max_version.is_some() && tls.max_version < tls.min_version {
        let message = "tls_config.max_version must be greater than or equal to";
        return Err(format!(
            "{message} tls_config.min_version if both are specified"
        ));
    }
    Ok(())
}

fn check_proxy(config: &ClientConfig) -> Result<(), String> {
    let (url, environment) = (config.proxy_url.is_some(), config.proxy_from_environment);
    if environment && url {
        let message = "if proxy_from_environment is configured, proxy_url must not be configured";
        return Err(message.to_owned());
    }
    if environment && !config.no_proxy.is_empty() {
        let message = "if proxy_from_environment is configured, no_proxy must not be configured";
        return Err(message.to_owned());
    }
    if !url && !config.no_proxy.is_empty() {
        let message = "if no_proxy is configured, proxy_url must also be configured";
        return Err(message.to_owned());
    }
    if config.proxy_connect_header.is_empty() {
        return Ok(());
    }
    if environment {
        let message = "`proxy_connect_header` with `proxy_from_environment` is not supported yet";
        return Err(message.to_owned());
    }
    if !url {
        let message = "if proxy_connect_header is configured, proxy_url or \
                       proxy_from_environment must also be configured";
        return Err(message.to_owned());
    }
    for (name, values) in &config.proxy_connect_header {
        let valid = HeaderName::try_from(name).is_ok()
            && values
                .iter()
                .all(|value| HeaderValue::from_str(value.reveal()).is_ok());
        if !valid {
            return Err(format!("`proxy_connect_header`: {name:?} cannot be sent"));
        }
    }
    Ok(())
}
