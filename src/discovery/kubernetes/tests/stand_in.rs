//! A stand-in of Kubernetes' API server: list in pages, and watch.
//!
//! `tests/interop` includes this file too, so it imports nothing of promrelay's.

use std::collections::BTreeMap;
use std::io;
use std::net::{self, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Extract};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What is listed at the end of a path, and as what kind of which version.
const KINDS: [(&str, &str, &str); 7] = [
    ("/pods", "Pod", "v1"),
    ("/nodes", "Node", "v1"),
    ("/namespaces", "Namespace", "v1"),
    ("/services", "Service", "v1"),
    ("/endpoints", "Endpoints", "v1"),
    ("/endpointslices", "EndpointSlice", "discovery.k8s.io/v1"),
    ("/ingresses", "Ingress", "networking.k8s.io/v1"),
];

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

/// The server; paths are those of the API. It ends with this value.
pub(super) struct StandIn {
    address: SocketAddr,
    api: Api,
    _server: JoinSet<io::Result<()>>,
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
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let blocking = listener.set_nonblocking(true);
        blocking.expect("a listener can be made non-blocking");
        let listener = TcpListener::from_std(listener).expect("a listener can be registered");
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, service).await });
        Self {
            address,
            api,
            _server: server,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
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
            let objects = state.objects.get_mut(path);
            let object = objects.and_then(|objects| objects.remove(&key));
            let object = object.expect("what is deleted is there");
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
        let (name, version) = kind_at(path);
        object["kind"] = name.into();
        object["apiVersion"] = version.into();
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        self.log.push((self.version, path.to_owned(), line));
    }

    /// From an object on, at most `limit` of them; as the API does, all if none is asked for.
    fn list(&self, path: &str, from: usize, limit: Option<u64>) -> Value {
        let none = BTreeMap::new();
        let objects = self.objects.get(path).unwrap_or(&none);
        let page = limit.map_or(usize::MAX, |_| self.page);
        let items: Vec<&Value> = objects.values().skip(from).take(page).collect();
        let next = from + items.len();
        let more = next < objects.len();
        let (kind, version) = kind_at(path);
        json!({
            "kind": format!("{kind}List"),
            "apiVersion": version,
            "metadata": {
                "resourceVersion": self.version.to_string(),
                "continue": if more { next.to_string() } else { String::new() },
            },
            "items": if items.is_empty() { Value::Null } else { json!(items) },
        })
    }
}

/// The kind of what is at a path, and its version.
fn kind_at(path: &str) -> (&'static str, &'static str) {
    let mut kinds = KINDS.iter();
    let kind = kinds.find(|(end, ..)| path.ends_with(end));
    kind.map_or(("", ""), |(_, kind, version)| (kind, version))
}

impl Api {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the lock")
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
        let value = String::from_utf8_lossy(value.as_bytes());
        state.authorization = value.into_owned();
    }
    if state.forbidden == Some(verb) {
        let status = json!({"kind": "Status", "code": 403, "message": "not allowed"});
        return (StatusCode::FORBIDDEN, status.to_string()).into_response();
    }
    if path == "/version" {
        return as_json(json!({"major": "1", "minor": "26", "gitVersion": "v1.26.0"}).to_string());
    }
    let number = |name: &str| pairs.get(name).and_then(|text| text.parse::<u64>().ok());
    if verb == "list" {
        let from = number("continue").unwrap_or_default();
        let from = usize::try_from(from).expect("a number of objects");
        return as_json(state.list(&path, from, number("limit")).to_string());
    }
    if state.refuses_watches {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    drop(state);
    assert_eq!(pairs["allowWatchBookmarks"], "true");
    let from = number("resourceVersion").expect("a watch begins at a version");
    as_json(api.watch(path, from))
}

fn as_json(body: impl Into<Body>) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.into()).into_response()
}
