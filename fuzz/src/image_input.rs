//! A picture that a caller gives: as bytes, or in a `data:` URI.

use std::time::Duration;

use bytes::Bytes;
use hub_core::{artifact::MediaKind, limits};
use hub_engine::pictures;
use rustix::time::{ClockId, clock_gettime};

/// Longest time that the processor may spend on one picture. The largest that is accepted takes about two seconds when
/// optimised; a fuzzer's build is slower, and turns it, writes it anew and reads that.
const WORK_MAX: Duration = Duration::from_secs(30);

/// Whatever is accepted is a picture in one of the formats that servers read, within the limits, and is accepted again
/// as it is; it takes no longer than the largest ordinary picture. Memory is bounded by the fuzzer's own limit.
///
/// # Panics
/// When a promise is broken.
pub fn image_input(data: &[u8]) {
    let begun = worked();
    let bytes = match std::str::from_utf8(data).ok().filter(|text| text.starts_with("data:")) {
        Some(uri) => match pictures::from_data_uri(uri) {
            Ok(bytes) => {
                assert!(bytes.len() <= limits::INPUT_IMAGE_MAX_BYTES && bytes.len() <= data.len());
                bytes
            }
            Err(refused) => return assert!(!refused.explain().is_empty()),
        },
        None => Bytes::copy_from_slice(data),
    };
    match pictures::accept(&bytes) {
        Ok(accepted) => {
            let what = accepted.sniffed;
            assert_eq!(what.kind, MediaKind::Image);
            assert!(["image/png", "image/jpeg", "image/webp", "image/gif"].contains(&what.mime), "{}", what.mime);
            let pixels = u64::from(what.width_px) * u64::from(what.height_px);
            assert!((1..=limits::INPUT_IMAGE_MAX_PIXELS).contains(&pixels), "{pixels} pixels");
            let again = pictures::accept(&accepted.bytes).expect("what was accepted is accepted again");
            assert_eq!(again.bytes, accepted.bytes, "what was accepted stays as it is");
        }
        Err(refused) => assert!(!refused.explain().is_empty()),
    }
    let work = worked().saturating_sub(begun);
    assert!(work < WORK_MAX, "it took {work:?}");
}

/// What this thread has worked since it began: a busy machine adds nothing to it.
fn worked() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("time goes forward")
}
