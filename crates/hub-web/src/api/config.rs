//! The whole configuration as a file: export and import.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use hub_core::error::UserError;
use hub_engine::{ExportOptions, ExportParts, ImportMode, ImportOptions, ImportReport};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    answers::{Conflict, Invalid},
    body::{self, Params},
};
use crate::{attachment, audit::about_import, error::WebError, router::App};

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
    /// The servers and LLM servers, and nothing else. Default false.
    #[serde(default)]
    only_servers: Option<bool>,
}

impl ExportQuery {
    /// What is asked for.
    ///
    /// # Errors
    /// `bad_argument` for `workflows` when they are asked for beside nothing but the servers.
    fn parts(&self) -> Result<ExportParts, UserError> {
        match (self.only_servers.unwrap_or(false), self.workflows) {
            (true, Some(true)) => {
                Err(UserError::argument("workflows", "An export of the servers alone holds no workflows.")
                    .with_hint("Leave out `workflows` or `only_servers`."))
            }
            (true, Some(false) | None) => Ok(ExportParts::ServersOnly),
            (false, Some(false)) => Ok(ExportParts::WithoutWorkflows),
            (false, Some(true) | None) => Ok(ExportParts::Everything),
        }
    }
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
    let options = ExportOptions { parts: query.parts()?, passphrase: passphrase(&headers)? };
    let text = app.engine.config_export(options).await?;
    Ok(attachment::answer(attachment::CONFIGURATION, attachment::JSON, text))
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
) -> Result<Response, WebError> {
    body::refuse_other_types(&headers)?;
    let options = ImportOptions {
        mode: match query.mode {
            None | Some(ImportModeBody::Merge) => ImportMode::Merge,
            Some(ImportModeBody::Replace) => ImportMode::Replace,
        },
        dry_run: query.dry_run.unwrap_or(false),
        passphrase: passphrase(&headers)?,
    };
    let report = app.engine.config_import(&bytes?, &options).await?;
    Ok(about_import(Json(&report).into_response(), &report))
}

fn passphrase(headers: &HeaderMap) -> Result<Option<SecretString>, WebError> {
    let Some(value) = headers.get(PASSPHRASE) else { return Ok(None) };
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(Some(SecretString::from(text))),
        Err(_) => Err(UserError::argument("passphrase", "The passphrase must be UTF-8 text.").into()),
    }
}
