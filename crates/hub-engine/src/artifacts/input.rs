//! Accepts pictures that callers give: by content, within limits, fully decoded once before they are
//! believed. Blocking parts are for `spawn_blocking`.
//!
//! ComfyUI renders every frame of an animation as a batch and reads 16-bit files differently from
//! release to release, so such pictures are stored as their first frame in 8 bits.

use std::io::Cursor;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use hub_core::{error::UserError, limits};
use image::{
    DynamicImage, ImageFormat,
    codecs::{png::PngDecoder, webp::WebPDecoder},
};

use super::{
    pixels::{self, PixelError},
    sniff::{Sniffed, decodable, sniff},
};
use crate::refusal::input_image;

/// What is accepted, in words.
pub(crate) const ACCEPTED: [&str; 4] = ["PNG", "JPEG", "WebP", "GIF"];

/// Padding may be missing: many clients drop it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A picture that can be stored and sent on.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) bytes: Bytes,
    pub(crate) sniffed: Sniffed,
}

/// The bytes of a `data:` URI. Its declared type is ignored.
pub(crate) fn from_data_uri(uri: &str) -> Result<Bytes, UserError> {
    let (_, encoded) = uri.split_once(";base64,").ok_or_else(|| input_image("The data URI is not base64 encoded."))?;
    if encoded.len() / 4 * 3 > limits::INPUT_IMAGE_MAX_BYTES {
        return Err(too_large());
    }
    let compact: Vec<u8> = encoded.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(compact).map(Bytes::from).map_err(|error| input_image(format!("The data URI is broken: {error}.")))
}

/// Checks and, where needed, simplifies a picture. Blocking.
pub(crate) fn accept(bytes: Bytes) -> Result<Accepted, UserError> {
    if bytes.len() > limits::INPUT_IMAGE_MAX_BYTES {
        return Err(too_large());
    }
    let sniffed = sniff(&bytes);
    let Some(format) = decodable(sniffed.mime) else {
        return Err(input_image(format!(
            "The file is no picture that is accepted: its content is {}.",
            describe(&bytes, &sniffed)
        ))
        .with_valid(ACCEPTED));
    };
    let picture = pixels::decode(&bytes, format).map_err(|error| refuse(&error))?;
    if needs_simplifying(&bytes, format, &picture) {
        let png = Bytes::from(pixels::encode_png(&picture).map_err(|error| refuse(&error))?);
        let sniffed = sniff(&png);
        return Ok(Accepted { bytes: png, sniffed });
    }
    Ok(Accepted { bytes, sniffed })
}

fn needs_simplifying(bytes: &[u8], format: ImageFormat, picture: &DynamicImage) -> bool {
    let deep = picture.color().bytes_per_pixel() > picture.color().channel_count();
    let animated = match format {
        ImageFormat::Gif => true,
        ImageFormat::Png => PngDecoder::new(Cursor::new(bytes)).and_then(|decoder| decoder.is_apng()).unwrap_or(false),
        ImageFormat::WebP => WebPDecoder::new(Cursor::new(bytes)).is_ok_and(|decoder| decoder.has_animation()),
        _ => false,
    };
    deep || animated
}

fn refuse(error: &PixelError) -> UserError {
    tracing::debug!(error = %error, cause = ?std::error::Error::source(error), "an input picture was refused");
    input_image(format!("The picture is not accepted: {error}."))
        .with_hint("Save it as an ordinary 8-bit RGB PNG or JPEG within the limits, and try again.")
}

fn too_large() -> UserError {
    input_image(format!("The picture is larger than {} MiB.", limits::INPUT_IMAGE_MAX_BYTES / (1024 * 1024)))
}

fn describe(bytes: &[u8], sniffed: &Sniffed) -> String {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).to_ascii_lowercase();
    match () {
        () if bytes.is_empty() => "empty".to_owned(),
        () if head.contains("<svg") => "SVG".to_owned(),
        () if head.contains("<html") || head.contains("<!doctype") => "a web page (HTML)".to_owned(),
        () if sniffed.mime == "application/octet-stream" => "unknown".to_owned(),
        () => sniffed.mime.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use image::{ImageBuffer, Rgb};

    use super::*;

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Bytes {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).expect("encodes");
        Bytes::from(bytes.into_inner())
    }

    #[test]
    fn ordinary_pictures_are_kept_as_they_are() {
        let picture = DynamicImage::new_rgb8(20, 10);
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let bytes = encoded(&picture, format);
            let accepted = accept(bytes.clone()).expect("accepted");
            assert_eq!(accepted.bytes, bytes, "{format:?}");
            assert_eq!((accepted.sniffed.width_px, accepted.sniffed.height_px), (20, 10));
        }
    }

    #[test]
    fn animations_and_deep_colour_become_plain_pngs() {
        let gif = encoded(&DynamicImage::new_rgba8(6, 4), ImageFormat::Gif);
        assert_eq!(accept(gif).expect("accepted").sniffed.mime, "image/png");
        let deep = DynamicImage::ImageRgb16(ImageBuffer::from_pixel(6, 4, Rgb([65_535, 0, 32_768])));
        let accepted = accept(encoded(&deep, ImageFormat::Png)).expect("accepted");
        let plain = pixels::decode(&accepted.bytes, ImageFormat::Png).expect("decodes");
        assert_eq!(plain.color(), image::ColorType::Rgb8);
    }

    #[test]
    fn what_is_no_picture_is_refused_by_what_it_is() {
        for (bytes, said) in [
            (&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], "SVG"),
            (b"<!DOCTYPE html><html>", "HTML"),
            (b"SQLite format 3\0....", "sqlite"),
            (b"", "empty"),
            (b"\x89PNG\r\n\x1a\nrubbish", "decoded"),
        ] {
            let error = accept(Bytes::from_static(bytes)).expect_err(said);
            assert_eq!(error.code, hub_core::error::ErrorCode::InputImage);
            assert!(error.message.contains(said), "{}", error.message);
        }
    }

    #[test]
    fn data_uris_are_read_with_and_without_padding() {
        for uri in ["data:image/png;base64,aGk=", "data:image/png;base64,aGk", "data:;base64,aG\nk="] {
            assert_eq!(from_data_uri(uri).expect(uri), Bytes::from_static(b"hi"), "{uri}");
        }
        assert!(from_data_uri("data:image/png;base64,***").is_err());
    }
}
