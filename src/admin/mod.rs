//! What operators ask a running relay: metrics, health, reload, status.

mod targets;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::http::read_bounded;
use crate::scrape::Targets;
use crate::settings::Secret;
use crate::store::{Command, CommandError, api};
use crate::telemetry::{Registry, causes};

/// The content type of `/metrics`.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long a command on the queues may be, in bytes.
const COMMAND_BYTES: u64 = 64 * 1024;
/// How long one may take to arrive.
const COMMAND_TIME: Duration = Duration::from_secs(10);

/// What the admin service asks of the relay that it stands in.
pub trait Relay: Send + Sync + 'static {
    /// Brings the metrics up to date that are not counted as things happen.
    fn refresh_metrics(&self);

    /// Reads the configuration file again. The error is a text for people, a line for each problem.
    /// Goes on to its end, whether or not the future is awaited.
    fn reload(self: Arc<Self>) -> BoxFuture<'static, Result<(), String>>;

    /// The configuration in force as YAML, without secrets.
    fn config_text(&self) -> String;

    /// Each route with its queue, for `/api/v1/status/routes`.
    fn routes(&self) -> Value;

    /// Carries out a command on the queues. Goes on to its end, whether or not the future is
    /// awaited.
    fn execute(
        self: Arc<Self>,
        command: Command,
    ) -> BoxFuture<'static, Result<Value, CommandError>>;

    /// What is scraped.
    fn targets(&self) -> Targets;
}

/// Whether `POST /-/reload` is there, as `--web.enable-lifecycle` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifecycle {
    /// It is.
    Enabled,
    /// It answers that it is not.
    #[default]
    Disabled,
}

/// The admin service. Ready from [`Admin::set_ready`] on until told otherwise.
pub struct Admin {
    relay: Arc<dyn Relay>,
    registry: Registry,
    /// What those show who may read the storage directory, and so may change it.
    token: Secret,
    ready: AtomicBool,
}

impl Admin {
    /// An admin service for `relay`, not ready yet. Whoever shows `token` may work on the queues.
    #[must_use]
    pub fn new(relay: Arc<dyn Relay>, registry: Registry, token: Secret) -> Arc<Self> {
        Arc::new(Self {
            relay,
            registry,
            token,
            ready: AtomicBool::new(false),
        })
    }

    /// Says whether the relay takes writes, for `/-/ready`.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Health, for whoever balances load.
    pub fn health_service(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/-/healthy", get(healthy))
            .route("/-/ready", get(ready))
            .with_state(Arc::clone(self))
    }

    /// The queues, for `promrelay queue`.
    pub fn queues_service(self: &Arc<Self>) -> Router {
        Router::new()
            .route(api::PATH, get(queues).post(execute))
            .with_state(Arc::clone(self))
    }

    /// What operators have beside health.
    pub fn service(self: &Arc<Self>, lifecycle: Lifecycle) -> Router {
        let reload = match lifecycle {
            Lifecycle::Enabled => post(reload),
            Lifecycle::Disabled => post(no_reload),
        };
        Router::new()
            .route("/", get(index))
            .route("/metrics", get(metrics))
            .route("/-/reload", reload)
            .route("/api/v1/status/buildinfo", get(build_info))
            .route("/api/v1/status/config", get(config))
            .route("/api/v1/status/routes", get(routes))
            .route("/api/v1/targets", get(targets::list))
            .route("/api/v1/targets/metadata", get(targets::metadata))
            .with_state(Arc::clone(self))
            .merge(self.queues_service())
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Admin")
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}

async fn index() -> &'static str {
    concat!(
        "promrelay ",
        env!("CARGO_PKG_VERSION"),
        ": a Prometheus remote-write filtering relay\n\n",
        "POST /api/v1/write             remote write 1.0 and 2.0\n",
        "GET  /metrics                  metrics of the relay itself\n",
        "GET  /-/healthy  /-/ready      health\n",
        "POST /-/reload                 read the configuration file again, if that is enabled\n",
        "GET  /api/v1/targets           what is scraped, as Prometheus shows it\n",
        "GET  /api/v1/status/routes     routes and their queues\n",
        "GET  /api/v1/queues            the same, and queues that no route has\n",
        "GET  /api/v1/status/config     the configuration in force\n",
        "GET  /api/v1/status/buildinfo  the version\n",
    )
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    admin.relay.refresh_metrics();
    ([(CONTENT_TYPE, EXPOSITION)], admin.registry.render())
}

async fn healthy() -> &'static str {
    "promrelay is healthy.\n"
}

async fn ready(State(admin): State<Arc<Admin>>) -> (StatusCode, &'static str) {
    if admin.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "promrelay is ready.\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "promrelay is starting or stopping.\n",
        )
    }
}

async fn reload(State(admin): State<Arc<Admin>>) -> Response {
    match Arc::clone(&admin.relay).reload().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(problems) => (StatusCode::INTERNAL_SERVER_ERROR, problems + "\n").into_response(),
    }
}

/// As Prometheus answers.
async fn no_reload() -> (StatusCode, &'static str) {
    (StatusCode::FORBIDDEN, "Lifecycle API is not enabled.\n")
}

async fn build_info() -> Json<Value> {
    success(&json!({"version": env!("CARGO_PKG_VERSION")}))
}

async fn config(State(admin): State<Arc<Admin>>) -> Json<Value> {
    success(&json!({"yaml": admin.relay.config_text()}))
}

async fn routes(State(admin): State<Arc<Admin>>) -> Json<Value> {
    success(&admin.relay.routes())
}

async fn queues(State(admin): State<Arc<Admin>>) -> Response {
    answer(Arc::clone(&admin.relay).execute(Command::List {}).await)
}

async fn execute(State(admin): State<Arc<Admin>>, headers: HeaderMap, body: Body) -> Response {
    let shown = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let shown = shown.and_then(|shown| shown.strip_prefix(b"Bearer "));
    if !shown.is_some_and(|shown| admin.token.is(shown)) {
        let message = "this takes the token in the file `api` of the storage directory";
        return failure(StatusCode::UNAUTHORIZED, message);
    }
    // Not before: nothing of a stranger's is read.
    let command = match read_bounded(body, None, COMMAND_BYTES, COMMAND_TIME).await {
        Ok(body) => serde_json::from_slice(&body),
        Err(error) => return failure(StatusCode::BAD_REQUEST, &causes(&error)),
    };
    let command: Command = match command {
        Ok(command) => command,
        Err(error) => return failure(StatusCode::BAD_REQUEST, &causes(&error)),
    };
    answer(Arc::clone(&admin.relay).execute(command).await)
}

fn answer(result: Result<Value, CommandError>) -> Response {
    let error = match result {
        Ok(data) => return success(&data).into_response(),
        Err(error) => error,
    };
    let status = match &error {
        CommandError::NoSuchRoute(_) => StatusCode::NOT_FOUND,
        CommandError::Running(_) | CommandError::SameRoute => StatusCode::CONFLICT,
        CommandError::Full { .. } | CommandError::ParkedFull { .. } | CommandError::Stopping => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    failure(status, &causes(&error))
}

fn failure(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"status": "error", "error": message}))).into_response()
}

/// Prometheus' envelope of API answers.
fn success(data: &Value) -> Json<Value> {
    Json(json!({"status": "success", "data": data}))
}
