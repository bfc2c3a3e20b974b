//! Takes out of a picture what is not the picture: places, cameras and names that its owner need not send on, and
//! whatever hides behind its end. Pixels are not touched. Pure.

use bytes::Bytes;
use image::ImageFormat;
use img_parts::{
    jpeg::{Jpeg, markers},
    png::Png,
    webp::{CHUNK_EXIF, CHUNK_XMP, WebP},
};

/// Chunks of a PNG that say how its pixels look. All others go, text and EXIF among them.
const PNG_KEPT: [[u8; 4]; 13] = [
    *b"IHDR", *b"PLTE", *b"IDAT", *b"IEND", *b"tRNS", *b"gAMA", *b"cHRM", *b"sRGB", *b"iCCP", *b"cICP", *b"sBIT",
    *b"pHYs", *b"bKGD",
];

/// The file with nothing but the picture in it: the same bytes where there was nothing to take out. `None` where
/// something must go that cannot be cut out, so that the pixels are to be written anew.
///
/// What is answered is not known to be sound: a file that is put together oddly may break when it is cut.
pub(super) fn clean(bytes: &Bytes, format: ImageFormat) -> Option<Bytes> {
    let once = |bytes: &Bytes| match format {
        ImageFormat::Jpeg => clean_jpeg(bytes),
        ImageFormat::Png => clean_png(bytes),
        ImageFormat::WebP => clean_webp(bytes),
        _ => None,
    };
    let cleaned = once(bytes)?;
    // A cut may bring together what then reads as something to take out.
    (cleaned == *bytes || once(&cleaned)? == cleaned).then_some(cleaned)
}

fn clean_jpeg(bytes: &Bytes) -> Option<Bytes> {
    let end = end_of_jpeg(bytes)?;
    let mut jpeg = Jpeg::from_bytes(bytes.slice(..end)).ok()?;
    let before = jpeg.segments().len();
    // The colour profile (APP2) and Adobe's transform (APP14) belong to the pixels; so does JFIF's header (APP0).
    jpeg.segments_mut().retain(|segment| match segment.marker() {
        markers::APP2 => segment.contents().starts_with(b"ICC_PROFILE"),
        markers::APP0 | markers::APP14 => true,
        other => !(markers::APP0..=markers::APP15).contains(&other) && other != markers::COM,
    });
    let whole = jpeg.segments().len() == before && end == bytes.len();
    Some(if whole { bytes.clone() } else { jpeg.encoder().bytes() })
}

/// Where the picture ends: behind its EOI marker, found by walking its segments and scans. `None` without one.
fn end_of_jpeg(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        let marker = *bytes.get(at + 1)?;
        match (bytes.get(at)?, marker) {
            (0xff, 0xd9) => return Some(at + 2),
            // Fill bytes, escaped data and restarts.
            (0xff, 0xff) => at += 1,
            (0xff, 0x00 | 0x01 | 0xd0..=0xd8) => at += 2,
            (0xff, _) => at += 2 + usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?])),
            _ => at += 1,
        }
    }
}

/// Whether a JPEG has four colour components, which readers turn into RGB each in its own way.
pub(super) fn is_cmyk(bytes: &Bytes) -> bool {
    let frames = [markers::SOF0, markers::SOF1, markers::SOF2];
    Jpeg::from_bytes(bytes.clone()).is_ok_and(|jpeg| {
        frames
            .iter()
            .any(|marker| jpeg.segment_by_marker(*marker).is_some_and(|frame| frame.contents().get(5) == Some(&4)))
    })
}

fn clean_png(bytes: &Bytes) -> Option<Bytes> {
    let mut png = Png::from_bytes(bytes.clone()).ok()?;
    png.chunks_mut().retain(|chunk| PNG_KEPT.contains(&chunk.kind()));
    Some(png.encoder().bytes())
}

fn clean_webp(bytes: &Bytes) -> Option<Bytes> {
    let webp = WebP::from_bytes(bytes.clone()).ok()?;
    // The header lists what follows, and something may hide behind the end: written anew it is sound again.
    let plain = !webp.has_chunk(CHUNK_EXIF) && !webp.has_chunk(CHUNK_XMP);
    (plain && webp.encoder().bytes().len() == bytes.len()).then(|| bytes.clone())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::DynamicImage;
    use img_parts::ImageEXIF as _;

    use super::*;

    fn encoded(format: ImageFormat) -> Bytes {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(20, 10).write_to(&mut bytes, format).expect("encodes");
        Bytes::from(bytes.into_inner())
    }

    #[test]
    fn pictures_without_more_are_left_alone() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            assert_eq!(clean(&encoded(format), format), Some(encoded(format)), "{format:?}");
        }
    }

    #[test]
    fn exif_is_taken_out_and_the_pixels_stay() {
        let secret = Bytes::from_static(b"II*\0\x08\0\0\0\0\0GPS 48.8583 N");
        let mut jpeg = Jpeg::from_bytes(encoded(ImageFormat::Jpeg)).expect("a JPEG");
        jpeg.set_exif(Some(secret.clone()));
        let mut png = Png::from_bytes(encoded(ImageFormat::Png)).expect("a PNG");
        png.set_exif(Some(secret));
        for (with, format) in [(jpeg.encoder().bytes(), ImageFormat::Jpeg), (png.encoder().bytes(), ImageFormat::Png)] {
            assert!(with.windows(3).any(|at| at == b"GPS"));
            assert_eq!(clean(&with, format), Some(encoded(format)), "{format:?}");
        }
    }

    #[test]
    fn what_hides_behind_the_end_is_cut_off() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let plain = encoded(format);
            let polyglot = Bytes::from([&plain[..], b"PK\x03\x04<script>alert(1)</script>\xff\xd9"].concat());
            assert_eq!(clean(&polyglot, format), Some(plain), "{format:?}");
        }
        let webp = Bytes::from([&encoded(ImageFormat::WebP)[..], b"<html>"].concat());
        assert_eq!(clean(&webp, ImageFormat::WebP), None);
    }

    #[test]
    fn a_broken_file_is_written_anew_rather_than_trusted() {
        let cut = encoded(ImageFormat::Jpeg);
        assert_eq!(clean(&cut.slice(..cut.len() - 2), ImageFormat::Jpeg), None);
    }
}
