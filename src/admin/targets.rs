//! `/api/v1/targets` and `/api/v1/targets/metadata`, as Prometheus answers them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{Admin, success};
use crate::scrape::{Selector, TargetState};

/// What can be asked of `/api/v1/targets`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List {
    #[serde(default)]
    state: String,
    scrape_pool: Option<String>,
}

/// What can be asked of `/api/v1/targets/metadata`.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    match_target: Option<String>,
    metric: Option<String>,
    limit: Option<String>,
}

pub(super) async fn list(State(admin): State<Arc<Admin>>, Query(query): Query<List>) -> Response {
    let state = match query.state.to_ascii_lowercase().as_str() {
        "active" => TargetState::Active,
        "dropped" => TargetState::Dropped,
        _ => TargetState::Any,
    };
    let pool = query.scrape_pool.filter(|pool| !pool.is_empty());
    success(&admin.relay.targets().list(state, pool.as_deref())).into_response()
}

pub(super) async fn metadata(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<Metadata>,
) -> Response {
    let limit = match query.limit.as_deref().map(str::parse::<i64>) {
        None | Some(Ok(..0)) => usize::MAX,
        Some(Ok(limit)) => usize::try_from(limit).unwrap_or(usize::MAX),
        Some(Err(_)) => return bad_data("limit must be a number"),
    };
    let selector = query.match_target.filter(|text| !text.is_empty());
    let selector: Selector = match selector.map(|text| text.parse()).transpose() {
        Ok(selector) => selector.unwrap_or_default(),
        Err(error) => return bad_data(&error.to_string()),
    };
    let metric = query.metric.filter(|metric| !metric.is_empty());
    let targets = admin.relay.targets();
    success(&targets.metadata(&selector, metric.as_deref(), limit)).into_response()
}

fn bad_data(error: &str) -> Response {
    let body = json!({"status": "error", "errorType": "bad_data", "error": error});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
