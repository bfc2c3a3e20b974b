//! Jobs in parts: written together, ended after each other.

use std::slice;

use chrono::TimeDelta;
use hub_core::{
    ids::JobId,
    job::{Job, JobState, JobStateKind, Part},
    parts::{Outcome, outcome},
    request::{ImageRequest, JobRequest},
};
use hub_store::{Inserted, JobFilter, NewJob, NewPart, Ran, Store};

use crate::{
    bed::{Bed, delete_old, on_both},
    samples::{artifact, attempt, failure, insert, planning, queued, recipe},
};

on_both!(
    whole_and_parts_are_read_as_they_were_answered,
    a_key_makes_one_whole_with_its_parts,
    parts_are_told_only_to_whoever_asks_for_them,
    parts_come_with_the_plan,
    results_of_parts_belong_to_the_whole,
    a_whole_ends_after_its_last_part_and_once,
    a_whole_without_results_ends_as_its_parts_did,
    a_cancel_ends_the_parts_too,
    a_cancel_and_a_plan_leave_no_part_behind,
    old_parts_go_with_their_whole,
    a_move_of_a_whole_is_taken_back_as_it_was,
    a_move_before_the_plan_is_taken_back_from_the_parts_too,
    a_move_and_a_plan_leave_no_part_behind,
);

const ROUNDS: usize = 20;

fn several(new: NewJob, n: u32) -> NewJob {
    NewJob { request: JobRequest::Image(ImageRequest { n, ..ImageRequest::generate("foxes") }), ..new }
}

fn parts(count: u64) -> Vec<NewPart> {
    (0..count).map(|seed| NewPart { id: JobId::new(), recipe: hub_core::recipe::Recipe { seed, ..recipe() } }).collect()
}

async fn whole(store: &Store, count: u32) -> (Job, Vec<Job>) {
    let (inserted, parts) =
        store.job_insert_in_parts(&several(queued("foxes"), count), &parts(count.into())).await.unwrap();
    let Inserted::New(job) = inserted else { panic!("it was there already") };
    (job, parts)
}

/// Ends a part with a result.
async fn succeed(store: &Store, part: &Job, content: u8) {
    assert!(store.job_assign(part.id, &attempt(1)).await.unwrap());
    let index = part.part.unwrap().index;
    assert!(
        store
            .job_succeed(part.id, 1, part.result_job(), Ran::default(), &[artifact(content, index)])
            .await
            .unwrap()
            .is_some()
    );
}

async fn end(store: &Store, whole: JobId) -> Outcome {
    outcome(&store.job_parts(whole).await.unwrap()).unwrap()
}

async fn get(store: &Store, id: JobId) -> Job {
    store.job_get(id).await.unwrap().unwrap()
}

async fn whole_and_parts_are_read_as_they_were_answered(bed: &Bed) {
    let (job, parts) = whole(&bed.store, 3).await;
    assert!(job.is_whole() && job.part.is_none());
    assert_eq!(get(&bed.store, job.id).await, job);
    assert_eq!(bed.store.job_parts(job.id).await.unwrap(), parts);
    for (index, part) in (0..).zip(&parts) {
        assert_eq!(part.part, Some(Part { of: job.id, index }));
        assert_eq!((part.request.pictures(), part.is_whole(), part.result_job()), (1, false, job.id));
        assert_eq!(part.recipe.as_ref().unwrap().seed, u64::from(index));
        assert_eq!((part.state.clone(), &part.caller), (JobState::Queued, &job.caller));
    }
}

async fn a_key_makes_one_whole_with_its_parts(bed: &Bed) {
    let key = Some("k".to_owned());
    let new = || NewJob { idempotency_key: key.clone(), ..several(queued("foxes"), 2) };
    let (first, made) = bed.store.job_insert_in_parts(&new(), &parts(2)).await.unwrap();
    let Inserted::New(first) = first else { panic!("it was there already") };
    assert_eq!(made.len(), 2);
    let (second, made) = bed.store.job_insert_in_parts(&new(), &parts(2)).await.unwrap();
    assert_eq!((second, made), (Inserted::Existing(first), Vec::new()));
    assert_eq!(bed.store.jobs_unfinished().await.unwrap().len(), 3);
}

async fn parts_are_told_only_to_whoever_asks_for_them(bed: &Bed) {
    let (job, parts) = whole(&bed.store, 4).await;
    let list = async |filter: JobFilter| {
        let page = bed.store.job_list(&filter, None, 100).await.unwrap();
        page.jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(list(JobFilter::default()).await, [job.id]);
    let states = vec![JobStateKind::Queued, JobStateKind::Running];
    assert_eq!(list(JobFilter { states, ..JobFilter::default() }).await, [job.id]);
    let mut found = list(JobFilter { part_of: Some(job.id), ..JobFilter::default() }).await;
    found.sort();
    let mut expected: Vec<JobId> = parts.iter().map(|part| part.id).collect();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(bed.store.job_counts().await.unwrap().into_iter().collect::<Vec<_>>(), [(JobStateKind::Queued, 1)]);
    let since = bed.store.clock().now() - TimeDelta::hours(1);
    assert_eq!(bed.store.jobs_asked_since(since, 10).await.unwrap().len(), 1);
    let repeat = bed.store.job_find_repeat(&job.caller, &queued("foxes").request_digest, since).await.unwrap();
    assert_eq!(repeat.map(|found| found.id), Some(job.id));
}

async fn parts_come_with_the_plan(bed: &Bed) {
    let job = insert(&bed.store, &several(planning("foxes"), 2)).await;
    assert!(bed.store.job_parts(job.id).await.unwrap().is_empty());
    let warnings = ["size rounded".to_owned()];
    let made = bed.store.job_planned_in_parts(&job, &recipe(), &warnings, &parts(2)).await.unwrap().unwrap();
    assert_eq!(bed.store.job_parts(job.id).await.unwrap(), made);
    let planned = get(&bed.store, job.id).await;
    assert_eq!((planned.state, planned.warnings.as_slice()), (JobState::Queued, warnings.as_slice()));
    assert_eq!(planned.times.queued_at, made[0].times.queued_at);
    let again = bed.store.job_planned_in_parts(&job, &recipe(), &[], &parts(2)).await.unwrap();
    assert_eq!(again, None, "it has its plan");
    assert_eq!(bed.store.job_parts(job.id).await.unwrap().len(), 2);

    // What is said at the end comes behind what was said with the plan.
    succeed(&bed.store, &made[0], 1).await;
    assert!(bed.store.job_fail(made[1].id, None, &failure()).await.unwrap());
    let good = Outcome::Succeeded { warning: Some("1 of 2.".to_owned()) };
    assert!(bed.store.job_complete(job.id, &good).await.unwrap());
    assert_eq!(get(&bed.store, job.id).await.warnings, ["size rounded", "1 of 2."]);
}

async fn results_of_parts_belong_to_the_whole(bed: &Bed) {
    let (job, parts) = whole(&bed.store, 3).await;
    for (content, index) in [(1, 2_usize), (2, 0), (3, 1)] {
        succeed(&bed.store, &parts[index], content).await;
    }
    let artifacts = bed.store.artifacts_of(job.id).await.unwrap();
    assert_eq!(artifacts.iter().map(|artifact| artifact.position).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(bed.store.artifacts_of(parts[0].id).await.unwrap().is_empty());
}

async fn a_whole_ends_after_its_last_part_and_once(bed: &Bed) {
    let (job, parts) = whole(&bed.store, 2).await;
    let store = &bed.store;
    let good = Outcome::Succeeded { warning: Some("1 of 2.".to_owned()) };
    assert!(!store.job_complete(job.id, &good).await.unwrap(), "no part has ended");
    succeed(store, &parts[0], 1).await;
    assert!(store.job_began(job.id).await.unwrap());
    assert!(!store.job_began(job.id).await.unwrap());
    assert_eq!(get(store, job.id).await.state, JobState::InParts);
    assert!(!store.job_complete(job.id, &good).await.unwrap(), "one part has not ended");
    assert!(store.job_fail(parts[1].id, None, &failure()).await.unwrap());
    assert!(store.job_complete(job.id, &good).await.unwrap());
    let ended = get(store, job.id).await;
    assert_eq!((ended.state, ended.warnings), (JobState::Succeeded, vec!["1 of 2.".to_owned()]));
    assert!(ended.times.started_at.is_some() && ended.times.finished_at.is_some());
    assert!(!store.job_complete(job.id, &Outcome::Expired).await.unwrap());
    assert!(store.job_cancel(job.id).await.unwrap().is_empty());

    // Parts may be quicker than the news of their start.
    let (job, parts) = whole(store, 1).await;
    succeed(store, &parts[0], 2).await;
    assert!(store.job_complete(job.id, &Outcome::Succeeded { warning: None }).await.unwrap());
    let first = get(store, parts[0].id).await.times.started_at;
    assert_eq!(get(store, job.id).await.times.started_at, first);
}

async fn a_whole_without_results_ends_as_its_parts_did(bed: &Bed) {
    let store = &bed.store;
    let (failed, parts) = whole(store, 2).await;
    assert!(store.job_expire(parts[0].id).await.unwrap());
    assert!(store.job_fail(parts[1].id, None, &failure()).await.unwrap());
    assert!(store.job_complete(failed.id, &end(store, failed.id).await).await.unwrap());
    assert_eq!(get(store, failed.id).await.state, JobState::Failed(failure()));

    let (expired, parts) = whole(store, 1).await;
    assert!(store.job_expire(parts[0].id).await.unwrap());
    assert!(store.job_complete(expired.id, &end(store, expired.id).await).await.unwrap());
    assert_eq!(get(store, expired.id).await.state, JobState::Expired);

    let (cancelled, parts) = whole(store, 1).await;
    assert_eq!(store.job_cancel(parts[0].id).await.unwrap().len(), 1, "a part may be cancelled alone");
    assert!(store.job_complete(cancelled.id, &end(store, cancelled.id).await).await.unwrap());
    assert_eq!(get(store, cancelled.id).await.state, JobState::Cancelled);
}

async fn a_cancel_ends_the_parts_too(bed: &Bed) {
    let store = &bed.store;
    let (job, parts) = whole(store, 3).await;
    succeed(store, &parts[0], 1).await;
    let at = attempt(1);
    assert!(store.job_assign(parts[1].id, &at).await.unwrap());
    assert!(store.job_began(job.id).await.unwrap());
    let mut cancelled = store.job_cancel(job.id).await.unwrap();
    assert_eq!((cancelled[0].job, cancelled[0].owner), (job.id, None));
    cancelled.remove(0);
    cancelled.sort_by_key(|one| one.owner.is_none());
    let told: Vec<_> = cancelled.iter().map(|one| (one.job, one.owner)).collect();
    assert_eq!(told, [(parts[1].id, Some(at)), (parts[2].id, None)]);
    let states: Vec<_> = store.job_parts(job.id).await.unwrap().iter().map(|part| part.state.kind()).collect();
    assert_eq!(states, [JobStateKind::Succeeded, JobStateKind::Cancelled, JobStateKind::Cancelled]);
    let row = store.job_attempts(parts[1].id).await.unwrap().remove(0);
    assert_eq!(row.outcome.as_deref(), Some("cancelled"));
    assert!(store.jobs_unfinished().await.unwrap().is_empty());
    let told = store.part_attempts(job.id).await.unwrap();
    let told: Vec<_> = told.iter().map(|(part, row)| (*part, row.outcome.as_deref().unwrap())).collect();
    assert_eq!(told, [(0, "succeeded"), (1, "cancelled")]);
    assert!(store.part_attempts(parts[1].id).await.unwrap().is_empty(), "a part has none");
}

async fn a_cancel_and_a_plan_leave_no_part_behind(bed: &Bed) {
    for round in 0..ROUNDS {
        let job = insert(&bed.store, &several(planning("foxes"), 3)).await;
        let (one, two, id) = (bed.store.clone(), bed.store.clone(), job.id);
        let plan = tokio::spawn(async move { one.job_planned_in_parts(&job, &recipe(), &[], &parts(3)).await });
        let cancel = tokio::spawn(async move { two.job_cancel(id).await });
        plan.await.unwrap().unwrap();
        assert!(!cancel.await.unwrap().unwrap().is_empty());
        let open = bed.store.jobs_unfinished().await.unwrap();
        assert!(open.is_empty(), "round {round}: {open:?}");
    }
}

async fn old_parts_go_with_their_whole(bed: &Bed) {
    let store = &bed.store;
    let (job, parts) = whole(store, 2).await;
    succeed(store, &parts[0], 1).await;
    succeed(store, &parts[1], 2).await;
    bed.clock.advance(TimeDelta::days(1));
    let before = store.clock().now() - TimeDelta::hours(1);
    assert!(delete_old(store, before, 100).await.is_empty(), "the whole has not ended");
    assert!(store.job_complete(job.id, &Outcome::Succeeded { warning: None }).await.unwrap());
    bed.clock.advance(TimeDelta::days(1));
    let before = store.clock().now() - TimeDelta::hours(1);
    assert_eq!(delete_old(store, before, 100).await.len(), 2);
    for gone in parts.iter().chain(slice::from_ref(&job)) {
        assert_eq!(store.job_get(gone.id).await.unwrap(), None);
        assert!(store.job_attempts(gone.id).await.unwrap().is_empty());
    }
}

async fn a_move_of_a_whole_is_taken_back_as_it_was(bed: &Bed) {
    let store = &bed.store;
    let (job, parts) = whole(store, 3).await;
    let rows = [job.id, parts[0].id, parts[1].id, parts[2].id];
    let priorities = async || {
        let mut priorities = Vec::new();
        for id in rows {
            priorities.push(get(store, id).await.priority);
        }
        priorities
    };
    // One stood alone before, and is there again afterwards.
    store.job_set_priority(parts[0].id, 1).await.unwrap();
    let before = store.job_set_priority(job.id, -1).await.unwrap();
    assert_eq!(priorities().await, [-1; 4]);
    store.job_unset_priority(job.id, -1, &before).await.unwrap();
    assert_eq!(priorities().await, [0, 1, 0, 0]);
    // One that is moved alone since then stays.
    let before = store.job_set_priority(job.id, 5).await.unwrap();
    store.job_set_priority(parts[0].id, 9).await.unwrap();
    let back = store.job_unset_priority(job.id, 5, &before).await.unwrap();
    assert_eq!((back.len(), priorities().await), (3, vec![0, 9, 0, 0]));
    // The whole goes along while a part of it waits, whatever it is itself by then; what began does not.
    let before = store.job_set_priority(job.id, 2).await.unwrap();
    assert!(store.job_assign(parts[0].id, &attempt(1)).await.unwrap());
    assert!(store.job_began(job.id).await.unwrap());
    store.job_unset_priority(job.id, 2, &before).await.unwrap();
    assert_eq!(priorities().await, [0, 2, 0, 0]);
    store.job_set_priority(job.id, 3).await.unwrap();
    assert_eq!(priorities().await, [3, 2, 3, 3]);
    for part in &parts[1..] {
        assert!(store.job_assign(part.id, &attempt(1)).await.unwrap());
    }
    assert_eq!(store.job_set_priority(job.id, 4).await.unwrap(), [], "nothing of it waits");
    assert_eq!(priorities().await, [3, 2, 3, 3]);
}

async fn a_move_before_the_plan_is_taken_back_from_the_parts_too(bed: &Bed) {
    let store = &bed.store;
    let job = insert(store, &several(planning("foxes"), 3)).await;
    let before = store.job_set_priority(job.id, 5).await.unwrap();
    assert_eq!(before, [(job.id, 0)], "it has no parts yet");
    let made = store.job_planned_in_parts(&job, &recipe(), &[], &parts(3)).await.unwrap().unwrap();
    assert!(made.iter().all(|part| part.priority == 5), "they come where the whole is");
    // One that is moved alone since then stays.
    store.job_set_priority(made[0].id, 9).await.unwrap();
    let mut back = store.job_unset_priority(job.id, 5, &before).await.unwrap();
    back.sort();
    let mut expected = vec![(job.id, 0), (made[1].id, 0), (made[2].id, 0)];
    expected.sort();
    assert_eq!(back, expected);
    assert_eq!((get(store, job.id).await.priority, priorities(store, job.id).await), (0, vec![9, 0, 0]));
}

async fn a_move_and_a_plan_leave_no_part_behind(bed: &Bed) {
    for round in 0..ROUNDS {
        let job = insert(&bed.store, &several(planning("foxes"), 3)).await;
        let (one, two, id) = (bed.store.clone(), bed.store.clone(), job.id);
        let plan = tokio::spawn(async move { one.job_planned_in_parts(&job, &recipe(), &[], &parts(3)).await });
        let moved = tokio::spawn(async move { two.job_set_priority(id, 5).await });
        plan.await.unwrap().unwrap();
        moved.await.unwrap().unwrap();
        assert_eq!(priorities(&bed.store, id).await, [5; 3], "round {round}");
    }
}

/// The priorities of the parts, in order.
async fn priorities(store: &Store, whole: JobId) -> Vec<i32> {
    store.job_parts(whole).await.unwrap().iter().map(|part| part.priority).collect()
}
