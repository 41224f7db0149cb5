//! A receiver that knows one version of remote write or both, and says what it has written.

#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use http::{HeaderMap, StatusCode};
use promrelay::http::Server;
use promrelay::remote_write::generated::{prometheus as v1, write_v2 as v2};
use promrelay::remote_write::message::ProtobufMessage;
use promrelay::remote_write::snappy::decompress;
use prost::Message as _;

/// What the receiver understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knows {
    /// 1.0 and 2.0, as the specification has it.
    Both,
    /// The same; but when it refuses something it forgets to say what it has written.
    BothForgetfully,
    /// 1.0 only: a 2.0 request is answered so, and nothing of it is stored.
    First(StatusCode),
}

/// A receiver on a free port.
pub(super) struct Peer {
    server: Server,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) knows: Knows,
    /// A metric that is refused with 400.
    pub(super) poison: Option<&'static str>,
    /// Whether the others of a request with such a metric are written.
    pub(super) writes_rest: bool,
    /// What is answered to everything, and nothing is stored.
    pub(super) answer: Option<StatusCode>,
    /// Headers of every answer.
    pub(super) headers: HeaderMap,
    pub(super) arrivals: Vec<Arrival>,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) message: ProtobufMessage,
    pub(super) series: Vec<Told>,
    /// Metadata of 1.0: name, type and help.
    pub(super) families: Vec<(String, i32, String)>,
    /// Series that were stored.
    pub(super) stored: Vec<Told>,
}

/// A series, whatever it came in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) name: String,
    pub(super) labels: Vec<(String, String)>,
    pub(super) samples: Vec<(i64, f64)>,
    pub(super) start_timestamps: Vec<i64>,
    pub(super) histograms: usize,
    pub(super) exemplars: Vec<f64>,
    /// Type and help.
    pub(super) metadata: Option<(i32, String)>,
}

impl Peer {
    pub(super) fn start(knows: Knows) -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), knows)
    }

    pub(super) fn start_at(address: SocketAddr, knows: Knows) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            knows,
            poison: None,
            writes_rest: false,
            answer: None,
            headers: HeaderMap::new(),
            arrivals: Vec::new(),
        }));
        let service = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&shared));
        let server = Server::start(address, service).unwrap();
        Self { server, shared }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(super) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    pub(super) async fn stop(self) -> SocketAddr {
        let address = self.address();
        self.server.stop(Duration::from_millis(100)).await;
        address
    }

    pub(super) fn arrivals(&self, path: &str) -> Vec<Arrival> {
        let arrivals = &self.shared().arrivals;
        let at_path = arrivals.iter().filter(|arrival| arrival.path == path);
        at_path.cloned().collect()
    }

    /// What was stored on `path`, series by series as they came.
    pub(super) fn stored(&self, path: &str) -> Vec<Told> {
        let arrivals = self.arrivals(path).into_iter();
        arrivals.flat_map(|arrival| arrival.stored).collect()
    }

    /// The samples that were stored on `path`: name and timestamp, sorted.
    pub(super) fn samples(&self, path: &str) -> Vec<(String, i64)> {
        let stored = self.stored(path).into_iter();
        let mut samples: Vec<_> = stored
            .flat_map(|series| {
                let name = series.name;
                let samples = series.samples.into_iter();
                samples.map(move |(time, _)| (name.clone(), time))
            })
            .collect();
        samples.sort_unstable();
        samples
    }
}

async fn receive(
    State(shared): State<Arc<Mutex<Shared>>>,
    request: Request,
) -> (StatusCode, HeaderMap, &'static str) {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap();
    let mut buffer = Vec::new();
    let raw = decompress(&body, 64 << 20, &mut buffer).unwrap();
    let (message, series, families) = match parts.headers["content-type"].to_str().unwrap() {
        "application/x-protobuf" => read_v1(raw),
        "application/x-protobuf;proto=io.prometheus.write.v2.Request" => read_v2(raw),
        other => panic!("content type {other}"),
    };
    let mut shared = shared.lock().unwrap();
    let answer = answer(&shared, message, &series);
    let mut headers = shared.headers.clone();
    if message == ProtobufMessage::V2 && answer.says_written {
        let exemplars = |told: &Told| told.exemplars.len();
        for (what, count) in [
            ("samples", sum(&answer.stored, |told| told.samples.len())),
            ("histograms", sum(&answer.stored, |told| told.histograms)),
            ("exemplars", sum(&answer.stored, exemplars)),
        ] {
            let name = format!("x-prometheus-remote-write-{what}-written");
            let name = http::HeaderName::try_from(name).unwrap();
            headers.insert(name, count.into());
        }
    }
    shared.arrivals.push(Arrival {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        message,
        series,
        families,
        stored: answer.stored,
    });
    (answer.status, headers, "as the test wants it")
}

struct Answer {
    status: StatusCode,
    says_written: bool,
    stored: Vec<Told>,
}

fn answer(shared: &Shared, message: ProtobufMessage, series: &[Told]) -> Answer {
    let forgets = shared.knows == Knows::BothForgetfully;
    let nothing = |status, says_written| Answer {
        status,
        says_written,
        stored: Vec::new(),
    };
    if let Some(status) = shared.answer {
        return nothing(status, !forgets);
    }
    if let (Knows::First(status), ProtobufMessage::V2) = (shared.knows, message) {
        return nothing(status, false);
    }
    let is_poison = |told: &Told| Some(told.name.as_str()) == shared.poison;
    if !series.iter().any(is_poison) {
        return Answer {
            status: StatusCode::NO_CONTENT,
            says_written: true,
            stored: series.to_vec(),
        };
    }
    let mut refusal = nothing(StatusCode::BAD_REQUEST, !forgets);
    if shared.writes_rest {
        refusal.stored = series.to_vec();
        refusal.stored.retain(|told| !is_poison(told));
    }
    refusal
}

fn sum(series: &[Told], count: impl Fn(&Told) -> usize) -> usize {
    series.iter().map(count).sum()
}

type Read = (ProtobufMessage, Vec<Told>, Vec<(String, i32, String)>);

fn read_v1(raw: &[u8]) -> Read {
    let request = v1::WriteRequest::decode(raw).unwrap();
    let series = request.timeseries.into_iter().map(|series| {
        let labels = series.labels.into_iter();
        Told {
            samples: series
                .samples
                .iter()
                .map(|s| (s.timestamp, s.value))
                .collect(),
            histograms: series.histograms.len(),
            exemplars: series.exemplars.iter().map(|e| e.value).collect(),
            ..named(labels.map(|label| (label.name, label.value)).collect())
        }
    });
    let metadata = request.metadata.into_iter();
    let families = metadata.map(|family| (family.metric_family_name, family.r#type, family.help));
    (ProtobufMessage::V1, series.collect(), families.collect())
}

fn read_v2(raw: &[u8]) -> Read {
    let request = v2::Request::decode(raw).unwrap();
    let symbol = |reference: u32| request.symbols[reference as usize].clone();
    assert_eq!(symbol(0), "", "the first symbol");
    let series = request.timeseries.iter().map(|series| {
        let labels = series.labels_refs.chunks_exact(2);
        assert!(labels.remainder().is_empty());
        Told {
            samples: series
                .samples
                .iter()
                .map(|s| (s.timestamp, s.value))
                .collect(),
            start_timestamps: series.samples.iter().map(|s| s.start_timestamp).collect(),
            histograms: series.histograms.len(),
            exemplars: series.exemplars.iter().map(|e| e.value).collect(),
            metadata: series
                .metadata
                .as_ref()
                .map(|metadata| (metadata.r#type, symbol(metadata.help_ref))),
            ..named(
                labels
                    .map(|pair| (symbol(pair[0]), symbol(pair[1])))
                    .collect(),
            )
        }
    });
    (ProtobufMessage::V2, series.collect(), Vec::new())
}

fn named(labels: Vec<(String, String)>) -> Told {
    let name = labels.iter().find(|(name, _)| name == "__name__");
    Told {
        name: name.map(|(_, value)| value.clone()).unwrap_or_default(),
        labels,
        ..Told::default()
    }
}
