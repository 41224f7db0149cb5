//! What of a client's configuration does not go together, in Prometheus' words.

use http::{HeaderName, HeaderValue};
use thiserror::Error;

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

/// The end of many a message, as in Prometheus.
const BOTH: &str = "must be configured";

/// Whether no user may set this header of any request.
#[must_use]
pub fn is_reserved(name: &HeaderName) -> bool {
    RESERVED_HEADERS.contains(&name.as_str())
}

/// What is wrong with a client's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{key}`: {message}")]
pub struct Mistake {
    /// The key whose value is wrong, or is in the way of another.
    pub key: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl Mistake {
    pub(super) fn new(key: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { key, message }
    }
}

impl ClientConfig {
    /// Says what is wrong, if anything is.
    ///
    /// # Errors
    /// If keys exclude each other or a value cannot be used.
    pub fn check(&self) -> Result<(), Mistake> {
        self.check_credentials()?;
        check_tls(&self.tls_config)?;
        check_proxy(self)?;
        let wrong = |message| Err(Mistake::new("http_headers", message));
        for (name, header) in &self.http_headers {
            let Ok(parsed) = HeaderName::try_from(name) else {
                return wrong(format!("{name:?} is not a valid header name"));
            };
            if is_reserved(&parsed) || RESERVED_HERE.contains(&parsed.as_str()) {
                return wrong(format!("setting header {name:?} is not allowed"));
            }
            let secrets = header.secrets.iter().map(Secret::reveal);
            let mut values = header.values.iter().map(String::as_str).chain(secrets);
            if values.any(|value| HeaderValue::from_str(value).is_err()) {
                return wrong(format!("a value of {name:?} cannot stand in a header"));
            }
        }
        self.oauth2.as_ref().map_or(Ok(()), check_oauth2)
    }

    fn check_credentials(&self) -> Result<(), Mistake> {
        self.check_token()?;
        if let Some(basic) = &self.basic_auth {
            let username = !basic.username.is_empty() && basic.username_file.is_some();
            let password = basic.password.is_some() && basic.password_file.is_some();
            if username || password {
                let which = if username { "username" } else { "password" };
                let message = format!("at most one of basic_auth {which} & {which}_file {BOTH}");
                return Err(Mistake::new("basic_auth", message));
            }
        }
        if let Some(authorization) = &self.authorization {
            if authorization.credentials.is_some() && authorization.credentials_file.is_some() {
                let pair = "authorization credentials & credentials_file";
                let message = format!("at most one of {pair} {BOTH}");
                return Err(Mistake::new("authorization", message));
            }
            if authorization.scheme.trim().eq_ignore_ascii_case("basic") {
                let message =
                    "authorization type cannot be set to \"basic\", use \"basic_auth\" instead";
                return Err(Mistake::new("authorization", message));
            }
        }
        let given = [
            ("basic_auth", self.basic_auth.is_some()),
            ("authorization", self.authorization.is_some()),
            ("oauth2", self.oauth2.is_some()),
        ];
        match given.iter().filter(|(_, given)| *given).nth(1) {
            Some((second, _)) => {
                let message = format!("at most one of basic_auth, oauth2 & authorization {BOTH}");
                Err(Mistake::new(second, message))
            }
            None => Ok(()),
        }
    }

    /// The old spelling of a token.
    fn check_token(&self) -> Result<(), Mistake> {
        let key = match (&self.bearer_token, &self.bearer_token_file) {
            (Some(_), Some(_)) => {
                let message = format!("at most one of bearer_token & bearer_token_file {BOTH}");
                return Err(Mistake::new("bearer_token_file", message));
            }
            (Some(_), None) => "bearer_token",
            (None, Some(_)) => "bearer_token_file",
            (None, None) => return Ok(()),
        };
        if self.basic_auth.is_some() || self.oauth2.is_some() {
            let all = "basic_auth, oauth2, bearer_token & bearer_token_file";
            return Err(Mistake::new(key, format!("at most one of {all} {BOTH}")));
        }
        if self.authorization.is_some() {
            let message = "authorization is not compatible with bearer_token & bearer_token_file";
            return Err(Mistake::new(key, message));
        }
        Ok(())
    }
}

fn check_oauth2(oauth2: &OAuth2) -> Result<(), Mistake> {
    let wrong = |message: &str| Err(Mistake::new("oauth2", message));
    if oauth2.client_id.is_empty() {
        return wrong("oauth2 client_id must be configured");
    }
    if oauth2.token_url.is_none() {
        return wrong("oauth2 token_url must be configured");
    }
    if oauth2.client_secret.is_some() && oauth2.client_secret_file.is_some() {
        return wrong(
            "at most one of oauth2 client_secret & client_secret_file must be configured",
        );
    }
    let checked = oauth2.client().check();
    checked.map_err(|Mistake { key, message }| Mistake::new("oauth2", format!("{key}: {message}")))
}

fn check_tls(tls: &TlsConfig) -> Result<(), Mistake> {
    let wrong = |message: String| Err(Mistake::new("tls_config", message));
    let pairs = [
        ("ca", tls.ca.is_some(), tls.ca_file.is_some()),
        ("cert", tls.cert.is_some(), tls.cert_file.is_some()),
        ("key", tls.key.is_some(), tls.key_file.is_some()),
    ];
    for (name, inline, file) in pairs {
        if inline && file {
            return wrong(format!("at most one of {name} and {name}_file {BOTH}"));
        }
    }
    let [_, certificate, key] = pairs.map(|(_, inline, file)| inline || file);
    if certificate && !key {
        let message =
            "exactly one of key or key_file must be configured when a client certificate is";
        return wrong(format!("{message} configured"));
    }
    if key && !certificate {
        let message = "exactly one of cert or cert_file must be configured when a client key is";
        return wrong(format!("{message} configured"));
    }
    if tls
        .max_version
        .is_some_and(|version| version < TlsVersion::Tls12)
    {
        return wrong("promrelay speaks TLS12 and TLS13 only".to_owned());
    }
    if tls.max_version.is_some() && tls.max_version < tls.min_version {
        let message = "tls_config.max_version must be greater than or equal to";
        return wrong(format!(
            "{message} tls_config.min_version if both are specified"
        ));
    }
    Ok(())
}

fn check_proxy(config: &ClientConfig) -> Result<(), Mistake> {
    let wrong = |key, message: &str| Err(Mistake::new(key, message));
    let (url, environment) = (config.proxy_url.is_some(), config.proxy_from_environment);
    if environment && url {
        let message = "if proxy_from_environment is configured, proxy_url must not be configured";
        return wrong("proxy_url", message);
    }
    if environment && !config.no_proxy.is_empty() {
        let message = "if proxy_from_environment is configured, no_proxy must not be configured";
        return wrong("no_proxy", message);
    }
    if !url && !config.no_proxy.is_empty() {
        let message = "if no_proxy is configured, proxy_url must also be configured";
        return wrong("no_proxy", message);
    }
    if config.proxy_connect_header.is_empty() {
        return Ok(());
    }
    let key = "proxy_connect_header";
    if environment {
        let message = "`proxy_connect_header` with `proxy_from_environment` is not supported yet";
        return wrong(key, message);
    }
    if !url {
        let message = "if proxy_connect_header is configured, proxy_url or \
                       proxy_from_environment must also be configured";
        return wrong(key, message);
    }
    for (name, values) in &config.proxy_connect_header {
        let valid = HeaderName::try_from(name).is_ok()
            && values
                .iter()
                .all(|value| HeaderValue::from_str(value.reveal()).is_ok());
        if !valid {
            return wrong(key, &format!("{name:?} cannot be sent"));
        }
    }
    Ok(())
}
