//! Which pictures go into an answer, and how large: clients drop a whole result that is too large,
//! so the sum is bounded, not each picture.

use bytes::Bytes;
use hub_core::{
    artifact::{Artifact, MediaKind},
    error::UserError,
    request::Inline,
};
use hub_engine::{Engine, Preview, PreviewBudget};

use crate::config::PreviewLimits;

/// Most pictures inside one answer; the others are linked.
const PICTURES_MAX: usize = 8;
/// Sum of all pictures of one answer when the caller asks for full ones, in bytes before base64.
const FULL_TOTAL_BYTES: usize = 5_000_000;
/// Longest side ever inlined: above 2000 px, some clients' models refuse the whole conversation.
const SIDE_LIMIT_PX: u32 = 1999;
/// Below this, a preview shows nothing; the picture is linked only. In bytes.
const PREVIEW_MIN_BYTES: usize = 4_000;

/// One picture to inline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InlinePicture {
    pub(crate) mime: String,
    pub(crate) bytes: Bytes,
}

/// Pictures for one answer, and what could not be shown.
#[derive(Debug, Default)]
pub(crate) struct Pictures {
    pub(crate) shown: Vec<InlinePicture>,
    pub(crate) problems: Vec<UserError>,
}

/// Spends the bytes of one answer: what earlier pictures leave is shared among the later ones.
#[derive(Debug)]
struct Purse {
    left_bytes: usize,
    pictures_left: usize,
}

impl Purse {
    fn new(total_bytes: usize, pictures: usize) -> Self {
        Self { left_bytes: total_bytes, pictures_left: pictures }
    }

    /// What the next picture may cost; `None` when that is too little.
    fn share(&self) -> Option<usize> {
        let share = self.left_bytes.checked_div(self.pictures_left)?;
        (share >= PREVIEW_MIN_BYTES).then_some(share)
    }

    /// Takes `bytes` for one picture, or nothing where it was not shown.
    fn spend(&mut self, bytes: usize) {
        self.left_bytes = self.left_bytes.saturating_sub(bytes);
        self.pictures_left = self.pictures_left.saturating_sub(1);
    }
}

/// Makes the pictures for an answer about `artifacts`.
pub(crate) async fn pictures(
    engine: &Engine,
    artifacts: &[Artifact],
    inline: Inline,
    limits: PreviewLimits,
) -> Pictures {
    let (total_bytes, max_side_px) = match inline {
        Inline::None => return Pictures::default(),
        Inline::Preview => (limits.total_bytes, limits.max_side_px.min(SIDE_LIMIT_PX)),
        Inline::Full => (FULL_TOTAL_BYTES.max(limits.total_bytes), SIDE_LIMIT_PX),
    };
    let images: Vec<&Artifact> =
        artifacts.iter().filter(|artifact| artifact.kind == MediaKind::Image).take(PICTURES_MAX).collect();
    let mut purse = Purse::new(total_bytes, images.len());
    let mut pictures = Pictures::default();
    for artifact in images {
        let Some(max_bytes) = purse.share() else { break };
        match engine.preview(artifact, PreviewBudget { max_side_px, max_bytes }).await {
            Ok(Preview { mime, bytes, .. }) if bytes.len() <= max_bytes => {
                purse.spend(bytes.len());
                pictures.shown.push(InlinePicture { mime, bytes });
            }
            Ok(preview) => {
                tracing::warn!(artifact = %artifact.id, bytes = preview.bytes.len(), max_bytes, "a preview is too large");
                purse.spend(0);
            }
            Err(error) => {
                purse.spend(0);
                pictures.problems.push(error);
            }
        }
    }
    pictures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_small_pictures_leave_is_shared_by_later_ones() {
        let mut purse = Purse::new(700_000, 4);
        assert_eq!(purse.share(), Some(175_000));
        purse.spend(25_000);
        assert_eq!(purse.share(), Some(225_000));
        purse.spend(225_000);
        assert_eq!(purse.share(), Some(225_000));
    }

    #[test]
    fn the_sum_is_never_exceeded() {
        let mut purse = Purse::new(10_000, 3);
        let mut spent = 0;
        while let Some(share) = purse.share() {
            purse.spend(share);
            spent += share;
        }
        assert!(spent <= 10_000, "{spent}");
        assert_eq!(Purse::new(10_000, 0).share(), None);
    }
}
