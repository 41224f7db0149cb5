//! From the file's types to what runs, with the checks that concern several values at once.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Config;
use super::file::{Authorization, BasicAuth, File, ProtobufMessage, RemoteWrite};
use super::locate::{At, Step};
use super::names;
use super::reading::Mistake;
use crate::route;
use crate::send::config::{Auth, QueueConfig, SecretSource};
use crate::send::{self};

/// Headers that belong to the protocol: nobody else may set them, as in Prometheus.
const RESERVED: [&str; 15] = [
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "transfer-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "te",
];

/// Assembles what runs. `text` is the file as it is shown.
///
/// # Errors
/// All mistakes that concern several values, or a value that only looks right.
pub(super) fn assemble(file: File, text: String, hash: u64) -> Result<Config, Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    if file.remote_write.is_empty() {
        let message = "there is no route: add at least one entry to `remote_write`";
        mistakes.add(vec![Step::Key("remote_write".to_owned())], message);
    }
    for name in file
        .global
        .external_labels
        .keys()
        .filter(|name| name.is_empty())
    {
        let path = ["global", "external_labels", name].map(|key| Step::Key(key.to_owned()));
        mistakes.add(path.to_vec(), "\"\" is not a valid label name");
    }
    let names = match names::derive(&file.remote_write) {
        Ok(names) => names,
        Err(found) => {
            mistakes.found.extend(found);
            vec![String::new(); file.remote_write.len()]
        }
    };
    let mut routes = Vec::new();
    for (index, (entry, name)) in file.remote_write.into_iter().zip(names).enumerate() {
        let queue = entry.queue.options(file.queue);
        let rules = entry.write_relabel_configs.clone();
        let send = send_config(
            entry,
            &mut Entry {
                index,
                mistakes: &mut mistakes,
            },
        );
        routes.push(route::Config {
            name,
            rules,
            send,
            queue,
        });
    }
    if !mistakes.found.is_empty() {
        return Err(mistakes.found);
    }
    let labels = file.global.external_labels.into_iter();
    let external_labels = labels.filter(|(_, value)| !value.is_empty()).collect();
    Ok(Config {
        external_labels,
        routes,
        receive: file.receive,
        text,
        hash,
    })
}

/// The path to a part of an entry of `remote_write`, whichever way that is spelled.
pub(super) fn entry_path(index: usize, keys: &[&str]) -> Vec<Step> {
    let mut path = vec![Step::Key("remote_write".to_owned()), Step::Index(index)];
    path.extend(keys.iter().map(|key| Step::Key((*key).to_owned())));
    path
}

#[derive(Default)]
struct Mistakes {
    found: Vec<Mistake>,
}

impl Mistakes {
    fn add(&mut self, path: Vec<Step>, message: impl Into<String>) {
        self.found.push(Mistake {
            path,
            at: At::Value,
            message: message.into(),
        });
    }
}

/// Where mistakes of one entry go.
struct Entry<'m> {
    index: usize,
    mistakes: &'m mut Mistakes,
}

impl Entry<'_> {
    fn mistake(&mut self, keys: &[&str], message: impl Into<String>) {
        self.mistakes.add(entry_path(self.index, keys), message);
    }
}

fn send_config(entry: RemoteWrite, place: &mut Entry<'_>) -> send::Config {
    if entry.protobuf_message == ProtobufMessage::V2 {
        let message = "io.prometheus.write.v2.Request is not supported yet: \
                       use prometheus.WriteRequest";
        place.mistake(&["protobuf_message"], message);
    }
    if !entry.send_exemplars {
        let message = "exemplars are carried on as they come: false is not supported yet";
        place.mistake(&["send_exemplars"], message);
    }
    if !entry.send_native_histograms {
        let message = "native histograms are carried on as they come: false is not supported yet";
        place.mistake(&["send_native_histograms"], message);
    }
    check_queue(&entry.queue_config, place);
    if entry.remote_timeout == crate::settings::Duration::default() {
        place.mistake(&["remote_timeout"], "remote_timeout must be more than zero");
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &entry.headers {
        match header(name, value) {
            Ok((name, value)) => drop(headers.insert(name, value)),
            Err(message) => place.mistake(&["headers", name], message),
        }
    }
    if entry.basic_auth.is_some() && entry.authorization.is_some() {
        let message = "at most one of basic_auth & authorization must be configured";
        place.mistake(&["authorization"], message);
    }
    let auth = match (entry.basic_auth, entry.authorization) {
        (Some(basic), _) => basic_auth(basic, place),
        (None, Some(authorization)) => authorization_auth(authorization, place),
        (None, None) => Auth::None,
    };
    send::Config {
        url: entry.url,
        remote_timeout: entry.remote_timeout.into(),
        headers,
        auth,
        follow_redirects: entry.follow_redirects,
        queue_config: entry.queue_config,
        metadata_config: entry.metadata_config,
    }
}

fn check_queue(queue: &QueueConfig, place: &mut Entry<'_>) {
    let positive = [
        ("max_samples_per_send", queue.max_samples_per_send),
        ("max_shards", queue.max_shards.unwrap_or(1)),
        ("min_shards", queue.min_shards),
        ("capacity", queue.capacity),
    ];
    for (key, _) in positive.iter().filter(|(_, value)| *value == 0) {
        let message = format!("remote write queue {key} must be positive");
        place.mistake(&["queue_config", key], message);
    }
    if queue.max_shards.is_some_and(|max| queue.min_shards > max) {
        let message = "remote write queue min_shards must not be greater than max_shards";
        place.mistake(&["queue_config", "min_shards"], message);
    }
    if queue.max_backoff < queue.min_backoff {
        let message = "remote write queue max_backoff must not be less than min_backoff";
        place.mistake(&["queue_config", "max_backoff"], message);
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let lowercase = name.to_ascii_lowercase();
    if lowercase == "authorization" {
        return Err(
            "authorization header must be changed via the basic_auth or authorization \
                    parameter"
                .to_owned(),
        );
    }
    if RESERVED.contains(&lowercase.as_str()) {
        return Err(format!(
            "{name} is a reserved header. It must not be changed"
        ));
    }
    let valid = HeaderName::try_from(lowercase)
        .ok()
        .zip(HeaderValue::try_from(value).ok());
    valid.ok_or_else(|| format!("{name} is not a valid HTTP header"))
}

fn basic_auth(basic: BasicAuth, place: &mut Entry<'_>) -> Auth {
    let password = match (basic.password, basic.password_file) {
        (Some(_), Some(_)) => {
            let message = "at most one of basic_auth password & password_file must be configured";
            place.mistake(&["basic_auth", "password_file"], message);
            return Auth::None;
        }
        (Some(password), None) => SecretSource::Inline(password),
        (None, Some(path)) => SecretSource::File(path),
        (None, None) => SecretSource::Inline(String::new().into()),
    };
    Auth::Basic {
        username: basic.username,
        password,
    }
}

fn authorization_auth(authorization: Authorization, place: &mut Entry<'_>) -> Auth {
    let scheme = authorization.scheme;
    if scheme.eq_ignore_ascii_case("basic") {
        let message = "authorization type cannot be set to \"basic\", use \"basic_auth\" instead";
        place.mistake(&["authorization", "type"], message);
    }
    let credentials = match (authorization.credentials, authorization.credentials_file) {
        (Some(credentials), None) => SecretSource::Inline(credentials),
        (None, Some(path)) => SecretSource::File(path),
        (Some(_), Some(_)) => {
            let message =
                "at most one of authorization credentials & credentials_file must be configured";
            place.mistake(&["authorization", "credentials_file"], message);
            return Auth::None;
        }
        (None, None) => {
            let message = "authorization needs `credentials` or `credentials_file`";
            place.mistake(&["authorization"], message);
            return Auth::None;
        }
    };
    Auth::Authorization {
        scheme,
        credentials,
    }
}
