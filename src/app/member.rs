//! One route at work, and one that is about to be.

use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use crate::queue;
use crate::relabel::RuleConfig;
use crate::send::families::Interest;
use crate::send::{self, Endpoint, Sender};
use crate::store::RouteStore;

#[derive(Debug)]
pub(super) struct Member {
    pub store: RouteStore,
    pub sender: Sender,
    pub config: send::Config,
    /// The rules and what they were seen to keep; both change together.
    pub interest: (Vec<RuleConfig>, Arc<Interest>),
}

/// A member that has not begun to work.
pub(super) struct Recruit {
    pub name: Arc<str>,
    pub config: send::Config,
    /// `None` if the member at work has this configuration already, and keeps its connections.
    pub endpoint: Option<Endpoint>,
    pub options: queue::Options,
    pub parked_max_bytes: u64,
    /// `None` if a member of this name is at work already.
    pub store: Option<RouteStore>,
}

impl Member {
    /// Stops sending and closes the queue. Answers what was closed. What is in flight is waited
    /// for, as long as `patience` says if it does.
    pub(super) async fn stop(
        self,
        name: Arc<str>,
        patience: Option<Duration>,
    ) -> (Arc<str>, RouteStore) {
        match patience {
            Some(patience) => self.sender.stop_within(patience).await,
            None => self.sender.stop().await,
        }
        if let Err(error) = self.store.queue.close().await {
            error!(route = %name, %error, "queue did not close in order");
        }
        (name, self.store)
    }
}
