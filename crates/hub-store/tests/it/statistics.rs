//! What became of the jobs of some days.

use std::collections::BTreeMap;

use chrono::{Days, TimeDelta};
use hub_core::{
    caller::Caller,
    ids::JobId,
    parts::Outcome,
    recipe::Recipe,
    request::{ImageRequest, JobRequest},
};
use hub_store::{GroupStatistics, NewJob, NewPart, Percentiles, Ran, Tally};

use crate::{
    bed::{Bed, delete_old, on_both, start},
    samples::{artifact, assigned, attempt, failure, insert, planning, queued, recipe, succeeded},
};

on_both!(
    jobs_are_counted_by_day_and_by_what_they_share,
    half_and_nearly_all_are_told_by_day_and_by_what_jobs_share,
    a_job_in_parts_counts_once_for_each_of_its_styles_with_the_time_of_its_parts,
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
    assert_eq!(both.days.iter().map(|day| day.jobs.success_rate()).collect::<Vec<_>>(), [Some(1.0), Some(0.0)]);
    assert_eq!((both.days[1].jobs, both.days[1].pictures, both.days[1].gpu_ms), (rest, 0, 0));
    assert_eq!((both.jobs.total(), both.jobs.success_rate()), (4, Some(0.5)));
    let same = |ms| Some(Percentiles { p50_ms: ms, p95_ms: ms });
    assert_eq!((both.run, both.days[0].run, both.days[1].run), (same(20_000), same(20_000), None));
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
    assert_eq!(both.styles["oil"], both.render_types["draft"], "each of the jobs has both");
    assert_eq!(both.callers["robot"], GroupStatistics { jobs: won, run: same(20_000), gpu_ms: 25_000, model_loads: 1 });
    assert_eq!(both.callers[Caller::local().as_str()].jobs, rest);

    let today = store.statistics(1).await.unwrap();
    assert_eq!((today.days.len(), today.jobs, today.run), (1, rest, None));
    assert!(today.servers.is_empty() && !today.callers.contains_key("robot"));
}

async fn half_and_nearly_all_are_told_by_day_and_by_what_jobs_share(bed: &Bed) {
    let store = &bed.store;
    let at = attempt(1);
    for seconds in 1..=20 {
        let id = insert(store, &queued("a cat")).await.id;
        let on = hub_core::job::Attempt { server: at.server, ..attempt(1) };
        assert!(store.job_assign(id, &on).await.unwrap());
        assert!(store.job_started(id, 1, store.clock().now()).await.unwrap());
        bed.clock.advance(TimeDelta::seconds(seconds));
        let ran = Ran { loaded: Some(seconds % 4 == 0), ..Ran::default() };
        assert!(store.job_succeed(id, 1, id, ran, &[]).await.unwrap().is_some());
    }
    let told = store.statistics(1).await.unwrap();
    let run = Some(Percentiles { p50_ms: 10_000, p95_ms: 19_000 });
    let jobs = Tally { succeeded: 20, ..Tally::default() };
    let all = GroupStatistics { jobs, run, gpu_ms: 210_000, model_loads: 5 };
    let local = &told.callers[Caller::local().as_str()];
    for group in [&told.servers[&at.server], &told.render_types["draft"], &told.styles["oil"], local] {
        assert_eq!(*group, all);
    }
    let day = &told.days[0];
    assert_eq!((day.jobs, day.run, day.gpu_ms, day.model_loads), (jobs, run, 210_000, 5));
}

async fn a_job_in_parts_counts_once_for_each_of_its_styles_with_the_time_of_its_parts(bed: &Bed) {
    let store = &bed.store;
    let planned = Recipe { styles: vec!["oil".to_owned(), "ink".to_owned()], ..recipe() };
    let request = JobRequest::Image(ImageRequest { n: 2, ..ImageRequest::generate("foxes") });
    let new = NewJob { request, recipe: Some(planned.clone()), ..queued("foxes") };
    let parts = [1, 2].map(|seed| NewPart { id: JobId::new(), recipe: Recipe { seed, ..planned.clone() } });
    let (_, parts) = store.job_insert_in_parts(&new, &parts).await.unwrap();
    for (content, part) in (1..).zip(&parts) {
        assert!(store.job_assign(part.id, &attempt(1)).await.unwrap());
        assert!(store.job_started(part.id, 1, store.clock().now()).await.unwrap());
        bed.clock.advance(TimeDelta::seconds(4));
        let ran = Ran { loaded: Some(true), ..Ran::default() };
        let picture = artifact(content, part.part.unwrap().index);
        assert!(store.job_succeed(part.id, 1, new.id, ran, &[picture]).await.unwrap().is_some());
    }
    assert!(store.job_complete(new.id, &Outcome::Succeeded { warning: None }).await.unwrap());
    // A job without styles is told by none.
    let plain = Recipe { styles: Vec::new(), ..recipe() };
    insert(store, &NewJob { recipe: Some(plain), ..queued("a cat") }).await;

    let told = store.statistics(1).await.unwrap();
    let run = Some(Percentiles { p50_ms: 8_000, p95_ms: 8_000 });
    let jobs = Tally { succeeded: 1, ..Tally::default() };
    let whole = GroupStatistics { jobs, run, gpu_ms: 8_000, model_loads: 2 };
    let each = ["ink", "oil"].map(|style| (style.to_owned(), whole.clone()));
    assert_eq!(told.styles, BTreeMap::from(each));
    assert_eq!((told.days[0].run, told.days[0].gpu_ms, told.days[0].model_loads), (run, 8_000, 2));
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
    let deleted = delete_old(store, store.clock().now() - TimeDelta::days(1), 100).await;
    assert!(deleted.is_empty(), "its picture is gone already");
    assert_eq!(jobs().await, Tally { cancelled: 1, ..Tally::default() });
}

async fn nothing_is_a_row_of_empty_days(bed: &Bed) {
    let nothing = bed.store.statistics(30).await.unwrap();
    assert_eq!((nothing.days.len(), nothing.jobs, nothing.whole), (30, Tally::default(), None));
    assert_eq!(nothing.jobs.success_rate(), None);
    assert_eq!((bed.store.statistics(0).await.unwrap().days.len(), nothing.styles.len()), (1, 0));
}
