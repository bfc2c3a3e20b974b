//! Stylesheets, scripts and icons: embedded in release builds, read from the source tree in debug
//! builds.
//!
//! Pages name them with the hash of their content (`?v=`), so a browser may keep them for ever and
//! still gets the new ones after an upgrade.

use std::borrow::Cow;

use axum::{
    body::Body,
    extract::{Path, RawQuery},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use rust_embed::RustEmbed;

use crate::{error::WebError, router::Routes};

/// Digits of the hash that pages put into an address.
const VERSION_CHARS: usize = 12;

/// The templates and assets of the product.
#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../templates"]
pub(crate) struct Files;

/// Routes of the assets.
pub(crate) fn routes() -> Routes {
    vec![("/assets/{*path}", get(asset)), ("/favicon.ico", get(favicon))]
}

/// Address of an asset for pages; `None` when there is no such file.
pub(crate) fn versioned(path: &str) -> Option<String> {
    let file = Files::get(&format!("assets/{path}"))?;
    Some(format!("/assets/{path}?v={}", version(&file)))
}

fn version(file: &rust_embed::EmbeddedFile) -> String {
    use std::fmt::Write as _;
    file.metadata.sha256_hash().iter().take(VERSION_CHARS / 2).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

async fn asset(Path(path): Path<String>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    // In debug builds the path reaches the file system.
    if path.split('/').any(|part| part.is_empty() || part.starts_with('.')) || path.contains('\\') {
        return WebError::missing("asset", &path).into_response();
    }
    let Some(file) = Files::get(&format!("assets/{path}")) else {
        return WebError::missing("asset", &path).into_response();
    };
    serve(&path, file, query.as_deref(), &headers)
}

async fn favicon(headers: HeaderMap) -> Response {
    match Files::get("assets/icons/favicon.svg") {
        Some(file) => serve("icons/favicon.svg", file, None, &headers),
        None => WebError::missing("asset", "favicon.ico").into_response(),
    }
}

fn serve(path: &str, file: rust_embed::EmbeddedFile, query: Option<&str>, headers: &HeaderMap) -> Response {
    let version = version(&file);
    let named = query.and_then(|query| query.strip_prefix("v=")).is_some_and(|given| given == version);
    let cache = if named && !cfg!(debug_assertions) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let etag = format!("\"{version}\"");
    let not_modified = crate::outputs::matches_etag(headers, &etag);
    let mut response = if not_modified {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(match file.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        })
        .into_response()
    };
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(mime_of(path)));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        out.insert(header::ETAG, etag);
    }
    response
}

fn mime_of(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("md" | "txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
