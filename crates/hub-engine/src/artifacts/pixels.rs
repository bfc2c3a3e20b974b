//! Decoding, shrinking and encoding of pictures. Pure and blocking: callers run it off the async threads.
//!
//! Every decode is bounded in pixels before it begins and in memory while it runs.

use std::io::Cursor;

use bytes::Bytes;
use hub_core::{
    limits,
    request::{ImageSize, PixelBox},
};
use image::{
    DynamicImage, ExtendedColorType, GrayImage, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader,
    Limits, Luma, RgbImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
    metadata::Orientation,
};

/// Most memory one decode may take, in bytes: the largest accepted picture in 16-bit RGBA, and some.
const DECODE_MAX_BYTES: u64 = limits::INPUT_IMAGE_MAX_PIXELS * 8 + 16 * 1024 * 1024;
/// Brightest shade that counts as black: what JPEG makes of it.
const BLACK_MAX: u8 = 8;
/// First JPEG quality that is tried.
const JPEG_QUALITY: u8 = 85;
/// JPEG qualities tried before the picture is made smaller.
const JPEG_QUALITIES: [u8; 4] = [JPEG_QUALITY, 75, 62, 48];
/// Smallest longest side that is tried before giving up on a byte budget, in pixels.
const SIDE_FLOOR_PX: u32 = 16;

/// Why a picture cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PixelError {
    /// More pixels than accepted.
    #[error("it has {pixels} pixels; at most {} are accepted", limits::INPUT_IMAGE_MAX_PIXELS)]
    TooManyPixels {
        /// Width × height.
        pixels: u64,
    },
    /// The decoder's complaint.
    #[error("it cannot be decoded")]
    Decode(#[source] ImageError),
    /// The encoder's complaint.
    #[error("it cannot be encoded")]
    Encode(#[source] ImageError),
    /// Not even the smallest version fits.
    #[error("it does not fit into {max_bytes} bytes")]
    Budget {
        /// The budget.
        max_bytes: usize,
    },
}

/// A picture made small.
#[derive(Debug)]
pub(crate) struct Shrunk {
    pub(crate) jpeg: Vec<u8>,
    pub(crate) width_px: u32,
    pub(crate) height_px: u32,
}

/// Decodes the first frame, turned upright as its metadata says.
pub(crate) fn decode(bytes: &[u8], format: ImageFormat) -> Result<DynamicImage, PixelError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut bounds = Limits::default();
    bounds.max_alloc = Some(DECODE_MAX_BYTES);
    reader.limits(bounds);
    let mut decoder = reader.into_decoder().map_err(PixelError::Decode)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits::INPUT_IMAGE_MAX_PIXELS {
        return Err(PixelError::TooManyPixels { pixels });
    }
    let orientation = decoder.orientation().ok();
    let mut picture = DynamicImage::from_decoder(decoder).map_err(PixelError::Decode)?;
    if let Some(orientation) = orientation {
        picture.apply_orientation(orientation);
    }
    Ok(picture)
}

/// Whether the picture's metadata says that it is to be turned or mirrored.
pub(crate) fn is_turned(bytes: &[u8], format: ImageFormat) -> bool {
    let decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder();
    let orientation = decoder.and_then(|mut decoder| decoder.orientation());
    orientation.is_ok_and(|orientation| orientation != Orientation::NoTransforms)
}

/// Whether nothing in it is bright enough to be told from black.
pub(crate) fn is_black(picture: &DynamicImage) -> bool {
    picture.to_luma8().pixels().all(|pixel| pixel.0[0] <= BLACK_MAX)
}

/// A black PNG with a white box.
pub(crate) fn box_mask(size: ImageSize, white: PixelBox) -> Result<Vec<u8>, PixelError> {
    let within = |at: u32, from: u32, length: u32| (from..from.saturating_add(length)).contains(&at);
    let mask = GrayImage::from_fn(size.width_px, size.height_px, |x, y| {
        let inside = within(x, white.left_px, white.width_px) && within(y, white.top_px, white.height_px);
        Luma([if inside { u8::MAX } else { 0 }])
    });
    let mut png = Vec::new();
    let encoder = PngEncoder::new(&mut png);
    let written = encoder.write_image(&mask, size.width_px, size.height_px, ExtendedColorType::L8);
    written.map_err(PixelError::Encode)?;
    Ok(png)
}

/// Makes a JPEG whose longest side is at most `max_side_px` and that has at most `max_bytes`.
pub(crate) fn shrink(picture: &DynamicImage, max_side_px: u32, max_bytes: usize) -> Result<Shrunk, PixelError> {
    let mut side = max_side_px.max(1);
    loop {
        let small = flatten(&fit(picture, side));
        let (width_px, height_px) = small.dimensions();
        for quality in JPEG_QUALITIES {
            let jpeg = encode_jpeg(&small, quality)?;
            if jpeg.len() <= max_bytes {
                return Ok(Shrunk { jpeg, width_px, height_px });
            }
        }
        side = width_px.max(height_px) * 3 / 4;
        if side < SIDE_FLOOR_PX {
            return Err(PixelError::Budget { max_bytes });
        }
    }
}

/// A JPEG of at most 1024 pixels a side, as vision models take it.
pub(super) fn shrink_for_model(bytes: &[u8], format: ImageFormat) -> Result<Bytes, PixelError> {
    const MODEL_MAX_SIDE_PX: u32 = 1024;
    const MODEL_MAX_BYTES: usize = 2 * 1024 * 1024;
    let picture = decode(bytes, format)?;
    Ok(Bytes::from(shrink(&picture, MODEL_MAX_SIDE_PX, MODEL_MAX_BYTES)?.jpeg))
}

/// A PNG of 8 bits a channel.
pub(crate) fn encode_png(picture: &DynamicImage) -> Result<Vec<u8>, PixelError> {
    let mut png = Vec::new();
    let encoder = PngEncoder::new(&mut png);
    let (width, height) = (picture.width(), picture.height());
    if picture.color().has_alpha() {
        encoder.write_image(&picture.to_rgba8(), width, height, ExtendedColorType::Rgba8)
    } else {
        encoder.write_image(&picture.to_rgb8(), width, height, ExtendedColorType::Rgb8)
    }
    .map_err(PixelError::Encode)?;
    Ok(png)
}

fn fit(picture: &DynamicImage, side: u32) -> DynamicImage {
    if picture.width().max(picture.height()) <= side { picture.clone() } else { picture.thumbnail(side, side) }
}

/// JPEG knows no transparency: what shows through is white.
fn flatten(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let rgba = picture.to_rgba8();
    let mut flat = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in flat.pixels_mut().zip(rgba.pixels()) {
        let [r, g, b, alpha] = from.0;
        let over = |channel: u8| over_white(channel, alpha);
        to.0 = [over(r), over(g), over(b)];
    }
    flat
}

fn over_white(channel: u8, alpha: u8) -> u8 {
    let (channel, alpha) = (u32::from(channel), u32::from(alpha));
    u8::try_from((channel * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX)
}

/// A JPEG of full colour resolution; `quality` from 1 to 100.
pub(crate) fn encode_jpeg(picture: &RgbImage, quality: u8) -> Result<Vec<u8>, PixelError> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, quality)
        .write_image(picture, picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .map_err(PixelError::Encode)?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(width: u32, height: u32) -> DynamicImage {
        let mut state = 1_u32;
        DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [a, b, c, _] = state.to_be_bytes();
            image::Rgb([a, b, c])
        }))
    }

    #[test]
    fn a_byte_budget_is_kept_by_quality_and_then_by_size() {
        let picture = noise(400, 200);
        let roomy = shrink(&picture, 400, 1_000_000).expect("fits");
        assert_eq!((roomy.width_px, roomy.height_px), (400, 200));
        let tight = shrink(&picture, 400, 8_000).expect("fits");
        assert!(tight.jpeg.len() <= 8_000);
        assert!(tight.width_px < 400 && tight.width_px.abs_diff(tight.height_px * 2) <= 2);
        assert!(matches!(shrink(&picture, 400, 10), Err(PixelError::Budget { .. })));
    }

    #[test]
    fn black_is_what_jpeg_leaves_of_it_and_one_white_pixel_is_not() {
        let mut mask = GrayImage::new(64, 48);
        assert!(is_black(&DynamicImage::ImageLuma8(mask.clone())));
        let jpeg = encode_jpeg(&RgbImage::new(64, 48), JPEG_QUALITIES[3]).expect("encodes");
        assert!(is_black(&decode(&jpeg, ImageFormat::Jpeg).expect("decodes")));
        mask.put_pixel(63, 47, Luma([255]));
        assert!(!is_black(&DynamicImage::ImageLuma8(mask)));
    }

    #[test]
    fn transparency_becomes_white() {
        let clear = DynamicImage::ImageRgba8(image::RgbaImage::new(8, 8));
        assert!(flatten(&clear).pixels().all(|pixel| pixel.0 == [255, 255, 255]));
    }

    #[test]
    fn too_many_pixels_are_refused_before_they_are_decoded() {
        // A valid header of 30000 × 30000 with nothing behind it.
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        png.extend_from_slice(&30_000_u32.to_be_bytes());
        png.extend_from_slice(&30_000_u32.to_be_bytes());
        png.extend_from_slice(&[8, 2, 0, 0, 0]);
        png.extend_from_slice(&crc32(&png[12..]).to_be_bytes());
        png.extend_from_slice(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
        let error = decode(&png, ImageFormat::Png).expect_err("too many pixels");
        assert!(matches!(error, PixelError::TooManyPixels { pixels: 900_000_000 }), "{error:?}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (0_u32.wrapping_sub(crc & 1))))
        })
    }
}
