//! The whole hub as one archive.

use axum::{body::Body, extract::State, http::Extensions, response::Response};

use super::answers::Conflict;
use crate::{asker::Asker, attachment, audit, error::WebError, router::App};

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
    Ok(attachment::answer(&format!("genimage-backup-{stamp}.tar"), TAR, Body::from_stream(backup)))
}
