//! Opening databases: new, old, newer, broken, unreachable.

use std::sync::Arc;

use hub_core::clock::{SharedClock, SystemClock};
use hub_store::{Inserted, NewJob, Store, StoreError, StoreErrorKind};
use sea_orm::{ConnectionTrait, Database, Statement};

use crate::{
    bed::{Bed, delete_old, on_both},
    samples::{artifact, insert, planning, queued, style, succeeded},
};

on_both!(
    reopening_keeps_everything,
    a_newer_database_is_refused_and_left_alone,
    a_new_database_may_be_opened_by_two_at_once,
    every_foreign_key_is_enforced,
);

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

async fn reopening_keeps_everything(bed: &Bed) {
    let key = Some("key".to_owned());
    let job = insert(&bed.store, &NewJob { idempotency_key: key, ..queued("🦊") }).await;
    let done = succeeded(&bed.store, &[artifact(1, 0)]).await;
    bed.store.style_save(&style("oil")).await.unwrap();
    bed.store.ping().await.unwrap();
    let files = bed.store.artifacts_of(done).await.unwrap();
    bed.store.close().await.unwrap();
    assert!(bed.store.ping().await.is_err(), "closed is closed");

    let again = bed.open_again().await;
    assert_eq!(again.job_get(job.id).await.unwrap().as_ref(), Some(&job));
    assert_eq!(again.artifacts_of(done).await.unwrap(), files);
    assert_eq!(again.style_list().await.unwrap().len(), 1);
    let repeat = NewJob { idempotency_key: Some("key".to_owned()), ..queued("🦊") };
    assert_eq!(again.job_insert(&repeat).await.unwrap(), Inserted::Existing(job));
    again.close().await.unwrap();
}

async fn a_newer_database_is_refused_and_left_alone(bed: &Bed) {
    let job = insert(&bed.store, &planning("x")).await;
    bed.sabotage("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20990101_000009_moon', 1)").await;
    let error = bed.try_open_again().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Newer);
    let told = error.to_string();
    let newest = migrations::known().pop().unwrap();
    for part in ["m20990101_000009_moon", &newest, "run the newer version"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(bed.store.job_get(job.id).await.unwrap(), Some(job), "whoever has it open goes on");
}

async fn a_new_database_may_be_opened_by_two_at_once(bed: &Bed) {
    // Empty again: as two processes would find it at their first start.
    bed.store.close().await.unwrap();
    let db = Database::connect(&bed.url).await.unwrap();
    if bed.url.starts_with("sqlite:") {
        let named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let tables = db.query_all_raw(Statement::from_string(db.get_database_backend(), named)).await.unwrap();
        db.execute_unprepared("PRAGMA foreign_keys = OFF").await.unwrap();
        for table in tables {
            let table: String = table.try_get("", "name").unwrap();
            db.execute_unprepared(&format!("DROP TABLE {table}")).await.unwrap();
        }
    } else {
        db.execute_unprepared("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await.unwrap();
    }
    db.close().await.unwrap();
    let (one, two) = tokio::join!(bed.try_open_again(), bed.try_open_again());
    let (one, two) = (one.unwrap(), two.unwrap());
    let job = insert(&one, &queued("x")).await;
    assert_eq!(two.job_get(job.id).await.unwrap(), Some(job));
    one.close().await.unwrap();
    two.close().await.unwrap();
}

async fn every_foreign_key_is_enforced(bed: &Bed) {
    let id = succeeded(&bed.store, &[artifact(1, 0)]).await;
    bed.store.job_cancel(id).await.unwrap();
    bed.sabotage("DELETE FROM jobs").await;
    assert!(bed.store.artifacts_of(id).await.unwrap().is_empty());
    assert!(bed.store.job_attempts(id).await.unwrap().is_empty());
}

#[tokio::test]
async fn memory_is_one_database_until_closed() {
    let store = Store::open("sqlite::memory:", clock()).await.unwrap();
    let job = insert(&store, &queued("x")).await;
    let clone = store.clone();
    assert_eq!(clone.job_get(job.id).await.unwrap(), Some(job.clone()));
    let other = Store::open("sqlite::memory:", clock()).await.unwrap();
    assert_eq!(other.job_get(job.id).await.unwrap(), None, "two memories are two databases");
    succeeded(&store, &[artifact(1, 0)]).await;
    delete_old(&store, store.clock().now(), 10).await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn folders_are_made_and_the_file_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/hub.db");
    let store = Store::open(&format!("sqlite://{}", path.display()), clock()).await.unwrap();
    insert(&store, &queued("x")).await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let db = Database::connect(format!("sqlite://{}", path.display())).await.unwrap();
    let mode = db.query_one_raw(Statement::from_string(db.get_database_backend(), "PRAGMA journal_mode")).await;
    assert_eq!(mode.unwrap().unwrap().try_get::<String>("", "journal_mode").unwrap(), "wal");
    db.close().await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_path_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "no folder").unwrap();
    let inside_a_file = folder.path().join("file/hub.db");
    let a_folder = folder.path().to_owned();
    for path in [inside_a_file, a_folder] {
        let error = Store::open(&format!("sqlite://{}", path.display()), clock()).await.unwrap_err();
        assert!(matches!(error, StoreError::Unwritable { .. }), "{error}");
        assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
        assert_eq!(error.kind(), StoreErrorKind::Other);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn rights_that_are_missing_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    if std::fs::write(folder.path().join("probe"), "").is_ok() {
        return; // The superuser may write everywhere; the test above covers what is left.
    }
    let error = Store::open(&format!("sqlite://{}/hub.db", folder.path().display()), clock()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unwritable { .. }), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let content = "this is a diary, not a database. ".repeat(100);
    std::fs::write(&path, &content).unwrap();
    let error = Store::open(&format!("sqlite://{}", path.display()), clock()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
}

#[tokio::test]
async fn urls_that_lead_nowhere_say_so_without_a_password() {
    for url in ["mysql://root:hunter2@db/hub", "/var/lib/hub.db", ""] {
        let error = Store::open(url, clock()).await.unwrap_err();
        assert!(matches!(error, StoreError::BadUrl { .. }), "{url}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let error = Store::open("postgres://hub:hunter2@127.0.0.1:1/hub", clock()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Transient, "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
