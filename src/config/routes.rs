//! From entries of `remote_write` to routes: the checks of several keys together.

use std::path::Path;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::file::{Authorization, BasicAuth, Queue, RemoteWrite, Storage};
use super::typed::Findings;
use super::yaml::Node;
use super::{names, spelling};
use crate::http::client::is_reserved;
use crate::route;
use crate::send::config::{Auth, SecretSource};
use crate::send::{self, RejectionConfig};
use crate::settings::{ByteSize, Secret};

/// What a sender says of itself, beside the headers that no client's user may set.
const RETRY_HEADER: &str = "x-prometheus-remote-write-retry";
/// A queue that could not hold a request or two refuses for ever.
const MIN_QUEUE_SIZE: ByteSize = ByteSize::mib(1);

/// Turns entries into routes and gives each its name. `nodes` are where the entries stand;
/// `directory` is where file names begin.
pub(super) fn build(
    entries: &mut [RemoteWrite],
    nodes: &[&Node],
    storage: Storage,
    directory: &Path,
    findings: &Findings,
) -> Vec<route::Config> {
    names::assign(entries, nodes, findings);
    let mut routes = Vec::new();
    for (entry, node) in entries.iter().zip(nodes) {
        let checker = Checker { node, findings };
        checker.check(entry);
        let (headers, auth) = (checker.headers(entry), checker.auth(entry, directory));
        let Some(url) = entry.url.clone() else {
            checker.no_url();
            continue;
        };
        let send = send::Config {
            url,
            remote_timeout: entry.remote_timeout.into(),
            headers,
            auth,
            follow_redirects: entry.follow_redirects,
            queue_config: entry.queue_config,
            metadata_config: entry.metadata_config,
            on_rejection: entry.on_rejection.clone(),
        };
        routes.push(route::Config {
            name: entry.name.clone().unwrap_or_default(),
            rules: entry.write_relabel_configs.clone(),
            send,
            queue: entry.queue.options(storage),
            parked_max_bytes: entry.queue.parked_max_bytes(),
        });
    }
    routes
}

/// Says where `queue` has a bound that cannot work.
pub(super) fn check_queue(queue: &Queue, node: &Node, findings: &Findings) {
    if queue.max_bytes.is_some_and(|size| size < MIN_QUEUE_SIZE) {
        let message = format!("`max_bytes` must be at least {MIN_QUEUE_SIZE}");
        note(findings, node, &["max_bytes"], message);
    }
}

/// Notes a mistake at the value below `node` that `path` leads to, or as near to it as there is
/// something.
pub(super) fn note(findings: &Findings, node: &Node, path: &[&str], message: String) {
    findings.note(value_at(node, path).id, message);
}

/// The value below `node` that `path` leads to, or the last on the way to it.
pub(super) fn value_at<'n>(node: &'n Node, path: &[&str]) -> &'n Node {
    let mut at = node;
    for key in path {
        let named = |name: &str| name == *key || spelling::snake_case(name) == *key;
        let mut pairs = at.pairs().iter();
        match pairs.find(|(name, _)| name.text().is_some_and(named)) {
            Some((_, value)) => at = value,
            None => return at,
        }
    }
    at
}

/// Checks one entry.
#[derive(Clone, Copy)]
struct Checker<'n> {
    node: &'n Node,
    findings: &'n Findings,
}

impl Checker<'_> {
    fn note(self, path: &[&str], message: impl Into<String>) {
        note(self.findings, self.node, path, message.into());
    }

    fn check(self, entry: &RemoteWrite) {
        self.check_rejection(&entry.on_rejection);
        let node = value_at(self.node, &["queue_config"]);
        if self.findings.is_incomplete(node) {
            return;
        }
        let queue = &entry.queue_config;
        let message = format!(
            "`max_backoff` ({}) must not be less than `min_backoff` ({})",
            queue.max_backoff, queue.min_backoff
        );
        if queue.max_backoff < queue.min_backoff {
            self.note(&["queue_config", "max_backoff"], message);
        }
        if queue.max_shards < queue.min_shards {
            let message = format!(
                "`min_shards` ({}) must not be greater than `max_shards` ({})",
                queue.min_shards, queue.max_shards
            );
            self.note(&["queue_config", "min_shards"], message);
        }
    }

    fn check_rejection(self, config: &RejectionConfig) {
        if let Some(code) = config.ambiguous() {
            let message = format!("{code} can stand in one of `split`, `suspend` and `retry` only");
            self.note(&["on_rejection"], message);
        }
        if config.max_suspension < config.min_suspension {
            let message = format!(
                "`max_suspension` ({}) must not be less than `min_suspension` ({})",
                config.max_suspension, config.min_suspension
            );
            self.note(&["on_rejection", "max_suspension"], message);
        }
    }

    /// Says that there is no URL, unless there was one that could not be read.
    fn no_url(self) {
        let written = value_at(self.node, &["url"]);
        if written.id == self.node.id {
            self.note(&[], "`url` is missing: where does this route send to?");
        } else if self.findings.reads(written) {
            self.note(&["url"], "url for remote_write is empty");
        }
    }

    fn headers(self, entry: &RemoteWrite) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &entry.headers {
            match header(name, value) {
                Ok((name, value)) if !headers.contains_key(&name) => {
                    headers.insert(name, value);
                }
                Ok(_) => self.note(&["headers", name], format!("`{name}` is given twice")),
                Err(message) => self.note(&["headers", name], message),
            }
        }
        headers
    }

    fn auth(self, entry: &RemoteWrite, directory: &Path) -> Auth {
        match (&entry.basic_auth, &entry.authorization) {
            (None, None) => Auth::None,
            (Some(basic), None) => self.basic(basic, directory),
            (None, Some(authorization)) => self.authorization(authorization, directory),
            (Some(_), Some(_)) => {
                let message = "at most one of `basic_auth` and `authorization` must be configured";
                self.note(&["authorization"], message);
                Auth::None
            }
        }
    }

    fn basic(self, basic: &BasicAuth, directory: &Path) -> Auth {
        let password = match (&basic.password, &basic.password_file) {
            (Some(_), Some(_)) => {
                let message = "at most one of `password` and `password_file` must be configured";
                self.note(&["basic_auth", "password_file"], message);
                return Auth::None;
            }
            (Some(password), None) => SecretSource::Inline(password.clone()),
            (None, Some(path)) => SecretSource::File(directory.join(path)),
            (None, None) => SecretSource::Inline(Secret::from(String::new())),
        };
        Auth::Basic {
            username: basic.username.clone(),
            password,
        }
    }

    fn authorization(self, authorization: &Authorization, directory: &Path) -> Auth {
        let Authorization {
            scheme,
            credentials,
            credentials_file,
        } = authorization;
        if scheme.eq_ignore_ascii_case("basic") {
            let message = "`type` cannot be \"basic\": write `basic_auth` instead";
            self.note(&["authorization", "type"], message);
        }
        let credentials = match (credentials, credentials_file) {
            (Some(credentials), None) => SecretSource::Inline(credentials.clone()),
            (None, Some(path)) => SecretSource::File(directory.join(path)),
            (given, _) => {
                let message = match given {
                    Some(_) => "at most one of `credentials` and `credentials_file` must be given",
                    None => "`credentials` or `credentials_file` is missing",
                };
                if !self
                    .findings
                    .is_incomplete(value_at(self.node, &["authorization"]))
                {
                    self.note(&["authorization", "credentials_file"], message);
                }
                return Auth::None;
            }
        };
        Auth::Authorization {
            scheme: scheme.trim().to_owned(),
            credentials,
        }
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let Ok(parsed) = HeaderName::try_from(name) else {
        return Err(format!("`{name}` is not a valid header name"));
    };
    if parsed == AUTHORIZATION {
        return Err(format!(
            "`{name}` is set by `basic_auth` or `authorization`, not here"
        ));
    }
    if is_reserved(&parsed) || parsed == RETRY_HEADER {
        return Err(format!(
            "{name} is a reserved header. It must not be changed"
        ));
    }
    let Ok(mut value) = HeaderValue::try_from(value) else {
        return Err(format!("the value of `{name}` cannot stand in a header"));
    };
    value.set_sensitive(true);
    Ok((parsed, value))
}
