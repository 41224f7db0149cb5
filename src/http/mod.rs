//! The HTTP server, and reading bodies without trusting their length.

mod body;
mod server;

pub use body::{BodyError, read_bounded, read_response};
pub use server::{BindError, Server};
