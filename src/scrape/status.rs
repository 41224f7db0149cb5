//! What operators see of targets, in the shape of Prometheus' API.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::metadata::Families;
use super::target::Target;
use crate::discovery::Labels;
use crate::settings;

/// What a target's last scrape came to.
#[derive(Debug, Default)]
pub(super) struct Status {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// `None` before the first scrape.
    last: Option<Last>,
    families: Families,
}

#[derive(Debug)]
struct Last {
    at: SystemTime,
    duration: Duration,
    /// `None` if it succeeded.
    error: Option<String>,
}

impl Status {
    pub(super) fn scraped(&self, at: SystemTime, duration: Duration, error: Option<String>) {
        let last = Last {
            at,
            duration,
            error,
        };
        self.lock().last = Some(last);
    }

    pub(super) fn set_families(&self, families: Families) {
        self.lock().families = families;
    }

    pub(super) fn families(&self) -> Families {
        Arc::clone(&self.lock().families)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An element of `activeTargets`.
pub(super) fn active(target: &Target, discovered: &Labels, status: &Status, pool: &str) -> Value {
    let state = status.lock();
    let labels: serde_json::Map<_, _> = target
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let (health, error) = match &state.last {
        None => ("unknown", ""),
        Some(Last { error: None, .. }) => ("up", ""),
        Some(Last {
            error: Some(error), ..
        }) => ("down", error.as_str()),
    };
    let duration = |duration: Duration| {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        settings::Duration::from_millis(milliseconds).to_string()
    };
    let at = state.last.as_ref().map(|last| last.at);
    let took = state.last.as_ref().map(|last| last.duration);
    json!({
        "discoveredLabels": discovered,
        "labels": labels,
        "scrapePool": pool,
        "scrapeUrl": target.shown_url(),
        "globalUrl": target.shown_url(),
        "lastError": error,
        "lastScrape": at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), rfc3339),
        "lastScrapeDuration": took.unwrap_or_default().as_secs_f64(),
        "health": health,
        "scrapeInterval": duration(target.interval),
        "scrapeTimeout": duration(target.timeout),
    })
}

/// A time in UTC as RFC 3339 has it, with nanoseconds.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let since_epoch = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:09}Z",
        seconds % 60,
        since_epoch.subsec_nanos()
    )
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut left) = (1970, days);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}
