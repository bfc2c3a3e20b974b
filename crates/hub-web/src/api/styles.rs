//! Styles.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use hub_core::{catalogue::Style, error::UserError, ids::StyleId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{body::JsonBody, servers::parse_name};
use crate::{error::WebError, router::App};

/// Category of a style that names none.
const OTHER_CATEGORY: &str = "other";

/// One style as programs see it; the same fields go in.
#[derive(Debug, Serialize)]
pub(crate) struct StyleRecord {
    id: StyleId,
    name: String,
    category: String,
    description: String,
    prompt_template: String,
    negative_template: String,
    render_types: Vec<String>,
    preferred_render_type: Option<String>,
    is_default: bool,
    enabled: bool,
}

impl StyleRecord {
    /// The record of `style`.
    pub(crate) fn of(style: &Style) -> Self {
        Self {
            id: style.id,
            name: style.name.clone(),
            category: style.category.clone(),
            description: style.description.clone(),
            prompt_template: style.prompt_template.clone(),
            negative_template: style.negative_template.clone(),
            render_types: style.render_types.clone(),
            preferred_render_type: style.preferred_render_type.clone(),
            is_default: style.is_default,
            enabled: style.enabled,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StyleBody {
    name: String,
    prompt_template: String,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    negative_template: Option<String>,
    #[serde(default)]
    render_types: Option<Vec<String>>,
    #[serde(default)]
    preferred_render_type: Option<String>,
    #[serde(default)]
    is_default: Option<bool>,
    #[serde(default)]
    enabled: Option<bool>,
    /// Accepted so that what was read can be written back; the path decides.
    #[serde(default, rename = "id")]
    _id: Option<StyleId>,
}

impl StyleBody {
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

pub(crate) async fn list(State(app): State<App>) -> Json<Value> {
    let catalogue = app.engine.catalogue();
    let all: Vec<StyleRecord> = catalogue.styles.iter().map(StyleRecord::of).collect();
    Json(json!({"styles": all}))
}

pub(crate) async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Json<StyleRecord>, WebError> {
    Ok(Json(StyleRecord::of(&find(&app, &id)?)))
}

pub(crate) async fn add(State(app): State<App>, JsonBody(body): JsonBody<StyleBody>) -> Result<Response, WebError> {
    let style = app.engine.style_save(body.into_style(StyleId::new())?).await?;
    let mut response = (StatusCode::CREATED, Json(StyleRecord::of(&style))).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/styles/{}", style.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub(crate) async fn replace(
    State(app): State<App>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<StyleBody>,
) -> Result<Json<StyleRecord>, WebError> {
    let known = find(&app, &id)?;
    let style = app.engine.style_save(body.into_style(known.id)?).await?;
    Ok(Json(StyleRecord::of(&style)))
}

pub(crate) async fn remove(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, WebError> {
    let known = find(&app, &id)?;
    app.engine.style_delete(known.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// By id or by name.
fn find(app: &App, given: &str) -> Result<Style, WebError> {
    let id: Option<StyleId> = given.parse().ok();
    app.engine
        .catalogue()
        .styles
        .iter()
        .find(|candidate| Some(candidate.id) == id || candidate.name == given)
        .cloned()
        .ok_or_else(|| WebError::missing("style", given))
}
