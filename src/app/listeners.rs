//! The relay's listeners: one for writes, one for operators if they want it apart, and one for the
//! relay's own commands where those could not get in otherwise.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;
use futures_util::future::join_all;
use http::StatusCode;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::web_watch::{WebMetrics, WebWatch, fingerprint, watch};
use crate::admin::{Admin, Lifecycle};
use crate::config::{LoadError, WebFile, load_web};
use crate::http::{BindError, Limits, ListenerMetrics, Options, Server, Serving, Settings, Web};
use crate::receive::Receiver;
use crate::settings::Secret;
use crate::telemetry::Registry;

#[cfg(test)]
mod tests;

/// The listeners by name, and who serves them.
const WRITES: (&str, Serving) = ("writes", Serving::OneThreadIfEnough);
const ADMIN: (&str, Serving) = ("admin", Serving::Workers);
/// Connections of the relay's own commands.
const OWN_CONNECTIONS: usize = 32;

/// How the relay listens beside its first address.
#[derive(Clone, Debug, Default)]
pub struct WebOptions {
    /// Where operators reach the relay; with the senders if it is not set.
    pub admin_address: Option<SocketAddr>,
    /// TLS and users, of both unless the next is set.
    pub config_file: Option<PathBuf>,
    /// TLS and users of operators.
    pub admin_config_file: Option<PathBuf>,
    /// Whether `POST /-/reload` is there.
    pub lifecycle: Lifecycle,
    /// Bounds of each listener.
    pub limits: Limits,
}

/// The web configurations as they were at the start.
pub(super) struct WebFiles {
    writes: Option<Loaded>,
    admin: Option<Loaded>,
}

/// A web configuration, and the fingerprint of the files behind it.
struct Loaded {
    path: PathBuf,
    file: WebFile,
    seen: u128,
}

impl WebFiles {
    pub(super) fn load(options: &WebOptions) -> Result<Self, LoadError> {
        // Twice: the first time says which files there are. A change between the fingerprint and
        // the watch, which begins when the queues have been opened, is seen then.
        let load = |path: &PathBuf| {
            let seen = fingerprint(&load_web(path)?.files);
            let (path, file) = (path.clone(), load_web(path)?);
            Ok(Loaded { path, file, seen })
        };
        Ok(Self {
            writes: options.config_file.as_ref().map(load).transpose()?,
            admin: options.admin_config_file.as_ref().map(load).transpose()?,
        })
    }
}

/// The open listeners.
#[derive(Debug)]
pub(super) struct Listeners {
    writes: Server,
    admin: Option<Server>,
    own: Option<Server>,
    _watch: AbortOnDropHandle<()>,
}

impl Listeners {
    /// Opens the listeners. Whoever shows `token` is known to that of the operators.
    pub(super) fn open(
        address: SocketAddr,
        options: &WebOptions,
        files: WebFiles,
        (receiver, admin): (&Arc<Receiver>, &Arc<Admin>),
        token: &Secret,
        registry: &Registry,
    ) -> Result<Self, BindError> {
        let mut watches = Vec::new();
        let mut web = |name: &str, loaded: Option<Loaded>| {
            let metrics = WebMetrics::new(registry, name);
            let Loaded { path, file, seen } = loaded?;
            let web = Web::new(file.settings, Some(token));
            watches.push(WebWatch::new(path, (file.files, seen), &web, metrics));
            Some(web)
        };
        let writes_web = web("writes", files.writes);
        let admin_web = files.admin.and_then(|file| web("admin", Some(file)));
        let serve = |address, (name, serving): (&str, Serving), web: &Option<Arc<Web>>, service| {
            let options = Options {
                limits: options.limits.clone(),
                web: web.clone(),
                metrics: ListenerMetrics::new(registry, name),
                serving,
            };
            Server::open(address, service, options)
        };
        let writes_service = receiver.service().merge(admin.health_service());
        let admin_service = admin.service(options.lifecycle);
        let operators = admin_web.or_else(|| writes_web.clone());
        let (writes, admin_server) = match options.admin_address {
            None => {
                let service = writes_service.merge(by_workers(admin_service));
                (serve(address, WRITES, &writes_web, service)?, None)
            }
            Some(admin_address) => {
                let service = admin_service.merge(admin.health_service());
                let writes = serve(address, WRITES, &writes_web, writes_service)?;
                let admin = serve(admin_address, ADMIN, &operators, service)?;
                (writes, Some(admin))
            }
        };
        // The commands have no certificate to show, and none to know the relay's by.
        let is_closed = operators.is_some_and(|web| web.current().tls().is_some());
        let own = is_closed.then(|| {
            let service = admin.queues_service().merge(admin.health_service());
            own(service, token)
        });
        Ok(Self {
            writes,
            admin: admin_server,
            own: own.transpose()?,
            _watch: AbortOnDropHandle::new(watch(watches)),
        })
    }

    /// Where writes are taken.
    pub(super) fn address(&self) -> SocketAddr {
        self.writes.address()
    }

    /// Where operators are.
    pub(super) fn admin_address(&self) -> SocketAddr {
        self.admin.as_ref().unwrap_or(&self.writes).address()
    }

    /// Where the relay's own commands are.
    pub(super) fn own_address(&self) -> SocketAddr {
        let own = self.own.as_ref().map(Server::address);
        own.unwrap_or_else(|| self.admin_address())
    }

    /// Closes them, that of the operators last.
    pub(super) async fn stop(self, deadline: Duration) {
        self.writes.stop(deadline).await;
        let others = [self.own, self.admin].into_iter().flatten();
        join_all(others.map(|server| server.stop(deadline))).await;
    }
}

/// Has the runtime's workers do what is asked for, whoever serves the connection: what operators
/// ask for can take long, and writes are not to wait for that; and what a reload starts is to run
/// where the relay does.
fn by_workers(service: Router) -> Router {
    let workers = Handle::current();
    service.route_layer(from_fn(move |request: Request, next: Next| {
        let answer = AbortOnDropHandle::new(workers.spawn(next.run(request)));
        async move {
            let panicked = |_why| StatusCode::INTERNAL_SERVER_ERROR.into_response();
            answer.await.unwrap_or_else(panicked)
        }
    }))
}

/// A listener on loopback for whoever has the token.
fn own(service: Router, token: &Secret) -> Result<Server, BindError> {
    let options = Options {
        limits: Limits {
            connections: OWN_CONNECTIONS,
            connections_per_peer: OWN_CONNECTIONS,
            ..Limits::default()
        },
        web: Some(Web::new(Settings::for_token(token), None)),
        ..Options::default()
    };
    Server::open((Ipv4Addr::LOCALHOST, 0).into(), service, options)
}
