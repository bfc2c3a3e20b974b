//! Calls that come twice: told by what they ask, and remembered for a while.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use hub_core::{
    caller::Caller,
    error::{ErrorCode, UserError},
    ids::JobId,
    job::{Job, JobStateKind},
    placement::Wish,
    request::{Area, ImageRef, ImageRequest, JobRequest},
};
use hub_store::Store;
use sha2::{Digest, Sha256};

use crate::{context::Context, refusal::storage};

/// Calls that are remembered in one piece; two pieces are, in about 2 MB. One alone is more than a fast hub is asked in
/// the ordinary window: 480 a second. It is what a table of 2^16 places takes without growing.
const PIECE_MAX: usize = 57_344;
/// Calls of an earlier process that are read at a start.
const RECALLED_MAX: usize = 16_384;
/// An identical call without a seed that comes sooner than this is a wish for another picture; one that
/// comes later, while the first is unfinished, is a client that timed out and asks again. No client's
/// time-out is shorter.
const RETRY_AFTER_MIN: TimeDelta = TimeDelta::seconds(20);

/// What was asked, in 64 hexadecimal digits: equal requests, and only those, have equal digests.
pub(super) async fn digest(request: &JobRequest, wish: &Wish, parent: Option<JobId>) -> Result<String, UserError> {
    let holds_picture = matches!(request, JobRequest::Image(ImageRequest { input: Some(ImageRef::Data(_)), .. }))
        || matches!(request, JobRequest::Image(ImageRequest { area: Some(Area::Mask(ImageRef::Data(_))), .. }))
        || matches!(request, JobRequest::Describe(describe) if matches!(describe.image, ImageRef::Data(_)));
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!(error = %error, "a request cannot be digested");
        UserError::new(ErrorCode::Internal, "The hub could not read the request.")
    };
    if !holds_picture {
        return digest_of(request, wish, parent).map_err(|error| failed(&error));
    }
    let (request, wish) = (request.clone(), wish.clone());
    tokio::task::spawn_blocking(move || digest_of(&request, &wish, parent))
        .await
        .map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))
}

fn digest_of(request: &JobRequest, wish: &Wish, parent: Option<JobId>) -> serde_json::Result<String> {
    let mut asked = serde_json::to_vec(request)?;
    // The same picture from another server is another wish.
    if wish.server.is_some() || wish.group.is_some() {
        asked.extend(serde_json::to_vec(&(&wish.server, &wish.group))?);
    }
    // A job that is done once more is no repeat of itself, but asking for that twice is.
    if let Some(parent) = parent {
        asked.extend(serde_json::to_vec(&parent)?);
    }
    Ok(hex(&Sha256::digest(asked)))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

/// The earlier job that this call repeats: the same picture asked for again (a given seed), or a client
/// that timed out while its job was unfinished.
pub(super) async fn find_repeat(
    ctx: &Context,
    caller: &Caller,
    request: &JobRequest,
    digest: &str,
) -> Result<Option<Job>, UserError> {
    let window = TimeDelta::from_std(ctx.settings.now().repeat_window).unwrap_or(TimeDelta::zero());
    let begin = ctx.clock.before(window).unwrap_or_default();
    if !ctx.recent_calls.may_repeat(caller, digest, begin) {
        return Ok(None);
    }
    let found = ctx.store.job_find_repeat(caller, digest, begin).await.map_err(storage)?;
    let found = found.filter(|job| is_repeat(request, job, ctx.clock.age(job.times.created_at)));
    let Some(job) = found else { return Ok(None) };
    let made_pictures = job.state.kind() == JobStateKind::Succeeded && matches!(request, JobRequest::Image(_));
    if made_pictures && ctx.store.artifacts_of(job.id).await.map_err(storage)?.is_empty() {
        // They were deleted since: who asks again wants them made.
        return Ok(None);
    }
    Ok(Some(job))
}

/// `age`: how long ago the earlier job was asked for.
fn is_repeat(request: &JobRequest, earlier: &Job, age: TimeDelta) -> bool {
    let seed_given = match request {
        JobRequest::Image(image) => image.seed.is_some(),
        JobRequest::Prompt(prompt) => prompt.seed.is_some(),
        JobRequest::Describe(_) => false,
    };
    // From the future: the clock was set back since, and how long ago it was nobody knows. A job too few is asked for
    // once more, a job too many is paid for.
    let long_ago = age >= RETRY_AFTER_MIN || age < TimeDelta::zero();
    let retried = !earlier.state.kind().is_terminal() && long_ago;
    seed_given || retried
}

/// Calls of the last window by caller and digest, so that a new request costs no look-up in the store.
#[derive(Default)]
pub(crate) struct RecentCalls {
    inner: Mutex<Recent>,
}

/// By the hash of a caller and a digest, when the call was made last, in milliseconds since 1970. Two calls of one hash
/// cost a look-up in the store, which decides.
type Piece = HashMap<u64, i64>;

#[derive(Default)]
struct Recent {
    hashing: RandomState,
    seen: Piece,
    /// The piece before, and when it was full.
    earlier: (Piece, Option<DateTime<Utc>>),
    /// Since when every call is remembered; before that the store is the only witness.
    since: Option<DateTime<Utc>>,
    /// Calls up to this time were forgotten.
    forgot: Option<DateTime<Utc>>,
}

impl Recent {
    fn hash(&self, caller: &Caller, digest: &str) -> u64 {
        self.hashing.hash_one((caller, digest))
    }
}

impl RecentCalls {
    /// Takes over what an earlier process was asked within the window that ends at `now`, so that a fresh
    /// start need not ask the store about every call.
    ///
    /// # Errors
    /// `storage`.
    pub(crate) async fn recall(&self, store: &Store, now: DateTime<Utc>, window: Duration) -> Result<(), UserError> {
        let since = now - TimeDelta::from_std(window).unwrap_or(TimeDelta::zero());
        let calls = store.jobs_asked_since(since, RECALLED_MAX).await.map_err(storage)?;
        let mut recent = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // With more than fit, the store stays the witness until the window has passed.
        recent.since = Some(if calls.len() < RECALLED_MAX { since } else { now });
        for call in calls {
            let hash = recent.hash(&call.caller, &call.request_digest);
            recent.seen.insert(hash, call.asked_at.timestamp_millis());
        }
        Ok(())
    }

    /// Whether an equal call may lie within the window that begins at `begin`.
    fn may_repeat(&self, caller: &Caller, digest: &str, begin: DateTime<Utc>) -> bool {
        let recent = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = recent.hash(caller, digest);
        let blind = recent.since.is_none_or(|since| since > begin) || recent.forgot.is_some_and(|at| at > begin);
        let asked = [&recent.seen, &recent.earlier.0].into_iter().filter_map(|piece| piece.get(&hash)).max();
        blind || asked.is_some_and(|at| *at >= begin.timestamp_millis())
    }

    /// Remembers a call.
    pub(super) fn note(&self, caller: &Caller, digest: &str, now: DateTime<Utc>) {
        let mut recent = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = &mut *recent;
        if recent.seen.len() >= PIECE_MAX {
            std::mem::swap(&mut recent.seen, &mut recent.earlier.0);
            recent.seen.clear();
            recent.forgot = recent.earlier.1.replace(now).or(recent.forgot);
        }
        let hash = recent.hash(caller, digest);
        recent.seen.insert(hash, now.timestamp_millis());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_tell_requests_apart() {
        let fox = JobRequest::Image(ImageRequest::generate("a fox"));
        let mut seeded = ImageRequest::generate("a fox");
        seeded.seed = Some(1);
        let digest_of = |request: &JobRequest, wish: &Wish| digest_of(request, wish, None).expect("digests");
        let (anywhere, urgent) = (Wish::default(), Wish { priority: 9, ..Wish::default() });
        let first = digest_of(&fox, &anywhere);
        assert_eq!(first, digest_of(&fox.clone(), &urgent));
        assert_ne!(first, digest_of(&JobRequest::Image(seeded), &anywhere));
        assert_ne!(first, digest_of(&fox, &Wish { group: Some("big".to_owned()), ..Wish::default() }));
        let once_more = super::digest_of(&fox, &anywhere, Some(JobId::new())).expect("digests");
        assert!(first.len() == 64 && once_more != first);
    }

    #[test]
    fn recent_calls_are_asked_for_only_when_they_may_exist() {
        let recent = RecentCalls::default();
        let (caller, window) = (Caller::local(), TimeDelta::seconds(120));
        let start = DateTime::UNIX_EPOCH;
        let at = |seconds| start + TimeDelta::seconds(seconds);
        let begin = |seconds| at(seconds) - window;
        assert!(recent.may_repeat(&caller, "a", begin(0)), "a hub that did not ask its store cannot know");
        recent.inner.lock().expect("whole").since = Some(at(0));
        assert!(recent.may_repeat(&caller, "a", begin(100)), "what was asked before is not remembered");
        assert!(!recent.may_repeat(&caller, "a", begin(200)));
        recent.note(&caller, "a", at(200));
        assert!(recent.may_repeat(&caller, "a", begin(250)));
        assert!(!recent.may_repeat(&Caller::admin(), "a", begin(250)), "callers are kept apart");
        assert!(!recent.may_repeat(&caller, "a", begin(400)), "the window is over");
    }
    #[test]
    fn among_many_calls_those_of_the_window_are_remembered() {
        let recent = RecentCalls::default();
        let (caller, window, start) = (Caller::local(), TimeDelta::seconds(120), DateTime::UNIX_EPOCH);
        recent.inner.lock().expect("whole").since = Some(start - window);
        // 400 a second, for three pieces.
        let at = |call: usize| start + TimeDelta::milliseconds(i64::try_from(call * 1_000 / 400).expect("small"));
        let calls = PIECE_MAX * 3;
        for call in 0..calls {
            recent.note(&caller, &call.to_string(), at(call));
            assert!(call % 997 > 0 || !recent.may_repeat(&caller, "new", at(call) - window), "{call}: it knows");
        }
        let begin = at(calls) - window;
        assert!((0..calls).all(|call| recent.may_repeat(&caller, &call.to_string(), begin) == (at(call) >= begin)));
        // All at once: nothing is known of what had to be forgotten.
        for call in 0..=PIECE_MAX * 2 {
            recent.note(&caller, &format!("again {call}"), at(calls));
        }
        assert!(recent.may_repeat(&caller, "new", begin) && !recent.may_repeat(&caller, "new", at(calls + 400)));
    }
}
