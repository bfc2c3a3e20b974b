//! When a key ends, and what becomes of changes that meet.

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::TimeDelta;
use hub_access::{KeyRefusal, NewKey};
use hub_core::{
    access::{ApiKey, KeyRights},
    error::ErrorCode,
};
use secrecy::ExposeSecret as _;

use crate::Bed;

/// Far more tries than one change is worth.
const TOO_MANY: u32 = 100;

#[tokio::test]
async fn a_key_is_taken_until_its_end_and_not_after() {
    let bed = Bed::new().await;
    let end = bed.now() + TimeDelta::hours(1);
    let made = bed.access.key_add("guest", KeyRights::default(), Some(end)).await.unwrap();
    let bearer = || bed.access.bearer(made.secret.expose_secret());
    bed.clock.advance(TimeDelta::hours(1) - TimeDelta::milliseconds(1));
    assert_eq!(bearer().unwrap().caller.as_str(), "guest");
    bed.clock.advance(TimeDelta::milliseconds(1));
    assert_eq!(bearer().unwrap_err(), KeyRefusal::Expired(end));
    let later = bed.now() + TimeDelta::hours(1);
    bed.access.key_edit(made.key.id, |key| Ok((key.rights.clone(), Some(later)))).await.unwrap();
    bearer().unwrap();
    bed.access.key_revoke(made.key.id).await.unwrap();
    assert_eq!(bearer().unwrap_err(), KeyRefusal::Revoked);
}

/// Another editor's change, made while `key_edit` is at work on what it read.
fn another_is_quicker(bed: &Bed, read: &ApiKey, quota: u32) {
    let rights = KeyRights { images_per_day: Some(quota), ..read.rights.clone() };
    let after = ApiKey { rights, ..read.clone() };
    let swap = bed.engine.store().api_key_swap(read, &after);
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(swap)).unwrap();
}

async fn made(bed: &Bed) -> NewKey {
    bed.access.key_add("bot", KeyRights::default(), None).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_changes_that_meet_both_are_kept() {
    let bed = Bed::new().await;
    let key = made(&bed).await.key;
    let tries = AtomicU32::new(0);
    let edit = |read: &ApiKey| {
        if tries.fetch_add(1, Ordering::SeqCst) == 0 {
            another_is_quicker(&bed, read, 7);
        }
        Ok((KeyRights { rate_per_minute: Some(3), ..read.rights.clone() }, None))
    };
    let rights = bed.access.key_edit(key.id, edit).await.unwrap().rights;
    assert_eq!((rights.images_per_day, rights.rate_per_minute), (Some(7), Some(3)));
    assert_eq!(tries.into_inner(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_others_always_forestall_is_given_up() {
    let bed = Bed::new().await;
    let key = made(&bed).await.key;
    let tries = AtomicU32::new(0);
    let edit = |read: &ApiKey| {
        let quota = tries.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(quota < TOO_MANY, "it never gives up");
        another_is_quicker(&bed, read, quota);
        Ok((KeyRights { rate_per_minute: Some(3), ..read.rights.clone() }, None))
    };
    let refused = bed.access.key_edit(key.id, edit).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after_s), (ErrorCode::Conflict, Some(1)), "{refused}");
    let rights = bed.access.key(key.id).await.unwrap().rights;
    assert_eq!(
        (rights.images_per_day, rights.rate_per_minute),
        (Some(tries.into_inner()), None),
        "nothing was written"
    );
}
