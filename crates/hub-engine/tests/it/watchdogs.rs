//! Nothing hangs for ever: each wait ends, and the job goes on elsewhere.

use std::time::{Duration, Instant};

use hub_core::{error::ErrorCode, job::JobState};
use hub_sim::Fault;
use serde_json::json;

use crate::fixture::{TestEngine, servers};

/// Far below every limit that could end such a wait instead, and kept on a busy machine.
const SOON: Duration = Duration::from_secs(10);
/// A run that does not end by itself before its server stands still, with events more often than a limit of 2 s asks.
const LONG_MS: u64 = 10_000;

/// Two servers of which the first gets the job, with a stall limit, and runs it for so long. The second one is quick.
async fn two(run_ms: u64, stall_limit_s: u32) -> TestEngine {
    let test = servers(2).server(0, |sim| sim.run_ms = run_ms).start().await;
    test.change_server(0, |server| server.stall_limit_s = stall_limit_s).await;
    test.change_server(1, |server| server.weight = 0.1).await;
    test
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_prompt_is_posted_elsewhere_soon_after_the_limit() {
    let test = two(200, 2).await;
    test.sims[0].inject(Fault::Hang);
    let job = test.generate_sampled("a").await;
    test.until_running(job).await;
    let hung = Instant::now();
    test.success(job).await;
    println!("a hung prompt's job ended elsewhere after {:?} at a limit of 2 s", hung.elapsed());
    assert!(hung.elapsed() < SOON, "{:?}", hung.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_loses_its_job_soon_after_the_limit() {
    let test = two(LONG_MS, 2).await;
    let job = test.generate_sampled("a").await;
    test.until_running(job).await;
    test.sims[0].freeze();
    let frozen = Instant::now();
    test.until("it is posted elsewhere", || test.sims[1].stats().prompts_received == 1).await;
    println!("a frozen server's job was posted elsewhere after {:?} at a limit of 2 s", frozen.elapsed());
    assert!(frozen.elapsed() < SOON, "{:?}", frozen.elapsed());
    test.success(job).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_loses_a_job_whose_events_nobody_hears() {
    let test = two(LONG_MS, 2).await;
    test.sims[0].inject(Fault::DropSocket);
    let job = test.generate_sampled("a").await;
    test.until("the socket was dropped", || test.sims[0].stats().ws_connections == 2).await;
    test.sims[0].freeze();
    let frozen = Instant::now();
    test.until("it is posted elsewhere", || test.sims[1].stats().prompts_received == 1).await;
    assert!(frozen.elapsed() < SOON, "{:?}", frozen.elapsed());
    test.success(job).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_history_is_broken_for_good_loses_the_job() {
    let test = two(100, 1).await;
    let broken = Fault::Http { route: "GET /history".to_owned(), status: 500, body: "oops".to_owned() };
    test.sims[0].inject(broken.always());
    let view = test.success(test.generate_sampled("a").await).await;
    assert_eq!(view.server.as_deref(), Some("gpu-2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_behind_somebody_elses_endless_prompt_goes_elsewhere() {
    let test = servers(2).config(|config| config.poll_interval = Duration::from_millis(200)).start().await;
    test.change_server(0, |server| {
        server.run_limit_s = 1;
        server.max_in_flight = 1;
        server.weight = 100.0;
    })
    .await;
    test.sims[0].inject(Fault::Hang.containing("somebody"));
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "somebody"}},
    });
    let posted = reqwest::Client::builder().build().unwrap().post(format!("{}/prompt", test.sims[0].url()));
    let answer = posted.body(json!({ "prompt": graph }).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let view = test.success(test.generate_sampled("a").await).await;
    assert_eq!((view.server.as_deref(), view.job.attempts), (Some("gpu-2"), 2));
    // Somebody else's prompt is none of our business.
    assert_eq!(test.sims[0].stats().interrupts, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_job_does_not_wait_for_a_reply_that_never_comes() {
    let test = servers(1).run_ms(20_000).start().await;
    test.sims[0].inject(Fault::AcceptThenTimeout);
    test.sims[0].inject(Fault::Deaf);
    let job = test.generate_sampled("a").await;
    test.until("it is posted", || test.sims[0].stats().prompts_received == 1).await;
    let asked = Instant::now();
    test.engine.cancel(job).await.unwrap();
    test.until("it is interrupted", || test.sims[0].stats().interrupts == 1).await;
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_memory_is_tried_once_more_after_the_memory_was_freed() {
    let test = servers(1).start().await;
    test.sims[0].inject(Fault::out_of_memory());
    let view = test.success(test.generate_sampled("a").await).await;
    assert_eq!(view.job.attempts, 2);
    assert_eq!(test.sims[0].stats().requests_by_route.get("POST /free"), Some(&1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_memory_goes_on_to_a_bigger_card_and_never_to_a_smaller_one() {
    let gib = |n: u64| n << 30;
    let test = servers(3)
        .server(0, |sim| sim.vram_total = gib(12))
        .server(1, |sim| sim.vram_total = gib(8))
        .server(2, |sim| sim.vram_total = gib(24))
        .start()
        .await;
    test.change_server(0, |server| server.weight = 100.0).await;
    test.change_server(1, |server| server.weight = 50.0).await;
    test.sims[0].inject(Fault::out_of_memory().always());
    let view = test.success(test.generate_sampled("a").await).await;
    assert_eq!((view.server.as_deref(), view.job.attempts), (Some("gpu-3"), 2));
    assert_eq!(test.sims[1].stats().prompts_received, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_memory_everywhere_fails_within_the_budget() {
    let test = servers(2).start().await;
    test.sims.iter().for_each(|sim| sim.inject(Fault::out_of_memory().always()));
    let view = test.end(test.generate_sampled("a").await).await;
    let JobState::Failed(error) = &view.job.state else { panic!("{:?}", view.job.state) };
    assert_eq!(error.code, ErrorCode::OutOfMemory);
    assert!(view.job.attempts <= 3, "{}", view.job.attempts);
}
