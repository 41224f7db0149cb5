//! Where scraped samples go: the router of the current configuration.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::route::Router;

/// The router in force, and who still uses it.
#[derive(Debug)]
pub(super) struct Outlet {
    current: ArcSwap<Current>,
}

#[derive(Debug)]
struct Current {
    router: Arc<Router>,
    in_hand: TaskTracker,
}

impl Current {
    fn new(router: Arc<Router>) -> Arc<Self> {
        let in_hand = TaskTracker::new();
        Arc::new(Self { router, in_hand })
    }
}

impl Outlet {
    pub(super) fn new(router: Arc<Router>) -> Self {
        Self {
            current: ArcSwap::new(Current::new(router)),
        }
    }

    /// The router, and a token to hold for as long as it is used.
    pub(super) fn take(&self) -> (Arc<Router>, TaskTrackerToken) {
        loop {
            let current = self.current.load_full();
            let token = current.in_hand.token();
            // Whoever waits for the tokens of the router before has seen this one, or this one is
            // already of the router after.
            if Arc::ptr_eq(&current, &self.current.load()) {
                return (Arc::clone(&current.router), token);
            }
        }
    }

    /// Puts another router in force, and waits until nobody uses the one before.
    pub(super) async fn replace(&self, router: Arc<Router>) {
        let before = self.current.swap(Current::new(router));
        before.in_hand.close();
        before.in_hand.wait().await;
    }
}
