//! A scrape target that serves the `windows_exporter` fixture, with other values at each scrape.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const WINDOWS: &str = include_str!("../fixtures/windows_exporter-0.16.0.prom");

/// Values and labels that are easily damaged on the way.
const ODD: &str = r#"odd_value{is="nan"} NaN
odd_value{is="infinite"} +Inf
odd_value{is="negative infinite"} -Inf
odd_value{is="negative zero"} -0
odd_value{is="smallest"} 5e-324
odd_value{is="largest"} 1.7976931348623157e308
odd_value{is="not decimal"} 0.30000000000000004
odd_label{is="quote \" backslash \\ newline \n"} 1
odd_label{is="größer als 零 🦀"} 1
odd_label{is=" leading and trailing "} 1
odd_label{A="upper",_a="under",a="lower"} 1
"#;

/// The target; it ends with this value.
pub(crate) struct Exposition {
    /// `127.0.0.1:port`.
    pub(crate) address: String,
    state: Arc<Scrapes>,
    _server: JoinSet<std::io::Result<()>>,
}

#[derive(Default)]
struct Scrapes {
    count: AtomicU32,
    broken: AtomicBool,
}

impl Exposition {
    /// Serves `/windows` and `/odd`.
    pub(crate) async fn start() -> Exposition {
        let state = Arc::new(Scrapes::default());
        let router = Router::new()
            .route("/windows", get(windows))
            .route("/odd", get(async || ODD))
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address")
            .to_string();
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await });
        Exposition {
            address,
            state,
            _server: server,
        }
    }

    /// Answers scrapes of `/windows` with an error from now on, so that its series go stale.
    pub(crate) fn break_down(&self) {
        self.state.broken.store(true, Ordering::Relaxed);
    }

    /// Answers scrapes again.
    pub(crate) fn recover(&self) {
        self.state.broken.store(false, Ordering::Relaxed);
    }

    /// A Prometheus scrape job for `/windows`, as the chart names it, and one for `/odd`.
    pub(crate) fn jobs(&self) -> String {
        let job = |name: &str, path: &str| {
            format!(
                "  - {{job_name: {name}, metrics_path: {path}, \
                 static_configs: [{{targets: ['{}']}}]}}\n",
                self.address
            )
        };
        job("node-exporter", "/windows") + &job("odd", "/odd")
    }
}

async fn windows(State(state): State<Arc<Scrapes>>) -> Result<String, StatusCode> {
    if state.broken.load(Ordering::Relaxed) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let scrape = state.count.fetch_add(1, Ordering::Relaxed);
    let mut text = String::new();
    for line in WINDOWS.lines() {
        match line.rsplit_once(' ') {
            Some((series, value)) if !line.starts_with('#') => {
                let value: f64 = value.parse().expect("a fixture's value is a number");
                writeln!(text, "{series} {}", value + f64::from(scrape)).expect("fits");
            }
            _ => writeln!(text, "{line}").expect("fits"),
        }
    }
    Ok(text)
}
