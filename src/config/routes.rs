//! From entries of `remote_write` to routes: the checks of several keys together.

use std::collections::BTreeSet;
use std::path::Path;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use super::file::{Queue, RemoteWrite, Storage};
use super::typed::Findings;
use super::yaml::Node;
use super::{names, spelling};
use crate::http::client::{ClientConfig, WithClient, is_reserved};
use crate::remote_write::v1::Payload;
use crate::route;
use crate::send::{self, RejectionConfig};
use crate::settings::{ByteSize, Secret};

/// What a sender says of itself, beside the headers that no client's user may set.
const RETRY_HEADER: &str = "x-prometheus-remote-write-retry";
/// A queue that could not hold a request or two refuses for ever.
const MIN_QUEUE_SIZE: ByteSize = ByteSize::mib(1);

/// Turns entries into routes and gives each its name. `nodes` are where the entries stand;
/// `directory` is where file names begin.
pub(super) fn build(
    entries: &mut [WithClient<RemoteWrite>],
    nodes: &[&Node],
    storage: Storage,
    directory: &Path,
    findings: &Findings,
) -> Vec<route::Config> {
    names::assign(entries, nodes, findings);
    let mut routes = Vec::new();
    for (WithClient { own: entry, client }, node) in entries.iter().zip(nodes) {
        let checker = Checker { node, findings };
        checker.check(entry);
        let mut client = client.clone().resolved(directory);
        checker.headers(entry, &mut client);
        let Some(url) = entry.url.clone() else {
            checker.no_url();
            continue;
        };
        let send = send::Config {
            url,
            remote_timeout: entry.remote_timeout.into(),
            client,
            queue_config: entry.queue_config,
            metadata_config: entry.metadata_config,
            message: entry.protobuf_message.into(),
            falls_back: entry.protobuf_message_fallback,
            on_rejection: entry.on_rejection.clone(),
        };
        routes.push(route::Config {
            name: entry.name.clone().unwrap_or_default(),
            rules: entry.write_relabel_configs.clone(),
            payload: Payload {
                exemplars: entry.send_exemplars,
                histograms: entry.send_native_histograms,
            },
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
    // Looking for a place takes time in proportion to the keys beside it.
    if !findings.are_enough() {
        findings.note(value_at(node, path).id, message);
    }
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

    /// Adds the route's `headers` to the client's, as secrets: a value can be a token.
    fn headers(self, entry: &RemoteWrite, client: &mut ClientConfig) {
        let mut seen = BTreeSet::new();
        for (name, value) in &entry.headers {
            if let Err(message) = check_header(name, value) {
                self.note(&["headers", name], message);
            } else if seen.insert(name.to_ascii_lowercase()) {
                let values = client.http_headers.entry(name.clone()).or_default();
                values.secrets.push(Secret::from(value.clone()));
            } else {
                self.note(&["headers", name], format!("`{name}` is given twice"));
            }
        }
    }
}

fn check_header(name: &str, value: &str) -> Result<(), String> {
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
    if HeaderValue::try_from(value).is_err() {
        return Err(format!("the value of `{name}` cannot stand in a header"));
    }
    Ok(())
}
