//! Styles.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use hub_core::{catalogue::Style, error::UserError, ids::StyleId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    answers::{self, Changed, Conflict, Invalid, NotFound, PatchOf},
    body::{JsonBody, parse_whole, patched},
    etag::Expected,
    servers::parse_name,
    showcases::{PreviewRecord, Previews, READ_ONLY},
};
use crate::{error::WebError, lookup, router::App};

/// Category of a style that names none.
pub(crate) const OTHER_CATEGORY: &str = "other";
/// One style.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Style)]
pub(crate) struct StyleRecord {
    id: StyleId,
    /// Version, for `If-Match`.
    etag: String,
    #[serde(flatten)]
    settings: StyleBody,
    #[serde(flatten)]
    preview: PreviewRecord,
}

impl StyleRecord {
    /// The record of `style`.
    pub(super) fn of(style: &Style, app: &App, previews: &Previews) -> Self {
        Self {
            id: style.id,
            etag: app.versions.of(style),
            settings: StyleBody::of(style),
            preview: previews.of_style(style),
        }
    }
}

/// All styles.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StyleList {
    /// In the order of category and name.
    styles: Vec<StyleRecord>,
}

/// What a style is. What is left out has its default.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StyleSettings)]
#[serde(deny_unknown_fields)]
pub(crate) struct StyleBody {
    /// Unique; 1 to 120 characters.
    name: String,
    /// For grouping. Default `other`.
    #[serde(default)]
    category: Option<String>,
    /// One line that helps an agent choose.
    #[serde(default)]
    description: Option<String>,
    /// Appended to the prompt, or wrapped around it where it holds `{prompt}`.
    prompt_template: String,
    /// Appended to the negative prompt.
    #[serde(default)]
    negative_template: Option<String>,
    /// Render types it suits, by name; none = all.
    #[serde(default)]
    render_types: Option<Vec<String>>,
    /// Render type to take when the caller names none.
    #[serde(default)]
    preferred_render_type: Option<String>,
    /// Applied when the caller names no styles. Default false.
    #[serde(default)]
    is_default: Option<bool>,
    /// Default true.
    #[serde(default)]
    enabled: Option<bool>,
}

/// A change of the above.
type StylePatch = PatchOf<StyleBody>;

impl StyleBody {
    fn of(style: &Style) -> Self {
        Self {
            name: style.name.clone(),
            category: Some(style.category.clone()),
            description: Some(style.description.clone()),
            prompt_template: style.prompt_template.clone(),
            negative_template: Some(style.negative_template.clone()),
            render_types: Some(style.render_types.clone()),
            preferred_render_type: style.preferred_render_type.clone(),
            is_default: Some(style.is_default),
            enabled: Some(style.enabled),
        }
    }

    fn into_style(self, id: StyleId) -> Result<Style, UserError> {
        Ok(Style {
            id,
            name: parse_name(&self.name)?,
            category: self.category.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| OTHER_CATEGORY.to_owned()),
            description: self.description.unwrap_or_default(),
            prompt_template: self.prompt_template,
            negative_template: self.negative_template.unwrap_or_default(),
            render_types: self.render_types.unwrap_or_default(),
            preferred_render_type: self.preferred_render_type,
            is_default: self.is_default.unwrap_or(false),
            enabled: self.enabled.unwrap_or(true),
        })
    }
}

/// Lists all styles.
#[utoipa::path(get, path = "/api/v1/styles", tag = "catalogue", operation_id = "list_styles",
    responses((status = 200, body = StyleList)))]
pub(crate) async fn list(State(app): State<App>, headers: HeaderMap) -> Result<Json<StyleList>, WebError> {
    let previews = Previews::load(&app, &headers).await?;
    let catalogue = app.engine.catalogue();
    Ok(Json(StyleList {
        styles: catalogue.styles.iter().map(|style| StyleRecord::of(style, &app, &previews)).collect(),
    }))
}

/// Tells one style, by id or name.
#[utoipa::path(get, path = "/api/v1/styles/{id}", tag = "catalogue", operation_id = "get_style",
    params(("id" = String, Path, description = "Id or name")),
    responses((status = 200, body = StyleRecord, headers(("ETag" = String))), NotFound))]
pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    told(&app, &headers, &lookup::style(&app, &id)?).await
}

/// Adds a style.
#[utoipa::path(post, path = "/api/v1/styles", tag = "catalogue", operation_id = "add_style",
    request_body = StyleBody,
    responses((status = 201, body = StyleRecord, headers(("Location" = String), ("ETag" = String))), Conflict, Invalid))]
pub(crate) async fn add(
    State(app): State<App>,
    headers: HeaderMap,
    JsonBody(fields): JsonBody<Map<String, Value>>,
) -> Result<Response, WebError> {
    let body: StyleBody = parse_whole(fields, &READ_ONLY)?;
    let style = app.engine.style_save(body.into_style(StyleId::new())?).await?;
    let record = StyleRecord::of(&style, &app, &Previews::load(&app, &headers).await?);
    Ok(answers::created(&format!("/api/v1/styles/{}", style.id), Some(&record.etag), &record))
}

/// Sets a style anew: what is left out has its default.
#[utoipa::path(put, path = "/api/v1/styles/{id}", tag = "catalogue", operation_id = "replace_style",
    params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header)),
    request_body = StyleBody,
    responses((status = 200, body = StyleRecord, headers(("ETag" = String))), NotFound, Conflict, Changed, Invalid))]
pub(crate) async fn replace(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(fields): JsonBody<Map<String, Value>>,
) -> Result<Response, WebError> {
    edit(&app, &id, &headers, |_| parse_whole(fields.clone(), &READ_ONLY)).await
}

/// Changes the fields that are given (JSON Merge Patch); `null` sets one to its default.
#[utoipa::path(patch, path = "/api/v1/styles/{id}", tag = "catalogue", operation_id = "change_style",
    params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header)),
    request_body = StylePatch,
    responses((status = 200, body = StyleRecord, headers(("ETag" = String))), NotFound, Conflict, Changed, Invalid))]
pub(crate) async fn change(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(fields): JsonBody<Map<String, Value>>,
) -> Result<Response, WebError> {
    edit(&app, &id, &headers, |style| patched(&StyleBody::of(style), &fields, &READ_ONLY)).await
}

/// Deletes a style.
#[utoipa::path(delete, path = "/api/v1/styles/{id}", tag = "catalogue", operation_id = "delete_style",
    params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header)),
    responses((status = 204), NotFound, Changed))]
pub(crate) async fn remove(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, WebError> {
    let known = lookup::style(&app, &id)?;
    Expected::of(&headers)?.check(&app.versions.of(&known))?;
    app.engine.style_delete(known.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn edit(
    app: &App,
    id: &str,
    headers: &HeaderMap,
    body: impl Fn(&Style) -> Result<StyleBody, UserError>,
) -> Result<Response, WebError> {
    let expected = Expected::of(headers)?;
    let id = lookup::style(app, id)?.id;
    let changed = app.engine.style_edit(id, |style| {
        expected.check(&app.versions.of(style))?;
        body(style)?.into_style(style.id)
    });
    told(app, headers, &changed.await?).await
}

async fn told(app: &App, headers: &HeaderMap, style: &Style) -> Result<Response, WebError> {
    let record = StyleRecord::of(style, app, &Previews::load(app, headers).await?);
    Ok(answers::versioned(&record.etag, &record))
}
