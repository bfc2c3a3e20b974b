//! Settings: what there is, what is in force, and changes.

use axum::{extract::State, http::HeaderMap, response::Response};
use hub_engine::SettingView;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    answers::{self, Changed, Conflict, Invalid},
    body::JsonBody,
    etag::Expected,
};
use crate::{audit::about_all, error::WebError, router::App};

/// All settings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingList {
    /// In the order of the configuration file; those that cannot be changed here come last.
    settings: Vec<SettingView>,
    /// Version, for `If-Match`.
    etag: String,
}

/// Lists all settings: value, default, meaning, bounds, where the value comes from, and whether it can be changed.
#[utoipa::path(get, path = "/api/v1/settings", tag = "hub", operation_id = "list_settings",
    responses((status = 200, body = SettingList, headers(("ETag" = String)))))]
pub(crate) async fn list(State(app): State<App>) -> Response {
    told(&app, app.engine.setting_list().await)
}

/// Changes the settings that are named by key, all or none; `null` takes a change back. What is stored is
/// in force at once.
#[utoipa::path(patch, path = "/api/v1/settings", tag = "hub", operation_id = "change_settings",
    params(("If-Match" = Option<String>, Header)),
    request_body(content = Object, example = json!({"queue.max": 500, "retention.days": null})),
    responses((status = 200, body = SettingList, headers(("ETag" = String))), Conflict, Changed, Invalid))]
pub(crate) async fn change(
    State(app): State<App>,
    headers: HeaderMap,
    JsonBody(changes): JsonBody<Map<String, Value>>,
) -> Result<Response, WebError> {
    write(&app, &headers, &changes, false).await
}

/// Sets the settings that are named by key, and takes back every change of the others.
#[utoipa::path(put, path = "/api/v1/settings", tag = "hub", operation_id = "replace_settings",
    params(("If-Match" = Option<String>, Header)),
    request_body(content = Object, example = json!({"queue.max": 500})),
    responses((status = 200, body = SettingList, headers(("ETag" = String))), Conflict, Changed, Invalid))]
pub(crate) async fn replace(
    State(app): State<App>,
    headers: HeaderMap,
    JsonBody(changes): JsonBody<Map<String, Value>>,
) -> Result<Response, WebError> {
    write(&app, &headers, &changes, true).await
}

async fn write(
    app: &App,
    headers: &HeaderMap,
    changes: &Map<String, Value>,
    replace: bool,
) -> Result<Response, WebError> {
    let expected = Expected::of(headers)?;
    let mut before = Vec::new();
    let unchanged = |now: &[SettingView]| {
        before = now.to_vec();
        expected.check(&app.versions.of(&now))
    };
    let settings = app.engine.settings_change(changes, replace, unchanged).await?;
    // What is not named may be taken back.
    let is_new = |view: &&SettingView| changes.contains_key(&view.key) || !before.contains(view);
    let names: Vec<String> = settings.iter().filter(is_new).map(|view| view.key.clone()).collect();
    Ok(about_all(told(app, settings), &names))
}

fn told(app: &App, settings: Vec<SettingView>) -> Response {
    let etag = app.versions.of(&settings.as_slice());
    answers::versioned(&etag.clone(), &SettingList { settings, etag })
}
