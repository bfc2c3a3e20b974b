//! Pictures that show what styles and render types look like: told with them, and rendered by the hub on demand.

use axum::{
    Json,
    extract::{Path, State},
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use hub_core::{
    catalogue::{RenderType, Style},
    ids::JobId,
};
use hub_engine::{ShowcaseIndex, ShowcaseScene, ShowcaseView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answers::{Conflict, Invalid, NotFound},
    body::JsonBody,
    jobs::{SubmittedRecord, accepted},
};
use crate::{
    asker::Asker,
    audit::{about, about_some},
    error::WebError,
    links, lookup,
    router::App,
};

/// Fields of styles and render types that are told but not taken: they may be sent back.
pub(super) const READ_ONLY: [&str; 5] = ["id", "etag", "preview_url", "preview_stale", "preview_job"];

/// All pictures, with the address under which the client reaches them.
pub(super) struct Previews {
    index: ShowcaseIndex,
    base_url: String,
}

impl Previews {
    pub(super) async fn load(app: &App, headers: &HeaderMap) -> Result<Self, WebError> {
        Ok(Self { index: app.engine.showcases().await?, base_url: links::base_url(app, headers) })
    }

    pub(super) fn of_style(&self, style: &Style) -> PreviewRecord {
        self.record(&self.index.of_style(style))
    }

    pub(super) fn of_render_type(&self, row: &RenderType) -> PreviewRecord {
        self.record(&self.index.of_render_type(row))
    }

    fn record(&self, view: &ShowcaseView) -> PreviewRecord {
        let url = |picture| format!("{}{}", self.base_url, links::file_path(picture));
        PreviewRecord {
            preview_url: view.picture.as_ref().map(url),
            preview_stale: view.stale,
            preview_job: view.pending,
        }
    }
}

/// What it looks like.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PreviewOf)]
#[expect(clippy::struct_field_names, reason = "they stand among the fields of a style or render type")]
pub(super) struct PreviewRecord {
    /// A picture that the hub made with it; null while there is none.
    preview_url: Option<String>,
    /// It, or the scene that is drawn, has changed since.
    preview_stale: bool,
    /// The job that makes a new picture now.
    preview_job: Option<JobId>,
}

/// Has a picture made that shows what a style looks like: an ordinary job of the least priority, with a render type
/// that suits the style. The picture is shown once it is there; while one is being made, its job is answered.
#[utoipa::path(post, path = "/api/v1/styles/{id}/preview", tag = "catalogue", operation_id = "render_style_preview",
    params(("id" = String, Path, description = "Id or name")),
    responses((status = 202, body = SubmittedRecord, headers(("Location" = String))), NotFound, Conflict, Invalid))]
pub(super) async fn of_style(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    let style = lookup::style(&app, &id)?;
    Ok(accepted(app.engine.showcase_style(&caller, &style).await?))
}

/// The same for a render type. One that works on a given picture is shown with what the default render type draws of
/// the scene; while there is no such picture, it is refused.
#[utoipa::path(post, path = "/api/v1/render-types/{id}/preview", tag = "catalogue",
    operation_id = "render_render_type_preview",
    params(("id" = String, Path, description = "Id or name")),
    responses((status = 202, body = SubmittedRecord, headers(("Location" = String))), NotFound, Conflict, Invalid))]
pub(super) async fn of_render_type(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    let row = lookup::render_type(&app, &id)?;
    Ok(accepted(app.engine.showcase_render_type(&caller, &row).await?))
}

/// Which pictures of styles to make.
#[derive(Deserialize, ToSchema)]
#[schema(as = StylePreviews)]
#[serde(deny_unknown_fields)]
pub(super) struct MissingBody {
    /// Also those that are out of date. Default false.
    #[serde(default)]
    stale: bool,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StylePreviewsAsked)]
pub(super) struct AskedRecord {
    /// Jobs that make them.
    asked: usize,
    /// Styles for another time: there were more than 50, or the queue is full.
    left: usize,
    /// Styles that no render type suits.
    undrawable: Vec<String>,
}

/// Has the pictures made of all enabled styles that have none; at most 50 in one go.
#[utoipa::path(post, path = "/api/v1/style-previews", tag = "catalogue", operation_id = "render_style_previews",
    request_body = MissingBody,
    responses((status = 200, body = AskedRecord), Conflict))]
pub(super) async fn missing(
    State(app): State<App>,
    Asker(caller): Asker,
    JsonBody(body): JsonBody<MissingBody>,
) -> Result<Response, WebError> {
    let outcome = app.engine.showcase_missing(&caller, body.stale).await?;
    let record = AskedRecord { asked: outcome.asked, left: outcome.left, undrawable: outcome.undrawable };
    Ok(about_some(Json(record).into_response(), outcome.asked, "picture"))
}

/// Tells what is drawn to show a style or render type.
#[utoipa::path(get, path = "/api/v1/preview-scene", tag = "catalogue", operation_id = "get_preview_scene",
    responses((status = 200, body = ShowcaseScene)))]
pub(super) async fn scene(State(app): State<App>) -> Result<Json<ShowcaseScene>, WebError> {
    Ok(Json(app.engine.showcase_scene().await?))
}

/// Sets what is drawn from now on; the pictures that there are are then out of date.
#[utoipa::path(put, path = "/api/v1/preview-scene", tag = "catalogue", operation_id = "set_preview_scene",
    request_body = ShowcaseScene,
    responses((status = 200, body = ShowcaseScene), Invalid))]
pub(super) async fn set_scene(
    State(app): State<App>,
    JsonBody(scene): JsonBody<ShowcaseScene>,
) -> Result<Response, WebError> {
    let scene = app.engine.showcase_scene_edit(|_| Ok(scene.clone())).await?;
    Ok(about(Json(&scene).into_response(), scene.prompt))
}
