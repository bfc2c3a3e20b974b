//! Each transition, won and lost.

use chrono::{DateTime, TimeDelta, Utc};
use hub_core::{
    ids::{JobId, ServerId},
    job::{Attempt, Job, JobState},
};
use hub_store::{Cancelled, NewJob, Ran};

use crate::{
    bed::{Bed, on_both},
    samples::{artifact, assigned, attempt, failure, insert, planning, queued, recipe},
};

on_both!(
    a_job_walks_from_planning_to_success,
    a_quick_job_skips_the_steps_between,
    a_text_ends_a_job_without_a_server,
    a_requeued_job_goes_elsewhere_and_its_late_attempt_is_fenced,
    a_failure_closes_the_attempt,
    a_cancel_answers_the_attempt_it_ended,
    only_what_waits_expires,
    only_what_waits_is_moved,
    a_number_is_used_once,
    warnings_add_up_once_each,
    jobs_that_do_not_exist_lose_every_race,
);

async fn job(bed: &Bed, id: JobId) -> Job {
    bed.store.job_get(id).await.unwrap().unwrap()
}

fn now(bed: &Bed) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(bed.store.clock().now().timestamp_millis())
}

async fn a_job_walks_from_planning_to_success(bed: &Bed) {
    let store = &bed.store;
    let id = insert(store, &NewJob { warnings: vec!["first".to_owned()], ..planning("a cat") }).await.id;
    bed.clock.advance(TimeDelta::seconds(1));
    let plan = recipe();
    assert!(store.job_planned(id, &plan, &["first".to_owned(), "second".to_owned()]).await.unwrap());
    let planned = job(bed, id).await;
    assert_eq!((&planned.state, &planned.recipe), (&JobState::Queued, &Some(plan)));
    assert_eq!(planned.warnings, ["first", "second"]);
    assert_eq!(planned.times.queued_at, now(bed));
    assert!(!store.job_planned(id, &recipe(), &["late".to_owned()]).await.unwrap());
    assert_eq!(job(bed, id).await, planned, "a lost race changes nothing");

    let at = attempt(1);
    assert!(store.job_assign(id, &at).await.unwrap());
    let taken = job(bed, id).await;
    assert_eq!((&taken.state, taken.attempts, taken.server), (&JobState::Assigned(at), 1, Some(at.server)));

    let began = store.clock().now();
    let started = now(bed);
    bed.clock.advance(TimeDelta::seconds(1));
    assert!(store.job_started(id, 1, began).await.unwrap());
    assert!(!store.job_started(id, 1, began).await.unwrap());
    assert_eq!(job(bed, id).await.state, JobState::Running(at));
    bed.clock.advance(TimeDelta::seconds(1));
    assert!(bed.collecting(id, 1).await);
    assert_eq!(job(bed, id).await.state, JobState::Collecting(at));

    let files = [artifact(1, 0), artifact(2, 1)];
    let succeeded = store.job_succeed(id, 1, id, Ran::default(), &files).await.unwrap().unwrap();
    let stored = succeeded.artifacts;
    assert_eq!(stored.iter().map(|file| file.id).collect::<Vec<_>>(), files.map(|file| file.id));
    assert_eq!(store.artifacts_of(id).await.unwrap(), stored);
    let done = job(bed, id).await;
    assert_eq!((&done.state, done.server), (&JobState::Succeeded, Some(at.server)));
    assert_eq!((done.times.started_at, done.times.finished_at), (started, now(bed)));
    assert_eq!((succeeded.started_at, succeeded.finished_at), (started, now(bed)));
    assert_eq!(store.job_succeed(id, 1, id, Ran::default(), &[artifact(3, 0)]).await.unwrap(), None);
    assert_eq!(store.artifacts_of(id).await.unwrap().len(), 2, "a late result leaves no files");
    let attempts = store.job_attempts(id).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].attempt, attempts[0].outcome.as_deref()), (at, Some("succeeded")));
    assert_eq!(attempts[0].ended_at, now(bed));
}

async fn a_quick_job_skips_the_steps_between(bed: &Bed) {
    let (id, _) = assigned(&bed.store).await;
    let succeeded = bed.store.job_succeed(id, 1, id, Ran::default(), &[]).await.unwrap().unwrap();
    assert_eq!((succeeded.artifacts.len(), succeeded.started_at), (0, now(bed)));
    let done = job(bed, id).await;
    assert_eq!(done.state, JobState::Succeeded);
    assert_eq!(done.times.started_at, now(bed));

    let (id, _) = assigned(&bed.store).await;
    let began = now(bed);
    bed.clock.advance(TimeDelta::milliseconds(700));
    let told = bed.store.job_succeed(id, 1, id, Ran { began, ..Ran::default() }, &[]).await.unwrap().unwrap();
    assert_eq!((told.started_at, told.finished_at), (began, now(bed)), "its start is told with its end");
    assert_eq!(job(bed, id).await.times.started_at, began);

    let (id, at) = assigned(&bed.store).await;
    assert!(bed.collecting(id, 1).await);
    assert!(!bed.store.job_started(id, 1, bed.store.clock().now()).await.unwrap(), "a late start does not go back");
    assert_eq!(job(bed, id).await.state, JobState::Collecting(at));
}

async fn a_text_ends_a_job_without_a_server(bed: &Bed) {
    let id = insert(&bed.store, &planning("what is this")).await.id;
    assert!(bed.store.job_succeed_with_text(id, "a fox", &["guess".to_owned()]).await.unwrap());
    let done = job(bed, id).await;
    assert_eq!((&done.state, done.text.as_deref()), (&JobState::Succeeded, Some("a fox")));
    assert_eq!(done.times.finished_at, now(bed));
    assert!(!bed.store.job_succeed_with_text(id, "a dog", &[]).await.unwrap());
    let waiting = insert(&bed.store, &queued("x")).await.id;
    assert!(!bed.store.job_succeed_with_text(waiting, "x", &["x".to_owned()]).await.unwrap());
    assert!(job(bed, waiting).await.warnings.is_empty());
}

async fn a_requeued_job_goes_elsewhere_and_its_late_attempt_is_fenced(bed: &Bed) {
    let store = &bed.store;
    let (id, first) = assigned(store).await;
    assert!(store.job_started(id, 1, store.clock().now()).await.unwrap());
    assert!(store.job_requeue(id, 1, &failure(), &[first.server]).await.unwrap());
    let waiting = job(bed, id).await;
    assert_eq!((&waiting.state, waiting.attempts), (&JobState::Queued, 1));
    assert_eq!(waiting.excluded, [first.server]);
    assert_eq!((waiting.server, waiting.times.started_at), (Some(first.server), None));

    // While it waits, the old attempt has no say any more.
    assert!(!store.job_fail(id, Some(1), &failure()).await.unwrap());
    assert!(!store.job_requeue(id, 1, &failure(), &[ServerId::new()]).await.unwrap());

    let second = attempt(2);
    assert!(store.job_assign(id, &second).await.unwrap());
    assert!(!store.job_started(id, 1, store.clock().now()).await.unwrap());
    assert_eq!(store.job_succeed(id, 1, id, Ran::default(), &[artifact(1, 0)]).await.unwrap(), None);
    assert!(!store.job_requeue(id, 1, &failure(), &[]).await.unwrap());
    assert!(!store.job_fail(id, Some(1), &failure()).await.unwrap());
    assert_eq!(job(bed, id).await.state, JobState::Assigned(second));
    assert!(store.artifacts_of(id).await.unwrap().is_empty());

    assert!(store.job_requeue(id, 2, &failure(), &[]).await.unwrap());
    assert_eq!(job(bed, id).await.excluded, [first.server]);
    let attempts = store.job_attempts(id).await.unwrap();
    assert_eq!(attempts.iter().map(|row| row.attempt).collect::<Vec<Attempt>>(), [first, second]);
    for row in attempts {
        assert_eq!((row.outcome.as_deref(), row.error), (Some("requeued"), Some(failure())));
    }
}

async fn a_failure_closes_the_attempt(bed: &Bed) {
    let (id, _) = assigned(&bed.store).await;
    assert!(bed.store.job_fail(id, Some(1), &failure()).await.unwrap());
    let failed = job(bed, id).await;
    assert_eq!((failed.state, failed.times.finished_at), (JobState::Failed(failure()), now(bed)));
    let row = bed.store.job_attempts(id).await.unwrap().remove(0);
    assert_eq!((row.outcome.as_deref(), row.error, row.ended_at), (Some("failed"), Some(failure()), now(bed)));
    assert!(!bed.store.job_fail(id, None, &failure()).await.unwrap());

    let early = insert(&bed.store, &planning("x")).await.id;
    assert!(!bed.store.job_fail(early, Some(1), &failure()).await.unwrap());
    assert!(bed.store.job_fail(early, None, &failure()).await.unwrap());
    assert!(bed.store.job_attempts(early).await.unwrap().is_empty());
}

async fn a_cancel_answers_the_attempt_it_ended(bed: &Bed) {
    let (id, at) = assigned(&bed.store).await;
    assert_eq!(bed.store.job_cancel(id).await.unwrap(), [Cancelled { job: id, owner: Some(at) }]);
    assert_eq!(bed.store.job_cancel(id).await.unwrap(), []);
    assert_eq!(job(bed, id).await.state, JobState::Cancelled);
    let row = bed.store.job_attempts(id).await.unwrap().remove(0);
    assert_eq!((row.outcome.as_deref(), row.error, row.ended_at), (Some("cancelled"), None, now(bed)));

    let waiting = insert(&bed.store, &queued("x")).await.id;
    assert_eq!(bed.store.job_cancel(waiting).await.unwrap(), [Cancelled { job: waiting, owner: None }]);

    let (requeued, _) = assigned(&bed.store).await;
    assert!(bed.store.job_requeue(requeued, 1, &failure(), &[]).await.unwrap());
    let cancelled = bed.store.job_cancel(requeued).await.unwrap();
    assert_eq!(cancelled, [Cancelled { job: requeued, owner: None }], "attempt 1 was over already");
    let row = bed.store.job_attempts(requeued).await.unwrap().remove(0);
    assert_eq!(row.outcome.as_deref(), Some("requeued"));
}

async fn only_what_waits_expires(bed: &Bed) {
    let (id, at) = assigned(&bed.store).await;
    assert!(!bed.store.job_expire(id).await.unwrap());
    assert_eq!(job(bed, id).await.state, JobState::Assigned(at));
    for new in [planning("x"), queued("x")] {
        let id = insert(&bed.store, &new).await.id;
        assert!(bed.store.job_expire(id).await.unwrap());
        assert!(!bed.store.job_expire(id).await.unwrap());
        let expired = job(bed, id).await;
        assert_eq!((expired.state, expired.times.finished_at), (JobState::Expired, now(bed)));
    }
}

async fn a_number_is_used_once(bed: &Bed) {
    let (id, _) = assigned(&bed.store).await;
    assert!(bed.store.job_requeue(id, 1, &failure(), &[]).await.unwrap());
    assert!(!bed.store.job_assign(id, &attempt(1)).await.unwrap(), "number 1 is spent");
    assert!(!bed.store.job_assign(id, &attempt(0)).await.unwrap());
    assert!(bed.store.job_assign(id, &attempt(2)).await.unwrap());
}

async fn warnings_add_up_once_each(bed: &Bed) {
    let id = insert(&bed.store, &NewJob { warnings: vec!["a".to_owned()], ..planning("x") }).await.id;
    let added = ["b", "a", "b", "{{ c }} 🦊"].map(str::to_owned);
    assert!(bed.store.job_planned(id, &recipe(), &added).await.unwrap());
    assert_eq!(job(bed, id).await.warnings, ["a", "b", "{{ c }} 🦊"]);

    let id = insert(&bed.store, &NewJob { warnings: vec!["a".to_owned()], ..planning("x") }).await.id;
    let many: Vec<String> = (0..120).map(|n| n.to_string()).collect();
    assert!(bed.store.job_succeed_with_text(id, "x", &many).await.unwrap());
    let kept = job(bed, id).await.warnings;
    assert_eq!((kept.len(), kept[0].as_str(), kept[99].as_str()), (100, "a", "98"));
}

async fn jobs_that_do_not_exist_lose_every_race(bed: &Bed) {
    let (store, id) = (&bed.store, JobId::new());
    assert!(!store.job_planned(id, &recipe(), &[]).await.unwrap());
    assert!(!store.job_assign(id, &attempt(1)).await.unwrap());
    assert!(!store.job_started(id, 1, store.clock().now()).await.unwrap());
    assert_eq!(store.job_succeed(id, 1, id, Ran::default(), &[artifact(1, 0)]).await.unwrap(), None);
    assert!(!store.job_fail(id, None, &failure()).await.unwrap());
    assert_eq!(store.job_cancel(id).await.unwrap(), []);
    assert!(!store.job_expire(id).await.unwrap());
}

async fn only_what_waits_is_moved(bed: &Bed) {
    let store = &bed.store;
    for new in [planning("x"), queued("x")] {
        let id = insert(store, &new).await.id;
        let before = store.job_set_priority(id, 7).await.unwrap();
        assert_eq!(before, [(id, 0)]);
        assert_eq!(job(bed, id).await.priority, 7);
        assert_eq!(store.job_unset_priority(id, 6, &before).await.unwrap(), [], "it was moved meanwhile");
        assert_eq!(store.job_unset_priority(id, 7, &[]).await.unwrap(), []);
        assert_eq!(job(bed, id).await.priority, 7);
        assert_eq!(store.job_unset_priority(id, 7, &before).await.unwrap(), [(id, 0)]);
        assert_eq!(job(bed, id).await.priority, 0);
        let before = store.job_set_priority(id, 7).await.unwrap();
        store.job_cancel(id).await.unwrap();
        assert_eq!(store.job_set_priority(id, 8).await.unwrap(), []);
        assert_eq!(store.job_unset_priority(id, 7, &before).await.unwrap(), []);
        assert_eq!(job(bed, id).await.priority, 7);
    }
    let (id, _) = assigned(store).await;
    assert_eq!(store.job_set_priority(id, 8).await.unwrap(), []);
    assert_eq!(store.job_set_priority(JobId::new(), 8).await.unwrap(), []);
}
