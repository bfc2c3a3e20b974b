//! The store accepts exactly what `JobState::apply` accepts, and ends where it ends. `collecting`, which it never
//! writes, is written by the test.

use hub_core::{
    error::UserError,
    ids::JobId,
    job::{Attempt, InvalidTransition, JobEvent, JobState},
    parts::Outcome,
};
use hub_store::Ran;
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

use crate::{
    bed::Bed,
    samples::{artifact, attempt, failure, insert, planning, queued, recipe},
};

/// One call of the store. Attempts are numbered as by a caller that may be late.
#[derive(Debug, Clone, Copy)]
enum Call {
    Planned,
    Assign,
    Started(u32),
    Collecting(u32),
    Succeed(u32),
    SucceedWithText,
    Requeue(u32),
    Fail(Option<u32>),
    Cancel,
    Expire,
    Began,
    Complete(bool),
}

fn any_call() -> impl Strategy<Value = Call> {
    let number = || 1..4u32;
    prop_oneof![
        2 => Just(Call::Planned),
        6 => Just(Call::Assign),
        4 => number().prop_map(Call::Started),
        4 => number().prop_map(Call::Collecting),
        1 => number().prop_map(Call::Succeed),
        1 => Just(Call::SucceedWithText),
        6 => number().prop_map(Call::Requeue),
        1 => proptest::option::of(number()).prop_map(Call::Fail),
        1 => Just(Call::Cancel),
        1 => Just(Call::Expire),
        2 => Just(Call::Began),
        1 => any::<bool>().prop_map(Call::Complete),
    ]
}

/// What the pure function makes of a call.
fn expected(state: JobState, call: Call, next: Attempt) -> Result<JobState, InvalidTransition> {
    match call {
        Call::Planned => state.apply(JobEvent::Planned),
        Call::Assign => state.apply(JobEvent::Assign(next)),
        Call::Started(attempt) => state.apply(JobEvent::Start { attempt }),
        Call::Collecting(attempt) => state.apply(JobEvent::Collect { attempt }),
        Call::Succeed(attempt) => {
            let collected = if matches!(state, JobState::Assigned(_) | JobState::Running(_)) {
                state.apply(JobEvent::Collect { attempt })?
            } else {
                state
            };
            collected.apply(JobEvent::Succeed { attempt: Some(attempt) })
        }
        Call::SucceedWithText => state.apply(JobEvent::Succeed { attempt: None }),
        Call::Requeue(attempt) => state.apply(JobEvent::Requeue { attempt }),
        Call::Fail(None) => state.apply(JobEvent::Fail(failure())),
        Call::Fail(Some(number)) => {
            if state.attempt().is_some_and(|owner| owner.number == number) {
                state.apply(JobEvent::Fail(failure()))
            } else {
                Err(InvalidTransition { from: state.kind(), event: "a late failure" })
            }
        }
        Call::Cancel => state.apply(JobEvent::Cancel),
        Call::Expire => state.apply(JobEvent::Expire),
        Call::Began => state.apply(JobEvent::Began),
        Call::Complete(good) => {
            let begun = if state == JobState::Queued { state.apply(JobEvent::Began)? } else { state };
            begun.apply(JobEvent::Complete(outcome(good)))
        }
    }
}

fn outcome(good: bool) -> Outcome {
    if good { Outcome::Succeeded { warning: None } } else { Outcome::Failed(failure()) }
}

async fn perform(bed: &Bed, id: JobId, call: Call, next: Attempt) -> bool {
    let store = &bed.store;
    let why: UserError = failure();
    match call {
        Call::Planned => store.job_planned(id, &recipe(), &[]).await,
        Call::Assign => store.job_assign(id, &next).await,
        Call::Started(attempt) => store.job_started(id, attempt, store.clock().now()).await,
        Call::Collecting(attempt) => Ok(bed.collecting(id, attempt).await),
        Call::Succeed(attempt) => {
            store.job_succeed(id, attempt, id, Ran::default(), &[artifact(1, 0)]).await.map(|won| won.is_some())
        }
        Call::SucceedWithText => store.job_succeed_with_text(id, "done", &[]).await,
        Call::Requeue(attempt) => store.job_requeue(id, attempt, &why, &[next.server]).await,
        Call::Fail(attempt) => store.job_fail(id, attempt, &why).await,
        Call::Cancel => store.job_cancel(id).await.map(|cancelled| !cancelled.is_empty()),
        Call::Expire => store.job_expire(id).await,
        Call::Began => store.job_began(id).await,
        Call::Complete(good) => store.job_complete(id, &outcome(good)).await,
    }
    .unwrap()
}

async fn compare(bed: &Bed, with_recipe: bool, calls: Vec<Call>) -> Result<(), TestCaseError> {
    let store = &bed.store;
    let job = insert(store, &if with_recipe { queued("x") } else { planning("x") }).await;
    let mut state = job.state;
    let mut attempts = 0;
    for call in calls {
        let next = attempt(attempts + 1);
        let expected = expected(state.clone(), call, next);
        let won = perform(bed, job.id, call, next).await;
        prop_assert_eq!(won, expected.is_ok(), "{:?} on {:?}", call, state);
        if let Ok(after) = expected {
            attempts += u32::from(matches!(call, Call::Assign));
            state = after;
        }
        let stored = store.job_get(job.id).await.unwrap().unwrap();
        prop_assert_eq!(&stored.state, &state, "after {:?}", call);
        prop_assert_eq!(stored.attempts, attempts);
        prop_assert_eq!(stored.times.finished_at.is_some(), state.kind().is_terminal());
    }
    let open = store.job_attempts(job.id).await.unwrap().into_iter().filter(|row| row.ended_at.is_none());
    prop_assert_eq!(open.map(|row| row.attempt).collect::<Vec<_>>(), Vec::from_iter(state.attempt()));
    Ok(())
}

fn check(bed: &Bed, runtime: &tokio::runtime::Runtime, cases: u32) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let calls = (any::<bool>(), proptest::collection::vec(any_call(), 1..30));
    TestRunner::new(config)
        .run(&calls, |(with_recipe, calls)| runtime.block_on(compare(bed, with_recipe, calls)))
        .unwrap();
}

#[test]
fn the_store_agrees_with_the_pure_function_on_sqlite() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bed = runtime.block_on(Bed::sqlite());
    check(&bed, &runtime, 128);
    runtime.block_on(bed.end());
}

#[test]
fn the_store_agrees_with_the_pure_function_on_postgres() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(bed) = runtime.block_on(Bed::postgres("the_store_agrees_with_the_pure_function")) {
        check(&bed, &runtime, 48);
        runtime.block_on(bed.end());
    }
}
