//! A fresh database per test, on either backend, dropped afterwards.

use std::{
    io::Write,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, LazyLock},
};

use chrono::{DateTime, TimeZone, Utc};
use futures_util::FutureExt;
use hub_core::{
    artifact::Artifact,
    clock::{MockClock, SharedClock},
    ids::JobId,
};
use hub_store::{Store, StoreError};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use tempfile::TempDir;
use tokio::net::TcpStream;
use url::Url;
use uuid::Uuid;

/// Runs each behaviour, an `async fn(&Bed)`, on both databases.
macro_rules! on_both {
    ($($behaviour:ident),+ $(,)?) => {
        $(mod $behaviour {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                $crate::bed::Bed::sqlite().await.run(super::$behaviour).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(bed) = $crate::bed::Bed::postgres(stringify!($behaviour)).await {
                    bed.run(super::$behaviour).await;
                }
            }
        })+
    };
}
pub(crate) use on_both;

static POSTGRES: LazyLock<String> = LazyLock::new(|| {
    std::env::var("GENIMAGE_TEST_POSTGRES_URL")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned())
});

pub(crate) struct Bed {
    pub(crate) store: Store,
    pub(crate) clock: Arc<MockClock>,
    pub(crate) url: String,
    place: Place,
}

enum Place {
    Folder(#[expect(dead_code, reason = "removed when dropped")] TempDir),
    Postgres { admin: DatabaseConnection, name: String },
}

impl Bed {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/hub.db", folder.path().display());
        Self::at(url, Place::Folder(folder)).await
    }

    /// `None`, with a line saying so, where no PostgreSQL answers.
    pub(crate) async fn postgres(test: &str) -> Option<Self> {
        let mut url: Url = POSTGRES.parse().unwrap();
        let address = (url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(5432));
        if let Err(error) = TcpStream::connect(address).await {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no PostgreSQL answers: {error}");
            // Past the test runner's capture, which would swallow the line.
            let mut stderr = std::io::stderr().lock();
            writeln!(stderr, "skipped {test} on PostgreSQL: none answers ({error})").unwrap();
            return None;
        }
        let admin = Database::connect(POSTGRES.as_str()).await.unwrap();
        let name = format!("genimage_test_{}", Uuid::new_v4().simple());
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
        // These databases need not outlive a power cut, and the disk is what the suite waits for.
        admin.execute_unprepared(&format!("ALTER DATABASE {name} SET synchronous_commit = off")).await.unwrap();
        url.set_path(&name);
        Some(Self::at(url.into(), Place::Postgres { admin, name }).await)
    }

    async fn at(url: String, place: Place) -> Self {
        let clock = Arc::new(MockClock::at(start()));
        let store = Store::open(&url, Arc::clone(&clock) as SharedClock).await.unwrap();
        Self { store, clock, url, place }
    }

    /// Runs a test and cleans up whatever comes of it.
    pub(crate) async fn run(self, test: impl AsyncFnOnce(&Self)) {
        let outcome = AssertUnwindSafe(test(&self)).catch_unwind().await;
        self.end().await;
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    }

    pub(crate) async fn end(self) {
        self.store.close().await.unwrap();
        if let Place::Postgres { admin, name } = self.place {
            admin.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
            admin.close().await.unwrap();
        }
    }

    /// Opens the same database once more.
    pub(crate) async fn open_again(&self) -> Store {
        self.try_open_again().await.unwrap()
    }

    pub(crate) async fn try_open_again(&self) -> Result<Store, StoreError> {
        Store::open(&self.url, Arc::clone(&self.clock) as SharedClock).await
    }

    /// Does to the database what the store would never do. Answers how many rows it changed.
    pub(crate) async fn sabotage(&self, sql: &str) -> u64 {
        let db = Database::connect(&self.url).await.unwrap();
        let done = db.execute_unprepared(sql).await.unwrap();
        db.close().await.unwrap();
        done.rows_affected()
    }

    /// `assigned` or `running` → `collecting`, a step that the store knows and never writes. Answers whether that
    /// attempt owned the job.
    pub(crate) async fn collecting(&self, id: JobId, attempt: u32) -> bool {
        let id = match self.place {
            Place::Folder(_) => format!("X'{}'", id.as_uuid().simple()),
            Place::Postgres { .. } => format!("'{}'", id.as_uuid()),
        };
        let now = self.store.clock().now().timestamp_millis();
        let sql = format!(
            "UPDATE jobs SET state = 'collecting', started_at = COALESCE(started_at, {now}) \
             WHERE id = {id} AND attempt = {attempt} AND state IN ('assigned', 'running')"
        );
        self.sabotage(&sql).await > 0
    }
}

/// Deletes what has ended before `before`, oldest first, at most `limit` jobs, as retention does.
pub(crate) async fn delete_old(store: &Store, before: DateTime<Utc>, limit: u32) -> Vec<Artifact> {
    let old = store.jobs_expendable(None, limit).await.unwrap();
    let old: Vec<_> = old.iter().filter(|job| job.finished_at < before).map(|job| job.job).collect();
    store.jobs_delete(&old).await.unwrap()
}

/// When the clock of a test starts: not on a whole millisecond, as real clocks do.
pub(crate) fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 21, 9, 0, 0).unwrap() + chrono::TimeDelta::nanoseconds(123_456_789)
}
