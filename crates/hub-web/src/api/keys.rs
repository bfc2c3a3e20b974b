//! Keys of programs, and the log of what admins did.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use hub_core::{
    access::{ApiKey, KeyRights, Scope},
    caller::WEIGHT_DEFAULT,
    error::UserError,
    ids::{AuditId, KeyId},
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    answers::{self, Conflict, Invalid, NotFound, PatchOf},
    body::{JsonBody, Params, parse_whole, patched},
};
use crate::{audit::Subject, error::WebError, router::App};

/// Fields that are told but not taken: they may be sent back.
const READ_ONLY: [&str; 7] = ["id", "prefix", "state", "created_at", "last_used_at", "revoked_at", "key"];
/// Entries of one page of the log, where no other number is asked for.
const LOG_ROWS: u32 = 100;

/// How a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyState {
    /// It is taken.
    Live,
    /// It expired.
    Expired,
    /// It was revoked.
    Revoked,
}

/// One key, without the key itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct KeyRecord {
    id: KeyId,
    /// The first characters of the key.
    prefix: String,
    state: KeyState,
    created_at: DateTime<Utc>,
    /// To the minute.
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    #[serde(flatten)]
    settings: KeyBody,
    /// The key itself, told once: in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<String>,
}

/// All keys.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyList {
    /// Oldest first.
    keys: Vec<KeyRecord>,
}

/// What a key is. What is left out has its default.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ApiKeySettings)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyBody {
    /// Name of the key and of its caller; 1 to 60 characters. Stays as it is.
    name: String,
    /// What it is good for. Default: generate and describe.
    #[serde(default)]
    scopes: Option<BTreeSet<Scope>>,
    /// Tools that it may call; none = all that its scopes allow.
    #[serde(default)]
    tools: Option<BTreeSet<String>>,
    /// Render types that it may use, by name; none = all.
    #[serde(default)]
    render_types: Option<BTreeSet<String>>,
    /// Most requests per minute; null = any number.
    #[serde(default)]
    #[schema(minimum = 1)]
    rate_per_minute: Option<u32>,
    /// Most pictures per day (UTC); null = any number.
    #[serde(default)]
    #[schema(minimum = 1)]
    images_per_day: Option<u32>,
    /// Most seconds on GPUs per day (UTC); null = any number.
    #[serde(default)]
    #[schema(minimum = 1)]
    gpu_seconds_per_day: Option<u32>,
    /// Share of the pool against others, 0.1 to 100. Default 1.
    #[serde(default)]
    weight: Option<f64>,
    /// From when it is no longer taken; null = never.
    #[serde(default)]
    expires_at: Option<DateTime<Utc>>,
}

/// A change of the above.
type KeyPatch = PatchOf<KeyBody>;

impl KeyBody {
    fn of(key: &ApiKey) -> Self {
        let rights = key.rights.clone();
        Self {
            name: key.name.clone(),
            scopes: Some(rights.scopes),
            tools: Some(rights.tools),
            render_types: Some(rights.render_types),
            rate_per_minute: rights.rate_per_minute,
            images_per_day: rights.images_per_day,
            gpu_seconds_per_day: rights.gpu_seconds_per_day,
            weight: Some(rights.weight),
            expires_at: key.expires_at,
        }
    }

    fn rights(self) -> KeyRights {
        KeyRights {
            scopes: self.scopes.unwrap_or_else(|| KeyRights::default().scopes),
            tools: self.tools.unwrap_or_default(),
            render_types: self.render_types.unwrap_or_default(),
            rate_per_minute: self.rate_per_minute,
            images_per_day: self.images_per_day,
            gpu_seconds_per_day: self.gpu_seconds_per_day,
            weight: self.weight.unwrap_or(WEIGHT_DEFAULT),
        }
    }
}

impl KeyRecord {
    fn of(key: &ApiKey, app: &App) -> Self {
        let live = key.is_live(app.engine.store().clock().now());
        let state = match key.revoked_at {
            Some(_) => KeyState::Revoked,
            None if live => KeyState::Live,
            None => KeyState::Expired,
        };
        Self {
            id: key.id,
            prefix: key.prefix.clone(),
            state,
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
            settings: KeyBody::of(key),
            key: None,
        }
    }
}

/// Lists all keys, revoked ones included.
#[utoipa::path(get, path = "/api/v1/keys", tag = "access", operation_id = "list_keys",
    responses((status = 200, body = KeyList)))]
pub(crate) async fn list(State(app): State<App>) -> Result<Json<KeyList>, WebError> {
    let keys = app.access.keys().await?;
    Ok(Json(KeyList { keys: keys.iter().map(|key| KeyRecord::of(key, &app)).collect() }))
}

/// Makes a key. The answer has the key itself, this once. The first key closes the hub to everybody without one.
#[utoipa::path(post, path = "/api/v1/keys", tag = "access", operation_id = "add_key",
    request_body = KeyBody,
    responses((status = 201, body = KeyRecord, headers(("Location" = String))), Conflict, Invalid))]
pub(crate) async fn add(
    State(app): State<App>,
    JsonBody(fields): JsonBody<Map<String, Value>>,
) -> Result<Response, WebError> {
    let body: KeyBody = parse_whole(fields, &READ_ONLY)?;
    let (name, expires_at) = (body.name.clone(), body.expires_at);
    let new = app.access.key_add(&name, body.rights(), expires_at).await?;
    let record = KeyRecord { key: Some(new.secret.expose_secret().to_owned()), ..KeyRecord::of(&new.key, &app) };
    let mut response = answers::created(&format!("/api/v1/keys/{}", new.key.id), None, &record);
    response.headers_mut().insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response.extensions_mut().insert(Subject(new.key.name));
    Ok(response)
}

/// Tells one key.
#[utoipa::path(get, path = "/api/v1/keys/{id}", tag = "access", operation_id = "get_key",
    params(("id" = KeyId, Path)),
    responses((status = 200, body = KeyRecord), NotFound))]
pub(crate) async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Json<KeyRecord>, WebError> {
    let key = app.access.key(parse_id(&id)?).await?;
    Ok(Json(KeyRecord::of(&key, &app)))
}

/// Changes the fields that are given (JSON Merge Patch); `null` sets one to its default. It counts at once.
#[utoipa::path(patch, path = "/api/v1/keys/{id}", tag = "access", operation_id = "change_key",
    params(("id" = KeyId, Path)),
    request_body = KeyPatch,
    responses((status = 200, body = KeyRecord), NotFound, Conflict, Invalid))]
pub(crate) async fn change(
    State(app): State<App>,
    Path(id): Path<String>,
    JsonBody(fields): JsonBody<Map<String, Value>>,
) -> Result<Response, WebError> {
    let edit = |key: &ApiKey| {
        let body: KeyBody = patched(&KeyBody::of(key), &fields, &READ_ONLY)?;
        if body.name != key.name {
            let error = UserError::argument("name", "The name of a key stays as it is: its jobs belong to it.");
            return Err(error.with_hint("Make another key."));
        }
        let expires_at = body.expires_at;
        Ok((body.rights(), expires_at))
    };
    let key = app.access.key_edit(parse_id(&id)?, edit).await?;
    let mut response = Json(KeyRecord::of(&key, &app)).into_response();
    response.extensions_mut().insert(Subject(key.name));
    Ok(response)
}

/// Revokes a key: it is not taken any more. Its jobs stay.
#[utoipa::path(delete, path = "/api/v1/keys/{id}", tag = "access", operation_id = "revoke_key",
    params(("id" = KeyId, Path)),
    responses((status = 204), NotFound))]
pub(crate) async fn revoke(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let key = app.access.key_revoke(parse_id(&id)?).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.extensions_mut().insert(Subject(key.name));
    Ok(response)
}

fn parse_id(text: &str) -> Result<KeyId, WebError> {
    text.parse().map_err(|_| WebError::missing("key", text))
}

/// Which entries of the log.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// The `next` of the page before.
    #[serde(default)]
    before: Option<String>,
    /// Entries per page, 1 to 500. Default 100.
    #[serde(default)]
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// One act of an admin.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct EntryRecord {
    id: AuditId,
    at: DateTime<Utc>,
    /// Who.
    actor: String,
    /// What, as method and path.
    act: String,
    /// On what, by name.
    subject: Option<String>,
    /// From which address.
    address: Option<String>,
}

/// A page of the log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditLog {
    /// Newest first.
    entries: Vec<EntryRecord>,
    /// Where the next page begins; null on the last one.
    next: Option<AuditId>,
}

/// Tells what admins changed, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "access", operation_id = "list_audit",
    params(LogQuery),
    responses((status = 200, body = AuditLog), Invalid))]
pub(crate) async fn log(State(app): State<App>, Params(query): Params<LogQuery>) -> Result<Json<AuditLog>, WebError> {
    let limit = query.limit.unwrap_or(LOG_ROWS);
    if !(1..=500).contains(&limit) {
        return Err(UserError::argument("limit", format!("`limit` is {limit}, but must be from 1 to 500.")).into());
    }
    let before = query
        .before
        .map(|text| text.parse().map_err(|_| UserError::argument("before", "`before` is no id of an entry.")))
        .transpose()?;
    let page = app.access.audit_page(limit, before).await?;
    let entries = page.entries.into_iter().map(|entry| EntryRecord {
        id: entry.id,
        at: entry.at,
        actor: entry.actor,
        act: entry.act,
        subject: entry.subject,
        address: entry.address,
    });
    Ok(Json(AuditLog { entries: entries.collect(), next: page.next }))
}
