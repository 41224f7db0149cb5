//! List and watch, as Kubernetes' API has them: first all objects in pages, then what changes,
//! from the version of the list on. A watch that ends is taken up where it was, which bookmarks
//! keep recent; if the server has forgotten that version (410 Gone), all is listed anew.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use rand::RngExt as _;
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use url::form_urlencoded;

use super::access::Access;
use super::objects::{Key, Object};
use crate::http::client::{Client, RequestError};
use crate::http::{BodyError, read_response, read_response_bounded};

/// Objects on a page of a list.
const PAGE: usize = 500;
/// How long a page may be, in bytes.
const MAX_PAGE_BYTES: u64 = 256 << 20;
/// Pages of one list.
const MAX_PAGES: usize = 1000;
/// How long one change may be, in bytes: etcd holds objects of 1.5 MiB.
const MAX_CHANGE_BYTES: usize = 16 << 20;
/// How long a list's page, or the beginning of an answer, may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long the server may keep a watch open, in seconds.
const WATCH_SECONDS: u64 = 300;
/// A connection on which nothing came for longer than a watch lasts is dead.
const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS + 30);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How much of the server's words is logged, in bytes.
const WORDS_BYTES: usize = 4096;

/// What a watcher has to say.
pub(super) enum Event<T> {
    /// These are all objects.
    All(Vec<T>),
    /// This one is new or changed.
    Put(T),
    /// This one is gone.
    Gone(Key),
    /// It does not work.
    Failed(WatchError),
}

/// Why objects cannot be listed or watched.
#[derive(Debug, Error)]
pub(super) enum WatchError {
    #[error("cannot ask the API server")]
    Request(#[from] RequestError),
    #[error("the API server did not answer within {} s", PATIENCE.as_secs())]
    Timeout,
    #[error(
        "forbidden: the service account needs the verb \"{verb}\" on the resource \"{resource}\" \
         of the API group \"{group}\" {place}; the API server says: {words}"
    )]
    Forbidden {
        verb: &'static str,
        resource: &'static str,
        group: &'static str,
        place: String,
        words: String,
    },
    #[error("the API server answered {0}: {1}")]
    Status(StatusCode, String),
    #[error("the watch ended with the error {0}: {1}")]
    Ended(StatusCode, String),
    /// The version is forgotten: list anew.
    #[error("the API server has forgotten the version")]
    Gone,
    #[error("the watch broke off")]
    Broken(#[source] reqwest::Error),
    #[error("the watch was silent for {} s", SILENCE.as_secs())]
    Silent,
    #[error("a change is longer than {} MiB", MAX_CHANGE_BYTES >> 20)]
    TooLong,
    #[error("cannot read the list")]
    Body(#[from] BodyError),
    #[error("the list does not end after {MAX_PAGES} pages")]
    Endless,
    #[error("cannot understand what the API server says")]
    Parse(#[from] serde_json::Error),
}

/// What is watched.
#[derive(Debug)]
pub(super) struct Watcher {
    client: Client,
    url: String,
    namespace: Option<String>,
    label_selector: String,
    field_selector: String,
}

#[derive(Deserialize)]
struct List<T> {
    #[serde(default)]
    metadata: ListMeta,
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

/// A line of a watch, of which only the kind is read: it says what the object is.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
}

/// The same line again.
#[derive(Deserialize)]
struct Change<O> {
    object: O,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    message: String,
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: ListMeta,
}

impl Watcher {
    /// A watcher of objects of the kind `T` in one namespace, or in all.
    pub(super) fn new<T: Object>(
        access: &Access,
        namespace: Option<&str>,
        label_selector: &str,
        field_selector: &str,
    ) -> Self {
        let root = match T::GROUP {
            "" => "api/v1".to_owned(),
            group => format!("apis/{group}/v1"),
        };
        let place = namespace.map_or_else(String::new, |name| format!("namespaces/{name}/"));
        Self {
            client: access.client.clone(),
            url: format!("{}/{root}/{place}{}", access.url, T::RESOURCE),
            namespace: namespace.map(str::to_owned),
            label_selector: label_selector.to_owned(),
            field_selector: field_selector.to_owned(),
        }
    }

    /// Lists and watches until nobody listens.
    pub(super) async fn run<T: Object>(self, events: mpsc::Sender<Event<T>>) {
        let mut version = None;
        let mut pause = FIRST_PAUSE;
        while !events.is_closed() {
            let start = Instant::now();
            let done = match &mut version {
                None => match self.list(&events).await {
                    Ok(listed) => {
                        version = Some(listed);
                        continue;
                    }
                    Err(error) => Err(error),
                },
                Some(version) => self.watch(version, &events, &mut pause).await,
            };
            match done {
                // Watches end and break as connections do, and are taken up again; that is worth
                // a word only if it fails.
                Ok(()) | Err(WatchError::Broken(_) | WatchError::Silent) => {}
                Err(WatchError::Gone) => version = None,
                Err(error) => {
                    // What stands at this version would come again and again: go round it.
                    let stuck = matches!(
                        error,
                        WatchError::Parse(_) | WatchError::TooLong | WatchError::Ended(..)
                    );
                    version = version.filter(|_| !stuck);
                    if events.send(Event::Failed(error)).await.is_err() {
                        return;
                    }
                }
            }
            if start.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            let spread = rand::rng().random_range(0.8..1.2);
            sleep(pause.mul_f64(spread)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Sends all objects, and says of which version they are.
    async fn list<T: Object>(&self, events: &mpsc::Sender<Event<T>>) -> Result<String, WatchError> {
        let (mut all, mut next) = (Vec::new(), String::new());
        for _ in 0..MAX_PAGES {
            let limit = PAGE.to_string();
            let parameters = [("limit", &*limit), ("continue", &*next)];
            let response = self.get::<T>("list", &parameters).await?;
            let Ok(body) = timeout(PATIENCE, read_response_bounded(response, MAX_PAGE_BYTES)).await
            else {
                return Err(WatchError::Timeout);
            };
            let body = body?;
            // A page is long enough to keep a reactor waiting.
            let parse = spawn_blocking(move || serde_json::from_slice::<List<T>>(&body));
            let Ok(page) = parse.await else {
                return Err(WatchError::Timeout);
            };
            let mut page = page?;
            all.extend(page.items.take().into_iter().flatten());
            next = page.metadata.next;
            if next.is_empty() {
                for object in &mut all {
                    object.meta_mut().resource_version.clear();
                }
                // If nobody listens any more, the loop ends.
                drop(events.send(Event::All(all)).await);
                return Ok(page.metadata.resource_version);
            }
        }
        Err(WatchError::Endless)
    }

    /// Sends what changes from `version` on, which it keeps recent, until the watch ends.
    async fn watch<T: Object>(
        &self,
        version: &mut String,
        events: &mpsc::Sender<Event<T>>,
        pause: &mut Duration,
    ) -> Result<(), WatchError> {
        let seconds = WATCH_SECONDS.to_string();
        let parameters = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", &*seconds),
            ("resourceVersion", &*version),
        ];
        let mut response = self.get::<T>("watch", &parameters).await?;
        let mut buffer: Vec<u8> = Vec::new();
        loop {
            let Ok(chunk) = timeout(SILENCE, response.chunk()).await else {
                return Err(WatchError::Silent);
            };
            let chunk = chunk.map_err(|error| WatchError::Broken(error.without_url()))?;
            let Some(chunk) = chunk else {
                return Ok(());
            };
            let searched = buffer.len();
            buffer.extend_from_slice(&chunk);
            let mut begin = 0;
            let mut from = searched;
            while let Some(end) = buffer[from..].iter().position(|byte| *byte == b'\n') {
                let line = &buffer[begin..from + end];
                if !line.iter().all(u8::is_ascii_whitespace) {
                    let event = read_line(line, version)?;
                    *pause = FIRST_PAUSE;
                    if let Some(event) = event
                        && events.send(event).await.is_err()
                    {
                        return Ok(());
                    }
                }
                begin = from + end + 1;
                from = begin;
            }
            buffer.drain(..begin);
            if buffer.len() > MAX_CHANGE_BYTES {
                return Err(WatchError::TooLong);
            }
        }
    }

    fn url(&self, parameters: &[(&str, &str)]) -> String {
        let selectors = [
            ("labelSelector", &*self.label_selector),
            ("fieldSelector", &*self.field_selector),
        ];
        let all = selectors
            .iter()
            .chain(parameters)
            .filter(|(_, value)| !value.is_empty());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(all);
        format!("{}?{}", self.url, query.finish())
    }

    async fn get<T: Object>(
        &self,
        verb: &'static str,
        parameters: &[(&str, &str)],
    ) -> Result<reqwest::Response, WatchError> {
        let url = self.url(parameters);
        let Ok(response) = timeout(PATIENCE, self.client.get(&url, HeaderMap::new())).await else {
            return Err(WatchError::Timeout);
        };
        let response = response?;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let words = timeout(PATIENCE, read_response(response, WORDS_BYTES)).await;
        let words = self.client.redact(&url, &words.unwrap_or_default()).await;
        let words = serde_json::from_str::<Status>(&words).map_or(words, |status| status.message);
        match status {
            StatusCode::GONE => Err(WatchError::Gone),
            StatusCode::FORBIDDEN => Err(WatchError::Forbidden {
                verb,
                resource: T::RESOURCE,
                group: T::GROUP,
                place: match &self.namespace {
                    Some(name) => format!("in the namespace \"{name}\""),
                    None => "in the whole cluster".to_owned(),
                },
                words,
            }),
            status => Err(WatchError::Status(status, words)),
        }
    }
}

/// What a line of a watch says, and the version after it.
fn read_line<T: Object>(line: &[u8], version: &mut String) -> Result<Option<Event<T>>, WatchError> {
    let Line { kind } = serde_json::from_slice(line)?;
    match kind.as_str() {
        "ERROR" => {
            let status = serde_json::from_slice::<Change<Status>>(line)?.object;
            Err(match StatusCode::from_u16(status.code) {
                Ok(StatusCode::GONE) => WatchError::Gone,
                code => WatchError::Ended(code.unwrap_or_default(), status.message),
            })
        }
        "BOOKMARK" => {
            let bookmark = serde_json::from_slice::<Change<Bookmark>>(line)?.object;
            *version = bookmark.metadata.resource_version;
            Ok(None)
        }
        kind => {
            let mut object = serde_json::from_slice::<Change<T>>(line)?.object;
            let now = std::mem::take(&mut object.meta_mut().resource_version);
            if !now.is_empty() {
                *version = now;
            }
            Ok(Some(match kind {
                "DELETED" => Event::Gone(object.key()),
                _ => Event::Put(object),
            }))
        }
    }
}
