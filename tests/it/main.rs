//! The integration tests of the crate and the checks on its sources.

mod dependencies;
mod generated;
mod layers;
mod proxy;
mod relay;
mod sources;
