//! Values as they are written in the configuration, parsed where they are read.

mod duration;
mod positive;
mod secret;
mod size;
mod url;

#[cfg(test)]
mod tests;

pub use duration::{Duration, InvalidDuration};
pub use positive::positive;
pub use secret::Secret;
pub use size::ByteSize;
pub use url::HttpUrl;
