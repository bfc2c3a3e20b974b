//! Whether the database can be used: what `ping` says of one that cannot be written.

use std::sync::Arc;

use hub_core::clock::SharedClock;
use hub_store::{Store, StoreError, StoreErrorKind};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};

use crate::{
    bed::{Bed, on_both},
    samples::{insert, queued},
};

on_both!(a_database_that_takes_no_writes_is_not_usable, asking_leaves_nothing_behind);

/// Another process's only connection.
async fn other(bed: &Bed) -> DatabaseConnection {
    let mut options = ConnectOptions::new(&bed.url);
    options.max_connections(1);
    Database::connect(options).await.unwrap()
}

async fn a_database_that_takes_no_writes_is_not_usable(bed: &Bed) {
    bed.store.ping().await.unwrap();
    let url = if bed.url.starts_with("sqlite:") {
        format!("{}?mode=ro", bed.url)
    } else {
        // Of sessions that begin from now on.
        let name = bed.url.rsplit('/').next().unwrap();
        bed.sabotage(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
        bed.url.clone()
    };
    let read_only = Store::open(&url, Arc::clone(&bed.clock) as SharedClock).await.unwrap();
    assert!(read_only.style_list().await.unwrap().is_empty(), "it can be read");
    let error = read_only.ping().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly, "{error}");
    assert!(matches!(read_only.job_insert(&queued("x")).await, Err(StoreError::ReadOnly(_))), "so is work");
    read_only.close().await.unwrap();
}

async fn asking_leaves_nothing_behind(bed: &Bed) {
    let job = insert(&bed.store, &queued("x")).await;
    for _ in 0..3 {
        bed.store.ping().await.unwrap();
    }
    // Nothing stays locked: another process writes at once, and so does this one.
    let other = other(bed).await;
    other.execute_unprepared("UPDATE jobs SET priority = priority").await.unwrap();
    other.close().await.unwrap();
    insert(&bed.store, &queued("y")).await;
    assert_eq!(bed.store.job_get(job.id).await.unwrap(), Some(job));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_another_process_has_locked_is_not_usable_until_it_lets_go() {
    let bed = Bed::sqlite().await;
    let other = other(&bed).await;
    for lock in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        other.execute_unprepared(lock).await.unwrap();
        let error = bed.store.ping().await.unwrap_err();
        assert!(matches!(error, StoreError::Busy(_)), "{error}");
        assert!(error.to_string().contains("locked"), "{error}");
        other.execute_unprepared("ROLLBACK").await.unwrap();
        bed.store.ping().await.unwrap();
    }
    other.close().await.unwrap();
    bed.end().await;
}
