//! What became of the jobs of some days.

use chrono::{Days, TimeDelta};
use hub_core::caller::Caller;
use hub_store::{GroupStatistics, NewJob, Percentiles, Ran, Tally};

use crate::{
    bed::{Bed, on_both, start},
    samples::{artifact, assigned, attempt, failure, insert, planning, queued, succeeded},
};

on_both!(
    jobs_are_counted_by_day_and_by_what_they_share,
    a_day_that_is_over_is_counted_again_only_when_jobs_were_deleted,
    nothing_is_a_row_of_empty_days,
);

async fn jobs_are_counted_by_day_and_by_what_they_share(bed: &Bed) {
    let store = &bed.store;
    // Yesterday: the first server gives the job back after 5 s, the second takes 3 s to start and 20 s to run.
    let robot = Caller::named("robot");
    let id = insert(store, &NewJob { caller: robot.clone(), ..queued("a cat") }).await.id;
    let (first, second) = (attempt(1), hub_core::job::Attempt { number: 2, ..attempt(2) });
    assert!(store.job_assign(id, &first).await.unwrap());
    bed.clock.advance(TimeDelta::seconds(5));
    assert!(store.job_requeue(id, 1, &failure(), &[first.server]).await.unwrap());
    assert!(store.job_assign(id, &second).await.unwrap());
    bed.clock.advance(TimeDelta::seconds(3));
    assert!(store.job_started(id, 2, store.clock().now()).await.unwrap());
    bed.clock.advance(TimeDelta::seconds(20));
    let ran = Ran { loaded: Some(true), ..Ran::default() };
    assert!(store.job_succeed(id, 2, id, ran, &[artifact(1, 0), artifact(2, 1)]).await.unwrap().is_some());
    // Today: one fails, one is cancelled, one waits without a plan.
    bed.clock.advance(TimeDelta::days(1));
    let failed = insert(store, &queued("a dog")).await.id;
    assert!(store.job_fail(failed, None, &failure()).await.unwrap());
    let cancelled = insert(store, &queued("a cow")).await.id;
    store.job_cancel(cancelled).await.unwrap();
    insert(store, &planning("a hen")).await;

    let both = store.statistics(2).await.unwrap();
    let (yesterday, today) = (start().date_naive(), start().date_naive() + Days::new(1));
    assert_eq!(both.days.iter().map(|day| day.day).collect::<Vec<_>>(), [yesterday, today]);
    let won = Tally { succeeded: 1, ..Tally::default() };
    let rest = Tally { failed: 1, cancelled: 1, active: 1, ..Tally::default() };
    assert_eq!((both.days[0].jobs, both.days[0].pictures, both.days[0].gpu_ms), (won, 2, 25_000));
    assert_eq!((both.days[0].model_loads, both.days[1].model_loads), (1, 0));
    assert_eq!((both.days[1].jobs, both.days[1].pictures, both.days[1].gpu_ms), (rest, 0, 0));
    assert_eq!((both.jobs.total(), both.jobs.success_rate()), (4, Some(0.5)));
    let same = |ms| Some(Percentiles { p50_ms: ms, p95_ms: ms });
    assert_eq!(both.run, same(20_000));
    assert_eq!(both.servers.len(), 2);
    let given_back = Tally { failed: 1, ..Tally::default() };
    assert_eq!(
        both.servers[&first.server],
        GroupStatistics { jobs: given_back, gpu_ms: 5_000, ..GroupStatistics::default() }
    );
    assert_eq!(
        both.servers[&second.server],
        GroupStatistics { jobs: won, run: same(20_000), gpu_ms: 20_000, model_loads: 1 }
    );
    let planned = Tally { succeeded: 1, failed: 1, cancelled: 1, active: 0 };
    assert_eq!(
        both.render_types["draft"],
        GroupStatistics { jobs: planned, run: same(20_000), gpu_ms: 25_000, model_loads: 1 }
    );
    assert_eq!(both.styles["oil"].jobs, planned);
    assert_eq!(both.callers["robot"], GroupStatistics { jobs: won, run: same(20_000), gpu_ms: 25_000, model_loads: 1 });
    assert_eq!(both.callers[Caller::local().as_str()].jobs, rest);

    let today = store.statistics(1).await.unwrap();
    assert_eq!((today.days.len(), today.jobs, today.run), (1, rest, None));
    assert!(today.servers.is_empty() && !today.callers.contains_key("robot"));
}

async fn a_day_that_is_over_is_counted_again_only_when_jobs_were_deleted(bed: &Bed) {
    let store = &bed.store;
    let (waits, _) = assigned(store).await;
    let made = succeeded(store, &[artifact(1, 0)]).await;
    let jobs = || async { store.statistics(3).await.unwrap().days[0].jobs };
    bed.clock.advance(TimeDelta::days(2));
    assert_eq!(jobs().await, Tally { succeeded: 1, active: 1, ..Tally::default() });
    // It was not over: one of its jobs ended two days later.
    store.job_cancel(waits).await.unwrap();
    let over = Tally { succeeded: 1, cancelled: 1, ..Tally::default() };
    assert_eq!(jobs().await, over);
    assert_eq!(jobs().await, over);
    let pictures = store.artifacts_of(made).await.unwrap();
    assert_eq!(store.statistics(3).await.unwrap().days[0].pictures, 1);
    store.artifacts_delete(&[pictures[0].id], false).await.unwrap();
    assert_eq!(store.statistics(3).await.unwrap().days[0].pictures, 0);
    let deleted = store.jobs_delete_older(store.clock().now() - TimeDelta::days(1), 100).await.unwrap();
    assert!(deleted.is_empty(), "its picture is gone already");
    assert_eq!(jobs().await, Tally { cancelled: 1, ..Tally::default() });
}

async fn nothing_is_a_row_of_empty_days(bed: &Bed) {
    let nothing = bed.store.statistics(30).await.unwrap();
    assert_eq!((nothing.days.len(), nothing.jobs, nothing.whole), (30, Tally::default(), None));
    assert_eq!(nothing.jobs.success_rate(), None);
    assert_eq!((bed.store.statistics(0).await.unwrap().days.len(), nothing.styles.len()), (1, 0));
}
