//! The machine's clock is set by a day, either way, while jobs wait, run and are collected: nothing ends, gets lost, is
//! made twice, or hangs because of it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use hub_core::{
    caller::Caller,
    clock::{Clock, SteadyClock, SystemClock},
};
use hub_engine::ReconcilerStatus;
use hub_sim::Fault;
use serde_json::json;

use crate::fixture::{PATIENCE, TestEngine, servers, start_engine_at};

/// The machine's clock, and by how much somebody set it.
struct SetClock(Mutex<TimeDelta>);

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + *self.0.lock().unwrap()
    }
}

impl SetClock {
    fn set(&self, by: TimeDelta) {
        *self.0.lock().unwrap() += by;
    }
}

/// A picture that a caller gives.
const GIVEN: &[u8] = include_bytes!("../fixtures/turned.jpg");
const DAY: TimeDelta = TimeDelta::days(1);

/// One server that runs one thing at a time; limits shorter than the clock's step.
async fn started() -> (Arc<SetClock>, TestEngine) {
    let machine = Arc::new(SetClock(Mutex::new(TimeDelta::zero())));
    let clock = Arc::new(SteadyClock::over(machine.clone(), |_| ()));
    let test = servers(1)
        .run_ms(100)
        .clock(clock)
        .config(|config| {
            config.queue_wait_limit = Duration::from_hours(23);
            config.retention_days = Some(1);
        })
        .start()
        .await;
    test.change_server(0, |server| server.max_in_flight = 1).await;
    (machine, test)
}

/// Runs every task of upkeep, none of which may find anything to do.
async fn upkeep_is_idle(test: &TestEngine) {
    for task in ["restart", "expire", "retention", "orphans"] {
        let run = test.engine.reconcile(task).await.unwrap();
        let last = run.last.unwrap().status;
        assert!(matches!(last, ReconcilerStatus::Idle), "{task}: {last:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_wait_run_and_are_collected_outlive_a_set_clock() {
    for by in [DAY, -DAY] {
        let (machine, test) = started().await;
        let finished = test.generate("made before").await;
        test.success(finished).await;
        let given = test.engine.store_input(&Caller::local(), Bytes::from_static(GIVEN)).await.unwrap();
        test.sims[0].inject(Fault::Hold.always());
        let running = test.generate("at work").await;
        test.until_running(running).await;
        let waiting = [test.generate("waits").await, test.generate("waits too").await];

        machine.set(by);
        upkeep_is_idle(&test).await;
        for job in [running, waiting[0], waiting[1]] {
            let state = test.engine.view(job).await.unwrap().job.state;
            assert!(!state.kind().is_terminal(), "{state:?} by {by}");
        }
        let late = test.generate("asked for afterwards").await;
        test.sims[0].clear_faults();
        for job in [running, waiting[0], waiting[1], late] {
            test.success(job).await;
        }
        // And right again.
        machine.set(-by);
        upkeep_is_idle(&test).await;
        test.success(finished).await;
        test.engine.artifact(given.id).await.expect("a given picture that is a moment old stays");
        assert_eq!(test.successes(), [5], "each was made once, by {by}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_comes_twice_is_one_job_though_the_clock_was_set_in_between() {
    for by in [DAY, -DAY] {
        let (machine, test) = started().await;
        let seeded = || test.submit("generate_image", json!({"prompt": "a fox", "seed": 7, "width": 64, "height": 64}));
        let first = seeded().await;
        test.success(first).await;
        let keyed = test.submit_with_key("k", json!({"prompt": "keyed", "width": 64, "height": 64})).await.unwrap();
        test.success(keyed.job.id).await;
        machine.set(by);
        assert_eq!(seeded().await, first, "by {by}");
        let again = test.submit_with_key("k", json!({"prompt": "keyed", "width": 64, "height": 64})).await.unwrap();
        assert!(again.replayed && again.job.id == keyed.job.id, "by {by}");
        assert_eq!(test.successes(), [2]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_taken_up_after_the_clock_was_set_keeps_the_time_it_has() {
    let (machine, mut test) = started().await;
    test.sims[0].inject(Fault::Slow { factor: 40.0 });
    let job = test.generate("at work").await;
    test.until_running(job).await;
    let started = async || test.engine.view(job).await.unwrap().job.times.started_at.is_some();
    tokio::time::timeout(PATIENCE, async { while !started().await {} }).await.expect("its start is stored");
    test.engine.shutdown(Duration::ZERO).await;
    machine.set(DAY);
    let clock = test.engine.store().clock().clone();
    test.engine = start_engine_at(test.dir.path(), test.config.clone(), clock).await;
    let view = test.success(job).await;
    assert_eq!((view.job.attempts, test.successes()), (1, vec![1]));
}
