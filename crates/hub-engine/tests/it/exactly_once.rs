//! What was begun and then lost sight of: found again, ended once, and not left running for nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use hub_core::{
    clock::MockClock,
    error::{ErrorCode, UserError},
    ids::{JobId, PromptId, ServerId},
    job::{Attempt, JobState},
    server::{ServerAuth, ServerState},
};
use hub_sim::{Fault, Outcome};
use serde_json::json;

use crate::fixture::{PATIENCE, TestEngine, servers, start_engine, start_engine_at};

impl TestEngine {
    /// Leaves a job in the queue of a hub that has ended.
    async fn leave_queued(&mut self) -> JobId {
        for sim in &mut self.sims {
            sim.kill().await;
        }
        self.until("all servers are down", || self.engine.servers().iter().all(|view| view.state == ServerState::Down))
            .await;
        let job = self.generate_sampled("left").await;
        self.engine.shutdown(Duration::ZERO).await;
        for sim in &mut self.sims {
            sim.restart().await;
        }
        job
    }

    /// Writes an attempt as an engine does before it posts; the engine must have ended.
    async fn assign(&self, job: JobId, number: u32, server: ServerId) -> Attempt {
        let attempt = Attempt { number, server, prompt_id: PromptId::random() };
        assert!(self.engine.store().job_assign(job, &attempt).await.unwrap());
        attempt
    }

    /// The next engine on the same data.
    async fn start_again(&mut self) {
        self.engine = start_engine(&self.dir, self.config.clone()).await;
    }
}

fn lost() -> UserError {
    UserError::new(ErrorCode::ServerLost, "gpu-1 was lost while it had the job.")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_whose_job_moved_is_withdrawn_although_the_hub_died_before_it_could() {
    let mut test = servers(1).run_ms(20_000).start().await;
    let job = test.generate_sampled("first").await;
    test.until_running(job).await;
    test.engine.shutdown(Duration::ZERO).await;
    // The last thing the hub did was to write that the job goes back to the queue.
    assert!(test.engine.store().job_requeue(job, 1, &lost(), &[]).await.unwrap());
    test.start_again().await;
    test.until("the prompt that nobody waits for is interrupted", || {
        test.sims[0].stats().executed.iter().any(|run| run.outcome == Outcome::Interrupted)
    })
    .await;
    test.engine.cancel(job).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_that_could_not_be_withdrawn_at_first_is_withdrawn_later() {
    let test = servers(1).run_ms(20_000).start().await;
    let job = test.generate_sampled("first").await;
    test.until_running(job).await;
    let broken = Fault::Http { route: "POST /jobs".to_owned(), status: 500, body: "oops".to_owned() };
    test.sims[0].inject(broken.next(1));
    test.engine.cancel(job).await.unwrap();
    test.until("it is interrupted", || test.sims[0].stats().interrupts == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_died_before_it_posted_does_not_blame_the_server() {
    let mut test = servers(1).config(|config| config.attempts_max = 1).start().await;
    let server = test.server_id(0);
    let job = test.leave_queued().await;
    test.assign(job, 1, server).await;
    test.start_again().await;
    assert_eq!(test.success(job).await.job.attempts, 2);
    assert_eq!(test.sims[0].stats().prompts_received, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_attempts_count_across_a_restart() {
    let mut test = servers(1).run_ms(50).start().await;
    let server = test.server_id(0);
    let job = test.leave_queued().await;
    for number in 1..=2 {
        test.assign(job, number, server).await;
        assert!(test.engine.store().job_requeue(job, number, &lost(), &[]).await.unwrap());
    }
    test.sims[0].inject(Fault::RestartEmpty.always());
    test.start_again().await;
    let view = test.end(job).await;
    let JobState::Failed(error) = &view.job.state else { panic!("{:?}", view.job.state) };
    assert_eq!((error.code, view.job.attempts), (ErrorCode::ServerLost, 3));
    assert!(error.message.contains("3 times"), "{}", error.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_credentials_cannot_be_read_any_more_gives_its_job_back() {
    let mut test = servers(2).start().await;
    let server = test.server_id(0);
    let job = test.leave_queued().await;
    test.assign(job, 1, server).await;
    let store = test.engine.store();
    let mut stored = store.server_list().await.unwrap().into_iter().find(|stored| stored.id == server).unwrap();
    stored.auth = ServerAuth::Bearer { token: "env:NO_SUCH_VARIABLE_ANYWHERE".to_owned().into() };
    stored.stall_limit_s = 1;
    assert!(store.server_update(&stored).await.unwrap());
    test.start_again().await;
    assert_eq!(test.success(job).await.server.as_deref(), Some("gpu-2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_result_of_an_attempt_that_was_given_up_is_ignored() {
    let test = servers(2).run_ms(2500).start().await;
    // The healthy one keeps its long limit: on a busy machine a second without an event is nothing unusual.
    test.change_server(0, |server| server.stall_limit_s = 1).await;
    test.change_server(1, |server| server.weight = 0.1).await;
    let job = test.generate_sampled("a").await;
    test.until_running(job).await;
    // The server works on, but nobody hears of it until long after.
    test.sims[0].freeze();
    let view = test.success(job).await;
    assert_eq!((view.job.attempts, view.server.as_deref()), (2, Some("gpu-2")));
    test.until("the first server is done too", || test.successes() == [1, 1]).await;
    test.sims[0].thaw();
    test.until_all_ready().await;
    let after = test.engine.view(job).await.unwrap();
    assert_eq!((&after.artifacts, &after.job), (&view.artifacts, &view.job));
    let attempts = test.engine.store().job_attempts(job).await.unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome.as_deref().unwrap()).collect();
    assert_eq!(outcomes, ["requeued", "succeeded"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_left_on_a_frozen_server_is_taken_off_when_it_thaws() {
    let test = servers(2).run_ms(6000).start().await;
    test.change_server(0, |server| server.stall_limit_s = 1).await;
    test.change_server(1, |server| server.weight = 0.1).await;
    let job = test.generate_sampled("a").await;
    test.until_running(job).await;
    test.sims[0].freeze();
    test.until("the job is elsewhere", || test.sims[1].stats().prompts_received == 1).await;
    test.sims[0].thaw();
    test.until("it is interrupted", || test.sims[0].stats().interrupts == 1).await;
    test.success(job).await;
    assert_eq!(test.successes(), [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_finds_its_job_while_it_runs_after_it_and_across_a_restart() {
    let mut test = servers(1).run_ms(300).start().await;
    let first = test.submit_with_key("k", json!({ "prompt": "x" })).await.unwrap();
    assert!(!first.replayed);
    let during = test.submit_with_key("k", json!({ "prompt": "x" })).await.unwrap();
    assert_eq!((during.job.id, during.replayed), (first.job.id, true));
    let ended = test.success(first.job.id).await;
    let after = test.submit_with_key("k", json!({ "prompt": "x" })).await.unwrap();
    assert_eq!((after.job.id, after.job.state, after.replayed), (first.job.id, JobState::Succeeded, true));
    test.engine.shutdown(Duration::ZERO).await;
    test.start_again().await;
    let again = test.submit_with_key("k", json!({ "prompt": "x" })).await.unwrap();
    assert_eq!((again.job.id, again.replayed), (first.job.id, true));
    assert_eq!(test.engine.view(first.job.id).await.unwrap().artifacts, ended.artifacts);
    assert!(test.submit_with_key("k", json!({ "prompt": "another" })).await.is_err(), "the key has another request");
    assert_eq!(test.sims[0].stats().prompts_received, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_finds_its_job_although_the_queue_is_full_and_the_catalogue_changed() {
    let mut test = servers(1).config(|config| config.queue_max = 1).start().await;
    test.sims[0].kill().await;
    test.until("it is down", || test.engine.servers()[0].state == ServerState::Down).await;
    let arguments = json!({ "prompt": "x", "render_type": "sampled" });
    let first = test.submit_with_key("k", arguments.clone()).await.unwrap();
    let full = test.submit_with_key("other", arguments.clone()).await.unwrap_err();
    assert_eq!(full.code, ErrorCode::QueueFull);
    let render_types = test.engine.store().render_type_list().await.unwrap();
    let sampled = render_types.iter().find(|kind| kind.name == "sampled").unwrap();
    test.engine.render_type_delete(sampled.id).await.unwrap();
    let again = test.submit_with_key("k", arguments).await.unwrap();
    assert_eq!((again.job.id, again.replayed), (first.job.id, true));
    test.engine.cancel(first.job.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_call_does_not_store_its_picture_again() {
    let test = servers(1).start().await;
    let picture = crate::hub::picture(16, 16, image::ImageFormat::Png);
    let uri = format!(
        "data:image/png;base64,{}",
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, picture)
    );
    let mut jobs = Vec::new();
    for _ in 0..3 {
        let call = test.call_with_key("upscale_image", "k", json!({ "image": uri })).await.unwrap();
        jobs.push(call.job.id);
    }
    assert!(jobs.iter().all(|job| *job == jobs[0]));
    test.success(jobs[0]).await;
    let stored = test.engine.store().artifact_list(100, None).await.unwrap().artifacts;
    assert_eq!(stored.len(), 2, "one input, one result: {stored:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_servers_job_starts_elsewhere_long_before_the_next_probe() {
    let mut test =
        servers(2).run_ms(60_000).config(|config| config.probe_interval = Duration::from_hours(1)).start().await;
    test.change_server(1, |server| server.weight = 0.1).await;
    let job = test.generate_sampled("a").await;
    test.until_running(job).await;
    let killed = Instant::now();
    test.sims[0].kill().await;
    test.until("it is posted elsewhere", || test.sims[1].stats().prompts_received == 1).await;
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    println!("a killed server's job was posted elsewhere after {took:?}");
    test.engine.cancel(job).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_costs_its_server_at_most_four_requests_and_one_for_each_picture() {
    let test = servers(1).run_ms(20).config(|config| config.probe_interval = Duration::from_hours(1)).start().await;
    let before = requests(&test);
    let jobs = futures_util::future::join_all((0..20).map(|n| {
        test.submit(
            "generate_image",
            json!({ "prompt": "x", "seed": n, "width": 64, "height": 64, "render_type": "several" }),
        )
    }))
    .await;
    let mut pictures = 0;
    for job in jobs {
        pictures += test.success(job).await.artifacts.len() as u64;
    }
    let spent = requests(&test) - before;
    println!("20 jobs with {pictures} pictures: {spent} requests");
    assert!(spent <= 20 * 4 + pictures, "{:?}", test.sims[0].stats().requests_by_route);
}

/// Requests that the first server got.
fn requests(test: &TestEngine) -> u64 {
    test.sims[0].stats().requests_by_route.values().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_a_prompt_may_run_counts_from_its_start_whatever_happens_to_the_hub() {
    let mut test = servers(1).run_ms(60_000).start().await;
    test.leaves_jobs = true;
    // Far longer than this test waits for anything: only the clock brings it to its end.
    test.change_server(0, |server| server.run_limit_s = 120).await;
    let job = test.generate_sampled("a").await;
    test.until_running(job).await;
    test.until("its start is stored", || {
        let store = test.engine.store().clone();
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(store.job_get(job)))
            .unwrap()
            .is_some_and(|job| matches!(job.state, JobState::Running(_)))
    })
    .await;
    test.engine.shutdown(Duration::ZERO).await;
    // The next hub comes when that time has passed.
    let later = test.engine.store().clock().now() + TimeDelta::minutes(5);
    let clock = Arc::new(MockClock::at(later));
    test.engine = start_engine_at(test.dir.path(), test.config.clone(), clock).await;
    let view = test.engine.wait(job, PATIENCE).await.unwrap();
    assert!(matches!(&view.job.state, JobState::Failed(error) if error.code == ErrorCode::TimedOut), "{view:?}");
}
