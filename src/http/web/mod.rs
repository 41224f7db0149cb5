//! Who may use a listener and how: `--web.config.file`, in the format of Prometheus'
//! [exporter-toolkit], whose `docs/web-configuration.md` describes it.
//!
//! ```text
//! WebConfig   the file's keys
//!   ▶ Settings   its certificates read, everything compiled; cannot fail any more
//!     ▶ Web      the settings in force, which can be replaced while connections are open
//! ```
//!
//! New connections and new requests take the settings in force when they begin; a connection that
//! is open keeps the certificates that it began with. What the toolkit has and rustls cannot do
//! (TLS 1.0 and 1.1, some cipher suites, P-521) is a mistake in the file. Beside its keys there
//! are `bearer_tokens` and `bearer_tokens_file`, and `bytes_per_second` under `rate_limit`.
//!
//! Settings are never replaced by ones without TLS where there is TLS, or that let everybody in
//! where somebody is kept out: a file that was emptied by accident must not open the door.
//!
//! [exporter-toolkit]: https://github.com/prometheus/exporter-toolkit

mod auth;
mod config;
mod names;
mod san;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod verifier;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderMap;
use thiserror::Error;

pub(super) use auth::Verdict;
pub use config::WebConfig;
pub use settings::{Mistake, Settings};

use self::auth::Checks;
use crate::settings::Secret;

/// The settings of a listener, in force until they are replaced.
pub struct Web {
    current: ArcSwap<Settings>,
    checks: Checks,
}

/// Why new settings were not put in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReplaceError {
    /// There is TLS now.
    #[error("the file has no tls_server_config any more: that takes a restart")]
    NoTls,
    /// Not everybody may now.
    #[error("the file lets everybody in: that takes a restart")]
    NoUsers,
    /// There is no TLS now.
    #[error("the file has a tls_server_config now: that takes a restart")]
    NewTls,
}

impl Web {
    /// A listener with `settings`. Whoever shows `token` is known there as well, if it is given.
    #[must_use]
    pub fn new(settings: Settings, token: Option<&Secret>) -> Arc<Self> {
        Arc::new(Self {
            checks: Checks::new(token),
            current: ArcSwap::from_pointee(settings),
        })
    }

    /// Puts `settings` in force.
    ///
    /// # Errors
    /// If they would take away TLS, or let in everybody, where it is otherwise now.
    pub fn replace(&self, settings: Settings) -> Result<(), ReplaceError> {
        let current = self.current.load();
        match (current.tls().is_some(), settings.tls().is_some()) {
            (true, false) => return Err(ReplaceError::NoTls),
            // Every client would break, and the addresses in its configuration with it.
            (false, true) => return Err(ReplaceError::NewTls),
            _ => {}
        }
        if current.keeps_out() && !settings.keeps_out() {
            return Err(ReplaceError::NoUsers);
        }
        self.current.store(Arc::new(settings));
        Ok(())
    }

    /// The settings in force.
    #[must_use]
    pub fn current(&self) -> Arc<Settings> {
        self.current.load_full()
    }

    /// Says who sends a request with these headers from `peer`, as `settings` have it.
    pub(super) async fn authenticate(
        &self,
        settings: &Settings,
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Verdict {
        let users = settings.users();
        self.checks.authenticate(users, peer, headers).await
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Web").finish_non_exhaustive()
    }
}
