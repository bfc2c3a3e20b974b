//! How much of the pool each caller gets against others.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use hub_core::caller::CallerWeights;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{answers::Invalid, body::JsonBody};
use crate::{audit::about, error::WebError, router::App};

/// Weights of callers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = CallerWeights)]
#[serde(deny_unknown_fields)]
pub(crate) struct WeightsRecord {
    /// Weight by the caller's name, 0.1 to 100; callers that are not named have 1.
    weights: BTreeMap<String, f64>,
}

impl From<CallerWeights> for WeightsRecord {
    fn from(weights: CallerWeights) -> Self {
        Self { weights: weights.into() }
    }
}

/// Tells the weights in force.
#[utoipa::path(get, path = "/api/v1/caller-weights", tag = "jobs", operation_id = "get_caller_weights",
    responses((status = 200, body = WeightsRecord)))]
pub(crate) async fn show(State(app): State<App>) -> Result<Json<WeightsRecord>, WebError> {
    Ok(Json(app.engine.caller_weights().await?.into()))
}

/// Stores weights instead of those stored before; they count at once. Callers that are left out have what the
/// configuration file says, else 1. Answers the weights in force.
#[utoipa::path(put, path = "/api/v1/caller-weights", tag = "jobs", operation_id = "set_caller_weights",
    request_body = WeightsRecord,
    responses((status = 200, body = WeightsRecord), Invalid))]
pub(crate) async fn replace(
    State(app): State<App>,
    JsonBody(body): JsonBody<WeightsRecord>,
) -> Result<Response, WebError> {
    let names: Vec<&str> = body.weights.keys().map(String::as_str).collect();
    let names = names.join(", ");
    app.engine.set_caller_weights(&CallerWeights::try_from(body.weights)?).await?;
    let record = WeightsRecord::from(app.engine.caller_weights().await?);
    Ok(about(Json(record).into_response(), names))
}
