//! Claims about the mechanisms that ask a server.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, MX, NS, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use http::{HeaderMap, StatusCode};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{interval, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{expect, start};
use crate::discovery::config::DnsConfig;
use crate::discovery::publish::Board;
use crate::discovery::{Labels, TargetGroup, dns};
use crate::http::Server;
use crate::telemetry::Registry;

const PATIENCE: Duration = Duration::from_mins(1);

/// What the server answers: the status, the content type, the body.
type Answer = Arc<Mutex<(u16, &'static str, Vec<u8>)>>;

async fn answer(State(answer): State<Answer>, headers: HeaderMap) -> Response {
    assert_eq!(headers["accept"], "application/json");
    assert_eq!(headers["x-prometheus-refresh-interval-seconds"], "0.02");
    assert_eq!(headers["authorization"], "Bearer x");
    let (status, kind, body) = answer.lock().unwrap().clone();
    let status = StatusCode::from_u16(status).unwrap();
    if body == b"endless" {
        let piece = Bytes::from(vec![b' '; 1 << 20]);
        let pieces = stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
        return (status, [("content-type", kind)], Body::from_stream(pieces)).into_response();
    }
    (status, [("content-type", kind)], body).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_asked_and_what_it_garbles_changes_nothing() {
    let json = "application/json";
    let good = br#"[{"targets":["a:1"],"labels":{"x":"y"}}]"#;
    let state: Answer = Arc::new(Mutex::new((200, json, good.to_vec())));
    let service = Router::new()
        .fallback(answer)
        .with_state(Arc::clone(&state));
    let server = Server::start((Ipv4Addr::LOCALHOST, 0).into(), service).unwrap();
    let url = format!("http://{}/t", server.address());
    let yaml =
        format!("http_sd_configs: [{{url: '{url}', refresh_interval: 20ms, bearer_token: x}}]");
    let (discovery, mut targets, registry) = start(&yaml, Path::new(""));
    expect(&mut targets, &["a:1"]).await;
    assert_eq!(targets.borrow()[0].labels["__meta_url"], url);
    let failures = || {
        let metrics = registry.render();
        let mut lines = metrics.lines();
        let name = "promrelay_discovery_failures_total{";
        let line = lines.find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    for (status, kind, body) in [
        (500, json, good.to_vec()),
        (204, json, Vec::new()),
        (200, "text/plain", good.to_vec()),
        (200, "application/json; charset=latin1", good.to_vec()),
        (200, json, b"[{".to_vec()),
        (200, json, b"{}".to_vec()),
        (200, json, b"[null]".to_vec()),
        (200, json, b"[{\"targets\":[1]}]".to_vec()),
        (200, json, b"endless".to_vec()),
    ] {
        *state.lock().unwrap() = (status, kind, body.clone());
        let before = failures();
        let wait = async {
            let mut poll = interval(Duration::from_millis(5));
            while failures() < before + 2 {
                poll.tick().await;
            }
        };
        let failed = timeout(PATIENCE, wait).await;
        assert!(
            failed.is_ok(),
            "{status} {kind} {}",
            String::from_utf8_lossy(&body)
        );
        assert_eq!(targets.borrow()[0].targets[0]["__address__"], "a:1");
    }
    let next = br#"[{"targets":["b:1","b:2"]},{"targets":[]}]"#.to_vec();
    *state.lock().unwrap() = (200, "application/json;charset=UTF-8", next);
    expect(&mut targets, &["b:1", "b:2"]).await;
    discovery.stop().await;
}

/// A name server that knows some records; `broken.` is a name on which it fails.
async fn name_server() -> (SocketAddr, AbortOnDropHandle<()>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    let name = |text: &str| Name::from_ascii(text).unwrap();
    let records = BTreeMap::from([
        (
            ("a.test.", RecordType::A),
            vec![RData::A(A::new(10, 0, 0, 2)), RData::A(A::new(10, 0, 0, 1))],
        ),
        (
            ("s.test.", RecordType::SRV),
            vec![RData::SRV(SRV::new(1, 1, 9182, name("h.test.")))],
        ),
        (
            ("m.test.", RecordType::MX),
            vec![RData::MX(MX::new(1, name("mail.test.")))],
        ),
        (
            ("n.test.", RecordType::NS),
            vec![RData::NS(NS(name("ns.test.")))],
        ),
    ]);
    let serve = async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let question = query.queries[0].clone();
            let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
            answer.add_query(question.clone());
            let asked = question.name().to_ascii();
            let found = records.get(&(asked.as_str(), question.query_type()));
            for data in found.into_iter().flatten() {
                answer.add_answer(Record::from_rdata(
                    question.name().clone(),
                    60,
                    data.clone(),
                ));
            }
            answer.metadata.response_code = match asked.as_str() {
                "broken.test." => ResponseCode::ServFail,
                _ if found.is_some() => ResponseCode::NoError,
                _ => ResponseCode::NXDomain,
            };
            socket
                .send_to(&answer.to_vec().unwrap(), from)
                .await
                .unwrap();
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the handle stops the server")]
    let task = tokio::spawn(serve);
    (address, AbortOnDropHandle::new(task))
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_each_type_become_targets() {
    let (address, _server) = name_server().await;
    for (yaml, expected) in [
        (
            "{names: [a.test., missing.test., broken.test.], type: A, port: 80}",
            vec![
                vec![
                    ("__address__", "10.0.0.1:80"),
                    ("__meta_dns_name", "a.test."),
                ],
                vec![
                    ("__address__", "10.0.0.2:80"),
                    ("__meta_dns_name", "a.test."),
                ],
            ],
        ),
        (
            "{names: [s.test.]}",
            vec![vec![
                ("__address__", "h.test:9182"),
                ("__meta_dns_name", "s.test."),
                ("__meta_dns_srv_record_port", "9182"),
                ("__meta_dns_srv_record_target", "h.test."),
            ]],
        ),
        (
            "{names: [m.test.], type: mx, port: 25}",
            vec![vec![
                ("__address__", "mail.test:25"),
                ("__meta_dns_mx_record_target", "mail.test."),
                ("__meta_dns_name", "m.test."),
            ]],
        ),
        (
            "{names: [n.test.], type: NS, port: 53}",
            vec![vec![
                ("__address__", "ns.test:53"),
                ("__meta_dns_name", "n.test."),
                ("__meta_dns_ns_record_target", "ns.test."),
            ]],
        ),
    ] {
        check_records(address, yaml, &expected).await;
    }
}

/// Checks what targets the records of a configuration become.
async fn check_records(server: SocketAddr, yaml: &str, expected: &[Vec<(&str, &str)>]) {
    let config: DnsConfig = serde_yaml::from_str(yaml).unwrap();
    let registry = Registry::new();
    let board = Arc::new(Board::new("j", &registry));
    let (sender, mut targets) = watch::channel(board.groups());
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let expected: Vec<Labels> = expected
        .iter()
        .map(|target| target.iter().map(owned).collect())
        .collect();
    let check = async {
        let matches = |groups: &Arc<Vec<Arc<TargetGroup>>>| {
            let all = groups.iter().flat_map(|group| group.targets.clone());
            all.collect::<Vec<_>>() == expected
        };
        drop(targets.wait_for(matches).await.unwrap());
        let mut poll = interval(Duration::from_millis(20));
        let failed = r#"failures_total{job="j",mechanism="dns"} 1"#;
        while yaml.contains("broken") && !registry.render().contains(failed) {
            poll.tick().await;
        }
    };
    tokio::select! {
        () = dns::run(config, vec![server], board.provider("dns")) => {}
        () = board.publish(&sender) => {}
        done = timeout(PATIENCE, check) => assert!(done.is_ok(), "{yaml}"),
    }
}
