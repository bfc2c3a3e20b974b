//! How often each caller may ask: a bucket per caller that fills evenly over a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use hub_core::{caller::Caller, ids::KeyId};

/// Parts of one request: what a rate of one per minute adds in a minute, one a millisecond.
const REQUEST: u64 = 60_000;
/// Buckets beyond which those that have filled up are forgotten: callers with access tokens are anybody's number.
const BUCKETS_MAX: usize = 10_000;

/// Buckets by caller; gone when the hub ends.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    buckets: Mutex<HashMap<Caller, Bucket>>,
    used: Mutex<HashMap<KeyId, DateTime<Utc>>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u64,
    at: DateTime<Utc>,
}

impl Rates {
    /// Takes one request out of the bucket of a caller that may make `per_minute`.
    ///
    /// # Errors
    /// Seconds after which there is room again.
    pub(crate) fn take(&self, caller: &Caller, per_minute: u32, now: DateTime<Utc>) -> Result<(), u32> {
        // Counted in parts of a request, so that nothing is lost to rounding.
        let per_minute = u64::from(per_minute.max(1));
        let size = per_minute * REQUEST;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(caller) {
            // After a minute of rest a bucket is full, as a new one is.
            buckets.retain(|_, bucket| (now - bucket.at).abs() < TimeDelta::minutes(1));
        }
        let bucket = buckets.entry(caller.clone()).or_insert(Bucket { left: size, at: now });
        // A clock that was set back must not empty it.
        let passed_ms = u64::try_from((now - bucket.at).num_milliseconds()).unwrap_or(0);
        bucket.left = bucket.left.saturating_add(passed_ms.saturating_mul(per_minute)).min(size);
        bucket.at = now;
        if let Some(left) = bucket.left.checked_sub(REQUEST) {
            bucket.left = left;
            return Ok(());
        }
        let wait_ms = (REQUEST - bucket.left).div_ceil(per_minute);
        Err(u32::try_from(wait_ms.div_ceil(1000)).unwrap_or(u32::MAX))
    }

    /// Whether a use at `now` is to be noted: none was within `every`. Then it counts as noted.
    pub(crate) fn is_news(
        &self,
        key: KeyId,
        stored: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        every: TimeDelta,
    ) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let last = used.get(&key).copied().or(stored);
        let news = last.is_none_or(|last| (now - last).abs() >= every);
        if news {
            used.insert(key, now);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_is_spent_and_fills_again_for_its_caller_alone() {
        let (rates, one, other) = (Rates::default(), Caller::named("one"), Caller::named("other"));
        let now = DateTime::UNIX_EPOCH;
        for _ in 0..6 {
            assert_eq!(rates.take(&one, 6, now), Ok(()));
        }
        assert_eq!(rates.take(&one, 6, now), Err(10));
        assert_eq!(rates.take(&other, 6, now), Ok(()));
        assert_eq!(rates.take(&one, 6, now + TimeDelta::seconds(9)), Err(1));
        assert_eq!(rates.take(&one, 6, now + TimeDelta::seconds(10)), Ok(()));
        assert_eq!(rates.take(&one, 6, now - TimeDelta::days(1)), Err(10), "the clock was set back");
    }

    #[test]
    fn callers_that_rest_are_forgotten_when_there_are_very_many() {
        let (rates, now) = (Rates::default(), DateTime::UNIX_EPOCH);
        for n in 0..BUCKETS_MAX {
            assert_eq!(rates.take(&Caller::named(&n.to_string()), 1, now), Ok(()));
        }
        let later = now + TimeDelta::minutes(1);
        assert_eq!(rates.take(&Caller::named("new"), 1, later), Ok(()));
        assert_eq!(rates.buckets.lock().expect("unpoisoned").len(), 1);
        assert_eq!(rates.take(&Caller::named("0"), 1, later), Ok(()), "as if it had been kept");
    }
}
