//! Pictures: upload one to work on, ask about one. The bytes themselves are served by
//! [`crate::outputs`].

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest as _, Multipart, Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use hub_core::{
    artifact::{Artifact, ArtifactRole, MediaKind},
    error::{ErrorCode, UserError},
    ids::{ArtifactId, JobId},
};
use serde::Serialize;

use crate::{error::WebError, links, router::App};

/// One stored file as programs see it.
#[derive(Debug, Serialize)]
pub(crate) struct ImageRecord {
    id: ArtifactId,
    url: String,
    thumbnail_url: String,
    resource_uri: String,
    width: u32,
    height: u32,
    seed: Option<u64>,
    mime: String,
    kind: MediaKind,
    role: ArtifactRole,
    size_bytes: u64,
    sha256: String,
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

pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<ImageRecord>, WebError> {
    let id: ArtifactId = id.parse().map_err(|_| WebError::missing("picture", &id))?;
    let artifact = app.engine.artifact(id).await?;
    Ok(Json(ImageRecord::of(&artifact, &links::base_url(&app, &headers))))
}

pub(crate) async fn upload(State(app): State<App>, request: Request) -> Result<Response, WebError> {
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
    let artifact = app.engine.store_input(bytes).await?;
    let location = format!("/api/v1/images/{}", artifact.id);
    let mut response = (StatusCode::CREATED, Json(ImageRecord::of(&artifact, &base_url))).into_response();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
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
