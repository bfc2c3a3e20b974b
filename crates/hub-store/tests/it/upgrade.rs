//! Every schema there has been is brought up to date with what it held.
//!
//! The rows in `upgrade/` are as the hub of their time wrote them; each file goes in right after its migration. They are
//! never changed: they stand for databases that exist. A migration that adds a table or a column brings its own file.

use std::collections::BTreeSet;

use hub_core::{
    caller::Caller,
    error::ErrorCode,
    ids::{JobId, ServerId},
    job::JobState,
    placement::Placement,
};
use hub_store::{JobFilter, SecretKeys, Store};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};

use crate::bed::{Bed, on_both};

on_both!(every_schema_is_brought_up_to_date_with_its_rows);

/// By the beginning of the migration's name.
const ROWS: [(&str, &str); 8] = [
    ("m20261121_000001", include_str!("upgrade/000001.sql")),
    ("m20261121_000002", include_str!("upgrade/000002.sql")),
    ("m20261121_000003", include_str!("upgrade/000003.sql")),
    ("m20261121_000004_parent", include_str!("upgrade/000004.sql")),
    ("m20261121_000005", include_str!("upgrade/000005.sql")),
    ("m20261121_000006", include_str!("upgrade/000006.sql")),
    ("m20261121_000007", include_str!("upgrade/000007.sql")),
    ("m20261122_000001", include_str!("upgrade/showcases.sql")),
];

async fn every_schema_is_brought_up_to_date_with_its_rows(bed: &Bed) {
    let db = Database::connect(&bed.url).await.unwrap();
    let fresh = schema(&db).await;
    let known = migrations::known();
    for newest in 1..=known.len() {
        empty(&db).await;
        for name in &known[..newest] {
            migrations::up_by(&db, 1).await.unwrap();
            for (_, rows) in ROWS.iter().filter(|(of, _)| name.starts_with(of)) {
                db.execute_unprepared(&with_ids(rows, db.get_database_backend())).await.unwrap();
            }
        }
        let applied = &known[..newest];
        let at = applied[newest - 1].as_str();
        let store = bed.open_again().await;
        assert_eq!(schema(&db).await, fresh, "from {at}");
        check(&store, applied, at).await;
        store.close().await.unwrap();
    }
    db.close().await.unwrap();
}

/// That all is there and read as it was meant.
async fn check(store: &Store, applied: &[String], at: &str) {
    let has = |name: &str| applied.iter().any(|applied| applied.starts_with(name));
    let id = |text: &str| text.parse::<JobId>().unwrap();
    let done = store.job_get(id("job_01a1ffde5c15773990c220961cd7e59d")).await.unwrap().unwrap();
    assert_eq!(done.state, JobState::Succeeded, "from {at}");
    assert_eq!(done.recipe.as_ref().unwrap().seed, u64::MAX);
    assert_eq!(store.job_attempts(done.id).await.unwrap().len(), 1);
    let pictures = store.artifacts_of(done.id).await.unwrap();
    assert_eq!((pictures.len(), pictures[0].seed, pictures[0].favourite), (1, Some(u64::MAX), true));
    let failed = store.job_get(id("job_01a1ffde5c15773990c220961cd7e5bb")).await.unwrap().unwrap();
    let JobState::Failed(error) = &failed.state else { panic!("from {at}: {failed:?}") };
    assert_eq!(error.code, ErrorCode::NodeFailed);
    assert_eq!((failed.warnings.len(), failed.excluded.len()), (1, 1));
    assert_eq!(failed.parent, has("m20261121_000004_parent").then_some(done.id), "from {at}");
    let unfinished = store.jobs_unfinished().await.unwrap();
    assert_eq!(unfinished.len(), 1, "from {at}");
    let pinned = matches!(unfinished[0].placement, Placement::Server(_));
    assert_eq!(pinned, has("m20261121_000003"), "from {at}");

    // What lists are filtered by was filled from what was there.
    let listed = async |filter: JobFilter| store.job_list(&filter, None, 50).await.unwrap().jobs.len();
    assert_eq!(listed(JobFilter { text: Some("red fox".to_owned()), ..JobFilter::default() }).await, 3, "from {at}");
    assert_eq!(listed(JobFilter { favourite: Some(true), ..JobFilter::default() }).await, 1, "from {at}");
    assert_eq!(listed(JobFilter { has_images: Some(true), ..JobFilter::default() }).await, 1, "from {at}");
    assert_eq!(
        listed(JobFilter { style: Some("watercolour".to_owned()), ..JobFilter::default() }).await,
        3,
        "from {at}"
    );

    let server: ServerId = "srv_01a1ffddef3675068d12cb88f8808ed5".parse().unwrap();
    let keys = SecretKeys::parse(&SecretKeys::generate().unwrap()).unwrap();
    let sealing = store.clone().with_secret_keys(keys);
    assert_eq!(sealing.secrets_reseal().await.unwrap(), 1, "a secret of before there were keys, from {at}");
    let servers = sealing.server_list().await.unwrap();
    assert_eq!((servers.len(), servers[0].id), (1, server));
    assert_eq!(servers[0].gpu.is_some(), has("m20261121_000006"), "from {at}");
    assert_eq!(store.server_overrides().await.unwrap().len(), usize::from(has("m20261121_000002")), "from {at}");
    assert_eq!(store.llm_server_list().await.unwrap().len(), 1);
    assert_eq!(store.workflow_list().await.unwrap().len(), 1);
    assert_eq!((store.render_type_list().await.unwrap().len(), store.style_list().await.unwrap().len()), (1, 1));
    let learned = store.learned_times(chrono::DateTime::UNIX_EPOCH).await.unwrap();
    assert_eq!(learned.len(), usize::from(has("m20261121_000003")), "from {at}");
    if has("m20261121_000005") {
        let whole = id("job_01a1ffde5c297121a5b18589dad8933b");
        assert_eq!(store.job_parts(whole).await.unwrap().len(), 2, "from {at}");
    }
    assert_eq!(store.is_showcase(done.id).await.unwrap(), has("m20261122_000001"), "from {at}");
    let admitted = usize::from(has("m20261121_000007"));
    assert_eq!(usize::from(store.admin_any().await.unwrap().is_some()), admitted);
    assert_eq!(store.api_key_list().await.unwrap().len(), admitted);
    assert_eq!(store.audit_list(10, None).await.unwrap().entries.len(), admitted);

    // The repeat of a call from before the upgrade still finds its job.
    let local = Caller::local();
    let found =
        store.job_find_key(&local, "order-17", "864f135b1052d869c753903bc3abd20430017bdb951942fec1deb781c4e106b6");
    assert_eq!(found.await.unwrap().unwrap().id, done.id);
}

/// The fixtures' text with its UUIDs as the database writes them.
fn with_ids(rows: &str, backend: DbBackend) -> String {
    let mut text = String::new();
    let mut rest = rows;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        match after.split_at_checked(37) {
            Some((id, more)) if id.ends_with('}') && id.as_bytes()[8] == b'-' => {
                let id = id.trim_end_matches('}');
                let sqlite = backend == DbBackend::Sqlite;
                text.push_str(if sqlite { "X'" } else { "'" });
                text.push_str(&if sqlite { id.replace('-', "") } else { id.to_owned() });
                text.push('\'');
                rest = more;
            }
            _ => {
                text.push('{');
                rest = after;
            }
        }
    }
    text + rest
}

/// Tables, columns and indexes, however they came to be.
async fn schema(db: &DatabaseConnection) -> BTreeSet<String> {
    let sql = match db.get_database_backend() {
        DbBackend::Sqlite => {
            "SELECT m.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" AS told FROM sqlite_master m, \
             pragma_table_info(m.name) c WHERE m.type = 'table' UNION ALL \
             SELECT m.name || ': ' || group_concat(c.name) FROM sqlite_master m, pragma_index_info(m.name) c \
             WHERE m.type = 'index' GROUP BY m.name"
        }
        _ => {
            "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable AS told \
             FROM information_schema.columns WHERE table_schema = 'public' UNION ALL \
             SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
        }
    };
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    rows.iter().map(|row| row.try_get("", "told").unwrap()).collect()
}

/// Drops everything.
async fn empty(db: &DatabaseConnection) {
    if db.get_database_backend() != DbBackend::Sqlite {
        db.execute_unprepared("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await.unwrap();
        return;
    }
    db.execute_unprepared("PRAGMA foreign_keys = OFF").await.unwrap();
    let named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    for table in db.query_all_raw(Statement::from_string(DbBackend::Sqlite, named)).await.unwrap() {
        let table: String = table.try_get("", "name").unwrap();
        db.execute_unprepared(&format!("DROP TABLE {table}")).await.unwrap();
    }
}

#[test]
fn rows_are_there_for_migrations_that_exist() {
    let known = migrations::known();
    for (of, rows) in ROWS {
        assert_eq!(known.iter().filter(|name| name.starts_with(of)).count(), 1, "{of}");
        assert!(rows.ends_with(";\n"), "{of}");
    }
}
