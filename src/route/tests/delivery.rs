//! Requests on their way into queues.

use futures_util::future::join_all;
use tokio_util::task::TaskTracker;

use super::*;
use crate::queue::{Journal, Options, Queue, lock_directory};
use crate::remote_write::block::Form;
use crate::remote_write::v1::Payload;
use crate::route::{Request, Route, Router, RouterMetrics};
use crate::send::LaneCount;

/// Two routes that keep everything, with a journal in `storage`.
fn router(storage: &std::path::Path) -> (Arc<Router>, Journal) {
    let journal = Journal::open(lock_directory(storage).unwrap()).unwrap();
    let route = |name: &str| {
        let opened = Queue::open_journaled(&storage.join(name), Options::default(), &journal);
        Route {
            name: name.into(),
            rules: rules("[]"),
            lanes: LaneCount::new(1),
            max_samples_per_send: 100,
            payload: Payload::ALL,
            interest: Arc::new(Interest::everything()),
            queue: opened.unwrap().0,
        }
    };
    let routes = vec![route("a"), route("b")];
    let named = routes.iter().map(|route| (&*route.name, &route.rules));
    let metrics = RouterMetrics::new(&Registry::new(), named);
    let families = Families::new(&Registry::new());
    let all = Router::new(routes, Vec::new(), LIMITS, families, metrics);
    (Arc::new(all), journal)
}

/// What a thread has at hand is appended before any of it is synced.
#[tokio::test]
async fn one_sync_does_for_the_requests_that_a_thread_has_at_hand() {
    let storage = tempfile::tempdir().unwrap();
    let (router, journal) = router(storage.path());
    let request = request(std::iter::once(&[("__name__", "x")][..]));
    let tasks = TaskTracker::new();
    for round in 1..=100 {
        let decided = || router.route(Request::new(Form::Plain, &request)).unwrap();
        let commit = |_| tasks.spawn(decided().commit());
        for committed in join_all((0..8).map(commit)).await {
            committed.unwrap().unwrap();
        }
        assert_eq!(journal.stats().syncs, round);
    }
    for route in router.routes() {
        assert_eq!(route.queue.stats().queued.records, 800);
    }
}
