//! `dns_sd_configs`: targets that the DNS tells.
//!
//! A name that does not exist has no targets; a server that fails changes nothing. Nothing is
//! cached, and the system's list of servers is read each time, so that it can change.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use thiserror::Error;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::config::{DnsConfig, DnsType};
use super::publish::Provider;
use super::{ADDRESS, Labels, TargetGroup, host_port};

/// How long one name may take, with all that is tried again.
const PATIENCE: Duration = Duration::from_secs(20);

const NAME: &str = "__meta_dns_name";
const SRV_TARGET: &str = "__meta_dns_srv_record_target";
const SRV_PORT: &str = "__meta_dns_srv_record_port";
const MX_TARGET: &str = "__meta_dns_mx_record_target";
const NS_TARGET: &str = "__meta_dns_ns_record_target";

/// Why a name's targets are not known.
#[derive(Debug, Error)]
enum DnsError {
    #[error("cannot set up the resolver")]
    Resolver(#[source] NetError),
    #[error("cannot look the name up")]
    Lookup(#[source] NetError),
    #[error("the name was not looked up within {} s", PATIENCE.as_secs())]
    Timeout,
}

/// Keeps the targets behind the names of `config` up to date; never returns. Asks `servers`, or
/// the system's if there are none.
pub(super) async fn run(config: DnsConfig, servers: Vec<SocketAddr>, provider: Provider) {
    let mut ticks = interval(config.refresh_interval.into());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let resolver = match resolver(&servers).map_err(DnsError::Resolver) {
            Ok(resolver) => resolver,
            Err(error) => {
                provider.failed("resolver", &error);
                continue;
            }
        };
        join_all(config.names.iter().map(async |name| {
            let looked = timeout(PATIENCE, look_up(&resolver, name, &config)).await;
            match looked.unwrap_or(Err(DnsError::Timeout)) {
                Ok(group) => {
                    provider.put(group);
                    provider.succeeded();
                }
                Err(error) => provider.failed(name, &error),
            }
        }))
        .await;
    }
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let provider = TokioRuntimeProvider::default();
    let mut builder = if servers.is_empty() {
        TokioResolver::builder(provider)?
    } else {
        let server = |address: &SocketAddr| {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            for connection in &mut server.connections {
                connection.port = address.port();
            }
            server
        };
        let servers = servers.iter().map(server).collect();
        TokioResolver::builder_with_config(ResolverConfig::from_name_servers(servers), provider)
    };
    builder.options_mut().cache_size = 0;
    builder.build()
}

async fn look_up(
    resolver: &TokioResolver,
    name: &str,
    config: &DnsConfig,
) -> Result<TargetGroup, DnsError> {
    let kind = match config.kind {
        DnsType::A => RecordType::A,
        DnsType::Aaaa => RecordType::AAAA,
        DnsType::Srv => RecordType::SRV,
        DnsType::Mx => RecordType::MX,
        DnsType::Ns => RecordType::NS,
    };
    let mut group = TargetGroup {
        source: name.to_owned(),
        ..TargetGroup::default()
    };
    let answers = match resolver.lookup(name, kind).await {
        Ok(answers) => answers,
        Err(error) if error.is_no_records_found() => return Ok(group),
        Err(error) => return Err(DnsError::Lookup(error)),
    };
    for record in answers.answers() {
        group
            .targets
            .extend(target(&record.data, name, config.port.unwrap_or_default()));
    }
    // Servers turn the order round to spread load; here it would only look like a change.
    group.targets.sort();
    Ok(group)
}

/// The target of a record; none for one that was not asked for, as an alias on the way.
fn target(data: &RData, name: &str, port: u16) -> Option<Labels> {
    let mut labels = Labels::from([(NAME.to_owned(), name.to_owned())]);
    let bare = |name: &str| name.trim_end_matches('.').to_owned();
    let address = match data {
        RData::A(address) => host_port(&address.0.to_string(), port),
        RData::AAAA(address) => host_port(&address.0.to_string(), port),
        RData::SRV(record) => {
            let target = record.target.to_string();
            labels.insert(SRV_PORT.to_owned(), record.port.to_string());
            labels.insert(SRV_TARGET.to_owned(), target.clone());
            host_port(&bare(&target), record.port)
        }
        RData::MX(record) => {
            let target = record.exchange.to_string();
            labels.insert(MX_TARGET.to_owned(), target.clone());
            host_port(&bare(&target), port)
        }
        RData::NS(record) => {
            let target = record.0.to_string();
            labels.insert(NS_TARGET.to_owned(), target.clone());
            host_port(&bare(&target), port)
        }
        _ => return None,
    };
    labels.insert(ADDRESS.to_owned(), address);
    Some(labels)
}
