//! Accounts, sessions, keys, owners of pictures, what was spent, and the audit log.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use hub_core::{
    access::{ApiKey, KeyRights, Scope, Usage, day_begin},
    caller::Caller,
    ids::KeyId,
};
use hub_store::{StoreError, Swapped};

use crate::{
    bed::{Bed, on_both},
    samples::{artifact, assigned, insert, planning, queued, succeeded},
};

on_both!(
    an_account_is_made_once_and_a_new_password_ends_its_sessions,
    sessions_are_found_by_hash_and_forgotten_when_old,
    a_key_is_found_again_with_its_rights_and_is_revoked_once,
    a_name_stays_taken_when_its_key_is_revoked,
    a_picture_is_of_who_asked_for_it_or_gave_it,
    what_is_spent_counts_pictures_and_time_of_the_day,
    the_log_is_read_from_its_end_in_pages,
);

fn key(bed: &Bed, name: &str) -> ApiKey {
    let now = bed.store.clock().now();
    ApiKey {
        id: KeyId::new(),
        name: name.to_owned(),
        prefix: "gih_abcd".to_owned(),
        rights: KeyRights {
            scopes: BTreeSet::from([Scope::Generate, Scope::Read]),
            tools: BTreeSet::from(["generate_image".to_owned()]),
            render_types: BTreeSet::from(["sd15".to_owned()]),
            rate_per_minute: Some(60),
            images_per_day: Some(100),
            gpu_seconds_per_day: Some(3600),
            weight: 2.5,
        },
        created_at: now - TimeDelta::nanoseconds(i64::from(now.timestamp_subsec_nanos() % 1_000_000)),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    }
}

async fn an_account_is_made_once_and_a_new_password_ends_its_sessions(bed: &Bed) {
    let store = &bed.store;
    assert_eq!(store.admin_any().await.unwrap(), None);
    assert!(store.admin_insert("admin", "hash-1").await.unwrap());
    assert!(!store.admin_insert("admin", "hash-2").await.unwrap());
    let admin = store.admin_by_name("admin").await.unwrap().unwrap();
    assert_eq!(admin.password, "hash-1");
    assert!(!format!("{admin:?}").contains("hash-1"));
    store.session_insert("token", admin.id).await.unwrap();
    assert!(store.admin_set_password(admin.id, "hash-3").await.unwrap());
    assert_eq!(store.admin_any().await.unwrap().unwrap().password, "hash-3");
    assert_eq!(store.session_get("token").await.unwrap(), None);
    assert_eq!(store.admin_by_name("other").await.unwrap(), None);
}

async fn sessions_are_found_by_hash_and_forgotten_when_old(bed: &Bed) {
    let store = &bed.store;
    store.admin_insert("admin", "hash").await.unwrap();
    let admin = store.admin_any().await.unwrap().unwrap().id;
    for token in ["idle", "busy", "ended"] {
        store.session_insert(token, admin).await.unwrap();
    }
    bed.clock.advance(TimeDelta::hours(2));
    store.session_seen("busy").await.unwrap();
    store.session_delete("ended").await.unwrap();
    assert_eq!(store.session_get("ended").await.unwrap(), None);
    let now = store.clock().now();
    let busy = store.session_get("busy").await.unwrap().unwrap();
    assert_eq!((busy.seen_at - busy.created_at).num_hours(), 2);
    store.sessions_forget(now - TimeDelta::days(1), now - TimeDelta::hours(1)).await.unwrap();
    assert_eq!(store.session_get("idle").await.unwrap(), None);
    assert!(store.session_get("busy").await.unwrap().is_some());
    store.sessions_forget(now - TimeDelta::hours(1), now - TimeDelta::days(1)).await.unwrap();
    assert_eq!(store.session_get("busy").await.unwrap(), None);
}

async fn a_key_is_found_again_with_its_rights_and_is_revoked_once(bed: &Bed) {
    let store = &bed.store;
    let mut bot = key(bed, "bot");
    let read = bot.clone();
    store.api_key_insert(&bot, "hash").await.unwrap();
    assert_eq!(store.api_key_list().await.unwrap(), [(bot.clone(), "hash".to_owned())]);
    bot.rights.scopes = BTreeSet::from([Scope::Admin]);
    bot.expires_at = Some(bot.created_at + TimeDelta::days(1));
    assert_eq!(store.api_key_swap(&read, &bot).await.unwrap(), Swapped::Done);
    assert_eq!(store.api_key_swap(&read, &bot).await.unwrap(), Swapped::Changed, "that is not what is stored any more");
    store.api_key_used(bot.id, bot.created_at).await.unwrap();
    bot.last_used_at = Some(bot.created_at);
    assert_eq!(store.api_key_list().await.unwrap()[0].0, bot);
    assert!(store.api_key_revoke(bot.id).await.unwrap());
    assert!(!store.api_key_revoke(bot.id).await.unwrap());
    assert_eq!(store.api_key_swap(&bot, &bot).await.unwrap(), Swapped::Gone, "a revoked key stays as it was");
    assert!(store.api_key_list().await.unwrap()[0].0.revoked_at.is_some());
}

async fn a_name_stays_taken_when_its_key_is_revoked(bed: &Bed) {
    let store = &bed.store;
    let first = key(bed, "bot");
    store.api_key_insert(&first, "hash-1").await.unwrap();
    for revoked in [false, true] {
        let refused = store.api_key_insert(&key(bed, "bot"), "hash-2").await;
        assert!(matches!(&refused, Err(StoreError::NameTaken { name }) if name == "bot"), "{revoked}: {refused:?}");
        store.api_key_revoke(first.id).await.unwrap();
    }
    assert_eq!(store.api_key_list().await.unwrap().len(), 1);
    store.api_key_insert(&key(bed, "bot-2"), "hash-2").await.unwrap();
}

async fn a_picture_is_of_who_asked_for_it_or_gave_it(bed: &Bed) {
    let store = &bed.store;
    let (local, other) = (Caller::local(), Caller::named("other"));
    let given = store.artifact_insert_input(&artifact(1, 0)).await.unwrap();
    assert!(!store.artifact_is_of(&given, &other).await.unwrap());
    for caller in [&other, &other, &Caller::named("third")] {
        store.artifact_given_by(given.id, caller).await.unwrap();
    }
    assert!(store.artifact_is_of(&given, &other).await.unwrap());
    assert!(!store.artifact_is_of(&given, &local).await.unwrap());

    let job = succeeded(store, &[artifact(2, 0)]).await;
    let owner = store.job_get(job).await.unwrap().unwrap().caller;
    let made = store.artifacts_of(job).await.unwrap().remove(0);
    assert!(store.artifact_is_of(&made, &owner).await.unwrap());
    assert!(!store.artifact_is_of(&made, &other).await.unwrap());
    assert!(store.job_is_of(job, &owner).await.unwrap());
    assert!(!store.job_is_of(job, &other).await.unwrap());
    assert!(!store.job_is_of(hub_core::ids::JobId::new(), &owner).await.unwrap());
}

async fn what_is_spent_counts_pictures_and_time_of_the_day(bed: &Bed) {
    let store = &bed.store;
    let today = day_begin(store.clock().now());
    let made = succeeded(store, &[artifact(2, 0), artifact(3, 1)]).await;
    let caller = store.job_get(made).await.unwrap().unwrap().caller;
    assert_eq!(store.usage_of(&caller, today).await.unwrap(), Usage { images: 2, gpu_ms: 0 });
    insert(store, &queued("waits")).await;
    insert(store, &planning("is planned")).await;
    let (running, _) = assigned(store).await;
    bed.clock.advance(TimeDelta::seconds(7));
    // Waiting on its server costs nothing; a run that goes on counts up to now.
    assert_eq!(store.usage_of(&caller, today).await.unwrap(), Usage { images: 5, gpu_ms: 0 });
    assert!(store.job_started(running, 1, store.clock().now() - TimeDelta::seconds(3)).await.unwrap());
    assert_eq!(store.usage_of(&caller, today).await.unwrap(), Usage { images: 5, gpu_ms: 3000 });
    assert_eq!(store.usage_of(&Caller::named("other"), today).await.unwrap(), Usage::default());
    let tomorrow = today + TimeDelta::days(1);
    assert_eq!(store.usage_of(&caller, tomorrow).await.unwrap(), Usage::default());
}

async fn the_log_is_read_from_its_end_in_pages(bed: &Bed) {
    let store = &bed.store;
    for number in 0..5 {
        store.audit_add("admin", &format!("act {number}\0"), Some("bot"), Some("192.0.2.1")).await.unwrap();
    }
    let first = store.audit_list(3, None).await.unwrap();
    let acts: Vec<&str> = first.entries.iter().map(|entry| entry.act.as_str()).collect();
    assert_eq!(acts, ["act 4\u{fffd}", "act 3\u{fffd}", "act 2\u{fffd}"]);
    let entry = &first.entries[0];
    assert_eq!((entry.actor.as_str(), entry.subject.as_deref()), ("admin", Some("bot")));
    assert_eq!(entry.address.as_deref(), Some("192.0.2.1"));
    let second = store.audit_list(3, first.next).await.unwrap();
    assert_eq!((second.entries.len(), second.next), (2, None));
}
