//! promrelay: a Prometheus remote-write filtering relay.
//!
//! Prometheus sends it everything once; it decides per route what goes where, and delivers it.
//! `ARCHITECTURE.md` shows the modules in layers: a module imports only from layers above its own.

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod discovery;
pub mod exposition;
pub mod http;
pub mod model;
pub mod proxy;
pub mod queue;
pub mod re2;
pub mod receive;
pub mod relabel;
pub mod remote_write;
pub mod route;
pub mod scrape;
pub mod send;
pub mod settings;
pub mod store;
pub mod telemetry;
