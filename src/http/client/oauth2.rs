//! Tokens by the grant of client credentials: RFC 6749, section 4.4.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use url::form_urlencoded;

use super::config::OAuth2;
use super::{RequestError, Transport, credentials};
use crate::http::read_response_bounded;

/// How long asking for a token may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A token is given up so long before it expires.
const EARLY: Duration = Duration::from_secs(10);
/// How long an answer may be, in bytes.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// Why there is no token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The server was not reached, or took too long.
    #[error("cannot ask for a token")]
    Ask(#[source] Box<RequestError>),
    /// It took too long.
    #[error("the token's server did not answer within {} s", PATIENCE.as_secs())]
    Timeout,
    /// It refused.
    #[error("the token's server answered {0}")]
    Refused(StatusCode),
    /// It gave something else.
    #[error("the token's server gave no token")]
    NoToken,
}

/// The tokens of a client.
pub(super) struct Tokens {
    config: OAuth2,
    transport: Transport,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// Whether the server wants the credentials in the body: it refused them in the header.
    in_body: bool,
}

struct Token {
    header: HeaderValue,
    /// The secret that it was given for.
    secret: String,
    until: Option<Instant>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

impl Tokens {
    pub(super) fn new(config: OAuth2, transport: Transport) -> Self {
        Self {
            config,
            transport,
            state: Mutex::default(),
        }
    }

    /// The `Authorization` header with a token that is still good. One request for a token is in
    /// flight at a time; who comes meanwhile waits for it.
    pub(super) async fn header(&self) -> Result<HeaderValue, RequestError> {
        let (inline, file) = (&self.config.client_secret, &self.config.client_secret_file);
        let secret = credentials::either(inline.as_ref(), file.as_deref()).await?;
        let secret = secret.unwrap_or_default();
        let mut state = self.state.lock().await;
        if let Some(token) = &state.token
            && token.secret == secret
            && token.until.is_none_or(|until| Instant::now() < until)
        {
            return Ok(token.header.clone());
        }
        let mut answer = self.ask(&secret, state.in_body).await;
        if matches!(answer, Err(TokenError::Refused(status)) if status.is_client_error())
            && !state.in_body
        {
            answer = self.ask(&secret, true).await;
            state.in_body = answer.is_ok();
        }
        let answer = answer.map_err(RequestError::Token)?;
        let scheme = match answer.token_type.as_str() {
            "" => "Bearer",
            // Written so by RFC 6750, whatever the server writes.
            kind if kind.eq_ignore_ascii_case("bearer") => "Bearer",
            kind => kind,
        };
        let header = credentials::value(&format!("{scheme} {}", answer.access_token))?;
        let seconds = answer.expires_in.as_ref().and_then(|value| {
            value
                .as_u64()
                .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
        });
        let lifetime = seconds
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs);
        let until = lifetime
            .and_then(|lifetime| Instant::now().checked_add(lifetime.saturating_sub(EARLY)));
        state.token = Some(Token {
            header: header.clone(),
            secret,
            until,
        });
        Ok(header)
    }

    /// The header with the token that there is.
    pub(super) async fn known(&self) -> Option<HeaderValue> {
        let state = self.state.lock().await;
        state.token.as_ref().map(|token| token.header.clone())
    }

    async fn ask(&self, secret: &str, in_body: bool) -> Result<Answer, TokenError> {
        match timeout(PATIENCE, self.ask_patiently(secret, in_body)).await {
            Ok(answer) => answer,
            Err(_) => Err(TokenError::Timeout),
        }
    }

    async fn ask_patiently(&self, secret: &str, in_body: bool) -> Result<Answer, TokenError> {
        let ask = |error| TokenError::Ask(Box::new(error));
        let url = self.config.token_url.as_ref().ok_or(TokenError::NoToken)?;
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if !in_body {
            let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect();
            let (id, secret): (String, String) = (encode(&self.config.client_id), encode(secret));
            let pair = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
            headers.insert(AUTHORIZATION, credentials::value(&pair).map_err(ask)?);
        }
        let client = self.transport.client().await.map_err(ask)?;
        let request = client
            .post(url.as_str())
            .headers(headers)
            .body(self.form(in_body.then_some(secret)));
        let sent = request.send().await;
        let response = sent.map_err(|error| ask(RequestError::send(error)))?;
        let status = response.status();
        if !status.is_success() {
            return Err(TokenError::Refused(status));
        }
        let Ok(body) = read_response_bounded(response, MAX_ANSWER_BYTES).await else {
            return Err(TokenError::NoToken);
        };
        // The parser's own words can have parts of the token in them.
        serde_json::from_slice(&body)
            .ok()
            .ok_or(TokenError::NoToken)
    }

    /// The body of the request, with the credentials if there is a `secret`.
    fn form(&self, secret: Option<&str>) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.config.scopes.is_empty() {
            form.append_pair("scope", &self.config.scopes.join(" "));
        }
        let params = self.config.endpoint_params.iter();
        form.extend_pairs(params.map(|(name, value)| (name, value.reveal())));
        if let Some(secret) = secret {
            form.append_pair("client_id", &self.config.client_id);
            form.append_pair("client_secret", secret);
        }
        form.finish()
    }
}
