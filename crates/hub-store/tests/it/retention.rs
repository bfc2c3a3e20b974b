//! Forgetting old jobs.

use chrono::{DateTime, TimeDelta, Utc};
use hub_core::{artifact::Artifact, ids::ArtifactId};
use hub_store::{FileCount, StoredFiles};

use crate::{
    bed::{Bed, delete_old, on_both},
    samples::{artifact, assigned, enlarging, insert, queued, succeeded},
};

on_both!(
    old_jobs_go_with_their_attempts_and_files,
    favourites_keep_their_whole_job,
    a_result_that_is_worked_on_keeps_its_job,
    shared_objects_are_kept_and_told_once,
    the_limit_holds_and_the_oldest_go_first,
    expendable_jobs_come_oldest_first_with_what_they_free,
    stored_files_are_counted_by_what_they_are,
);

/// Lets a day pass; answers a time between then and now.
fn a_day_later(bed: &Bed) -> DateTime<Utc> {
    bed.clock.advance(TimeDelta::days(1));
    bed.store.clock().now() - TimeDelta::hours(1)
}

fn ids(artifacts: &[Artifact]) -> Vec<ArtifactId> {
    artifacts.iter().map(|artifact| artifact.id).collect()
}

async fn old_jobs_go_with_their_attempts_and_files(bed: &Bed) {
    let file = artifact(1, 0);
    let old = succeeded(&bed.store, std::slice::from_ref(&file)).await;
    let (running, _) = assigned(&bed.store).await;
    let before = a_day_later(bed);
    let fresh = succeeded(&bed.store, &[artifact(2, 0)]).await;
    assert_eq!(ids(&delete_old(&bed.store, before, 100).await), [file.id]);
    assert_eq!(bed.store.job_get(old).await.unwrap(), None);
    assert_eq!(bed.store.artifact_get(file.id).await.unwrap(), None);
    assert!(bed.store.job_attempts(old).await.unwrap().is_empty());
    assert!(bed.store.job_get(running).await.unwrap().is_some(), "what has not ended is never old");
    assert!(bed.store.job_get(fresh).await.unwrap().is_some());
    assert!(delete_old(&bed.store, before, 100).await.is_empty());
}

async fn favourites_keep_their_whole_job(bed: &Bed) {
    let files = [artifact(1, 0), artifact(2, 1)];
    let kept = succeeded(&bed.store, &files).await;
    assert!(bed.store.artifact_set_favourite(files[1].id, true).await.unwrap());
    let before = a_day_later(bed);
    assert!(delete_old(&bed.store, before, 100).await.is_empty());
    assert!(bed.store.job_get(kept).await.unwrap().is_some());
    assert_eq!(ids(&bed.store.artifacts_of(kept).await.unwrap()), [files[0].id, files[1].id]);
    assert!(bed.store.artifact_set_favourite(files[1].id, false).await.unwrap());
    assert_eq!(delete_old(&bed.store, before, 100).await.len(), 2);
}

async fn a_result_that_is_worked_on_keeps_its_job(bed: &Bed) {
    let files = [artifact(1, 0), artifact(2, 1)];
    let old = succeeded(&bed.store, &files).await;
    let before = a_day_later(bed);
    let job = insert(&bed.store, &enlarging(files[0].id)).await.id;
    assert!(delete_old(&bed.store, before, 100).await.is_empty());
    assert_eq!(ids(&bed.store.artifacts_of(old).await.unwrap()), [files[0].id, files[1].id]);
    bed.store.job_cancel(job).await.unwrap();
    assert_eq!(delete_old(&bed.store, before, 100).await.len(), 2);
}

async fn shared_objects_are_kept_and_told_once(bed: &Bed) {
    let input = bed.store.artifact_insert_input(&artifact(1, 0)).await.unwrap();
    succeeded(&bed.store, &[artifact(1, 0), artifact(2, 1), artifact(2, 2)]).await;
    succeeded(&bed.store, &[artifact(2, 0), artifact(3, 1)]).await;
    let before = a_day_later(bed);
    succeeded(&bed.store, &[artifact(3, 0)]).await;
    let gone = delete_old(&bed.store, before, 100).await;
    let hashes: Vec<String> = gone.into_iter().map(|file| file.sha256).collect();
    assert_eq!(hashes, [artifact(2, 0).sha256], "1 is an input, 3 belongs to a fresh job");
    assert!(bed.store.artifact_get(input.id).await.unwrap().is_some());
}

async fn the_limit_holds_and_the_oldest_go_first(bed: &Bed) {
    let mut jobs = Vec::new();
    for _ in 0..3 {
        let id = insert(&bed.store, &queued("x")).await.id;
        bed.store.job_cancel(id).await.unwrap();
        bed.clock.advance(TimeDelta::seconds(1));
        jobs.push(id);
    }
    let before = a_day_later(bed);
    delete_old(&bed.store, before, 2).await;
    assert_eq!(bed.store.job_get(jobs[0]).await.unwrap(), None);
    assert_eq!(bed.store.job_get(jobs[1]).await.unwrap(), None);
    assert!(bed.store.job_get(jobs[2]).await.unwrap().is_some());
}

async fn expendable_jobs_come_oldest_first_with_what_they_free(bed: &Bed) {
    assert!(bed.store.jobs_expendable(None, 10).await.unwrap().is_empty());
    let one = succeeded(&bed.store, &[artifact(1, 0), artifact(2, 1)]).await;
    let loved = artifact(3, 0);
    succeeded(&bed.store, std::slice::from_ref(&loved)).await;
    bed.store.artifact_set_favourite(loved.id, true).await.unwrap();
    assigned(&bed.store).await;
    // Two that end at the same moment are told apart by their ids.
    let bare = [succeeded(&bed.store, &[]).await, succeeded(&bed.store, &[]).await];
    bed.clock.advance(TimeDelta::seconds(1));
    let last = succeeded(&bed.store, &[artifact(4, 0)]).await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = bed.store.jobs_expendable(after.as_ref(), 1).await.unwrap();
        let Some(row) = page.first().copied() else { break };
        assert_eq!(page.len(), 1);
        seen.push((row.job, row.files, row.bytes));
        after = Some(row);
    }
    let mut first = [(one, 2, 2 * 1_234_567), (bare[0], 0, 0), (bare[1], 0, 0)];
    first.sort_by_key(|(job, ..)| *job);
    assert_eq!(seen[..3], first);
    assert_eq!(seen[3..], [(last, 1, 1_234_567)]);

    let unnamed = bed.store.jobs_delete(&[one, bare[0]]).await.unwrap();
    assert_eq!(unnamed.len(), 2);
    assert_eq!(bed.store.job_get(one).await.unwrap(), None);
    assert_eq!(bed.store.jobs_expendable(None, 10).await.unwrap().len(), 2);
}

async fn stored_files_are_counted_by_what_they_are(bed: &Bed) {
    assert_eq!(bed.store.stored_files().await.unwrap(), StoredFiles::default());
    let files = [artifact(1, 0), artifact(2, 1)];
    succeeded(&bed.store, &files).await;
    bed.store.artifact_insert_input(&artifact(3, 0)).await.unwrap();
    bed.store.artifact_set_favourite(files[0].id, true).await.unwrap();
    let found = bed.store.stored_files().await.unwrap();
    let of = |files: u64| FileCount { files, bytes: files * 1_234_567 };
    assert_eq!((found.results, found.favourites, found.inputs), (of(2), of(1), of(1)));
}
