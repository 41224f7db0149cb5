//! Connections: TLS, whose files are read again when they change, and proxies.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use reqwest::redirect::Policy;
use reqwest::{NoProxy, Proxy};
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

use super::check::Mistake;
use super::config::ClientConfig;
use super::tls::{Material, TlsError};
use super::{FRESH, RequestError, credentials};
use crate::telemetry::causes;

/// How long connecting may take, TLS included.
const CONNECT: Duration = Duration::from_secs(30);
/// How long a connection may idle, as in Prometheus: longer than most intervals.
pub(super) const IDLE: Duration = Duration::from_mins(5);
/// Idle connections to one host that are kept: as many as a route can have lanes.
const IDLE_PER_HOST: usize = 64;

/// Why a client cannot be set up.
#[derive(Debug, Error)]
pub enum BuildError {
    /// Keys exclude each other; the text says which.
    #[error("{0}")]
    Config(Mistake),
    /// Certificates.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
    /// The HTTP client, its proxy above all.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

impl BuildError {
    /// A proxy's URL can have a password in it.
    fn client(error: reqwest::Error) -> Self {
        Self::Client(error.without_url())
    }
}

/// Makes connections as a configuration says.
pub(super) struct Transport {
    config: ClientConfig,
    /// How long a connection may idle.
    idle: Duration,
    state: Mutex<State>,
}

struct State {
    client: reqwest::Client,
    read: Instant,
    /// Of the files that were last looked at, whether they were of use or not.
    hash: u128,
}

impl Transport {
    pub(super) fn new(config: ClientConfig, idle: Duration) -> Result<Self, BuildError> {
        let material = Material::read(&config.tls_config)?;
        let state = Mutex::new(State {
            client: build(&config, &material, idle)?,
            read: Instant::now(),
            hash: material.hash(),
        });
        Ok(Self {
            config,
            idle,
            state,
        })
    }

    /// The client, made anew if its certificates' files have changed. Files that changed and are
    /// of no use, as while they are being replaced, leave it as it is.
    pub(super) async fn client(&self) -> Result<reqwest::Client, RequestError> {
        let mut state = self.state.lock().await;
        let tls = &self.config.tls_config;
        let files = tls.ca_file.is_some() || tls.cert_file.is_some() || tls.key_file.is_some();
        if !files || state.read.elapsed() < FRESH {
            return Ok(state.client.clone());
        }
        let config = self.config.clone();
        let (before, idle) = (state.hash, self.idle);
        let look = tokio::task::spawn_blocking(move || {
            let material = Material::read(&config.tls_config)?;
            let hash = material.hash();
            let changed = hash != before;
            let client = changed.then(|| build(&config, &material, idle));
            Ok::<_, TlsError>((hash, client))
        });
        state.read = Instant::now();
        match look.await {
            Ok(Ok((hash, client))) => {
                state.hash = hash;
                match client {
                    None => {}
                    Some(Ok(client)) => state.client = client,
                    Some(Err(error)) => {
                        let error = causes(&error);
                        warn!(
                            error,
                            "changed certificates are of no use, the old ones stay"
                        );
                    }
                }
            }
            Ok(Err(error)) => return Err(RequestError::Tls(error)),
            // It was cancelled with the runtime.
            Err(_) => {}
        }
        Ok(state.client.clone())
    }
}

fn build(
    config: &ClientConfig,
    material: &Material,
    idle: Duration,
) -> Result<reqwest::Client, BuildError> {
    let mut tls = material.client(&config.tls_config)?;
    tls.alpn_protocols = if config.enable_http2 {
        vec![b"h2".to_vec(), b"http/1.1".to_vec()]
    } else {
        vec![b"http/1.1".to_vec()]
    };
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(idle)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .redirect(Policy::none());
    if !config.enable_http2 {
        builder = builder.http1_only();
    }
    if !config.proxy_from_environment {
        builder = builder.no_proxy();
    }
    if let Some(url) = &config.proxy_url {
        let mut headers = HeaderMap::new();
        for (name, values) in &config.proxy_connect_header {
            let invalid = |_| {
                let mistake = Mistake::new("proxy_connect_header", "it cannot be sent");
                BuildError::Config(mistake)
            };
            let name = HeaderName::try_from(name).map_err(invalid)?;
            for secret in values {
                if let Ok(value) = credentials::value(secret.reveal()) {
                    headers.append(name.clone(), value);
                }
            }
        }
        let mut proxy = Proxy::all(url.as_str()).map_err(BuildError::client)?;
        if !headers.is_empty() {
            proxy = proxy.headers(headers);
        }
        builder = builder.proxy(proxy.no_proxy(NoProxy::from_string(&config.no_proxy)));
    }
    builder.build().map_err(BuildError::client)
}
