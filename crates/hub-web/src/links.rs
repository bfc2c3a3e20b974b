//! Absolute addresses for what leaves the hub: results of the API, snippets to copy.

use axum::http::{HeaderMap, header};
use hub_core::artifact::Artifact;
use url::Url;

use crate::router::App;

/// Address of the hub as this client reaches it, without trailing slash: the configured one, else
/// what the request's `Host` says, else the listen address.
pub(crate) fn base_url(app: &App, headers: &HeaderMap) -> String {
    let host = || {
        let host = headers.get(header::HOST)?.to_str().ok()?;
        Url::parse(&format!("http://{host}")).ok().filter(|url| url.path() == "/" && url.query().is_none())
    };
    let url = app.config.public_url.clone().or_else(host).or_else(|| app.engine.config().listen_url.clone());
    url.map(|url| url.as_str().trim_end_matches('/').to_owned()).unwrap_or_default()
}

/// Path of a stored file.
pub(crate) fn file_path(artifact: &Artifact) -> String {
    format!("/outputs/{}", artifact.file_name())
}

/// Path of its thumbnail.
pub(crate) fn thumb_path(artifact: &Artifact) -> String {
    format!("/thumbs/{}", artifact.id)
}
