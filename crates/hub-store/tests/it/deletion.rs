//! Deleting single files.

use chrono::TimeDelta;
use hub_core::{
    ids::{ArtifactId, JobId},
    request::{Area, DescribeRequest, DescriptionKind, ImageRef, ImageRequest, JobRequest},
};
use hub_store::{Inserted, JobFilter, NewJob, NewPart, StoreError};

use crate::{
    bed::{Bed, on_both},
    samples::{artifact, assigned, enlarging, insert, planning, recipe, succeeded},
};

/// Rounds of a race; luck decides each, so there are several.
const ROUNDS: usize = 12;

on_both!(
    a_jobs_row_says_what_is_left_of_its_pictures,
    favourites_go_only_when_they_are_meant,
    bytes_that_others_have_stay,
    results_of_unfinished_jobs_stay,
    what_unfinished_jobs_work_on_stays,
    a_job_on_a_picture_that_is_gone_is_not_stored,
    of_a_deletion_and_a_job_on_its_picture_one_gives_way,
    a_given_picture_that_is_used_again_is_young_again,
);

/// Whether lists find the job by having pictures, and by having favourites.
async fn listed(bed: &Bed, job: JobId) -> (bool, bool) {
    let find = async |filter: JobFilter| {
        bed.store.job_list(&filter, None, 100).await.unwrap().jobs.iter().any(|found| found.id == job)
    };
    let pictures = find(JobFilter { has_images: Some(true), ..JobFilter::default() }).await;
    (pictures, find(JobFilter { favourite: Some(true), ..JobFilter::default() }).await)
}

async fn a_jobs_row_says_what_is_left_of_its_pictures(bed: &Bed) {
    let files = [artifact(1, 0), artifact(2, 1)];
    let job = succeeded(&bed.store, &files).await;
    let other = succeeded(&bed.store, &[artifact(3, 0)]).await;
    bed.store.artifact_set_favourite(files[1].id, true).await.unwrap();
    assert_eq!(listed(bed, job).await, (true, true));

    let first = bed.store.artifacts_delete(&[files[0].id, ArtifactId::new()], false).await.unwrap();
    assert_eq!(first.deleted.iter().map(|file| file.id).collect::<Vec<_>>(), [files[0].id]);
    assert_eq!((first.unnamed.len(), first.favourites.len(), first.in_use.len()), (1, 0, 0));
    assert_eq!(bed.store.artifact_get(files[0].id).await.unwrap(), None);
    assert_eq!(listed(bed, job).await, (true, true));

    bed.store.artifacts_delete(&[files[1].id], true).await.unwrap();
    assert_eq!(listed(bed, job).await, (false, false));
    assert!(bed.store.job_get(job).await.unwrap().is_some(), "the job stays");
    assert_eq!(listed(bed, other).await, (true, false));
    assert_eq!(bed.store.artifacts_delete(&[files[1].id], true).await.unwrap(), hub_store::FileDeletion::default());
    assert_eq!(bed.store.artifacts_delete(&[], true).await.unwrap(), hub_store::FileDeletion::default());
}

async fn favourites_go_only_when_they_are_meant(bed: &Bed) {
    let files = [artifact(1, 0), artifact(2, 1)];
    succeeded(&bed.store, &files).await;
    bed.store.artifact_set_favourite(files[0].id, true).await.unwrap();
    let ids = files.clone().map(|file| file.id);
    let outcome = bed.store.artifacts_delete(&ids, false).await.unwrap();
    assert_eq!(outcome.favourites, [files[0].id]);
    assert_eq!(outcome.deleted.len(), 1);
    assert!(bed.store.artifact_get(files[0].id).await.unwrap().is_some());
    assert_eq!(bed.store.artifacts_delete(&ids, true).await.unwrap().deleted.len(), 1);
}

async fn bytes_that_others_have_stay(bed: &Bed) {
    let input = bed.store.artifact_insert_input(&artifact(1, 0)).await.unwrap();
    let files = [artifact(1, 0), artifact(2, 1), artifact(2, 2)];
    succeeded(&bed.store, &files).await;
    let outcome = bed.store.artifacts_delete(&files.clone().map(|file| file.id), false).await.unwrap();
    let unnamed: Vec<&str> = outcome.unnamed.iter().map(|file| file.sha256.as_str()).collect();
    assert_eq!(unnamed, [files[1].sha256.as_str()], "1 is an input, 2 is told once");
    let last = bed.store.artifacts_delete(&[input.id], false).await.unwrap();
    assert_eq!(last.unnamed.len(), 1, "now nobody names it");
}

/// Between the choice of what goes and its deletion a job may take one up.
async fn a_given_picture_that_is_used_again_is_young_again(bed: &Bed) {
    let mut given = Vec::new();
    for number in 1..=3 {
        given.push(bed.store.artifact_insert_input(&artifact(number, 0)).await.unwrap().id);
        bed.clock.advance(TimeDelta::seconds(1));
    }
    let result = artifact(4, 0);
    succeeded(&bed.store, std::slice::from_ref(&result)).await;
    bed.clock.advance(TimeDelta::days(2));
    let before = bed.store.clock().now() - TimeDelta::days(1);
    let page = |after| bed.store.inputs_before(before, after, 2);
    let first = page(None).await.unwrap();
    let rest = page(first.last().map(|input| (input.created_at, input.id))).await.unwrap();
    let chosen: Vec<_> = first.iter().chain(&rest).map(|input| input.id).collect();
    assert_eq!(chosen, given, "oldest first, page by page, and no results");

    assert!(bed.store.input_used(given[1]).await.unwrap());
    assert!(!bed.store.input_used(result.id).await.unwrap(), "a result is none");
    bed.store.artifact_set_favourite(given[2], true).await.unwrap();
    let mut ids = given.clone();
    ids.push(result.id);
    let outcome = bed.store.inputs_delete(&ids, before).await.unwrap();
    let deleted: Vec<_> = outcome.deleted.iter().map(|file| file.id).collect();
    assert_eq!(deleted, given[..1]);
    assert!(!bed.store.input_used(given[0]).await.unwrap(), "it is gone");
}

async fn results_of_unfinished_jobs_stay(bed: &Bed) {
    let file = artifact(1, 0);
    let job = succeeded(&bed.store, std::slice::from_ref(&file)).await;
    let (running, _) = assigned(&bed.store).await;
    // As of a whole of which one part is done.
    bed.sabotage("UPDATE artifacts SET job_id = (SELECT id FROM jobs WHERE state = 'assigned')").await;
    let outcome = bed.store.artifacts_delete(&[file.id], true).await.unwrap();
    assert_eq!((outcome.in_use.as_slice(), outcome.deleted.len()), ([file.id].as_slice(), 0));
    assert!(bed.store.artifact_get(file.id).await.unwrap().is_some_and(|file| file.job == Some(running)));
    assert!(bed.store.job_get(job).await.unwrap().is_some());
}

async fn what_unfinished_jobs_work_on_stays(bed: &Bed) {
    let store = &bed.store;
    let mut given = Vec::new();
    for number in 1..=4 {
        given.push(store.artifact_insert_input(&artifact(number, 0)).await.unwrap().id);
    }
    let result = artifact(5, 0);
    succeeded(store, std::slice::from_ref(&result)).await;
    let [masked, mask, described, free] = given[..] else { panic!("four were given") };
    let JobRequest::Image(detail) = enlarging(masked).request else { panic!("it makes a picture") };
    let detail = ImageRequest { area: Some(Area::Mask(ImageRef::Artifact(mask))), ..detail };
    let describe = DescribeRequest {
        image: ImageRef::Artifact(described),
        kind: DescriptionKind::Natural,
        language: "en".to_owned(),
    };
    let jobs = [
        insert(store, &enlarging(result.id)).await.id,
        insert(store, &NewJob { request: JobRequest::Image(detail), ..planning("detail") }).await.id,
        insert(store, &NewJob { request: JobRequest::Describe(describe), ..planning("words") }).await.id,
    ];
    let all = [masked, mask, described, free, result.id];
    let outcome = store.artifacts_delete(&all, true).await.unwrap();
    let mut stayed = outcome.in_use.clone();
    stayed.sort();
    let mut expected = vec![masked, mask, described, result.id];
    expected.sort();
    assert_eq!(stayed, expected);
    assert_eq!(outcome.deleted.iter().map(|file| file.id).collect::<Vec<_>>(), [free]);
    let now = store.clock().now() + TimeDelta::seconds(1);
    assert_eq!(store.inputs_delete(&[described], now).await.unwrap().in_use, [described], "old ones as well");

    for job in jobs {
        store.job_cancel(job).await.unwrap();
    }
    assert_eq!(store.artifacts_delete(&all, true).await.unwrap().deleted.len(), 4, "now nobody needs them");
}

async fn a_job_on_a_picture_that_is_gone_is_not_stored(bed: &Bed) {
    let store = &bed.store;
    let input = store.artifact_insert_input(&artifact(1, 0)).await.unwrap().id;
    let known = NewJob { idempotency_key: Some("k".to_owned()), ..enlarging(input) };
    let first = insert(store, &known).await.id;
    store.job_cancel(first).await.unwrap();
    assert_eq!(store.artifacts_delete(&[input], false).await.unwrap().deleted.len(), 1);

    let late = enlarging(input);
    let error = store.job_insert(&late).await.unwrap_err();
    assert!(matches!(error, StoreError::Gone { .. }), "{error}");
    let parts = [NewPart { id: JobId::new(), recipe: recipe() }, NewPart { id: JobId::new(), recipe: recipe() }];
    let error = store.job_insert_in_parts(&late, &parts).await.unwrap_err();
    assert!(matches!(error, StoreError::Gone { .. }), "{error}");
    for id in [late.id, parts[0].id] {
        assert_eq!(store.job_get(id).await.unwrap(), None);
    }
    // Who repeats a call finds what came of it.
    let again = store.job_insert(&NewJob { id: JobId::new(), ..known }).await.unwrap();
    assert!(matches!(again, Inserted::Existing(job) if job.id == first));
}

async fn of_a_deletion_and_a_job_on_its_picture_one_gives_way(bed: &Bed) {
    for round in 0..ROUNDS {
        let input = bed.store.artifact_insert_input(&artifact(1, 0)).await.unwrap().id;
        let (one, two, new) = (bed.store.clone(), bed.store.clone(), enlarging(input));
        let id = new.id;
        let delete = tokio::spawn(async move { one.artifacts_delete(&[input], true).await.unwrap() });
        let submit = tokio::spawn(async move { two.job_insert(&new).await });
        let (outcome, submitted) = (delete.await.unwrap(), submit.await.unwrap());
        let stays = bed.store.artifact_get(input).await.unwrap().is_some();
        assert_eq!((outcome.deleted.is_empty(), outcome.in_use.is_empty()), (stays, !stays), "round {round}");
        match submitted {
            Ok(_) => assert!(stays, "round {round}: deleted from under the job"),
            Err(StoreError::Gone { .. }) => assert!(!stays, "round {round}: refused although it is there"),
            Err(error) => panic!("round {round}: {error}"),
        }
        assert_eq!(bed.store.job_get(id).await.unwrap().is_some(), stays, "round {round}");
    }
}
