//! Several writers at once: exactly one wins.

use hub_core::job::JobState;
use hub_store::{JobFilter, NewJob, Ran, ShowcaseOf};
use tokio::task::JoinSet;

use crate::{
    bed::{Bed, on_both},
    samples::{artifact, assigned, attempt, failure, insert, planning, queued, recipe, style},
};

/// Rounds of each race; luck decides each, so there are several.
const ROUNDS: usize = 12;

on_both!(
    two_dispatchers_assign_a_job_once,
    a_cancel_and_a_success_make_one_end,
    a_requeue_and_a_success_make_one_change,
    a_job_that_is_shown_is_never_read_as_ended_without_its_picture,
    of_many_plans_one_is_taken_with_its_warnings,
    what_nobody_waits_for_is_written_whole_or_not_at_all,
);

async fn two_dispatchers_assign_a_job_once(bed: &Bed) {
    let other = bed.open_again().await;
    for _ in 0..ROUNDS {
        let id = insert(&bed.store, &queued("race")).await.id;
        let mut tasks = JoinSet::new();
        for store in [bed.store.clone(), other.clone(), bed.store.clone(), other.clone()] {
            tasks.spawn(async move {
                let at = attempt(1);
                (at, store.job_assign(id, &at).await.unwrap())
            });
        }
        let winners: Vec<_> = tasks.join_all().await.into_iter().filter_map(|(at, won)| won.then_some(at)).collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(bed.store.job_get(id).await.unwrap().unwrap().state, JobState::Assigned(winners[0]));
        assert_eq!(bed.store.job_attempts(id).await.unwrap().len(), 1);
    }
    other.close().await.unwrap();
}

async fn a_cancel_and_a_success_make_one_end(bed: &Bed) {
    for round in 0..ROUNDS {
        let (id, _) = assigned(&bed.store).await;
        let (one, two) = (bed.store.clone(), bed.store.clone());
        let files = [artifact(1, 0)];
        let cancel = tokio::spawn(async move { !one.job_cancel(id).await.unwrap().is_empty() });
        let succeed =
            tokio::spawn(async move { two.job_succeed(id, 1, id, Ran::default(), &files).await.unwrap().is_some() });
        let (cancelled, succeeded) = (cancel.await.unwrap(), succeed.await.unwrap());
        assert!(cancelled ^ succeeded, "round {round}: {cancelled} {succeeded}");
        let state = bed.store.job_get(id).await.unwrap().unwrap().state;
        assert_eq!(state, if cancelled { JobState::Cancelled } else { JobState::Succeeded });
        assert_eq!(bed.store.artifacts_of(id).await.unwrap().len(), usize::from(succeeded));
        let outcome = bed.store.job_attempts(id).await.unwrap().remove(0).outcome;
        assert_eq!(outcome.as_deref(), Some(state.kind().as_str()));
    }
}

async fn a_requeue_and_a_success_make_one_change(bed: &Bed) {
    for _ in 0..ROUNDS {
        let (id, _) = assigned(&bed.store).await;
        let (one, two) = (bed.store.clone(), bed.store.clone());
        let requeue = tokio::spawn(async move { one.job_requeue(id, 1, &failure(), &[]).await.unwrap() });
        let succeed =
            tokio::spawn(async move { two.job_succeed(id, 1, id, Ran::default(), &[]).await.unwrap().is_some() });
        assert!(requeue.await.unwrap() ^ succeed.await.unwrap());
    }
}

async fn a_job_that_is_shown_is_never_read_as_ended_without_its_picture(bed: &Bed) {
    let of = ShowcaseOf::Style(style("oil").id);
    for _ in 0..ROUNDS {
        // The picture of the round before is on view meanwhile.
        let (id, _) = assigned(&bed.store).await;
        bed.store.showcase_add(of, id, "look").await.unwrap();
        let store = bed.store.clone();
        let succeed =
            tokio::spawn(async move { store.job_succeed(id, 1, id, Ran::default(), &[artifact(1, 0)]).await.unwrap() });
        loop {
            let found = bed.store.showcases(Some(of)).await.unwrap();
            let newest = &found.of(of)[0];
            assert_eq!(newest.job.id, id);
            if newest.job.state == JobState::Succeeded {
                assert_eq!(newest.pictures.len(), 1, "it would be asked for once more");
                break;
            }
        }
        assert!(succeed.await.unwrap().is_some());
        bed.clock.advance(chrono::TimeDelta::seconds(1));
    }
}

/// A call that is dropped at any moment leaves the one writing connection usable, and no half of a job.
async fn what_nobody_waits_for_is_written_whole_or_not_at_all(bed: &Bed) {
    let with_text = JobFilter { text: Some("dropped".to_owned()), ..JobFilter::default() };
    for turns in (0..8).chain((8..400).step_by(28)) {
        let new = queued("dropped");
        tokio::select! {
            biased;
            _ = bed.store.job_insert(&new) => {}
            () = turns_of(turns) => {}
        }
        let after = insert(&bed.store, &queued("after")).await.id;
        assert!(bed.store.job_assign(after, &attempt(1)).await.unwrap(), "after {turns} turns");
        assert_eq!(bed.store.job_attempts(after).await.unwrap().len(), 1);
        let stored = bed.store.job_get(new.id).await.unwrap().is_some();
        let found = bed.store.job_list(&with_text, None, 500).await.unwrap().jobs;
        assert_eq!(found.iter().any(|job| job.id == new.id), stored, "after {turns} turns");
    }
}

async fn turns_of(turns: u32) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

async fn of_many_plans_one_is_taken_with_its_warnings(bed: &Bed) {
    for round in 0..ROUNDS {
        let new = NewJob { warnings: vec!["first".to_owned()], ..planning("race") };
        let id = insert(&bed.store, &new).await.id;
        let mut tasks = JoinSet::new();
        for n in 0..10 {
            let store = bed.store.clone();
            tasks.spawn(async move {
                let warning = n.to_string();
                let won = store.job_planned(id, &recipe(), std::slice::from_ref(&warning)).await.unwrap();
                won.then_some(warning)
            });
        }
        let winners: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        assert_eq!(bed.store.job_get(id).await.unwrap().unwrap().warnings, ["first", winners[0].as_str()]);
    }
}
