//! `/view`: path rules, conditional and ranged answers, previews and channels.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, Response as HttpResponse, header};
use axum::response::Response;
use bytes::Bytes;
use image::{DynamicImage, ImageFormat};

use super::files::{Folder, Stored, escapes, split_annotation};
use super::server::{crash, empty};
use super::state::Sim;

/// `GET` and `HEAD /view`.
pub(super) async fn view(
    State(sim): State<Arc<Sim>>,
    method: Method,
    headers: HeaderMap,
    Query(params): Query<HashMap<String, String>>,
) -> Response {
    let Some(asked) = params.get("filename") else { return empty(404) };
    let (path, annotated) = split_annotation(asked);
    if path.is_empty() || path.starts_with('/') || path.contains("..") {
        return empty(400);
    }
    let kind = params.get("type").map_or("output", String::as_str);
    let Some(folder) = annotated.or_else(|| Folder::read(kind)) else { return empty(400) };
    let subfolder = params.get("subfolder").map_or("", String::as_str);
    if escapes(subfolder) {
        return empty(403);
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some(file) = sim.files().get(folder, subfolder, name) else { return empty(404) };
    if let Some(wanted) = params.get("preview") {
        return preview(&file, name, wanted);
    }
    match params.get("channel").map(String::as_str) {
        Some(channel @ ("rgb" | "a")) => channel_of(&file, name, channel),
        _ => whole(&sim, &file, name, &method, &headers),
    }
}

fn whole(sim: &Sim, file: &Stored, name: &str, method: &Method, headers: &HeaderMap) -> Response {
    let etag = file.etag();
    let modified = chrono::DateTime::<chrono::Utc>::from(file.modified).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let mut answer = HttpResponse::builder()
        .header(header::CONTENT_DISPOSITION, disposition(name))
        .header(header::CONTENT_TYPE, content_type(name))
        .header(header::ETAG, &etag)
        .header(header::LAST_MODIFIED, modified);
    if sim.version.after(0, 27, 0) {
        answer = answer.header("X-Content-Type-Options", "nosniff");
    }
    let text = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(|t| t.trim() == etag)) {
        return answer.status(304).body(Body::empty()).unwrap_or_else(|_| crash());
    }
    answer = answer.header(header::ACCEPT_RANGES, "bytes");
    let total = file.bytes.len();
    let range = text(header::RANGE).and_then(|r| parse_range(r, total));
    let (status, body) = match range {
        Some((from, to)) => {
            answer = answer.header(header::CONTENT_RANGE, format!("bytes {from}-{to}/{total}"));
            (206, file.bytes.slice(from..=to))
        }
        None => (200, file.bytes.clone()),
    };
    answer = answer.header(header::CONTENT_LENGTH, body.len());
    let body = if *method == Method::HEAD { Body::empty() } else { Body::from(body) };
    answer.status(status).body(body).unwrap_or_else(|_| crash())
}

/// The single range of `bytes=a-b`, inclusive, when it can be satisfied.
fn parse_range(text: &str, total: usize) -> Option<(usize, usize)> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let last = total.checked_sub(1)?;
    let (from, to) = match (from.is_empty(), to.is_empty()) {
        (true, false) => (total.saturating_sub(to.parse().ok()?), last),
        (false, true) => (from.parse().ok()?, last),
        (false, false) => (from.parse().ok()?, to.parse::<usize>().ok()?.min(last)),
        (true, true) => return None,
    };
    (from <= to).then_some((from, to))
}

/// `preview=webp;90`: smaller formats; an unknown one becomes webp.
fn preview(file: &Stored, name: &str, wanted: &str) -> Response {
    let jpeg = wanted.split(';').next() == Some("jpeg");
    let Ok(picture) = image::load_from_memory(&file.bytes) else { return crash() };
    let picture = DynamicImage::ImageRgb8(picture.to_rgb8());
    let (format, mime) = if jpeg { (ImageFormat::Jpeg, "image/jpeg") } else { (ImageFormat::WebP, "image/webp") };
    encoded(&picture, format, name, mime)
}

fn channel_of(file: &Stored, name: &str, channel: &str) -> Response {
    let Ok(picture) = image::load_from_memory(&file.bytes) else { return crash() };
    let picture = if channel == "rgb" {
        DynamicImage::ImageRgb8(picture.to_rgb8())
    } else {
        let mut alpha = picture.to_rgba8();
        alpha.pixels_mut().for_each(|p| *p = image::Rgba([0, 0, 0, p[3]]));
        DynamicImage::ImageRgba8(alpha)
    };
    encoded(&picture, ImageFormat::Png, name, "image/png")
}

fn encoded(picture: &DynamicImage, format: ImageFormat, name: &str, mime: &str) -> Response {
    let mut out = Cursor::new(Vec::new());
    if picture.write_to(&mut out, format).is_err() {
        return crash();
    }
    HttpResponse::builder()
        .header(header::CONTENT_DISPOSITION, disposition(name))
        .header(header::CONTENT_TYPE, mime)
        .body(Body::from(Bytes::from(out.into_inner())))
        .unwrap_or_else(|_| crash())
}

fn disposition(name: &str) -> Vec<u8> {
    format!("filename=\"{name}\"").into_bytes()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().map(str::to_lowercase).as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("gif") => "image/gif",
        Some("txt") => "text/plain",
        Some("wav") => "audio/wav",
        Some("mp4") => "video/mp4",
        _ => "application/octet-stream",
    }
}
