//! Flags of how to listen, in Prometheus' spelling where it has them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::admin::Lifecycle;
use crate::app::WebOptions;
use crate::http::Limits;
use crate::settings::{ByteSize, Duration};

#[derive(Debug, Args)]
// The other flags of the command are a group of this name already.
#[group(skip)]
pub(super) struct Arguments {
    /// Where operators reach the relay: metrics, status, queues, reload. Without it that is at the
    /// address for writes, too.
    #[arg(long = "web.admin-address", value_name = "ADDRESS")]
    admin_address: Option<SocketAddr>,
    /// TLS, users and headers, in the format of Prometheus' exporter-toolkit.
    #[arg(long = "web.config.file", value_name = "FILE")]
    web_config_file: Option<PathBuf>,
    /// The same for the operators' address, if it is not to be the same file.
    #[arg(
        long = "web.admin-config.file",
        value_name = "FILE",
        requires = "admin_address"
    )]
    web_admin_config_file: Option<PathBuf>,
    /// Has POST /-/reload read the configuration again; SIGHUP always does.
    #[arg(long = "web.enable-lifecycle")]
    enable_lifecycle: bool,
    /// Connections at the same time, at each address.
    #[arg(long = "web.max-connections", value_name = "NUMBER", default_value_t = 4096,
          value_parser = positive)]
    max_connections: usize,
    /// Of these from one peer; the addresses of an IPv6 network of 64 bits are one.
    #[arg(long = "web.max-connections-per-peer", value_name = "NUMBER", default_value_t = 512,
          value_parser = positive)]
    max_connections_per_peer: usize,
    /// Requests in hand at the same time, at each address.
    #[arg(long = "web.max-requests", value_name = "NUMBER", default_value_t = 256,
          value_parser = positive)]
    max_requests: usize,
    /// How long a handshake or a request's headers may take.
    #[arg(
        long = "web.read-header-timeout",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = lasting
    )]
    read_header_timeout: Duration,
    /// How long a request's body may take.
    #[arg(
        long = "web.read-timeout",
        value_name = "DURATION",
        default_value = "5m",
        value_parser = lasting
    )]
    read_timeout: Duration,
    /// How long a connection may do nothing between requests.
    #[arg(
        long = "web.idle-timeout",
        value_name = "DURATION",
        default_value = "2m",
        value_parser = lasting
    )]
    idle_timeout: Duration,
    /// How long a client may leave what is written to it unread; an answer as a whole may take
    /// four times that.
    #[arg(
        long = "web.write-timeout",
        value_name = "DURATION",
        default_value = "15s",
        value_parser = lasting
    )]
    write_timeout: Duration,
    /// Headers of one request.
    #[arg(
        long = "web.max-header-size",
        value_name = "SIZE",
        default_value = "64KiB"
    )]
    max_header_size: ByteSize,
    /// Streams of one HTTP/2 connection at the same time.
    #[arg(long = "web.http2-max-streams", value_name = "NUMBER", default_value_t = 32,
          value_parser = clap::value_parser!(u32).range(1..))]
    http2_max_streams: u32,
}

impl Arguments {
    pub(super) fn options(self) -> WebOptions {
        let listeners = 1 + usize::from(self.admin_address.is_some());
        let header_bytes = self.max_header_size.bytes().min(MAX_HEADER_BYTES);
        WebOptions {
            admin_address: self.admin_address,
            config_file: self.web_config_file,
            admin_config_file: self.web_admin_config_file,
            lifecycle: if self.enable_lifecycle {
                Lifecycle::Enabled
            } else {
                Lifecycle::Disabled
            },
            limits: Limits {
                connections: super::descriptors::within(self.max_connections, listeners),
                connections_per_peer: self.max_connections_per_peer,
                requests: self.max_requests,
                header_time: self.read_header_timeout.into(),
                body_time: self.read_timeout.into(),
                idle_time: self.idle_timeout.into(),
                write_time: self.write_timeout.into(),
                header_bytes: u32::try_from(header_bytes).unwrap_or(u32::MAX),
                http2_streams: self.http2_max_streams,
            },
        }
    }
}

/// What HTTP/2 can say of a list of headers, with room to count in.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// Go takes a time of zero for none; here it would be over at once.
pub(super) fn lasting(text: &str) -> Result<Duration, String> {
    match text.parse::<Duration>() {
        Ok(time) if std::time::Duration::from(time).is_zero() => {
            Err("a time above 0 is wanted: write a long one for no bound".to_owned())
        }
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("not a whole number above 0".to_owned()),
        Ok(number) => Ok(number),
    }
}
