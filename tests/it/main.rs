//! The integration tests of the crate and the checks on its sources.

mod dependencies;
mod fuzzing;
mod generated;
mod layers;
mod monitoring;
mod proxy;
mod relay;
mod sources;
