//! Which pictures go into an answer, and how large: clients drop a whole result that is too large,
//! so the sum is bounded, not each picture.

use bytes::Bytes;
use hub_core::{
    artifact::{Artifact, MediaKind},
    error::UserError,
    request::Inline,
};
use hub_engine::{AnswerPolicy, Engine, Preview, PreviewBudget};

/// Most pictures inside one answer; the others are linked. At 16, each has some 44 kB.
const PICTURES_MAX: usize = 16;
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
    /// Pictures for which there was no room.
    pub(crate) left_out: usize,
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
    answers: AnswerPolicy,
) -> Pictures {
    let (total_bytes, max_side_px) = match inline {
        Inline::None => return Pictures::default(),
        Inline::Preview => (answers.preview_max_bytes, answers.preview_max_side_px.min(SIDE_LIMIT_PX)),
        Inline::Full => (FULL_TOTAL_BYTES.max(answers.preview_max_bytes), SIDE_LIMIT_PX),
    };
    let mut images: Vec<&Artifact> = artifacts.iter().filter(|artifact| artifact.kind == MediaKind::Image).collect();
    let all = images.len();
    images.truncate(PICTURES_MAX);
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
    pictures.left_out = all - pictures.shown.len() - pictures.problems.len();
    pictures
}

#[cfg(test)]
mod tests {
    use std::{io::Cursor, sync::Arc};

    use hub_core::clock::SystemClock;
    use hub_engine::EngineConfig;
    use image::{DynamicImage, ImageFormat, RgbImage};

    use super::*;

    /// A grainy picture of 1100 × 800, larger than all previews of one answer may be.
    fn grain() -> Bytes {
        let mut state = 7_u32;
        let picture = RgbImage::from_fn(1100, 800, |x, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [grain, ..] = state.to_be_bytes();
            let shade = u8::try_from(x / 8).unwrap_or(u8::MAX);
            image::Rgb([shade ^ (grain & 15), shade ^ (grain >> 4), shade])
        });
        let mut png = Cursor::new(Vec::new());
        DynamicImage::ImageRgb8(picture).write_to(&mut png, ImageFormat::Png).expect("a PNG");
        Bytes::from(png.into_inner())
    }

    fn longest_side(picture: &InlinePicture) -> u32 {
        let decoded = image::load_from_memory(&picture.bytes).expect("a picture");
        decoded.width().max(decoded.height())
    }

    #[tokio::test]
    async fn the_sum_of_all_pictures_keeps_the_budget_whatever_their_number() {
        let clock = Arc::new(SystemClock);
        let store = hub_store::Store::open("sqlite::memory:", clock.clone()).await.expect("a store");
        let objects = Arc::new(object_store::memory::InMemory::new());
        let engine = Engine::start(EngineConfig::default(), store, objects, clock).await.expect("an engine");
        let artifact = engine.store_input(&hub_core::caller::Caller::local(), grain()).await.expect("stored");
        assert!(artifact.size_bytes > 700_000, "{}", artifact.size_bytes);
        let limits = AnswerPolicy::default();
        for count in [2, 17] {
            let pictures = pictures(&engine, &vec![artifact.clone(); count], Inline::Preview, limits).await;
            assert_eq!((pictures.shown.len(), pictures.left_out), (count.min(16), count.saturating_sub(16)));
            assert!(pictures.problems.is_empty(), "{:?}", pictures.problems);
            let sum: usize = pictures.shown.iter().map(|picture| picture.bytes.len()).sum();
            assert!(sum <= 700_000, "{count}: {sum}");
            assert!(pictures.shown.iter().all(|picture| longest_side(picture) <= 1024), "{count}");
        }
        let full = pictures(&engine, std::slice::from_ref(&artifact), Inline::Full, limits).await;
        assert_eq!(full.shown[0].bytes.len() as u64, artifact.size_bytes, "one fits as it is");
        let full = pictures(&engine, &vec![artifact.clone(); 8], Inline::Full, limits).await;
        let sum: usize = full.shown.iter().map(|picture| picture.bytes.len()).sum();
        assert!(full.shown.len() == 8 && sum <= FULL_TOTAL_BYTES, "{sum}");
        assert!(full.shown.iter().all(|picture| longest_side(picture) < 2000));
        let none = pictures(&engine, &vec![artifact; 2], Inline::None, limits).await;
        assert_eq!((none.shown.len(), none.left_out), (0, 0), "nobody asked for them");
    }

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
