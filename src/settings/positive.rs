//! Values of which there must be some.

use serde::{Deserialize, Deserializer, de};

/// Reads a value that must not be zero; for serde's `deserialize_with`.
///
/// # Errors
/// If it is zero, or no such value.
pub fn positive<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default + PartialEq,
{
    let value = T::deserialize(deserializer)?;
    if value == T::default() {
        Err(de::Error::custom("must be positive"))
    } else {
        Ok(value)
    }
}
