//! A hub's data folder seen from inside, after the hub has ended: do rows and files agree?

use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use hub_core::{
    artifact::{Artifact, ArtifactRole},
    clock::{Clock as _, SystemClock},
    job::{Job, JobState},
};
use hub_engine::{Engine, EngineConfig, ReconcilerStatus};
use hub_store::{JobFilter, Store};
use object_store::local::LocalFileSystem;

/// The database of a folder's hub: SQLite in it, or an empty PostgreSQL database that `CHAOS_DATABASE_URL`
/// names, for one test at a time.
pub(crate) fn database_url(folder: &Path) -> String {
    std::env::var("CHAOS_DATABASE_URL").unwrap_or_else(|_| format!("sqlite://{}", folder.join("hub.db").display()))
}

/// Opens the database of a folder.
pub(crate) async fn store(folder: &Path) -> Store {
    Store::open(&database_url(folder), Arc::new(SystemClock)).await.unwrap()
}

/// All jobs, newest first.
pub(crate) async fn jobs(store: &Store) -> Vec<Job> {
    let (mut jobs, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.job_list(&JobFilter::default(), cursor, 500).await.unwrap();
        jobs.extend(page.jobs);
        cursor = page.next;
        if cursor.is_none() {
            return jobs;
        }
    }
}

async fn artifacts(store: &Store) -> Vec<Artifact> {
    let (mut artifacts, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.artifact_list(500, cursor).await.unwrap();
        artifacts.extend(page.artifacts);
        cursor = page.next;
        if cursor.is_none() {
            return artifacts;
        }
    }
}

/// Asserts what must hold once no job is at work any more, whatever happened before: each job has ended
/// once, a success has its results from one attempt and nothing else has results, no attempt is open, and
/// after a sweep every file has its row and every row its file.
pub(crate) async fn assert_agrees(folder: &Path) {
    let store = store(folder).await;
    let all = artifacts(&store).await;
    let mut outputs = 0;
    for job in jobs(&store).await {
        assert!(job.state.kind().is_terminal(), "{job:?}");
        let parts = store.job_parts(job.id).await.unwrap();
        let mut attempts = store.job_attempts(job.id).await.unwrap();
        for part in &parts {
            assert!(part.state.kind().is_terminal(), "{part:?} of {job:?}");
            attempts.extend(store.job_attempts(part.id).await.unwrap());
        }
        assert!(attempts.iter().all(|attempt| attempt.ended_at.is_some()), "{attempts:?}");
        let succeeded = attempts.iter().filter(|attempt| attempt.outcome.as_deref() == Some("succeeded")).count();
        let results: Vec<&Artifact> = all.iter().filter(|artifact| artifact.job == Some(job.id)).collect();
        let delivers = if parts.is_empty() {
            usize::from(job.state == JobState::Succeeded && job.recipe.is_some())
        } else {
            parts.iter().filter(|part| part.state == JobState::Succeeded).count()
        };
        assert_eq!((succeeded, results.len()), (delivers, delivers), "{job:?} {attempts:?} {results:?}");
        outputs += results.len();
    }
    let rows = all.iter().filter(|artifact| artifact.role == ArtifactRole::Output).count();
    assert_eq!(rows, outputs, "every result belongs to a job");

    let objects = folder.join("objects");
    let files_store = Arc::new(LocalFileSystem::new_with_prefix(&objects).unwrap());
    let config = EngineConfig { orphan_grace: Duration::ZERO, ..EngineConfig::default() };
    let engine = Engine::start(config, store.clone(), files_store, Arc::new(SystemClock)).await.unwrap();
    let sweep = async || engine.reconcile("orphans").await.unwrap().last.unwrap().status;
    let swept = sweep().await;
    assert!(!matches!(swept, ReconcilerStatus::Failed(_)), "{swept:?}");
    assert_eq!(sweep().await, ReconcilerStatus::Idle);
    engine.shutdown(Duration::ZERO).await;

    let mut expected = BTreeSet::new();
    for artifact in &all {
        expected.insert(artifact.object_key());
        if let Some(job) = artifact.job {
            expected.insert(hub_core::artifact::object_key(&format!("{}.{job}", artifact.sha256), "json"));
        }
    }
    assert_eq!(files(&objects), expected);
}

/// Has the files that a hub which died was just writing be so old that the next start removes them.
pub(crate) fn age_half_written(folder: &Path) {
    let objects = folder.join("objects");
    let long_ago = SystemTime::from(SystemClock.now()) - Duration::from_mins(2);
    for name in files(&objects).into_iter().filter(|name| name.contains('#')) {
        let file = File::options().write(true).open(objects.join(name)).unwrap();
        file.set_modified(long_ago).unwrap();
    }
}

/// The files below a folder, thumbnails left out.
fn files(root: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut folders = vec![PathBuf::from(root)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if !name.starts_with("thumbs/") {
                files.insert(name);
            }
        }
    }
    files
}
