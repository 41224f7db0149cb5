//! What requests carry to the server they are for: credentials, and headers of the user's own.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::RequestError;
use super::config::ClientConfig;
use super::tls::MAX_FILE_BYTES;
use crate::settings::Secret;

/// The headers of a client's requests.
#[derive(Clone, Default)]
pub(super) struct Headers {
    /// For every server that a request comes to.
    pub(super) open: HeaderMap,
    /// For the server that the request was made for, and no other that it is redirected to.
    pub(super) secret: HeaderMap,
}

impl Headers {
    /// Makes the headers, with what the files hold now.
    pub(super) async fn read(config: &ClientConfig) -> Result<Self, RequestError> {
        let mut headers = Self::default();
        if let Some(basic) = &config.basic_auth {
            let name = match &basic.username_file {
                Some(path) => read_secret(path).await?,
                None => basic.username.clone(),
            };
            let password = either(basic.password.as_ref(), basic.password_file.as_deref()).await?;
            let pair = format!("{name}:{}", password.unwrap_or_default());
            headers.secret.insert(
                AUTHORIZATION,
                value(&format!("Basic {}", STANDARD.encode(pair)))?,
            );
        }
        if let Some(authorization) = &config.authorization {
            let scheme = match authorization.scheme.trim() {
                "" => "Bearer",
                scheme => scheme,
            };
            let (inline, file) = (&authorization.credentials, &authorization.credentials_file);
            if let Some(credentials) = either(inline.as_ref(), file.as_deref()).await? {
                headers
                    .secret
                    .insert(AUTHORIZATION, value(&format!("{scheme} {credentials}"))?);
            }
        }
        for (name, header) in &config.http_headers {
            let Ok(name) = HeaderName::try_from(name) else {
                return Err(RequestError::Header);
            };
            for text in &header.values {
                headers.open.append(name.clone(), value(text)?);
            }
            for secret in &header.secrets {
                headers.secret.append(name.clone(), value(secret.reveal())?);
            }
            for path in &header.files {
                headers
                    .secret
                    .append(name.clone(), value(&read_secret(path).await?)?);
            }
        }
        Ok(headers)
    }
}

/// Whether headers come from files, which can change.
pub(super) fn has_files(config: &ClientConfig) -> bool {
    let mut headers = config.http_headers.values();
    config
        .basic_auth
        .as_ref()
        .is_some_and(|basic| basic.username_file.is_some() || basic.password_file.is_some())
        || config
            .authorization
            .as_ref()
            .is_some_and(|auth| auth.credentials_file.is_some())
        || headers.any(|header| !header.files.is_empty())
}

/// The secret, wherever it is.
pub(super) async fn either(
    inline: Option<&Secret>,
    file: Option<&Path>,
) -> Result<Option<String>, RequestError> {
    match (inline, file) {
        (_, Some(path)) => read_secret(path).await.map(Some),
        (inline, None) => Ok(inline.map(|secret| secret.reveal().to_owned())),
    }
}

/// The file's content without white space around it, as Prometheus reads it.
async fn read_secret(path: &Path) -> Result<String, RequestError> {
    use tokio::io::AsyncReadExt as _;
    let error = |source| RequestError::Read {
        path: PathBuf::from(path),
        source,
    };
    let mut secret = String::new();
    let file = tokio::fs::File::open(path).await.map_err(error)?;
    file.take(MAX_FILE_BYTES)
        .read_to_string(&mut secret)
        .await
        .map_err(error)?;
    Ok(secret.trim().to_owned())
}

/// A header's value that is not shown.
pub(super) fn value(text: &str) -> Result<HeaderValue, RequestError> {
    let Ok(mut value) = HeaderValue::from_str(text) else {
        return Err(RequestError::Header);
    };
    value.set_sensitive(true);
    Ok(value)
}
