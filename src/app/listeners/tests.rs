//! Who does what operators ask for.

use axum::body::to_bytes;
use axum::routing::get;
use tokio::runtime::Builder;
use tower_service::Service as _;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_operators_ask_for_is_done_by_the_workers() {
    let name = async || std::thread::current().name().unwrap_or_default().to_owned();
    let mut service = by_workers(Router::new().route("/", get(name)));
    let ask = move || {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let answer = service
                .call(Request::<axum::body::Body>::default())
                .await
                .unwrap();
            to_bytes(answer.into_body(), 1024).await.unwrap()
        })
    };
    let thread = std::thread::Builder::new().name("connections".to_owned());
    let name = thread.spawn(ask).unwrap().join().unwrap();
    assert_ne!(name, "connections");
    assert!(!name.is_empty());
}
