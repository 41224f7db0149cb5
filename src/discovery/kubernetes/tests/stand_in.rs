//! A stand-in of Kubernetes' API server: list in pages, and watch.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Extract};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::http::Server;

#[derive(Default)]
struct State {
    /// By path, then by namespace and name.
    objects: BTreeMap<String, BTreeMap<(String, String), Value>>,
    /// What happened: the version, the path, the line.
    log: Vec<(u64, String, String)>,
    version: u64,
    /// Versions before this one are forgotten.
    oldest: u64,
    page: usize,
    forbidden: Option<&'static str>,
    refuses_watches: bool,
    /// Grows when all watches are to break.
    generation: u64,
    requests: Vec<String>,
    authorization: String,
}

/// The server; paths are those of the API.
pub(super) struct StandIn {
    server: Server,
    api: Api,
}

#[derive(Clone)]
struct Api {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
}

impl StandIn {
    pub(super) fn start() -> Self {
        let state = State {
            page: 2,
            ..State::default()
        };
        let api = Api {
            state: Arc::new(Mutex::new(state)),
            changed: watch::channel(()).0,
        };
        let service = Router::new().fallback(answer).with_state(api.clone());
        let server = Server::start((Ipv4Addr::LOCALHOST, 0).into(), service).unwrap();
        Self { server, api }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.api.lock());
        self.api.changed.send_replace(());
    }

    pub(super) fn put(&self, path: &str, object: Value) {
        self.change(|state| state.put(path, object));
    }

    pub(super) fn delete(&self, path: &str, namespace: &str, name: &str) {
        self.change(|state| {
            let key = (namespace.to_owned(), name.to_owned());
            let object = state.objects.get_mut(path).unwrap().remove(&key).unwrap();
            state.happened(path, "DELETED", object);
        });
    }

    /// Sends a bookmark and says of which version.
    pub(super) fn bookmark(&self, path: &str) -> u64 {
        self.change(|state| state.happened(path, "BOOKMARK", json!({"metadata": {}})));
        self.version()
    }

    pub(super) fn garbage(&self, path: &str) {
        self.change(|state| {
            state.version += 1;
            state.log.push((
                state.version,
                path.to_owned(),
                "\u{0}{]garbage\n".to_owned(),
            ));
        });
    }

    pub(super) fn version(&self) -> u64 {
        self.api.lock().version
    }

    pub(super) fn break_watches(&self) {
        self.change(|state| state.generation += 1);
    }

    pub(super) fn refuse_watches(&self, refuse: bool) {
        self.change(|state| state.refuses_watches = refuse);
    }

    /// Forgets what happened, as etcd does when it is compacted.
    pub(super) fn forget(&self) {
        self.change(|state| {
            state.log.clear();
            state.oldest = state.version;
        });
    }

    /// Forbids a verb, or nothing any more.
    pub(super) fn forbid(&self, verb: Option<&'static str>) {
        self.change(|state| state.forbidden = verb);
    }

    pub(super) fn page_size(&self, size: usize) {
        self.change(|state| state.page = size);
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.api.lock().requests.clone()
    }

    pub(super) fn authorization(&self) -> String {
        self.api.lock().authorization.clone()
    }
}

impl State {
    fn put(&mut self, path: &str, object: Value) {
        let text = |name: &str| {
            object["metadata"][name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let key = (text("namespace"), text("name"));
        let objects = self.objects.entry(path.to_owned()).or_default();
        let known = objects.insert(key, object.clone());
        let kind = if known.is_some() { "MODIFIED" } else { "ADDED" };
        self.happened(path, kind, object);
    }

    fn happened(&mut self, path: &str, kind: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        self.log.push((self.version, path.to_owned(), line));
    }

    fn list(&self, path: &str, from: usize) -> Value {
        let none = BTreeMap::new();
        let objects = self.objects.get(path).unwrap_or(&none);
        let items: Vec<&Value> = objects.values().skip(from).take(self.page).collect();
        let next = from + items.len();
        let more = next < objects.len();
        json!({
            "kind": "List",
            "metadata": {
                "resourceVersion": self.version.to_string(),
                "continue": if more { next.to_string() } else { String::new() },
            },
            "items": if items.is_empty() { Value::Null } else { json!(items) },
        })
    }
}

impl Api {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn watch(&self, path: String, from: u64) -> Body {
        let generation = self.lock().generation;
        let watcher = (self.clone(), self.changed.subscribe(), from);
        let lines = stream::unfold(Some(watcher), move |watcher| {
            let path = path.clone();
            async move {
                let (api, mut changed, from) = watcher?;
                loop {
                    {
                        let state = api.lock();
                        if state.generation != generation {
                            let error = io::Error::from(io::ErrorKind::ConnectionReset);
                            return Some((Err(error), None));
                        }
                        if from < state.oldest {
                            let gone = json!({"type": "ERROR", "object": {"code": 410}});
                            return Some((Ok(format!("{gone}\n")), None));
                        }
                        let mut log = state.log.iter();
                        let next = log.find(|(version, at, _)| *version > from && *at == path);
                        if let Some((version, _, line)) = next {
                            let (version, line) = (*version, line.clone());
                            drop(state);
                            return Some((Ok(line), Some((api, changed, version))));
                        }
                    }
                    changed.changed().await.ok()?;
                }
            }
        });
        Body::from_stream(lines)
    }
}

async fn answer(Extract(api): Extract<Api>, request: Request) -> Response {
    let uri = request.uri();
    let pairs: BTreeMap<String, String> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let path = uri.path().to_owned();
    let verb = if pairs.contains_key("watch") {
        "watch"
    } else {
        "list"
    };
    let mut state = api.lock();
    state.requests.push(uri.to_string());
    if let Some(value) = request.headers().get("authorization") {
        state.authorization = value.to_str().unwrap().to_owned();
    }
    if state.forbidden == Some(verb) {
        let status = json!({"kind": "Status", "code": 403, "message": "not allowed"});
        return (StatusCode::FORBIDDEN, status.to_string()).into_response();
    }
    let number = |name: &str| pairs.get(name).and_then(|text| text.parse::<u64>().ok());
    if verb == "list" {
        let from = usize::try_from(number("continue").unwrap_or_default()).unwrap();
        return state.list(&path, from).to_string().into_response();
    }
    if state.refuses_watches {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    drop(state);
    assert_eq!(pairs["allowWatchBookmarks"], "true");
    api.watch(path, number("resourceVersion").unwrap())
        .into_response()
}
