//! The hub stops, well or badly, and another takes up what it left.

use std::{sync::Arc, time::Duration};

use hub_core::{
    caller::Caller,
    clock::{Clock as _, MockClock, SystemClock},
    ids::JobId,
    job::{JobState, JobStateKind},
    request::ToolCall,
};
use hub_engine::{Engine, EngineConfig};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::fixture::{PATIENCE, servers, start_engine, start_engine_at, start_engine_in, until};

/// An engine that can be killed: all its tasks live in a runtime of their own.
struct Hub {
    runtime: Runtime,
    engine: Engine,
}

impl Hub {
    async fn start(dir: &TempDir, config: &EngineConfig) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let path = dir.path().to_owned();
        let config = config.clone();
        let engine = runtime.spawn(async move { start_engine_in(&path, config).await }).await.unwrap();
        Self { runtime, engine }
    }

    async fn submit(&self, prompt: &str) -> JobId {
        let engine = self.engine.clone();
        let arguments = json!({ "prompt": prompt, "render_type": "sampled", "width": 64, "height": 64 });
        let call = ToolCall::parse("generate_image", arguments.as_object().unwrap()).unwrap();
        self.runtime.spawn(async move { engine.submit(&Caller::local(), call).await.unwrap().job.id }).await.unwrap()
    }

    /// Ends everything at once, as a killed process does.
    fn kill(self) {
        let Self { runtime, engine } = self;
        runtime.shutdown_background();
        drop(engine);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_hub_finds_its_running_prompt_again_and_collects_it() {
    let mut test = servers(1).run_ms(1000).start().await;
    test.leaves_jobs = true;
    test.engine.shutdown(Duration::ZERO).await;
    let hub = Hub::start(&test.dir, &test.config).await;
    let (running, staged) = (hub.submit("first").await, hub.submit("second").await);
    let sim = &test.sims[0];
    until("both are on the server", || sim.stats().prompts_received == 2, String::new).await;
    hub.kill();

    let engine = start_engine(&test.dir, test.config.clone()).await;
    for job in [running, staged] {
        let view = engine.wait(job, PATIENCE).await.unwrap();
        assert_eq!(view.job.state, JobState::Succeeded);
        assert_eq!((view.job.attempts, view.artifacts.len()), (1, 1));
    }
    assert_eq!((test.sims[0].stats().prompts_received, test.successes()[0]), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_that_finished_while_the_hub_was_away_is_collected() {
    let mut test = servers(1).run_ms(100).start().await;
    test.leaves_jobs = true;
    test.engine.shutdown(Duration::ZERO).await;
    let hub = Hub::start(&test.dir, &test.config).await;
    let job = hub.submit("first").await;
    let sim = &test.sims[0];
    until("it is on the server", || sim.stats().prompts_received == 1, String::new).await;
    hub.kill();
    until("it ran", || test.successes()[0] == 1, String::new).await;

    let engine = start_engine(&test.dir, test.config.clone()).await;
    let view = engine.wait(job, PATIENCE).await.unwrap();
    assert_eq!((view.job.state, view.job.attempts), (JobState::Succeeded, 1));
    assert_eq!(test.sims[0].stats().prompts_received, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_that_the_server_lost_while_the_hub_was_away_is_run_again() {
    let mut test = servers(1).run_ms(1000).start().await;
    test.leaves_jobs = true;
    test.engine.shutdown(Duration::ZERO).await;
    let hub = Hub::start(&test.dir, &test.config).await;
    let job = hub.submit("first").await;
    let sim = &test.sims[0];
    until("it is on the server", || sim.stats().prompts_received == 1, String::new).await;
    hub.kill();
    test.sims[0].restart().await;

    let engine = start_engine(&test.dir, test.config.clone()).await;
    let view = engine.wait(job, PATIENCE).await.unwrap();
    assert_eq!((view.job.state, view.job.attempts), (JobState::Succeeded, 2));
    assert_eq!(test.successes()[0], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_stops_well_lets_jobs_end_within_the_grace() {
    let test = servers(1).run_ms(300).start().await;
    let job = test.generate_sampled("first").await;
    test.until_running(job).await;
    test.engine.shutdown(PATIENCE).await;
    assert_eq!(test.engine.view(job).await.unwrap().job.state, JobState::Succeeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_stops_without_grace_leaves_its_prompt_running() {
    let test = servers(1).run_ms(800).start().await;
    let running = test.generate_sampled("first").await;
    let staged = test.generate_sampled("second").await;
    let waiting = test.generate_sampled("third").await;
    test.until("two are on the server", || test.sims[0].stats().prompts_received == 2).await;
    test.engine.shutdown(Duration::ZERO).await;
    assert_eq!(test.sims[0].stats().interrupts, 0);
    let engine = start_engine(&test.dir, test.config.clone()).await;
    for job in [running, staged, waiting] {
        let view = engine.wait(job, PATIENCE).await.unwrap();
        assert_eq!((view.job.state.kind(), view.job.attempts), (JobStateKind::Succeeded, 1));
    }
    assert_eq!(test.successes(), [3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_older_than_they_may_be_are_deleted_with_their_files_and_favourites_are_kept() {
    let test = servers(1).start().await;
    let old = test.success(test.generate("old").await).await;
    let loved = test.success(test.generate("loved").await).await;
    test.engine.store().artifact_set_favourite(loved.artifacts[0].id, true).await.unwrap();
    test.engine.shutdown(Duration::ZERO).await;
    let file = |view: &hub_engine::JobView| test.dir.path().join("pictures").join(view.artifacts[0].object_key());
    assert!(file(&old).is_file() && file(&loved).is_file());

    let config = EngineConfig { retention_days: Some(30), ..test.config.clone() };
    let begin = |days: i64| {
        let clock = Arc::new(MockClock::at(SystemClock.now() + chrono::TimeDelta::days(days)));
        start_engine_at(test.dir.path(), config.clone(), clock)
    };
    let soon = begin(29).await;
    // Both tasks run at once at the start, in either order: give the deleting one every chance.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(soon.view(old.job.id).await.is_ok(), "not old enough yet");
    soon.shutdown(Duration::ZERO).await;

    let late = begin(31).await;
    let gone = async {
        while late.view(old.job.id).await.is_ok() || file(&old).exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the old job goes with its file");
    assert_eq!(late.view(loved.job.id).await.unwrap().artifacts.len(), 1);
    assert!(file(&loved).is_file());
    late.shutdown(Duration::ZERO).await;
}
