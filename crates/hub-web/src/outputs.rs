//! Stored files and thumbnails.
//!
//! A file is found by its id alone: the path is parsed, never joined. The bytes are handed on without
//! a copy. Files never change under their id, so they may be cached for ever.

use axum::{
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use hub_core::{artifact::Artifact, caller::Caller, ids::ArtifactId};
use serde::Deserialize;

use crate::{
    asker::Asker,
    attachment,
    error::WebError,
    headers::FILE_POLICY,
    router::{App, Routes},
};

/// A year: the longest that caches keep anything.
const CACHE: &str = "private, max-age=31536000, immutable";

/// Routes of the files.
pub(crate) fn routes() -> Routes {
    vec![("/outputs/{file}", get(output)), ("/thumbs/{id}", get(thumb))]
}

#[derive(Deserialize)]
struct OutputQuery {
    #[serde(default)]
    download: Option<String>,
}

async fn output(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(file): Path<String>,
    query: Result<Query<OutputQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let Query(query) = query?;
    let artifact = find(&app, &caller, &file).await?;
    // An id with a foreign extension is another address, not this file.
    if file.split_once('.').is_some_and(|(_, extension)| extension != artifact.extension) {
        return Err(WebError::missing("file", &file));
    }
    let etag = format!("\"{}\"", artifact.sha256);
    let mut response = if matches_etag(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ranged(&headers, app.engine.artifact_bytes(&artifact).await?)
    };
    describe(&mut response, &artifact.mime, &etag);
    if query.download.is_some_and(|wish| wish != "0") {
        // To be kept on the way all the same: it never changes.
        let name = attachment::disposition(&artifact.file_name());
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

async fn thumb(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let artifact = find(&app, &caller, &id).await?;
    let etag = format!("\"t-{}\"", artifact.sha256);
    if matches_etag(&headers, &etag) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        describe(&mut response, "image/jpeg", &etag);
        return Ok(response);
    }
    let preview = app.engine.thumbnail(&artifact).await?;
    let mut response = Body::from(preview.bytes).into_response();
    describe(&mut response, &preview.mime, &etag);
    Ok(response)
}

async fn find(app: &App, caller: &Caller, name: &str) -> Result<Artifact, WebError> {
    let id = name.split_once('.').map_or(name, |(id, _)| id);
    let id: ArtifactId = id.parse().map_err(|_| WebError::missing("file", name))?;
    Ok(app.engine.artifact_for(caller, id).await?)
}

fn describe(response: &mut Response, mime: &str, etag: &str) {
    let headers = response.headers_mut();
    let mime = HeaderValue::from_str(mime).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_TYPE, mime);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FILE_POLICY));
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
}

/// Whether the client has this very version.
pub(crate) fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|list| list.split(',').map(str::trim).any(|known| known == "*" || strong(known) == strong(etag)))
}

/// Compression on the way marks a tag as weak; it still names the same file.
fn strong(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

/// The whole body, or the one range that is asked for (players ask for parts of videos). Several
/// ranges are answered with the whole, which the standard allows.
fn ranged(headers: &HeaderMap, bytes: bytes::Bytes) -> Response {
    let total = bytes.len();
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    match asked.and_then(|asked| asked.strip_prefix("bytes=")).filter(|asked| !asked.contains(',')) {
        None => Body::from(bytes).into_response(),
        Some(asked) => {
            let (mut response, range) = if let Some((first, last)) = parse_range(asked, total) {
                let part = Body::from(bytes.slice(first..=last));
                ((StatusCode::PARTIAL_CONTENT, part).into_response(), format!("bytes {first}-{last}/{total}"))
            } else {
                (StatusCode::RANGE_NOT_SATISFIABLE.into_response(), format!("bytes */{total}"))
            };
            if let Ok(value) = HeaderValue::try_from(range) {
                response.headers_mut().insert(header::CONTENT_RANGE, value);
            }
            response
        }
    }
}

/// First and last byte of `a-b`, `a-` or `-n`; `None` when it lies outside.
fn parse_range(asked: &str, total: usize) -> Option<(usize, usize)> {
    let end = total.checked_sub(1)?;
    let (first, last) = asked.split_once('-')?;
    let range = match (first.trim(), last.trim()) {
        ("", last) => (total.saturating_sub(last.parse::<usize>().ok().filter(|count| *count > 0)?), end),
        (first, "") => (first.parse().ok()?, end),
        (first, last) => (first.parse().ok()?, last.parse::<usize>().ok()?.min(end)),
    };
    (range.0 <= range.1).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_file_or_refused() {
        for (asked, expected) in [
            ("0-3", Some((0, 3))),
            ("4-", Some((4, 9))),
            ("-2", Some((8, 9))),
            ("-99", Some((0, 9))),
            ("5-99", Some((5, 9))),
            ("10-", None),
            ("5-2", None),
            ("-0", None),
            ("x", None),
        ] {
            assert_eq!(parse_range(asked, 10), expected, "{asked}");
        }
        assert_eq!(parse_range("0-", 0), None);
    }

    #[test]
    fn a_tag_is_known_in_its_weak_form_too() {
        let headers =
            |value: &'static str| HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(value))]);
        assert!(matches_etag(&headers("\"a\", W/\"b\""), "\"b\""));
        assert!(matches_etag(&headers("*"), "\"b\""));
        assert!(!matches_etag(&headers("\"a\""), "\"b\""));
    }
}
