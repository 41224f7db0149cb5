//! `promrelay run`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tracing::info;

use crate::app::{App, Options, StartError};
use crate::config::LoadError;
use crate::telemetry::{Registry, log};

/// Flags that a reload cannot change, in Prometheus' spelling.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(
        long = "config.file",
        value_name = "FILE",
        default_value = "promrelay.yml"
    )]
    config_file: PathBuf,
    /// Where to listen.
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:9201"
    )]
    listen_address: SocketAddr,
    #[command(flatten)]
    web: super::web::Arguments,
    /// The directory of the routes' queues.
    #[arg(
        long = "storage.path",
        value_name = "DIRECTORY",
        default_value = "data"
    )]
    pub(super) storage_path: PathBuf,
    /// The least severe messages that are logged: debug, info, warn or error.
    #[arg(long = "log.level", value_name = "LEVEL", default_value_t)]
    log_level: log::Level,
    /// How messages are logged: logfmt or json.
    #[arg(long = "log.format", value_name = "FORMAT", default_value_t)]
    log_format: log::Format,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    log::install(arguments.log_level, arguments.log_format);
    super::core_dumps::forbid();
    super::runtime()?.block_on(serve(Options {
        config_file: arguments.config_file,
        listen_address: arguments.listen_address,
        storage_path: arguments.storage_path,
        web: arguments.web.options(),
    }))
}

async fn serve(options: Options) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let started = tokio::select! {
        started = App::start(options, Registry::new()) => started,
        () = signals.stop() => {
            info!("stopped before the start was complete");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let app = match started {
        Ok(app) => app,
        Err(
            StartError::Config(LoadError::Problems(problems))
            | StartError::Web(LoadError::Problems(problems)),
        ) => {
            super::check::print_problems(&problems);
            anyhow::bail!("the configuration has mistakes");
        }
        Err(error) => return Err(error.into()),
    };
    while let Signal::Reload = signals.next().await {
        // What goes wrong is logged and counted where it happens. A signal to stop does not wait
        // for a reload to end.
        let reload = async { drop(app.reload().await) };
        tokio::select! {
            () = reload => {}
            () = signals.stop() => break,
        }
    }
    tokio::select! {
        () = app.stop() => Ok(ExitCode::SUCCESS),
        () = signals.stop() => {
            info!("second signal: exiting at once");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What the process was asked to do.
pub(super) enum Signal {
    #[cfg_attr(windows, expect(dead_code, reason = "Windows has no signal for it"))]
    Reload,
    Stop,
}

#[cfg(unix)]
pub(super) struct Signals {
    hangup: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.terminate.recv() => Signal::Stop,
        }
    }

    /// Waits for a signal to stop; those to reload are passed over.
    async fn stop(&mut self) {
        while matches!(self.next().await, Signal::Reload) {}
    }
}

/// The signals of a console. A container is stopped with `shutdown`, and a window's program with
/// `close`; a few seconds after these two Windows ends the process by force.
#[cfg(windows)]
pub(super) struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
    r#break: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
        Ok(Self {
            interrupt: ctrl_c()?,
            r#break: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.r#break.recv() => {}
            _ = self.close.recv() => {}
            _ = self.shutdown.recv() => {}
        }
        Signal::Stop
    }

    /// Waits for a signal to stop; those to reload are passed over.
    async fn stop(&mut self) {
        while matches!(self.next().await, Signal::Reload) {}
    }
}
