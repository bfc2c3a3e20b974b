//! Stylesheets, scripts and icons: embedded in release builds, read from the source tree in debug
//! builds.
//!
//! Pages name them with the hash of their content (`?v=`), so a browser may keep them for ever and
//! still gets the new ones after an upgrade. What every page needs comes as one file of each kind: each
//! further one that is asked for delays the first paint of a first visit.

use std::borrow::Cow;

use axum::{
    body::Body,
    extract::{Path, RawQuery},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::{error::WebError, router::Routes};

/// Digits of each file's hash that pages put into an address.
const VERSION_CHARS: usize = 12;

/// The templates and assets of the product.
#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../templates"]
pub(crate) struct Files;

/// Files that are served as one, in this order.
const BUNDLES: [(&str, &[&str]); 2] = [
    ("css/all.css", &["css/tokens.css", "css/base.css", "css/components.css", "css/pages.css"]),
    // htmx begins once the script that brings it has run, and would not wait for an extension in another one.
    ("js/live.js", &["js/vendor/htmx.min.js", "js/vendor/hx-sse.min.js"]),
];

/// Routes of the assets.
pub(crate) fn routes() -> Routes {
    vec![("/assets/{*path}", get(asset)), ("/favicon.ico", get(favicon))]
}

/// Address of an asset for pages; `None` when there is no such file.
pub(crate) fn versioned(path: &str) -> Option<String> {
    Some(format!("/assets/{path}?v={}", version(&found(path)?)))
}

/// The file, or those that are served as one under this name.
fn found(path: &str) -> Option<Vec<EmbeddedFile>> {
    let bundle = BUNDLES.iter().find(|(name, _)| *name == path).map(|(_, parts)| *parts);
    let parts = bundle.unwrap_or(std::slice::from_ref(&path));
    parts.iter().map(|part| Files::get(&format!("assets/{part}"))).collect()
}

fn version(parts: &[EmbeddedFile]) -> String {
    parts.iter().map(|file| hex(&file.metadata.sha256_hash()[..VERSION_CHARS / 2])).collect()
}

fn content(parts: Vec<EmbeddedFile>) -> Bytes {
    let mut data = parts.into_iter().map(|file| match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    });
    match (data.next(), data.next()) {
        (Some(only), None) => only,
        (first, second) => {
            let all: Vec<Bytes> = first.into_iter().chain(second).chain(data).collect();
            Bytes::from(all.join(&b'\n'))
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

async fn asset(Path(path): Path<String>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    // In debug builds the path reaches the file system.
    if path.split('/').any(|part| part.is_empty() || part.starts_with('.')) || path.contains('\\') {
        return WebError::missing("asset", &path).into_response();
    }
    let Some(parts) = found(&path) else {
        return WebError::missing("asset", &path).into_response();
    };
    serve(&path, parts, query.as_deref(), &headers)
}

async fn favicon(headers: HeaderMap) -> Response {
    match found("icons/favicon.svg") {
        Some(parts) => serve("icons/favicon.svg", parts, None, &headers),
        None => WebError::missing("asset", "favicon.ico").into_response(),
    }
}

fn serve(path: &str, parts: Vec<EmbeddedFile>, query: Option<&str>, headers: &HeaderMap) -> Response {
    let version = version(&parts);
    let named = query.and_then(|query| query.strip_prefix("v=")).is_some_and(|given| given == version);
    let cache = if named && !cfg!(debug_assertions) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let etag = format!("\"{version}\"");
    let not_modified = crate::outputs::matches_etag(headers, &etag);
    let mut response = if not_modified {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(content(parts)).into_response()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const VENDORED: &str = "assets/js/vendor/";
    /// What we wrote beside the files of others.
    const OURS: [&str; 2] = ["README.md", "SHA256SUMS"];

    fn text(name: &str) -> String {
        let file = Files::get(&format!("{VENDORED}{name}")).expect("a file");
        String::from_utf8(file.data.into_owned()).expect("text")
    }

    /// An upgrade brings new sums; whoever mends something by hand is told here.
    #[test]
    fn vendored_files_are_as_they_were_published() {
        let recorded: BTreeMap<String, String> = text("SHA256SUMS")
            .lines()
            .map(|line| line.split_once("  ").expect("a sum and a name"))
            .map(|(sum, name)| (name.to_owned(), sum.to_owned()))
            .collect();
        let names = Files::iter().filter_map(|path| path.strip_prefix(VENDORED).map(str::to_owned));
        let there: BTreeMap<String, String> = names
            .filter(|name| !OURS.contains(&name.as_str()))
            .map(|name| {
                let file = Files::get(&format!("{VENDORED}{name}")).expect("a file");
                let sum = hex(&file.metadata.sha256_hash());
                (name, sum)
            })
            .collect();
        assert!(there.len() > 2, "{there:?}");
        assert_eq!(there, recorded);
        let readme = text("README.md");
        for name in recorded.keys() {
            assert!(readme.contains(&format!("`{name}`")), "{name} is of no package that README.md names");
        }
        let script = text("htmx.min.js");
        let version = script.split("version=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("its version");
        assert!(readme.contains(&format!("version {version} (")), "README.md names another version than {version}");
    }

    #[test]
    fn what_is_served_as_one_is_whole_and_new_when_a_part_is() {
        for (name, names) in BUNDLES {
            let parts = || found(name).expect("all parts are there");
            let all = content(parts());
            let mut rest = std::str::from_utf8(&all).expect("text");
            for part in names {
                let text = content(found(part).expect("a part"));
                let text = std::str::from_utf8(&text).expect("text");
                let (_, after) =
                    rest.split_once(text).unwrap_or_else(|| panic!("{part} is not in {name} where it belongs"));
                rest = after;
            }
            let changed = version(&parts()[1..]);
            assert!(names.len() > 1 && version(&parts()) != changed, "{name}");
            assert!(!Files::iter().any(|path| path == format!("assets/{name}")), "{name} is a file besides");
        }
        let css: Vec<_> = Files::iter().filter(|path| path.ends_with(".css")).collect();
        assert_eq!(css.len(), BUNDLES[0].1.len(), "a stylesheet is left out: {css:?}");
    }
}
