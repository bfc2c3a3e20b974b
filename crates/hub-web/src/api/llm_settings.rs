//! How pictures are described and prompts are generated: one record each, changed in part and reset.

use axum::{Json, extract::State};
use hub_engine::{DescribeTemplates, PromptGeneratorSettings};
use serde_json::{Map, Value};

use super::{
    answers::{Invalid, PatchOf},
    body::{JsonBody, patched},
};
use crate::{error::WebError, router::App};

/// A change of the templates.
type DescribePatch = PatchOf<DescribeTemplates>;
/// A change of the generator's settings.
type GeneratorPatch = PatchOf<PromptGeneratorSettings>;

/// Tells the instructions for descriptions.
#[utoipa::path(get, path = "/api/v1/describe-templates", tag = "llm", operation_id = "get_describe_templates",
    responses((status = 200, body = DescribeTemplates)))]
pub(crate) async fn show_describe(State(app): State<App>) -> Result<Json<DescribeTemplates>, WebError> {
    Ok(Json(app.engine.describe_templates().await?))
}

/// Changes the instructions that are given (JSON Merge Patch); `null` resets one to what was shipped.
#[utoipa::path(patch, path = "/api/v1/describe-templates", tag = "llm", operation_id = "change_describe_templates",
    request_body = DescribePatch,
    responses((status = 200, body = DescribeTemplates), Invalid))]
pub(crate) async fn change_describe(
    State(app): State<App>,
    JsonBody(fields): JsonBody<Map<String, Value>>,
) -> Result<Json<DescribeTemplates>, WebError> {
    Ok(Json(app.engine.describe_templates_edit(|now| patched(now, &fields, &[])).await?))
}

/// Resets all instructions for descriptions to what was shipped.
#[utoipa::path(delete, path = "/api/v1/describe-templates", tag = "llm", operation_id = "reset_describe_templates",
    responses((status = 200, body = DescribeTemplates)))]
pub(crate) async fn reset_describe(State(app): State<App>) -> Result<Json<DescribeTemplates>, WebError> {
    Ok(Json(app.engine.describe_templates_edit(|_| Ok(DescribeTemplates::default())).await?))
}

/// Tells how prompts are generated.
#[utoipa::path(get, path = "/api/v1/prompt-generator", tag = "llm", operation_id = "get_prompt_generator",
    responses((status = 200, body = PromptGeneratorSettings)))]
pub(crate) async fn show_generator(State(app): State<App>) -> Result<Json<PromptGeneratorSettings>, WebError> {
    Ok(Json(app.engine.prompt_generator().await?))
}

/// Changes the settings that are given (JSON Merge Patch); `null` resets one to its default.
#[utoipa::path(patch, path = "/api/v1/prompt-generator", tag = "llm", operation_id = "change_prompt_generator",
    request_body = GeneratorPatch,
    responses((status = 200, body = PromptGeneratorSettings), Invalid))]
pub(crate) async fn change_generator(
    State(app): State<App>,
    JsonBody(fields): JsonBody<Map<String, Value>>,
) -> Result<Json<PromptGeneratorSettings>, WebError> {
    Ok(Json(app.engine.prompt_generator_edit(|now| patched(now, &fields, &[])).await?))
}

/// Resets all settings to their defaults.
#[utoipa::path(delete, path = "/api/v1/prompt-generator", tag = "llm", operation_id = "reset_prompt_generator",
    responses((status = 200, body = PromptGeneratorSettings)))]
pub(crate) async fn reset_generator(State(app): State<App>) -> Result<Json<PromptGeneratorSettings>, WebError> {
    Ok(Json(app.engine.prompt_generator_edit(|_| Ok(PromptGeneratorSettings::default())).await?))
}
