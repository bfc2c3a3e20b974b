//! What a file is, by its first bytes. Reads headers only, decodes nothing, and never fails: what is not
//! recognised is [`MediaKind::Other`].

use std::io::Cursor;

use hub_core::artifact::MediaKind;
use image::{ImageFormat, ImageReader};

/// What a file's bytes say that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sniffed {
    /// Picture, film, sound or something else.
    pub kind: MediaKind,
    /// Its media type.
    pub mime: &'static str,
    /// The ending of its name, without the dot.
    pub extension: &'static str,
    /// 0 where the kind has none or the header does not say.
    pub width_px: u32,
    /// 0 where the kind has none or the header does not say.
    pub height_px: u32,
}

/// Looks at the bytes.
pub(crate) fn sniff(bytes: &[u8]) -> Sniffed {
    let (kind, mime, extension) = signature(bytes);
    let (width_px, height_px) = match decodable(mime) {
        Some(format) => ImageReader::with_format(Cursor::new(bytes), format).into_dimensions().unwrap_or((0, 0)),
        None => (0, 0),
    };
    Sniffed { kind, mime, extension, width_px, height_px }
}

/// The format, when this program can decode it.
pub(crate) fn decodable(mime: &str) -> Option<ImageFormat> {
    match mime {
        "image/png" => Some(ImageFormat::Png),
        "image/jpeg" => Some(ImageFormat::Jpeg),
        "image/webp" => Some(ImageFormat::WebP),
        "image/gif" => Some(ImageFormat::Gif),
        _ => None,
    }
}

fn signature(bytes: &[u8]) -> (MediaKind, &'static str, &'static str) {
    use MediaKind::{Audio, Image, Other, Video};
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    match () {
        () if at(0, b"\x89PNG\r\n\x1a\n") => (Image, "image/png", "png"),
        () if at(0, b"\xff\xd8\xff") => (Image, "image/jpeg", "jpg"),
        () if at(0, b"RIFF") && at(8, b"WEBP") => (Image, "image/webp", "webp"),
        () if at(0, b"GIF87a") || at(0, b"GIF89a") => (Image, "image/gif", "gif"),
        () if at(4, b"ftypavif") || at(4, b"ftypavis") => (Image, "image/avif", "avif"),
        () if at(4, b"ftypheic") || at(4, b"ftypmif1") => (Image, "image/heic", "heic"),
        () if at(0, b"II*\0") || at(0, b"MM\0*") => (Image, "image/tiff", "tiff"),
        () if at(0, b"BM") && at(6, b"\0\0\0\0") => (Image, "image/bmp", "bmp"),
        () if at(4, b"ftypM4A") => (Audio, "audio/mp4", "m4a"),
        () if at(4, b"ftypqt") => (Video, "video/quicktime", "mov"),
        () if at(4, b"ftyp") => (Video, "video/mp4", "mp4"),
        () if at(0, b"\x1a\x45\xdf\xa3") => (Video, "video/webm", "webm"),
        () if at(0, b"RIFF") && at(8, b"WAVE") => (Audio, "audio/wav", "wav"),
        () if at(0, b"fLaC") => (Audio, "audio/flac", "flac"),
        () if at(0, b"OggS") => (Audio, "audio/ogg", "ogg"),
        () if at(0, b"ID3") || is_mpeg_audio(bytes) => (Audio, "audio/mpeg", "mp3"),
        () if at(0, b"glTF") => (Other, "model/gltf-binary", "glb"),
        () if at(0, b"%PDF-") => (Other, "application/pdf", "pdf"),
        () if at(0, b"SQLite format 3\0") => (Other, "application/vnd.sqlite3", "sqlite"),
        () => text_or_binary(bytes),
    }
}

fn is_mpeg_audio(bytes: &[u8]) -> bool {
    matches!(bytes, [0xff, second, ..] if second & 0xe6 == 0xe2)
}

fn text_or_binary(bytes: &[u8]) -> (MediaKind, &'static str, &'static str) {
    const LOOKED_AT_BYTES: usize = 512;
    let head = &bytes[..bytes.len().min(LOOKED_AT_BYTES)];
    // The cut may fall inside a character; what lies before it decides.
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or(""),
        Err(_) => return (MediaKind::Other, "application/octet-stream", "bin"),
    };
    if text.is_empty() || text.contains('\0') {
        return (MediaKind::Other, "application/octet-stream", "bin");
    }
    let start = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    // Markup is never served as itself: a browser would run its scripts under the hub's address.
    match () {
        () if start.starts_with("<!doctype html") || start.starts_with("<html") => {
            (MediaKind::Other, "text/plain", "txt")
        }
        () if start.starts_with("<svg") || (start.starts_with("<?xml") && start.contains("<svg")) => {
            (MediaKind::Other, "text/plain", "txt")
        }
        () if start.starts_with(['{', '[']) => (MediaKind::Other, "application/json", "json"),
        () => (MediaKind::Other, "text/plain", "txt"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_content() {
        for (bytes, mime) in [
            (&b"\0\0\0\x18ftypmp42"[..], "video/mp4"),
            (b"\0\0\0\x18ftypavif", "image/avif"),
            (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
            (b"SQLite format 3\0", "application/vnd.sqlite3"),
            (b"<svg onload='x'/>", "text/plain"),
            (b"  <!DOCTYPE html><p>", "text/plain"),
            (b"{\"a\":1}", "application/json"),
            (b"\x00\x01\x02", "application/octet-stream"),
            (b"", "application/octet-stream"),
            ("é".repeat(300).as_bytes(), "text/plain"),
        ] {
            assert_eq!(sniff(bytes).mime, mime, "{:?}", &bytes[..bytes.len().min(20)]);
        }
    }

    #[test]
    fn a_broken_header_has_no_size_and_does_not_fail() {
        let sniffed = sniff(b"\x89PNG\r\n\x1a\nrubbish");
        assert_eq!((sniffed.mime, sniffed.width_px, sniffed.height_px), ("image/png", 0, 0));
    }
}
