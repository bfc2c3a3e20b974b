//! The whole configuration as a file: export and import.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use hub_core::error::UserError;
use hub_engine::{ExportOptions, ImportMode, ImportOptions, ImportReport};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    answers::{Conflict, Invalid},
    body::{self, Params},
};
use crate::{error::WebError, router::App};

/// Carries the passphrase of secrets: never part of an address, which logs keep.
const PASSPHRASE: &str = "genimage-passphrase";

/// What goes into an export.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportQuery {
    /// Graphs as well. Default true.
    #[serde(default)]
    workflows: Option<bool>,
}

/// How to import.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportQuery {
    /// `merge` (leave what the file does not name, the default) or `replace` (remove it, within the
    /// sections that the file has).
    #[serde(default)]
    mode: Option<ImportModeBody>,
    /// Only tell what would happen. Default false.
    #[serde(default)]
    dry_run: Option<bool>,
}

#[derive(Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ImportModeBody {
    Merge,
    Replace,
}

/// Tells the configuration as a file: servers, LLM servers, roles, workflows, render types, styles,
/// settings. Secrets are left out, or encrypted when a passphrase is given.
#[utoipa::path(get, path = "/api/v1/config/export", tag = "hub", operation_id = "export_config",
    params(ExportQuery, ("Genimage-Passphrase" = Option<String>, Header,
        description = "Encrypts the secrets with it; at least 8 characters")),
    responses((status = 200, description = "A configuration file", body = Object), Invalid))]
pub(crate) async fn export(
    State(app): State<App>,
    Params(query): Params<ExportQuery>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let options = ExportOptions {
        workflows: query.workflows.unwrap_or(true),
        passphrase: passphrase(&headers)?,
        only_servers: false,
    };
    let text = app.engine.config_export(options).await?;
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
        .insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"genimage-config.json\""));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Imports a configuration file, or the older system's `comfyui-servers` or `comfyui-settings`: all of
/// it or, when anything in it is wrong, nothing. Tells what changes.
#[utoipa::path(post, path = "/api/v1/config/import", tag = "hub", operation_id = "import_config",
    params(ImportQuery, ("Genimage-Passphrase" = Option<String>, Header,
        description = "Opens the secrets in the file")),
    request_body(content = inline(Object), description = "The file"),
    responses((status = 200, body = ImportReport), Conflict, Invalid))]
pub(crate) async fn import(
    State(app): State<App>,
    Params(query): Params<ImportQuery>,
    headers: HeaderMap,
    bytes: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Json<ImportReport>, WebError> {
    body::refuse_other_types(&headers)?;
    let options = ImportOptions {
        mode: match query.mode {
            None | Some(ImportModeBody::Merge) => ImportMode::Merge,
            Some(ImportModeBody::Replace) => ImportMode::Replace,
        },
        dry_run: query.dry_run.unwrap_or(false),
        passphrase: passphrase(&headers)?,
    };
    Ok(Json(app.engine.config_import(&bytes?, &options).await?))
}

fn passphrase(headers: &HeaderMap) -> Result<Option<SecretString>, WebError> {
    let Some(value) = headers.get(PASSPHRASE) else { return Ok(None) };
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(Some(SecretString::from(text))),
        Err(_) => Err(UserError::argument("passphrase", "The passphrase must be UTF-8 text.").into()),
    }
}
