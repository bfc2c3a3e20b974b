//! Workflow texts inside pictures: PNG `tEXt`/`iTXt` chunks and WebP EXIF.
//!
//! Reads chunk headers only and never decodes pixels, so a broken or hostile picture costs nothing. Every
//! length is checked against what is there.

use super::super::WorkflowError;

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Texts found in a picture, as JSON bytes.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    pub prompt: Option<Vec<u8>>,
    pub workflow: Option<Vec<u8>>,
}

impl Metadata {
    fn set(&mut self, keyword: &[u8], text: Vec<u8>) {
        match keyword {
            b"prompt" => self.prompt = Some(text),
            b"workflow" => self.workflow = Some(text),
            _ => {}
        }
    }
}

/// `None` when the bytes are no picture this module knows.
pub(super) fn metadata(bytes: &[u8]) -> Result<Option<Metadata>, WorkflowError> {
    if let Some(chunks) = bytes.strip_prefix(PNG_SIGNATURE) {
        return png(chunks).map(Some);
    }
    if bytes.len() > 12 && bytes.starts_with(b"RIFF") && &bytes[8..12] == b"WEBP" {
        return Ok(Some(webp(&bytes[12..])));
    }
    if bytes.starts_with(b"\xff\xd8\xff") || bytes.starts_with(b"GIF8") {
        return Err(WorkflowError::NoMetadata("only PNG and WebP pictures saved by ComfyUI do".to_owned()));
    }
    Ok(None)
}

fn png(mut rest: &[u8]) -> Result<Metadata, WorkflowError> {
    let mut found = Metadata::default();
    while let Some((header, tail)) = rest.split_at_checked(8) {
        let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let Some((data, tail)) = tail.split_at_checked(length) else {
            return Err(WorkflowError::NoMetadata("the file is cut off".to_owned()));
        };
        match &header[4..8] {
            b"tEXt" => {
                if let Some((keyword, text)) = split_nul(data) {
                    // Latin-1 by definition; JSON written by Python is plain ASCII within it.
                    found.set(keyword, text.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes());
                }
            }
            b"iTXt" => {
                if let Some((keyword, text)) = international(data) {
                    found.set(keyword, text.to_vec());
                }
            }
            b"IEND" => break,
            _ => {}
        }
        rest = tail.get(4..).unwrap_or_default();
    }
    Ok(found)
}

/// keyword NUL compressed(0) method language NUL translated-keyword NUL text. Compressed ones are left out:
/// ComfyUI never writes them.
fn international(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (keyword, rest) = split_nul(data)?;
    let (flags, rest) = rest.split_at_checked(2)?;
    let (_language, rest) = split_nul(rest)?;
    let (_translated, text) = split_nul(rest)?;
    (flags[0] == 0).then_some((keyword, text))
}

fn split_nul(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = data.iter().position(|byte| *byte == 0)?;
    Some((&data[..at], &data[at + 1..]))
}

fn webp(mut rest: &[u8]) -> Metadata {
    let mut found = Metadata::default();
    while let Some((header, tail)) = rest.split_at_checked(8) {
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let data = &tail[..length.min(tail.len())];
        if &header[..4] == b"EXIF" {
            for keyword in ["prompt", "workflow"] {
                if let Some(text) = exif_text(data, keyword) {
                    found.set(keyword.as_bytes(), text);
                }
            }
        }
        // Chunks are padded to even lengths.
        rest = tail.get(length.saturating_add(length & 1)..).unwrap_or_default();
    }
    found
}

/// ComfyUI stores `prompt:{…}` as an EXIF string, which ends with NUL.
fn exif_text(data: &[u8], keyword: &str) -> Option<Vec<u8>> {
    let needle = format!("{keyword}:{{");
    let at = data.windows(needle.len()).position(|window| window == needle.as_bytes())?;
    let text = &data[at + needle.len() - 1..];
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    Some(text[..end].to_vec())
}
