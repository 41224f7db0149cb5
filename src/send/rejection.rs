//! What follows when a receiver refuses a batch for good: `on_rejection` of a route.

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::settings::{Duration, positive};

/// What follows when a receiver answers 4xx. A code that stands in no list is parked at once: kept
/// aside, see [`super::parked`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RejectionConfig {
    /// The batch is halved, and its halves are sent, and so on: only the series that are refused
    /// alone, or what is still refused after `max_split_requests`, are parked.
    #[serde(deserialize_with = "codes")]
    pub split: Vec<u16>,
    /// The batch is parked; but when more than `suspend_after` in a row were answered so, the route
    /// is suspended.
    #[serde(deserialize_with = "codes")]
    pub suspend: Vec<u16>,
    /// The batch is sent again as after 5xx. The specification forbids it, some receivers need it.
    #[serde(deserialize_with = "codes")]
    pub retry: Vec<u16>,
    /// Batches in a row that are parked before the route is suspended. 0 suspends at the first.
    pub suspend_after: u64,
    /// The first pause of a suspended route; each further one is twice as long.
    #[serde(deserialize_with = "positive")]
    pub min_suspension: Duration,
    /// The longest pause.
    #[serde(deserialize_with = "positive")]
    pub max_suspension: Duration,
    /// Requests that the splitting of one batch may cost.
    pub max_split_requests: u64,
}

impl Default for RejectionConfig {
    fn default() -> Self {
        Self {
            split: vec![400, 413, 422],
            suspend: vec![401, 403, 404, 415],
            retry: Vec::new(),
            suspend_after: 3,
            min_suspension: Duration::from_millis(5_000),
            max_suspension: Duration::from_millis(300_000),
            max_split_requests: 64,
        }
    }
}

impl RejectionConfig {
    pub(super) fn splits(&self, code: u16) -> bool {
        self.split.contains(&code)
    }

    pub(super) fn suspends(&self, code: u16) -> bool {
        self.suspend.contains(&code)
    }

    pub(super) fn retries(&self, code: u16) -> bool {
        self.retry.contains(&code)
    }

    /// A code that stands in more than one list, if there is one.
    #[must_use]
    pub fn ambiguous(&self) -> Option<u16> {
        let mut all: Vec<u16> = [&self.split, &self.suspend, &self.retry]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        all.sort_unstable();
        let twice = all.windows(2).find(|pair| pair[0] == pair[1]);
        twice.map(|pair| pair[0])
    }
}

/// Status codes of refusals, each of them one to decide about.
fn codes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u16>, D::Error> {
    let codes = Vec::<u16>::deserialize(deserializer)?;
    match codes.iter().find(|code| !(400..500).contains(*code)) {
        Some(code) => Err(de::Error::custom(format!(
            "{code} is no refusal for good: write codes from 400 to 499"
        ))),
        None if codes.contains(&429) => Err(de::Error::custom(
            "429 is not decided here but by `queue_config.retry_on_http_429`",
        )),
        None => Ok(codes),
    }
}
