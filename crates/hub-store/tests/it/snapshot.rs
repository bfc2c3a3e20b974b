//! Copies of a database that is used.

use std::{path::Path, sync::Arc};

use hub_core::clock::{SharedClock, SystemClock};
use hub_store::{SnapshotInfo, Store, StoreError, StoreErrorKind, snapshot_open};

use crate::{
    bed::Bed,
    samples::{artifact, insert, queued, succeeded},
};

async fn open(path: &Path) -> Result<SnapshotInfo, StoreError> {
    snapshot_open(path, Arc::new(SystemClock)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_holds_one_moment_while_others_write_and_is_gone_afterwards() {
    let bed = Bed::sqlite().await;
    succeeded(&bed.store, &[artifact(1, 0)]).await;
    let writing = async {
        for _ in 0..50 {
            insert(&bed.store, &queued("later")).await;
        }
    };
    let (snapshot, ()) = tokio::join!(bed.store.snapshot(), writing);
    let snapshot = snapshot.unwrap();
    let path = snapshot.path();
    let info = open(&path).await.unwrap();
    assert!((1..=51).contains(&info.jobs), "{info:?}");
    assert_eq!((info.artifacts, info.sealed_secrets), (1, 0));
    assert_eq!(info.schema, migrations::known().pop().unwrap());
    assert_eq!(snapshot.schema(), info.schema);
    let copy = Store::open(&format!("sqlite://{}", path.display()), Arc::clone(bed.store.clock())).await.unwrap();
    assert_eq!(copy.artifact_list(10, None).await.unwrap().artifacts.len(), 1);
    copy.close().await.unwrap();
    let folder = path.parent().unwrap().to_owned();
    drop(snapshot);
    assert!(!folder.exists());
    bed.end().await;
}

#[tokio::test]
async fn what_is_no_file_is_not_copied() {
    let clock: SharedClock = Arc::new(SystemClock);
    let store = Store::open("sqlite::memory:", clock).await.unwrap();
    assert!(matches!(store.snapshot().await, Err(StoreError::NoSnapshot { .. })));
    store.close().await.unwrap();
    if let Some(bed) = Bed::postgres("what_is_no_file_is_not_copied").await {
        let error = bed.store.snapshot().await.unwrap_err();
        assert!(error.to_string().contains("pg_dump"), "{error}");
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_whole_databases_of_this_hub_are_opened() {
    for (sql, kind, told) in [
        ("DROP TABLE jobs", StoreErrorKind::Corrupt, "no database of this hub"),
        ("DELETE FROM seaql_migrations", StoreErrorKind::Corrupt, "no database of this hub"),
        ("CREATE VIEW v AS SELECT 1", StoreErrorKind::Corrupt, "triggers or views"),
        (
            "CREATE TRIGGER t AFTER INSERT ON jobs BEGIN DELETE FROM artifacts; END",
            StoreErrorKind::Corrupt,
            "triggers or views",
        ),
        (
            "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20990101_000001_moon', 1)",
            StoreErrorKind::Newer,
            "m20990101_000001_moon",
        ),
    ] {
        let bed = Bed::sqlite().await;
        bed.sabotage(sql).await;
        let snapshot = bed.store.snapshot().await.unwrap();
        let error = open(&snapshot.path()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{sql}: {error}");
        assert!(error.to_string().contains(told), "{sql}: {error}");
        drop(snapshot);
        bed.end().await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    std::fs::write(&path, "no database, a diary. ".repeat(1000)).unwrap();
    assert_eq!(open(&path).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    // Cut off in the middle of its pages.
    let bed = Bed::sqlite().await;
    let snapshot = bed.store.snapshot().await.unwrap();
    let bytes = std::fs::read(snapshot.path()).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(open(&path).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    bed.end().await;
}
