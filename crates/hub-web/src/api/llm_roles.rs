//! Which LLM server and model play which role.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use hub_core::{
    error::UserError,
    ids::LlmServerId,
    server::{LlmAssignment, LlmRole, LlmServer},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answers::{Invalid, NotFound},
    body::JsonBody,
};
use crate::{error::WebError, lookup, router::App};

/// Who plays a role.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LlmAssignment)]
pub(crate) struct AssignmentRecord {
    server: LlmServerId,
    server_name: Option<String>,
    /// The model by name; null = the first capable one that the server lists.
    model: Option<String>,
}

impl AssignmentRecord {
    fn of(assignment: LlmAssignment, servers: &[LlmServer]) -> Self {
        Self {
            server: assignment.server,
            server_name: servers.iter().find(|row| row.id == assignment.server).map(|row| row.name.clone()),
            model: assignment.model,
        }
    }
}

/// All roles.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoleList {
    roles: Roles,
}

/// Who plays each role; null = nobody.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LlmRoles)]
struct Roles {
    /// Rewrites prompts.
    enhance: Option<AssignmentRecord>,
    /// Describes pictures.
    describe: Option<AssignmentRecord>,
    /// Writes prompts.
    prompt_generator: Option<AssignmentRecord>,
}

/// Who shall play a role.
#[derive(Deserialize, ToSchema)]
#[schema(as = LlmAssignmentSettings)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignBody {
    /// Id or name; null = nobody.
    server: Option<String>,
    /// The model by name. Default: the first capable one that the server lists.
    #[serde(default)]
    model: Option<String>,
}

/// Lists the roles and who plays them.
#[utoipa::path(get, path = "/api/v1/llm-roles", tag = "llm", operation_id = "list_llm_roles",
    responses((status = 200, body = RoleList)))]
pub(crate) async fn list(State(app): State<App>) -> Result<Json<RoleList>, WebError> {
    let roles = Roles {
        enhance: told(&app, LlmRole::Enhance).await?,
        describe: told(&app, LlmRole::Describe).await?,
        prompt_generator: told(&app, LlmRole::PromptGenerator).await?,
    };
    Ok(Json(RoleList { roles }))
}

/// Tells who plays a role; null = nobody.
#[utoipa::path(get, path = "/api/v1/llm-roles/{role}", tag = "llm", operation_id = "get_llm_role",
    params(("role" = String, Path, description = "`enhance`, `describe` or `prompt_generator`")),
    responses((status = 200, body = Option<AssignmentRecord>), NotFound))]
pub(crate) async fn show(
    State(app): State<App>,
    Path(role): Path<String>,
) -> Result<Json<Option<AssignmentRecord>>, WebError> {
    Ok(Json(told(&app, parse_role(&role)?).await?))
}

/// Gives a role to an LLM server and model, or to nobody.
#[utoipa::path(put, path = "/api/v1/llm-roles/{role}", tag = "llm", operation_id = "assign_llm_role",
    params(("role" = String, Path, description = "`enhance`, `describe` or `prompt_generator`")),
    request_body = AssignBody,
    responses((status = 200, body = Option<AssignmentRecord>), NotFound, Invalid))]
pub(crate) async fn assign(
    State(app): State<App>,
    Path(role): Path<String>,
    JsonBody(body): JsonBody<AssignBody>,
) -> Result<Json<Option<AssignmentRecord>>, WebError> {
    let role = parse_role(&role)?;
    let assignment = match body.server {
        None if body.model.as_ref().is_some_and(|model| !model.is_empty()) => {
            return Err(UserError::argument("server", "`server`: name the LLM server that runs `model`; without one, the role is played by nobody and takes no model.").into());
        }
        None => None,
        Some(given) => {
            let server = lookup::llm_server(&app, &given).await.map_err(|error| match error {
                WebError::Request { hint, .. } => {
                    let shown: String = given.chars().take(80).collect();
                    let mut fault =
                        UserError::argument("server", format!("`server`: there is no LLM server `{shown}`."));
                    fault.hint = hint;
                    WebError::User(fault)
                }
                WebError::User(_) => error,
            })?;
            Some(LlmAssignment { server: server.id, model: body.model.filter(|model| !model.is_empty()) })
        }
    };
    app.engine.llm_assign(role, assignment).await?;
    Ok(Json(told(&app, role).await?))
}

/// Gives a role to nobody.
#[utoipa::path(delete, path = "/api/v1/llm-roles/{role}", tag = "llm", operation_id = "unassign_llm_role",
    params(("role" = String, Path, description = "`enhance`, `describe` or `prompt_generator`")),
    responses((status = 204), NotFound))]
pub(crate) async fn unassign(State(app): State<App>, Path(role): Path<String>) -> Result<StatusCode, WebError> {
    app.engine.llm_assign(parse_role(&role)?, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn told(app: &App, role: LlmRole) -> Result<Option<AssignmentRecord>, WebError> {
    let store = app.engine.store();
    let Some(assignment) = store.llm_assignment(role).await? else { return Ok(None) };
    Ok(Some(AssignmentRecord::of(assignment, &store.llm_server_list().await?)))
}

fn parse_role(given: &str) -> Result<LlmRole, WebError> {
    let found = LlmRole::ALL.into_iter().find(|role| role.as_str() == given);
    found.ok_or_else(|| WebError::missing_among("role", given, LlmRole::ALL.map(LlmRole::as_str)))
}
