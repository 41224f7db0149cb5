//! The HTTP server, the client, and reading bodies without trusting their length.

mod body;
pub mod client;
mod server;
mod web;

pub use body::{BodyError, read_bounded, read_response, read_response_bounded};
pub use server::{BindError, Limits, ListenerMetrics, Options, Server, Serving};
pub use web::{Mistake, ReplaceError, Settings, Web, WebConfig};
