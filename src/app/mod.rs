//! The relay as a whole: start, reload, stop.
//!
//! Start: read the configuration, open the queues, bind, then serve. Reload: compile the new
//! configuration completely, then swap it in; what does not change keeps its queue, its sender and
//! its connections, and a file with a mistake changes nothing. Stop, in order: not ready, end the
//! scrapes, refuse new requests and finish those in hand, let the sends in flight end (what is
//! queued stays on disk), close the queues, and the HTTP server last.

mod fleet;
mod listeners;
mod member;
mod metrics;
mod orphans;
mod web_watch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use thiserror::Error;
use tokio::task::spawn_blocking;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{error, info, warn};

pub use self::listeners::WebOptions;

use self::fleet::{Fleet, FleetError};
use self::listeners::{Listeners, WebFiles};
use self::metrics::AppMetrics;
use crate::admin::{Admin, Relay};
use crate::config::{self, Config, LoadError};
use crate::http::BindError;
use crate::queue::{Journal, LockError, OpenError, lock_directory};
use crate::receive::{ReceiveMetrics, Receiver};
use crate::scrape::{self, Scraper, Targets};
use crate::store::{Command, CommandError, Listed, api};
use crate::telemetry::{Registry, causes};

/// How long the ends of scraped series may take to be stored once the relay stops.
const FINISH_SCRAPES: Duration = Duration::from_secs(5);
/// How long requests in hand may take once the relay stops.
const FINISH_REQUESTS: Duration = Duration::from_secs(10);
/// How long a reload or a command in hand may take once the relay stops, which it sees.
const FINISH_TASKS: Duration = Duration::from_secs(10);
/// How long sends in flight may take once the relay stops.
const FINISH_SENDS: Duration = Duration::from_secs(35);
/// How long open connections may linger once everything else has stopped.
const CLOSE_CONNECTIONS: Duration = Duration::from_secs(1);
/// How often histograms are folded and expired records dropped.
const MAINTENANCE: Duration = Duration::from_secs(5);

/// What a reload cannot change.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file.
    pub config_file: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen_address: SocketAddr,
    /// The directory of the queues.
    pub storage_path: PathBuf,
    /// How to listen.
    pub web: WebOptions,
}

impl Options {
    /// Where names of files in the configuration begin.
    fn directory(&self) -> &Path {
        self.config_file.parent().unwrap_or(Path::new(""))
    }
}

/// Why the relay did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration file has mistakes.
    #[error("cannot load the configuration")]
    Config(#[from] LoadError),
    /// A web configuration has mistakes.
    #[error("cannot load the web configuration")]
    Web(#[source] LoadError),
    /// The storage directory cannot be used.
    #[error("cannot use the storage directory")]
    Storage(#[from] LockError),
    /// The queues' journal cannot be opened.
    #[error("cannot open the journal of the queues")]
    Journal(#[from] OpenError),
    /// A route cannot be set up.
    #[error("cannot set up the routes")]
    Routes(#[from] FleetError),
    /// A job cannot be set up.
    #[error("cannot set up scraping")]
    Scrape(#[from] scrape::StartError),
    /// The address cannot be bound.
    #[error("cannot serve")]
    Bind(#[from] BindError),
}

/// Why a reload changed nothing.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// The configuration file has mistakes.
    #[error("cannot load the configuration")]
    Config(#[from] LoadError),
    /// A route cannot be set up.
    #[error("cannot set up the routes")]
    Routes(#[from] FleetError),
    /// It is too late for that.
    #[error("the relay is stopping")]
    Stopping,
    /// A job cannot be set up.
    #[error("cannot set up scraping")]
    Scrape(#[from] scrape::StartError),
}

/// A running relay.
#[derive(Debug)]
pub struct App {
    inner: Arc<Inner>,
    admin: Arc<Admin>,
    listeners: Listeners,
    maintenance: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    registry: Registry,
    metrics: AppMetrics,
    receiver: Arc<Receiver>,
    /// Held by a reload and by each command: both open stores. Locked before the fleet.
    commands: tokio::sync::Mutex<()>,
    fleet: tokio::sync::Mutex<Fleet>,
    /// Locked after the fleet.
    scraper: tokio::sync::Mutex<Scraper>,
    targets: Targets,
    /// The configuration in force, for the status pages.
    config_text: Mutex<String>,
    /// A reload or command that has begun goes on to its end, whoever still waits for it.
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl App {
    /// Starts the relay: when this returns it takes writes.
    ///
    /// # Errors
    /// If the configuration, the storage directory or the address cannot be used.
    pub async fn start(options: Options, registry: Registry) -> Result<Self, StartError> {
        let metrics = AppMetrics::new(&registry);
        let config = config::load(&options.config_file)?;
        let files = WebFiles::load(&options.web).map_err(StartError::Web)?;
        let lock = lock_directory(&options.storage_path)?;
        // It keeps the lock for as long as it is at work, whatever becomes of this.
        let journal = spawn_blocking(move || Journal::open(lock)).await;
        let journal = journal.expect("opening the journal does not panic")?;
        let mut fleet = Fleet::new(options.storage_path.clone(), journal, registry.clone());
        let router = fleet.apply(&config).await?;
        fleet.retire().await;
        metrics.reloaded(config.hash);
        let receive_metrics = ReceiveMetrics::new(&registry);
        let receiver = Receiver::new(config.receive.clone(), Arc::clone(&router), receive_metrics);
        let scraper = Scraper::new(Arc::clone(&router), &registry);
        let jobs = scraper.prepare(&config.scrape, options.directory())?;
        let targets = scraper.targets();
        let inner = Arc::new(Inner {
            registry: registry.clone(),
            metrics,
            receiver: Arc::clone(&receiver),
            commands: tokio::sync::Mutex::new(()),
            fleet: tokio::sync::Mutex::new(fleet),
            scraper: tokio::sync::Mutex::new(scraper),
            targets,
            config_text: Mutex::new(config.text),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            options,
        });
        let token = api::new_token();
        let relay = Arc::clone(&inner) as Arc<dyn Relay>;
        let admin = Admin::new(relay, registry.clone(), token.clone());
        let (options, parts) = (&inner.options, (&receiver, &admin));
        let (address, web) = (options.listen_address, &options.web);
        let listeners = Listeners::open(address, web, files, parts, &token, &registry)?;
        let own = listeners.own_address();
        if let Err(error) = api::write(&options.storage_path, own, &token) {
            warn!(%error, "`promrelay queue` will not find this relay");
        }
        inner.scraper.lock().await.reload(jobs, router).await;
        admin.set_ready(true);
        let (address, admin_address) = (listeners.address(), listeners.admin_address());
        let version = env!("CARGO_PKG_VERSION");
        info!(%address, %admin_address, version, "started");
        let maintenance = AbortOnDropHandle::new(spawn_maintenance(Arc::clone(&inner)));
        Ok(Self {
            inner,
            admin,
            listeners,
            maintenance,
        })
    }

    /// The address on which writes are taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listeners.address()
    }

    /// The address for operators, which can be the same.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.listeners.admin_address()
    }

    /// Reads the configuration file again.
    ///
    /// # Errors
    /// If the file has mistakes or a route cannot be set up; then nothing has changed.
    ///
    /// # Cancel safety
    /// Once polled it goes on by itself.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        Arc::clone(&self.inner).start_reload().await
    }

    /// Stops in order; see the module. Nothing that was acknowledged is lost.
    pub async fn stop(self) {
        info!("stopping");
        drop(self.maintenance);
        self.admin.set_ready(false);
        self.inner.stopping.cancel();
        let scrapes = async { self.inner.scraper.lock().await.stop().await };
        if timeout(FINISH_SCRAPES, scrapes).await.is_err() {
            warn!("scrapes in hand did not end; the ends of some series are not told");
        }
        if timeout(FINISH_REQUESTS, self.inner.receiver.stop())
            .await
            .is_err()
        {
            warn!("requests in hand did not finish; their senders will repeat them");
        }
        self.inner.tasks.close();
        if timeout(FINISH_TASKS, self.inner.tasks.wait())
            .await
            .is_err()
        {
            warn!("a reload or a command on the queues did not end");
        }
        let sends = async { self.inner.fleet.lock().await.stop().await };
        if timeout(FINISH_SENDS, sends).await.is_err() {
            warn!("sends in flight did not end; they will be repeated after the next start");
        }
        self.listeners.stop(CLOSE_CONNECTIONS).await;
        self.inner.fleet.lock().await.release();
        info!("stopped");
    }
}

impl Inner {
    async fn start_reload(self: Arc<Self>) -> Result<(), ReloadError> {
        let inner = Arc::clone(&self);
        let reload = self.tasks.spawn(async move { inner.reload_now().await });
        reload.await.unwrap_or(Err(ReloadError::Stopping))
    }

    async fn reload_now(&self) -> Result<(), ReloadError> {
        let result = self.try_reload().await;
        match &result {
            Ok(config) => {
                self.metrics.reloaded(config.hash);
                info!(file = %self.options.config_file.display(), "reloaded");
            }
            Err(error) => {
                self.metrics.reload_failed();
                let error = causes(error);
                error!(error, "kept the configuration as it was");
            }
        }
        result.map(|_| ())
    }

    async fn execute_now(&self, command: Command) -> Result<Value, CommandError> {
        if matches!(command, Command::List {}) {
            let listed = self.fleet.lock().await.list();
            return Ok(listed.iter().map(Listed::json).collect());
        }
        let _others_wait = self.commands.lock().await;
        if self.stopping.is_cancelled() {
            return Err(CommandError::Stopping);
        }
        let storage = self.fleet.lock().await.storage(self.stopping.clone());
        let result = storage.execute(command.clone()).await;
        self.fleet.lock().await.account(&command, &storage).await;
        result
    }

    async fn try_reload(&self) -> Result<Config, ReloadError> {
        let file = self.options.config_file.clone();
        let _others_wait = self.commands.lock().await;
        // A large file takes seconds: away from the reactor, and while the fleet is free.
        let load = move || config::load(&file);
        let loaded = spawn_blocking(load).await;
        let config = loaded.expect("reading a configuration does not panic")?;
        let mut fleet = self.fleet.lock().await;
        if self.stopping.is_cancelled() {
            return Err(ReloadError::Stopping);
        }
        let mut scraper = self.scraper.lock().await;
        let jobs = scraper.prepare(&config.scrape, self.options.directory())?;
        let router = fleet.apply(&config).await?;
        // Routes that are gone take what requests in hand still bring them.
        let in_hand = self
            .receiver
            .reload(config.receive.clone(), Arc::clone(&router));
        if timeout(FINISH_REQUESTS, in_hand).await.is_err() {
            warn!("requests in hand did not finish before the reload");
        }
        scraper.reload(jobs, router).await;
        fleet.retire().await;
        let mut text = self
            .config_text
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        text.clone_from(&config.text);
        drop(text);
        Ok(config)
    }
}

impl Relay for Inner {
    fn refresh_metrics(&self) {
        // While a reload holds the fleet the gauges keep what they last said.
        if let Ok(mut fleet) = self.fleet.try_lock() {
            fleet.refresh_metrics();
        }
    }

    fn reload(self: Arc<Self>) -> BoxFuture<'static, Result<(), String>> {
        self.start_reload()
            .map(|result| result.map_err(|error| causes(&error)))
            .boxed()
    }

    fn execute(
        self: Arc<Self>,
        command: Command,
    ) -> BoxFuture<'static, Result<Value, CommandError>> {
        let inner = Arc::clone(&self);
        let execution = async move { inner.execute_now(command).await };
        let execution = self.tasks.spawn(execution);
        execution
            .map(|result| result.unwrap_or(Err(CommandError::Panicked)))
            .boxed()
    }

    fn config_text(&self) -> String {
        self.config_text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn routes(&self) -> Value {
        self.fleet
            .try_lock()
            .map_or(Value::Null, |fleet| fleet.status())
    }

    fn targets(&self) -> Targets {
        self.targets.clone()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the handle aborts the task when the relay stops"
)]
fn spawn_maintenance(inner: Arc<Inner>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut tick = interval(MAINTENANCE);
        loop {
            tick.tick().await;
            inner.registry.maintain();
            inner.fleet.lock().await.expire(metrics::now_ms());
        }
    })
}
