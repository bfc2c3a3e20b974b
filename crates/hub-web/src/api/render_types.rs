//! Render types.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use hub_core::{
    catalogue::{Mode, RenderDefaults, RenderType, SizeLimits},
    error::UserError,
    ids::RenderTypeId,
    request::{AspectRatio, ImageSize},
};
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

/// One render type.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RenderType)]
pub(crate) struct RenderTypeRecord {
    id: RenderTypeId,
    /// Version, for `If-Match`.
    etag: String,
    #[serde(flatten)]
    settings: RenderTypeBody,
    #[serde(flatten)]
    preview: PreviewRecord,
}

impl RenderTypeRecord {
    /// The record of `render_type`.
    pub(super) fn of(render_type: &RenderType, app: &App, previews: &Previews) -> Self {
        Self {
            id: render_type.id,
            etag: app.versions.of(render_type),
            settings: RenderTypeBody::of(render_type),
            preview: previews.of_render_type(render_type),
        }
    }
}

/// All render types.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RenderTypeList {
    /// In the order of their names.
    render_types: Vec<RenderTypeRecord>,
}

/// What a render type is. What is left out has its default.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RenderTypeSettings)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenderTypeBody {
    /// Unique; 1 to 120 characters.
    name: String,
    /// Title for people. Default: the name.
    #[serde(default)]
    title: Option<String>,
    /// One line that helps an agent choose.
    #[serde(default)]
    description: Option<String>,
    /// Workflow by name.
    workflow: String,
    /// Version of it. Default: the newest.
    #[serde(default)]
    workflow_version: Option<u32>,
    /// Which tool may use it.
    mode: Mode,
    /// Listed to callers; a hidden one can still be named. Default true.
    #[serde(default)]
    visible: Option<bool>,
    /// Used when none is named; takes that from the mode's present default. Default false.
    #[serde(default)]
    is_default: Option<bool>,
    /// Size for each aspect ratio it supports.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, SizeRecord>>)]
    sizes: Option<BTreeMap<AspectRatio, SizeBody>>,
    /// Bounds on explicit sizes.
    #[serde(default)]
    limits: Option<LimitsBody>,
    /// Values set in the workflow.
    #[serde(default)]
    defaults: Option<RenderDefaults>,
    /// How to write prompts for this model.
    #[serde(default)]
    prompt_guide: Option<String>,
    #[serde(default)]
    prompt_examples: Option<Vec<String>>,
}

/// A size in pixels.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = Size)]
struct SizeRecord {
    width: u32,
    height: u32,
}

/// `{"width": 1024, "height": 768}` or `[1024, 768]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
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

/// Bounds on explicit sizes, in pixels. Defaults: 64, 2048, 8.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SizeBounds)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names are the contract's; they carry their unit")]
struct LimitsBody {
    #[serde(default)]
    min_side_px: Option<u32>,
    #[serde(default)]
    max_side_px: Option<u32>,
    /// Sides are rounded to a multiple of this.
    #[serde(default)]
    side_multiple_px: Option<u32>,
}

/// A change of the above.
type RenderTypePatch = PatchOf<RenderTypeBody>;

impl RenderTypeBody {
    fn of(render_type: &RenderType) -> Self {
        let size = |size: &ImageSize| SizeBody::Named { width: size.width_px, height: size.height_px };
        Self {
            name: render_type.name.clone(),
            title: Some(render_type.title.clone()),
            description: Some(render_type.description.clone()),
            workflow: render_type.workflow.clone(),
            workflow_version: render_type.workflow_version,
            mode: render_type.mode,
            visible: Some(render_type.visible),
            is_default: Some(render_type.is_default),
            sizes: Some(render_type.sizes.iter().map(|(ratio, sides)| (*ratio, size(sides))).collect()),
            limits: Some(LimitsBody {
                min_side_px: Some(render_type.limits.min_side_px),
                max_side_px: Some(render_type.limits.max_side_px),
                side_multiple_px: Some(render_type.limits.side_multiple_px),
            }),
            defaults: Some(render_type.defaults.clone()),
            prompt_guide: Some(render_type.prompt_guide.clone()),
            prompt_examples: Some(render_type.prompt_examples.clone()),
        }
    }

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

/// Lists all render types.
#[utoipa::path(get, path = "/api/v1/render-types", tag = "catalogue", operation_id = "list_render_types",
    responses((status = 200, body = RenderTypeList)))]
pub(crate) async fn list(State(app): State<App>, headers: HeaderMap) -> Result<Json<RenderTypeList>, WebError> {
    let previews = Previews::load(&app, &headers).await?;
    let catalogue = app.engine.catalogue();
    let all = catalogue.render_types.iter().map(|row| RenderTypeRecord::of(row, &app, &previews));
    Ok(Json(RenderTypeList { render_types: all.collect() }))
}

/// Tells one render type, by id or name.
#[utoipa::path(get, path = "/api/v1/render-types/{id}", tag = "catalogue", operation_id = "get_render_type",
    params(("id" = String, Path, description = "Id or name")),
    responses((status = 200, body = RenderTypeRecord, headers(("ETag" = String))), NotFound))]
pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    told(&app, &headers, &lookup::render_type(&app, &id)?).await
}

/// Adds a render type.
#[utoipa::path(post, path = "/api/v1/render-types", tag = "catalogue", operation_id = "add_render_type",
    request_body = RenderTypeBody,
    responses((status = 201, body = RenderTypeRecord, headers(("Location" = String), ("ETag" = String))), Conflict, Invalid))]
pub(crate) async fn add(
    State(app): State<App>,
    headers: HeaderMap,
    JsonBody(fields): JsonBody<Map<String, Value>>,
) -> Result<Response, WebError> {
    let body: RenderTypeBody = parse_whole(fields, &READ_ONLY)?;
    let row = app.engine.render_type_save(body.into_render_type(RenderTypeId::new())?).await?;
    let record = RenderTypeRecord::of(&row, &app, &Previews::load(&app, &headers).await?);
    Ok(answers::created(&format!("/api/v1/render-types/{}", row.id), Some(&record.etag), &record))
}

/// Sets a render type anew: what is left out has its default.
#[utoipa::path(put, path = "/api/v1/render-types/{id}", tag = "catalogue", operation_id = "replace_render_type",
    params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header)),
    request_body = RenderTypeBody,
    responses((status = 200, body = RenderTypeRecord, headers(("ETag" = String))), NotFound, Conflict, Changed, Invalid))]
pub(crate) async fn replace(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(fields): JsonBody<Map<String, Value>>,
) -> Result<Response, WebError> {
    edit(&app, &id, &headers, |_| parse_whole(fields.clone(), &READ_ONLY)).await
}

/// Changes the fields that are given (JSON Merge Patch); `null` sets one to its default.
#[utoipa::path(patch, path = "/api/v1/render-types/{id}", tag = "catalogue", operation_id = "change_render_type",
    params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header)),
    request_body = RenderTypePatch,
    responses((status = 200, body = RenderTypeRecord, headers(("ETag" = String))), NotFound, Conflict, Changed, Invalid))]
pub(crate) async fn change(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(fields): JsonBody<Map<String, Value>>,
) -> Result<Response, WebError> {
    edit(&app, &id, &headers, |row| patched(&RenderTypeBody::of(row), &fields, &READ_ONLY)).await
}

/// Deletes a render type.
#[utoipa::path(delete, path = "/api/v1/render-types/{id}", tag = "catalogue", operation_id = "delete_render_type",
    params(("id" = String, Path, description = "Id or name"), ("If-Match" = Option<String>, Header)),
    responses((status = 204), NotFound, Changed))]
pub(crate) async fn remove(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, WebError> {
    let known = lookup::render_type(&app, &id)?;
    Expected::of(&headers)?.check(&app.versions.of(&known))?;
    app.engine.render_type_delete(known.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn edit(
    app: &App,
    id: &str,
    headers: &HeaderMap,
    body: impl Fn(&RenderType) -> Result<RenderTypeBody, UserError>,
) -> Result<Response, WebError> {
    let expected = Expected::of(headers)?;
    let id = lookup::render_type(app, id)?.id;
    let changed = app.engine.render_type_edit(id, |row| {
        expected.check(&app.versions.of(row))?;
        body(row)?.into_render_type(row.id)
    });
    told(app, headers, &changed.await?).await
}

async fn told(app: &App, headers: &HeaderMap, row: &RenderType) -> Result<Response, WebError> {
    let record = RenderTypeRecord::of(row, app, &Previews::load(app, headers).await?);
    Ok(answers::versioned(&record.etag, &record))
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
        let text = serde_json::to_vec(&RenderTypeBody::of(&made)).expect("serialises");
        let again: RenderTypeBody = parse(&text).expect("reads its own record");
        assert_eq!(again.into_render_type(made.id).expect("valid"), made);
    }
}
