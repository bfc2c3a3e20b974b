//! Calls that come twice: told by what they ask, and remembered for a while.

use std::{
    collections::HashMap,
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

/// Calls of the last window that are remembered without asking the store.
const RECENT_MAX: usize = 16_384;
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
    let now = ctx.clock.now();
    let window = TimeDelta::from_std(ctx.settings.now().repeat_window).unwrap_or(TimeDelta::zero());
    if !ctx.recent_calls.may_repeat(caller, digest, now, window) {
        return Ok(None);
    }
    let found = ctx.store.job_find_repeat(caller, digest, now - window).await.map_err(storage)?;
    let Some(job) = found.filter(|job| is_repeat(request, job, now)) else { return Ok(None) };
    let made_pictures = job.state.kind() == JobStateKind::Succeeded && matches!(request, JobRequest::Image(_));
    if made_pictures && ctx.store.artifacts_of(job.id).await.map_err(storage)?.is_empty() {
        // They were deleted since: who asks again wants them made.
        return Ok(None);
    }
    Ok(Some(job))
}

fn is_repeat(request: &JobRequest, earlier: &Job, now: DateTime<Utc>) -> bool {
    let seed_given = match request {
        JobRequest::Image(image) => image.seed.is_some(),
        JobRequest::Prompt(prompt) => prompt.seed.is_some(),
        JobRequest::Describe(_) => false,
    };
    let retried = !earlier.state.kind().is_terminal() && now - earlier.times.created_at >= RETRY_AFTER_MIN;
    seed_given || retried
}

/// Calls of the last window by caller and digest, so that a new request costs no look-up in the store.
#[derive(Default)]
pub(crate) struct RecentCalls {
    inner: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    seen: HashMap<(Caller, String), DateTime<Utc>>,
    /// Since when every call is remembered; before that the store is the only witness.
    since: Option<DateTime<Utc>>,
    /// Something was forgotten before its window ended, at this time.
    forgot: Option<DateTime<Utc>>,
}

impl RecentCalls {
    /// Takes over what an earlier process was asked within the window that ends at `now`, so that a fresh
    /// start need not ask the store about every call.
    ///
    /// # Errors
    /// `storage`.
    pub(crate) async fn recall(&self, store: &Store, now: DateTime<Utc>, window: Duration) -> Result<(), UserError> {
        let since = now - TimeDelta::from_std(window).unwrap_or(TimeDelta::zero());
        let calls = store.jobs_asked_since(since, RECENT_MAX).await.map_err(storage)?;
        let mut recent = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // With more than fit, the store stays the witness until the window has passed.
        recent.since = Some(if calls.len() < RECENT_MAX { since } else { now });
        recent.seen.extend(calls.into_iter().map(|call| ((call.caller, call.request_digest), call.asked_at)));
        Ok(())
    }

    /// Whether an equal call may lie within the window.
    fn may_repeat(&self, caller: &Caller, digest: &str, now: DateTime<Utc>, window: TimeDelta) -> bool {
        let mut recent = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *recent.since.get_or_insert(now);
        let blind = now - since < window || recent.forgot.is_some_and(|at| now - at < window);
        blind || recent.seen.get(&(caller.clone(), digest.to_owned())).is_some_and(|at| now - *at <= window)
    }

    /// Remembers a call.
    pub(super) fn note(&self, caller: &Caller, digest: String, now: DateTime<Utc>) {
        let mut recent = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.seen.len() >= RECENT_MAX {
            recent.seen.clear();
            recent.forgot = Some(now);
        }
        recent.seen.insert((caller.clone(), digest), now);
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
        assert!(recent.may_repeat(&caller, "a", at(0), window), "a hub that just started cannot know");
        assert!(!recent.may_repeat(&caller, "a", at(200), window));
        recent.note(&caller, "a".to_owned(), at(200));
        assert!(recent.may_repeat(&caller, "a", at(250), window));
        assert!(!recent.may_repeat(&Caller::admin(), "a", at(250), window), "callers are kept apart");
        assert!(!recent.may_repeat(&caller, "a", at(400), window), "the window is over");
    }
}
