//! Accepts pictures that callers give: by content, within limits, fully decoded once before they are
//! believed. Blocking parts are for `spawn_blocking`.
//!
//! ComfyUI renders every frame of an animation as a batch and reads 16-bit files differently from
//! release to release, so such pictures are stored as their first frame in 8 bits. Turned pictures and those in CMYK
//! are written anew as well; places, cameras and whatever hides behind a picture's end are never passed on. What is
//! written anew is a PNG, of a photo a JPEG.

use std::io::Cursor;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use hub_core::{error::UserError, limits};
use image::{
    AnimationDecoder as _, DynamicImage, ImageFormat,
    codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder},
};

use super::{
    metadata,
    pixels::{self, PixelError},
    sniff::{Sniffed, decodable, sniff},
};
use crate::refusal::input_image;

/// What is accepted, in words.
pub(crate) const ACCEPTED: [&str; 4] = ["PNG", "JPEG", "WebP", "GIF"];

/// Told where a picture has several frames.
const FIRST_FRAME: &str = "The input picture is an animation; its first frame is used.";

/// JPEG quality of a photo that is written anew: nobody sees the difference.
const REWRITTEN_QUALITY: u8 = 95;

/// Padding may be missing: many clients drop it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A picture that can be stored and sent on.
#[derive(Debug)]
pub struct Accepted {
    /// The whole file, as it is stored and sent on.
    pub bytes: Bytes,
    /// What the bytes are.
    pub sniffed: Sniffed,
    /// What the caller should know.
    pub notes: Vec<&'static str>,
}

/// The bytes of a `data:` URI. Its declared type is ignored.
///
/// # Errors
/// `input_image`: not base64, or larger than [`limits::INPUT_IMAGE_MAX_BYTES`].
pub fn from_data_uri(uri: &str) -> Result<Bytes, UserError> {
    let (_, encoded) = uri.split_once(";base64,").ok_or_else(|| input_image("The data URI is not base64 encoded."))?;
    if encoded.len() / 4 * 3 > limits::INPUT_IMAGE_MAX_BYTES {
        return Err(too_large());
    }
    let compact: Vec<u8> = encoded.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(compact).map(Bytes::from).map_err(|error| input_image(format!("The data URI is broken: {error}.")))
}

/// Checks and, where needed, simplifies a picture. Blocking.
///
/// # Errors
/// `input_image`: no picture, a broken one, or one beyond the limits.
pub fn accept(bytes: &Bytes) -> Result<Accepted, UserError> {
    if bytes.len() > limits::INPUT_IMAGE_MAX_BYTES {
        return Err(too_large());
    }
    let sniffed = sniff(bytes);
    let Some(format) = decodable(sniffed.mime) else {
        return Err(input_image(format!(
            "The file is no picture that is accepted: its content is {}.",
            describe(bytes, &sniffed)
        ))
        .with_valid(ACCEPTED));
    };
    let (kept, picture) = look_at(bytes, format).map_err(|error| refuse(&error))?;
    let animated = is_animated(bytes, format);
    let notes = if animated { vec![FIRST_FRAME] } else { Vec::new() };
    let bytes = match kept.filter(|_| !animated && !is_deep(&picture)) {
        Some(kept) => kept,
        None => write_anew(&picture, format, limits::INPUT_IMAGE_MAX_BYTES)?,
    };
    let sniffed = sniff(&bytes);
    Ok(Accepted { bytes, sniffed, notes })
}

/// Decodes a picture, and answers beside its pixels the file that may be sent on for it, unless it is to be written
/// anew.
fn look_at(bytes: &Bytes, format: ImageFormat) -> Result<(Option<Bytes>, DynamicImage), PixelError> {
    let odd = pixels::is_turned(bytes, format) || (format == ImageFormat::Jpeg && metadata::is_cmyk(bytes));
    let kept = if odd { None } else { metadata::clean(bytes, format) };
    // What is sent on is what was decoded: a file that is put together oddly may break when it is cut.
    match kept.map(|kept| (pixels::decode(&kept, format), kept)) {
        Some((Ok(picture), kept)) => Ok((Some(kept), picture)),
        Some((Err(error), kept)) if kept == *bytes => Err(error),
        _ => Ok((None, pixels::decode(bytes, format)?)),
    }
}

/// A file of at most `max_bytes` for what was a file of that format. Without loss a photo takes five times its room: it
/// stays a JPEG.
fn write_anew(picture: &DynamicImage, was: ImageFormat, max_bytes: usize) -> Result<Bytes, UserError> {
    let jpeg = || pixels::encode_jpeg(&picture.to_rgb8(), REWRITTEN_QUALITY);
    let written = match was {
        ImageFormat::Jpeg => jpeg(),
        // Of a WebP nothing says whether it is a photo.
        ImageFormat::WebP if !picture.color().has_alpha() => match pixels::encode_png(picture) {
            Ok(png) if png.len() > max_bytes => jpeg(),
            png => png,
        },
        _ => pixels::encode_png(picture),
    };
    let written = Bytes::from(written.map_err(|error| refuse(&error))?);
    if written.len() > max_bytes {
        let limit = max_bytes / (1024 * 1024);
        let fault = format!("The picture is larger than {limit} MiB once it is written anew, upright and in 8 bits.");
        return Err(input_image(fault).with_hint("Make it smaller, and try again."));
    }
    Ok(written)
}

/// Whether a channel has more than 8 bits.
fn is_deep(picture: &DynamicImage) -> bool {
    picture.color().bytes_per_pixel() > picture.color().channel_count()
}

/// Whether a picture has more than one frame.
fn is_animated(bytes: &[u8], format: ImageFormat) -> bool {
    match format {
        ImageFormat::Gif => {
            GifDecoder::new(Cursor::new(bytes)).is_ok_and(|decoder| decoder.into_frames().take(2).count() > 1)
        }
        ImageFormat::Png => PngDecoder::new(Cursor::new(bytes)).and_then(|decoder| decoder.is_apng()).unwrap_or(false),
        ImageFormat::WebP => WebPDecoder::new(Cursor::new(bytes)).is_ok_and(|decoder| decoder.has_animation()),
        _ => false,
    }
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
    use image::{Frame, ImageBuffer, Rgb, RgbaImage, codecs::gif::GifEncoder};
    use img_parts::{ImageEXIF as _, jpeg::Jpeg};

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
            let accepted = accept(&bytes).expect("accepted");
            assert_eq!(accepted.bytes, bytes, "{format:?}");
            assert_eq!((accepted.sniffed.width_px, accepted.sniffed.height_px), (20, 10));
        }
    }

    #[test]
    fn animations_and_deep_colour_become_plain_pngs() {
        let gif = encoded(&DynamicImage::new_rgba8(6, 4), ImageFormat::Gif);
        assert_eq!(accept(&gif).expect("accepted").sniffed.mime, "image/png");
        let deep = DynamicImage::ImageRgb16(ImageBuffer::from_pixel(6, 4, Rgb([65_535, 0, 32_768])));
        let accepted = accept(&encoded(&deep, ImageFormat::Png)).expect("accepted");
        let plain = pixels::decode(&accepted.bytes, ImageFormat::Png).expect("decodes");
        assert_eq!(plain.color(), image::ColorType::Rgb8);
    }

    #[test]
    fn of_an_animation_the_first_frame_is_taken_and_that_is_said() {
        let mut gif = Vec::new();
        let mut encoder = GifEncoder::new(&mut gif);
        for shade in [10, 200] {
            let frame = RgbaImage::from_pixel(6, 4, image::Rgba([shade, shade, shade, 255]));
            encoder.encode_frame(Frame::new(frame)).expect("encodes");
        }
        drop(encoder);
        let accepted = accept(&Bytes::from(gif)).expect("accepted");
        assert_eq!(accepted.notes, [FIRST_FRAME]);
        let first = pixels::decode(&accepted.bytes, ImageFormat::Png).expect("decodes").to_rgb8();
        assert!(first.get_pixel(0, 0).0[0] < 60, "{:?}", first.get_pixel(0, 0));
        let still = encoded(&DynamicImage::new_rgba8(6, 4), ImageFormat::Gif);
        assert!(accept(&still).expect("accepted").notes.is_empty());
    }

    #[test]
    fn a_turned_photo_is_stored_upright_and_without_its_place() {
        // One entry: orientation 6, a quarter turn clockwise. Behind it stands what must not be passed on.
        let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0GPS 48.8583 N";
        let mut jpeg = Jpeg::from_bytes(encoded(&DynamicImage::new_rgb8(20, 10), ImageFormat::Jpeg)).expect("a JPEG");
        jpeg.set_exif(Some(Bytes::from_static(exif)));
        let accepted = accept(&jpeg.encoder().bytes()).expect("accepted");
        assert_eq!((accepted.sniffed.width_px, accepted.sniffed.height_px), (10, 20));
        assert_eq!(accepted.sniffed.mime, "image/jpeg", "a photo stays one");
        assert!(!accepted.bytes.windows(3).any(|at| at == b"GPS"));
    }

    #[test]
    fn cmyk_becomes_rgb() {
        let cmyk = Bytes::from_static(include_bytes!("../../tests/fixtures/cmyk.jpg"));
        assert!(metadata::is_cmyk(&cmyk));
        let accepted = accept(&cmyk).expect("accepted");
        assert_eq!(accepted.sniffed.mime, "image/jpeg");
        let plain = pixels::decode(&accepted.bytes, ImageFormat::Jpeg).expect("decodes").to_rgb8();
        let [red, green, blue] = plain.get_pixel(8, 8).0;
        assert!(red > 180 && green < 90 && blue < 90, "{red} {green} {blue}: it is a red square");
    }

    #[test]
    fn what_grows_beyond_the_limit_when_it_is_written_anew_is_refused() {
        let mut shade = 1_u32;
        let noise = DynamicImage::ImageRgb8(ImageBuffer::from_fn(64, 64, |_, _| {
            shade = shade.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [red, green, blue, _] = shade.to_be_bytes();
            Rgb([red, green, blue])
        }));
        let png = pixels::encode_png(&noise).expect("encodes").len();
        let photo = write_anew(&noise, ImageFormat::WebP, png - 1).expect("as a photo");
        assert_eq!(sniff(&photo).mime, "image/jpeg");
        for (was, most) in [(ImageFormat::Png, png - 1), (ImageFormat::Jpeg, photo.len() - 1)] {
            assert_eq!(write_anew(&noise, was, most + 1).expect("just fits").len(), most + 1);
            let error = write_anew(&noise, was, most).expect_err("one byte too much");
            assert!(error.message.contains("larger than"), "{}", error.message);
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_decoded() {
        // A header of 60 000 × 60 000 pixels and nothing behind it.
        let mut png = encoded(&DynamicImage::new_rgb8(1, 1), ImageFormat::Png).to_vec();
        png[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        let checksum = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&checksum.to_be_bytes());
        let error = accept(&Bytes::from(png)).expect_err("3.6 gigapixels");
        assert!(error.message.contains("3600000000 pixels"), "{}", error.message);
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1)))
        })
    }

    #[test]
    fn a_wrong_name_or_type_does_not_matter_and_a_cut_file_is_refused() {
        let jpeg = encoded(&DynamicImage::new_rgb8(64, 64), ImageFormat::Jpeg);
        assert_eq!(accept(&jpeg).expect("by content").sniffed.mime, "image/jpeg");
        let png = encoded(&DynamicImage::new_rgb8(64, 64), ImageFormat::Png);
        let error = accept(&png.slice(..png.len() / 2)).expect_err("cut off");
        assert!(error.message.contains("decoded"), "{}", error.message);
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
            let error = accept(&Bytes::from_static(bytes)).expect_err(said);
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
