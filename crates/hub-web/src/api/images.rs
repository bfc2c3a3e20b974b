//! Pictures: upload one to work on, ask about one. The bytes themselves are served by
//! [`crate::outputs`].

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest as _, Multipart, Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use chrono::{DateTime, Utc};
use hub_core::{
    artifact::{Artifact, ArtifactRole, MediaKind},
    error::{ErrorCode, UserError},
    ids::{ArtifactId, JobId},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    answers::{self, Conflict, Invalid, NotFound},
    body::{JsonBody, Params},
};
use crate::{archive, asker::Asker, error::WebError, links, router::App};

/// One stored file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Image)]
pub(crate) struct ImageRecord {
    id: ArtifactId,
    /// Where its bytes are.
    url: String,
    /// 384 pixels.
    thumbnail_url: String,
    /// As MCP names it.
    resource_uri: String,
    /// In pixels; 0 where the kind has none.
    width: u32,
    /// In pixels; 0 where the kind has none.
    height: u32,
    /// Seed of the job that made it.
    seed: Option<u64>,
    mime: String,
    kind: MediaKind,
    role: ArtifactRole,
    size_bytes: u64,
    sha256: String,
    /// The job that made it; null for inputs.
    job: Option<JobId>,
    created_at: DateTime<Utc>,
}

impl ImageRecord {
    /// The record of `artifact`; its addresses begin with `base_url`.
    pub(crate) fn of(artifact: &Artifact, base_url: &str) -> Self {
        Self {
            id: artifact.id,
            url: format!("{base_url}{}", links::file_path(artifact)),
            thumbnail_url: format!("{base_url}{}", links::thumb_path(artifact)),
            resource_uri: artifact.resource_uri(),
            width: artifact.width_px,
            height: artifact.height_px,
            seed: artifact.seed,
            mime: artifact.mime.clone(),
            kind: artifact.kind,
            role: artifact.role,
            size_bytes: artifact.size_bytes,
            sha256: artifact.sha256.clone(),
            job: artifact.job,
            created_at: artifact.created_at,
        }
    }
}

/// Which pictures to send in one file.
#[derive(Deserialize, ToSchema)]
#[schema(as = ImageArchive)]
#[serde(deny_unknown_fields)]
pub(crate) struct ZipBody {
    /// 1 to 500 ids, 2 GB together at most.
    #[schema(value_type = Vec<ArtifactId>, min_items = 1, max_items = 500)]
    images: Vec<String>,
}

/// Sends several pictures as one zip file, named by job and place (`job_…-1.png`), as they are stored: each with its
/// recipe in its metadata. A picture whose file is gone is named in `missing.txt`.
#[utoipa::path(post, path = "/api/v1/images/zip", tag = "images", operation_id = "zip_images",
    request_body = ZipBody,
    responses((status = 200, description = "The archive", content_type = archive::ZIP, body = String), NotFound, Invalid))]
pub(crate) async fn zip(
    State(app): State<App>,
    Asker(caller): Asker,
    JsonBody(body): JsonBody<ZipBody>,
) -> Result<Response, WebError> {
    let ids = archive::parse_ids(&body.images)?;
    Ok(archive::answer(&app, archive::pictures(&app, &caller, &ids).await?))
}

/// Tells about one stored file.
#[utoipa::path(get, path = "/api/v1/images/{id}", tag = "images", operation_id = "get_image",
    params(("id" = ArtifactId, Path)),
    responses((status = 200, body = ImageRecord), NotFound))]
pub(crate) async fn show(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<ImageRecord>, WebError> {
    let id: ArtifactId = id.parse().map_err(|_| WebError::missing("picture", &id))?;
    let artifact = app.engine.artifact_for(&caller, id).await?;
    Ok(Json(ImageRecord::of(&artifact, &links::base_url(&app, &headers))))
}

/// How to delete.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteQuery {
    /// A favourite as well. Default false: it is refused.
    #[serde(default)]
    favourite: bool,
}

/// Deletes a stored file; its job stays.
#[utoipa::path(delete, path = "/api/v1/images/{id}", tag = "images", operation_id = "delete_image",
    params(("id" = ArtifactId, Path), DeleteQuery),
    responses((status = 204), NotFound, Conflict))]
pub(crate) async fn remove(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<String>,
    Params(query): Params<DeleteQuery>,
) -> Result<StatusCode, WebError> {
    let id: ArtifactId = id.parse().map_err(|_| WebError::missing("picture", &id))?;
    app.engine.artifact_for(&caller, id).await?;
    let outcome = app.engine.artifacts_delete(&[id], query.favourite).await?;
    let refuse = |why: &str, hint: &str| {
        let message = format!("The picture {id} is {why}; it was not deleted.");
        Err(UserError::new(ErrorCode::Conflict, message).with_hint(hint).into())
    };
    if !outcome.favourites.is_empty() {
        return refuse("a favourite", "Say `?favourite=true` to delete it nevertheless.");
    }
    if !outcome.in_use.is_empty() {
        return refuse("in use by a job that has not ended", "Wait for its end, or cancel it.");
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Stores a picture to work on: its bytes, or a form with the file `image`.
#[utoipa::path(post, path = "/api/v1/images", tag = "images", operation_id = "upload_image",
    request_body(description = "The picture's bytes", content((Vec<u8> = "application/octet-stream"),
        (UploadForm = "multipart/form-data"))),
    responses((status = 201, body = ImageRecord, headers(("Location" = String))), Invalid))]
pub(crate) async fn upload(
    State(app): State<App>,
    Asker(caller): Asker,
    request: Request,
) -> Result<Response, WebError> {
    let base_url = links::base_url(&app, request.headers());
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("multipart/form-data"));
    let bytes = if is_form { first_file(request, &app).await? } else { Bytes::from_request(request, &app).await? };
    if bytes.is_empty() {
        return Err(UserError::new(ErrorCode::InputImage, "The body is empty: send the picture's bytes.").into());
    }
    let artifact = app.engine.store_input(&caller, bytes).await?;
    let location = format!("/api/v1/images/{}", artifact.id);
    Ok(answers::created(&location, None, &ImageRecord::of(&artifact, &base_url)))
}

/// A form with a picture.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the document has it")]
struct UploadForm {
    #[schema(content_media_type = "application/octet-stream")]
    image: String,
}

async fn first_file(request: Request, app: &App) -> Result<Bytes, WebError> {
    let unreadable = |detail: String| WebError::request(StatusCode::BAD_REQUEST, detail);
    let mut form =
        Multipart::from_request(request, app).await.map_err(|rejection| unreadable(rejection.body_text()))?;
    while let Some(field) = form.next_field().await.map_err(|error| unreadable(error.body_text()))? {
        if field.file_name().is_some() || field.name() == Some("image") {
            return field.bytes().await.map_err(|error| WebError::request(error.status(), error.body_text()));
        }
    }
    Err(UserError::argument("image", "The form holds no file: send it as the field `image`.").into())
}
