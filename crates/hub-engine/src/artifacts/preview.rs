//! Small versions of stored pictures, for clients and pages.
//!
//! Previews are kept in memory within a bound, least recently used out first; thumbnails are kept in the
//! object store under `thumbs/`. Both can be made again at any time, so losing one costs time only.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use hashlink::LruCache;
use hub_core::{
    artifact::{Artifact, MediaKind},
    error::{ErrorCode, UserError},
};

use super::{
    error::VaultError,
    pixels,
    sniff::{Sniffed, decodable, sniff},
    vault::Vault,
};
use crate::{Preview, PreviewBudget};

/// Most bytes of previews kept in memory.
const CACHE_MAX_BYTES: usize = 32 * 1024 * 1024;
/// What a preview takes beside its bytes: its key, its place in the table, and what the allocator adds. Small pictures
/// by the ten thousand would otherwise take twice the bound.
const ENTRY_BYTES: usize = 512;
/// Results up to this size are kept in memory as they are, since whoever waits for one asks for it at once, in
/// bytes. Larger ones are made smaller for most clients anyway.
const ORIGINAL_MAX_BYTES: usize = 1024 * 1024;
/// Longest side of a thumbnail, in pixels.
const THUMBNAIL_SIDE_PX: u32 = 384;
/// Most bytes of a thumbnail.
const THUMBNAIL_MAX_BYTES: usize = 96 * 1024;

/// Previews in memory.
#[derive(Default)]
pub(super) struct PreviewCache(Mutex<Cache>);

struct Cache {
    entries: LruCache<Key, Preview>,
    bytes: usize,
}

impl Default for Cache {
    fn default() -> Self {
        // Bounded in bytes, not in number.
        Self { entries: LruCache::new_unbounded(), bytes: 0 }
    }
}

#[derive(PartialEq, Eq, Hash, Clone)]
struct Key {
    sha256: String,
    /// Longest side in pixels and most bytes; none for the original.
    budget: Option<(u32, usize)>,
}

impl PreviewCache {
    /// Keeps a result that was just stored, for the one who waits for it.
    pub(super) fn keep_original(&self, sha256: &str, sniffed: &Sniffed, bytes: &Bytes) {
        if bytes.len() <= ORIGINAL_MAX_BYTES {
            let key = Key { sha256: sha256.to_owned(), budget: None };
            self.put(key, preview_of(sniffed, bytes.clone()));
        }
    }

    /// Forgets a file whose bytes are gone, in all its sizes.
    pub(super) fn forget(&self, sha256: &str) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut freed = 0;
        cache.entries.retain(|key, preview| {
            let goes = key.sha256 == sha256;
            freed += if goes { weight(preview) } else { 0 };
            !goes
        });
        cache.bytes -= freed;
    }

    fn get(&self, key: &Key) -> Option<Preview> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entries.get(key).cloned()
    }

    fn put(&self, key: Key, preview: Preview) {
        let size = weight(&preview);
        if size > CACHE_MAX_BYTES / 4 {
            return;
        }
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cache.bytes += size;
        if let Some(replaced) = cache.entries.insert(key, preview) {
            cache.bytes -= weight(&replaced);
        }
        while cache.bytes > CACHE_MAX_BYTES {
            let Some((_, gone)) = cache.entries.remove_lru() else { break };
            cache.bytes -= weight(&gone);
        }
    }
}

/// What a preview takes of the bound, in bytes.
fn weight(preview: &Preview) -> usize {
    preview.bytes.len() + ENTRY_BYTES
}

impl Vault {
    /// The picture within the budget: the original where it fits, else a JPEG.
    ///
    /// # Errors
    /// `unknown_image` when the file is gone or is no picture that can be decoded; `storage`.
    pub(crate) async fn preview(&self, artifact: &Artifact, budget: PreviewBudget) -> Result<Preview, UserError> {
        let fits = fits(artifact, budget);
        let asked = (!fits).then_some((budget.max_side_px, budget.max_bytes));
        let key = Key { sha256: artifact.sha256.clone(), budget: asked };
        if let Some(preview) = self.previews.get(&key) {
            return Ok(preview);
        }
        let preview = if fits {
            self.original(artifact).await?
        } else {
            self.shrink(artifact, budget.max_side_px, budget.max_bytes).await?
        };
        self.previews.put(key, preview.clone());
        Ok(preview)
    }

    /// A small JPEG for lists of pictures.
    ///
    /// # Errors
    /// As [`Vault::preview`].
    pub(crate) async fn thumbnail(&self, artifact: &Artifact) -> Result<Preview, UserError> {
        let key = thumbnail_key(artifact);
        match self.get(&key).await {
            Ok(bytes) => return Ok(as_preview(bytes)),
            Err(VaultError::Objects(object_store::Error::NotFound { .. })) => {}
            // An unreadable thumbnail is made anew, since the original may still be there.
            Err(error) => tracing::warn!(error = %error, image = %artifact.id, "a thumbnail cannot be read"),
        }
        let jpeg = self.shrink(artifact, THUMBNAIL_SIDE_PX, THUMBNAIL_MAX_BYTES).await?;
        if let Err(error) = self.put(&key, jpeg.bytes.clone()).await {
            tracing::warn!(error = %error, image = %artifact.id, "a thumbnail cannot be kept");
        }
        Ok(jpeg)
    }

    /// The picture as vision models take it: a JPEG of moderate size.
    ///
    /// # Errors
    /// `input_image` when it cannot be decoded.
    pub(crate) async fn model_version(&self, artifact: &Artifact, bytes: Bytes) -> Result<Bytes, UserError> {
        let refuse = |why: String| crate::refusal::input_image(format!("{} cannot be read: {why}.", artifact.id));
        let format = decodable(&artifact.mime).ok_or_else(|| refuse(format!("{} is not supported", artifact.mime)))?;
        let small = self.decoding(move || pixels::shrink_for_model(&bytes, format)).await?;
        small.map_err(|error| refuse(error.to_string()))
    }

    async fn original(&self, artifact: &Artifact) -> Result<Preview, UserError> {
        Ok(Preview {
            mime: artifact.mime.clone(),
            bytes: self.bytes(artifact).await?,
            width_px: artifact.width_px,
            height_px: artifact.height_px,
        })
    }

    async fn shrink(&self, artifact: &Artifact, max_side_px: u32, max_bytes: usize) -> Result<Preview, UserError> {
        let no_preview =
            |why: String| UserError::new(ErrorCode::UnknownImage, format!("{} has no preview: {why}.", artifact.id));
        let format = decodable(&artifact.mime)
            .filter(|_| artifact.kind == MediaKind::Image)
            .ok_or_else(|| no_preview(format!("it is {}", artifact.mime)))?;
        let original = self.bytes(artifact).await?;
        let small = self
            .decoding(move || {
                let picture = pixels::decode(&original, format)?;
                pixels::shrink(&picture, max_side_px, max_bytes)
            })
            .await?
            .map_err(|error| no_preview(error.to_string()))?;
        Ok(Preview {
            mime: "image/jpeg".to_owned(),
            bytes: Bytes::from(small.jpeg),
            width_px: small.width_px,
            height_px: small.height_px,
        })
    }
}

/// Where a picture's thumbnail is kept.
pub(super) fn thumbnail_key(artifact: &Artifact) -> String {
    format!("thumbs/{}", hub_core::artifact::object_key(&artifact.sha256, "jpg"))
}

/// Whether the picture can be shown as it is.
fn fits(artifact: &Artifact, budget: PreviewBudget) -> bool {
    decodable(&artifact.mime).is_some()
        && artifact.size_bytes <= budget.max_bytes as u64
        && artifact.width_px.max(artifact.height_px) <= budget.max_side_px
        && artifact.width_px.min(artifact.height_px) > 0
}

fn as_preview(bytes: Bytes) -> Preview {
    preview_of(&sniff(&bytes), bytes)
}

fn preview_of(sniffed: &Sniffed, bytes: Bytes) -> Preview {
    Preview { mime: sniffed.mime.to_owned(), bytes, width_px: sniffed.width_px, height_px: sniffed.height_px }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview(bytes: usize) -> Preview {
        Preview { mime: "image/jpeg".to_owned(), bytes: Bytes::from(vec![0; bytes]), width_px: 1, height_px: 1 }
    }

    fn key(name: usize) -> Key {
        Key { sha256: name.to_string(), budget: Some((1, 1)) }
    }

    #[test]
    fn the_cache_keeps_its_bound_and_what_is_used() {
        let cache = PreviewCache::default();
        let size = CACHE_MAX_BYTES / 8 - ENTRY_BYTES;
        for n in 0..8 {
            cache.put(key(n), preview(size));
        }
        assert!(cache.get(&key(0)).is_some());
        cache.put(key(8), preview(size));
        assert!(cache.get(&key(0)).is_some(), "used just now");
        assert!(cache.get(&key(1)).is_none(), "used longest ago");
        cache.put(key(9), preview(CACHE_MAX_BYTES));
        assert!(cache.get(&key(9)).is_none(), "too large to be worth the others");
        assert!(cache.0.lock().expect("lock").bytes <= CACHE_MAX_BYTES);
        for n in 10..2 * CACHE_MAX_BYTES / ENTRY_BYTES {
            cache.put(key(n), preview(1));
        }
        let kept = cache.0.lock().expect("lock");
        assert_eq!(kept.entries.len(), CACHE_MAX_BYTES / (ENTRY_BYTES + 1), "small ones count with what they take");
    }
}
