//! Secrets, which do not show, and of which a wrong guess tells nothing.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serialize, Serializer};

/// What is shown in place of a secret, as Prometheus has it.
const SHOWN: &str = "<secret>";

/// A text that is shown nowhere: not in logs, errors or the status pages.
///
/// `==` is for configurations; what somebody shows is compared by [`Secret::is`].
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for where it is used.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `shown` is the secret. It takes as long wherever the difference is; only a wrong
    /// length can be told.
    #[must_use]
    pub fn is(&self, shown: &[u8]) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), shown).is_ok()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(SHOWN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(SHOWN)
    }
}
