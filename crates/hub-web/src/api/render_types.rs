//! Render types.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use hub_core::{
    catalogue::{Mode, RenderDefaults, RenderType, SizeLimits},
    error::UserError,
    ids::RenderTypeId,
    request::{AspectRatio, ImageSize},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{body::JsonBody, servers::parse_name};
use crate::{error::WebError, router::App};

/// One render type as programs see it; the same fields go in.
#[derive(Debug, Serialize)]
pub(crate) struct RenderTypeRecord {
    id: RenderTypeId,
    name: String,
    title: String,
    description: String,
    workflow: String,
    workflow_version: Option<u32>,
    mode: Mode,
    visible: bool,
    is_default: bool,
    sizes: BTreeMap<&'static str, SizeRecord>,
    limits: SizeLimits,
    defaults: RenderDefaults,
    prompt_guide: String,
    prompt_examples: Vec<String>,
}

#[derive(Debug, Serialize)]
struct SizeRecord {
    width: u32,
    height: u32,
}

impl RenderTypeRecord {
    /// The record of `render_type`.
    pub(crate) fn of(render_type: &RenderType) -> Self {
        let RenderType { id, mode, visible, is_default, workflow_version, limits, .. } = *render_type;
        let size = |size: &ImageSize| SizeRecord { width: size.width_px, height: size.height_px };
        Self {
            id,
            name: render_type.name.clone(),
            title: render_type.title.clone(),
            description: render_type.description.clone(),
            workflow: render_type.workflow.clone(),
            workflow_version,
            mode,
            visible,
            is_default,
            sizes: render_type.sizes.iter().map(|(ratio, sides)| (ratio.as_str(), size(sides))).collect(),
            limits,
            defaults: render_type.defaults.clone(),
            prompt_guide: render_type.prompt_guide.clone(),
            prompt_examples: render_type.prompt_examples.clone(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenderTypeBody {
    name: String,
    workflow: String,
    mode: Mode,
    #[serde(default)]
    workflow_version: Option<u32>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    visible: Option<bool>,
    #[serde(default)]
    is_default: Option<bool>,
    #[serde(default)]
    sizes: Option<BTreeMap<AspectRatio, SizeBody>>,
    #[serde(default)]
    limits: Option<LimitsBody>,
    #[serde(default)]
    defaults: Option<RenderDefaults>,
    #[serde(default)]
    prompt_guide: Option<String>,
    #[serde(default)]
    prompt_examples: Option<Vec<String>>,
    /// Accepted so that what was read can be written back; the path decides.
    #[serde(default, rename = "id")]
    _id: Option<RenderTypeId>,
}

/// `{"width": 1024, "height": 768}` or `[1024, 768]`.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum SizeBody {
    Named {
        #[serde(alias = "width_px")]
        width: u32,
        #[serde(alias = "height_px")]
        height: u32,
    },
    Pair([u32; 2]),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names are the contract's; they carry their unit")]
struct LimitsBody {
    #[serde(default)]
    min_side_px: Option<u32>,
    #[serde(default)]
    max_side_px: Option<u32>,
    #[serde(default)]
    side_multiple_px: Option<u32>,
}

impl RenderTypeBody {
    fn into_render_type(self, id: RenderTypeId) -> Result<RenderType, UserError> {
        let name = parse_name(&self.name)?;
        let standard = SizeLimits::default();
        let limits = self.limits.map_or(standard, |given| SizeLimits {
            min_side_px: given.min_side_px.unwrap_or(standard.min_side_px),
            max_side_px: given.max_side_px.unwrap_or(standard.max_side_px),
            side_multiple_px: given.side_multiple_px.unwrap_or(standard.side_multiple_px),
        });
        let sizes = self.sizes.unwrap_or_default().into_iter();
        Ok(RenderType {
            id,
            title: self.title.unwrap_or_else(|| name.clone()),
            name,
            description: self.description.unwrap_or_default(),
            workflow: self.workflow,
            workflow_version: self.workflow_version,
            mode: self.mode,
            visible: self.visible.unwrap_or(true),
            is_default: self.is_default.unwrap_or(false),
            sizes: sizes
                .map(|(ratio, size)| match size {
                    SizeBody::Named { width, height } | SizeBody::Pair([width, height]) => {
                        (ratio, ImageSize { width_px: width, height_px: height })
                    }
                })
                .collect(),
            limits,
            defaults: self.defaults.unwrap_or_default(),
            prompt_guide: self.prompt_guide.unwrap_or_default(),
            prompt_examples: self.prompt_examples.unwrap_or_default(),
        })
    }
}

pub(crate) async fn list(State(app): State<App>) -> Json<Value> {
    let catalogue = app.engine.catalogue();
    let all: Vec<RenderTypeRecord> = catalogue.render_types.iter().map(RenderTypeRecord::of).collect();
    Json(json!({"render_types": all}))
}

pub(crate) async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Json<RenderTypeRecord>, WebError> {
    Ok(Json(RenderTypeRecord::of(&find(&app, &id)?)))
}

pub(crate) async fn add(
    State(app): State<App>,
    JsonBody(body): JsonBody<RenderTypeBody>,
) -> Result<Response, WebError> {
    let render_type = app.engine.render_type_save(body.into_render_type(RenderTypeId::new())?).await?;
    let mut response = (StatusCode::CREATED, Json(RenderTypeRecord::of(&render_type))).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/render-types/{}", render_type.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub(crate) async fn replace(
    State(app): State<App>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<RenderTypeBody>,
) -> Result<Json<RenderTypeRecord>, WebError> {
    let known = find(&app, &id)?;
    let render_type = app.engine.render_type_save(body.into_render_type(known.id)?).await?;
    Ok(Json(RenderTypeRecord::of(&render_type)))
}

pub(crate) async fn remove(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, WebError> {
    let known = find(&app, &id)?;
    app.engine.render_type_delete(known.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// By id or by name.
fn find(app: &App, given: &str) -> Result<RenderType, WebError> {
    let id: Option<RenderTypeId> = given.parse().ok();
    app.engine
        .catalogue()
        .render_types
        .iter()
        .find(|candidate| Some(candidate.id) == id || candidate.name == given)
        .cloned()
        .ok_or_else(|| WebError::missing("render type", given))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::body::parse;

    #[test]
    fn three_fields_make_a_render_type_and_sizes_come_in_two_spellings() {
        let body: RenderTypeBody =
            parse(br#"{"name": "sdxl", "workflow": "txt2img", "mode": "generate"}"#).expect("valid");
        let made = body.into_render_type(RenderTypeId::new()).expect("valid");
        assert_eq!((made.title.as_str(), made.visible, made.is_default), ("sdxl", true, false));

        let body: RenderTypeBody = parse(
            br#"{"name": "x", "workflow": "w", "mode": "upscale", "limits": {"max_side_px": 512},
                "sizes": {"1:1": [512, 512], "16:9": {"width": 512, "height": 288}}}"#,
        )
        .expect("valid");
        let made = body.into_render_type(RenderTypeId::new()).expect("valid");
        assert_eq!(made.sizes[&AspectRatio::R16x9], ImageSize { width_px: 512, height_px: 288 });
        assert_eq!((made.limits.min_side_px, made.limits.max_side_px), (64, 512));
    }

    #[test]
    fn what_was_read_can_be_written_back() {
        let body: RenderTypeBody =
            parse(br#"{"name": "x", "workflow": "w", "mode": "edit", "sizes": {"1:1": [64, 64]}}"#).expect("valid");
        let made = body.into_render_type(RenderTypeId::new()).expect("valid");
        let text = serde_json::to_vec(&RenderTypeRecord::of(&made)).expect("serialises");
        let again: RenderTypeBody = parse(&text).expect("reads its own record");
        assert_eq!(again.into_render_type(made.id).expect("valid"), made);
    }
}
