//! The whole hub as one archive.

use axum::{
    body::Body,
    extract::State,
    http::{Extensions, HeaderValue, header},
    response::{IntoResponse as _, Response},
};

use super::answers::Conflict;
use crate::{asker::Asker, audit, error::WebError, router::App};

/// A backup's type: nothing compresses it on the way, since pictures are compressed already.
pub(crate) const TAR: &str = "application/x-tar";

/// Makes a backup while the hub works: a tar archive of the database and all stored files, written as it is read
/// away. One that ends with an error, or lacks its `manifest.jsonl`, is none. It holds what everybody asked for, but
/// not the key of the stored secrets. SQLite only.
#[utoipa::path(get, path = "/api/v1/backup", tag = "hub", operation_id = "backup",
    responses((status = 200, description = "The archive", content_type = TAR, body = String), Conflict))]
pub(crate) async fn download(
    State(app): State<App>,
    Asker(caller): Asker,
    extensions: Extensions,
) -> Result<Response, WebError> {
    let backup = app.engine.backup(app.config.version).await?;
    app.access.audit(&caller, "GET /api/v1/backup", None, audit::address_of(&extensions)).await;
    let stamp = app.engine.store().clock().now().format("%Y%m%d-%H%M%S");
    let mut response = Body::from_stream(backup).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(TAR));
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"genimage-backup-{stamp}.tar\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
