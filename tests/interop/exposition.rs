//! Scrape targets: two `windows_exporter`s with other values at each scrape, and odd values.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::process::eventually;
use crate::recorder::Recorder;
use crate::samples::STALE;

const WINDOWS_16: &str = include_str!("../../src/cli/demo/windows_exporter-0.16.0.prom");
const WINDOWS_31: &str = include_str!("../fixtures/windows_exporter-0.31.prom");

/// The `instance` of the older exporter, of which the chart's routes keep 12 and 81 series.
pub(crate) const INSTANCE_16: &str = "windows-0.16";
/// The `instance` of the newer exporter, of which the chart's routes keep 12 and 76 series.
pub(crate) const INSTANCE_31: &str = "windows-0.31";

/// What to ask `/metrics` for the newer exporter.
const ASKS_FOR_31: &str = "version=0.31";

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
    /// Serves all targets.
    pub(crate) async fn start() -> Exposition {
        let state = Arc::new(Scrapes::default());
        let router = Router::new()
            // Where an exporter has them, for what can ask for nothing else; values stay.
            .route("/metrics", get(async |query| constant(query)))
            .route("/16", get(async |state| windows(WINDOWS_16, state)))
            .route("/31", get(async |state| windows(WINDOWS_31, state)))
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

    /// Answers scrapes of the `windows_exporter`s with an error until the recorder knows of all
    /// series on this path, which are theirs, that they ended.
    pub(crate) async fn interrupt(&self, recorder: &Recorder, path: &str) {
        self.state.broken.store(true, Ordering::Relaxed);
        eventually("the series end", Duration::from_secs(30), async || {
            let samples = recorder.samples(path);
            let ended = samples
                .0
                .values()
                .all(|samples| samples.iter().any(|s| s.1 == STALE));
            (ended && samples.series() > 0).then_some(())
        })
        .await;
        self.state.broken.store(false, Ordering::Relaxed);
    }

    /// The scrape jobs of Prometheus: both exporters as the chart names them, and the odd values.
    pub(crate) fn jobs(&self) -> String {
        let job = |path: &str, job: &str, instance: &str| {
            format!(
                "  - job_name: {instance}\n    metrics_path: /{path}\n    \
                 static_configs: [{{targets: ['{}'], \
                 labels: {{job: {job}, instance: {instance}}}}}]\n",
                self.address
            )
        };
        job("16", "node-exporter", INSTANCE_16)
            + &job("31", "node-exporter", INSTANCE_31)
            + &job("odd", "odd", "odd")
    }
}

/// The older exporter, or the newer one for those who ask with [`ASKS_FOR_31`].
fn constant(RawQuery(query): RawQuery) -> &'static str {
    match query.as_deref() {
        Some(ASKS_FOR_31) => WINDOWS_31,
        _ => WINDOWS_16,
    }
}

fn windows(exposition: &str, State(state): State<Arc<Scrapes>>) -> Result<String, StatusCode> {
    if state.broken.load(Ordering::Relaxed) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let scrape = state.count.fetch_add(1, Ordering::Relaxed);
    let mut text = String::new();
    for line in exposition.lines() {
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
