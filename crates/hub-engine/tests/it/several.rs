//! Several pictures of one call: spread over the pool, one job to whoever asked.

use std::collections::BTreeSet;

use hub_core::{
    caller::Caller,
    catalogue::{Mode, RenderType},
    error::ErrorCode,
    ids::JobId,
    job::{Job, JobState, JobStateKind},
    request::ToolCall,
    server::LlmRole,
};
use hub_engine::{EngineConfig, JobView, Precedence};
use hub_sim::{Fault, Outcome, ollama::OllamaConfig};
use hub_store::JobFilter;
use serde_json::{Value, json};

use crate::{
    fixture::{PATIENCE, TestEngine, servers, start_engine},
    hub::Hub,
};

/// Asks for `n` small pictures with seeds from 7.
async fn ask(test: &TestEngine, n: u32) -> JobId {
    test.submit("generate_image", arguments(n)).await
}

fn arguments(n: u32) -> Value {
    json!({ "prompt": "foxes", "render_type": "sampled", "n": n, "seed": 7, "width": 64, "height": 64 })
}

fn seeds(view: &JobView) -> Vec<u64> {
    view.artifacts.iter().filter_map(|artifact| artifact.seed).collect()
}

async fn parts(test: &TestEngine, job: JobId) -> Vec<Job> {
    test.engine.store().job_parts(job).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_pictures_on_four_servers_take_one_run_time() {
    let test = servers(4).run_ms(1500).start().await;
    let job = ask(&test, 4).await;
    let view = test.success(job).await;
    assert_eq!(test.successes(), [1, 1, 1, 1]);
    // By the servers' own records they ran at the same time: each began before any ended.
    let runs: Vec<_> = test.sims.iter().map(|sim| sim.stats().executed[0].clone()).collect();
    let last_start = runs.iter().map(|run| run.started_at_ms).max().unwrap();
    let first_end = runs.iter().map(|run| run.finished_at_ms).min().unwrap();
    assert!(last_start < first_end, "{last_start} {first_end}");

    assert_eq!(seeds(&view), [7, 8, 9, 10]);
    assert!(view.artifacts.iter().all(|artifact| artifact.job == Some(job)));
    assert!(view.artifacts.windows(2).all(|pair| pair[0].position < pair[1].position));
    assert!(view.job.warnings.is_empty());
    // Each graph that ran had its seed.
    let ran: BTreeSet<String> = runs.iter().map(|run| run.graph.to_string()).collect();
    assert_eq!(ran.len(), 4);
    let listed = test.engine.store().job_list(&JobFilter::default(), None, 10).await.unwrap().jobs;
    assert_eq!(listed.iter().map(|job| job.id).collect::<Vec<_>>(), [job]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_makes_them_one_after_the_other() {
    let test = servers(1).start().await;
    let view = test.success(ask(&test, 5).await).await;
    assert_eq!((test.successes(), seeds(&view)), (vec![5], vec![7, 8, 9, 10, 11]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_is_the_sum_and_never_goes_back() {
    let test = servers(2).run_ms(400).start().await;
    test.sims[0].inject(Fault::RestartEmpty);
    let job = ask(&test, 4).await;
    let mut watch = test.engine.watch(job).await.unwrap();
    let mut changes = test.engine.changes();
    let (mut seen, mut ends) = (vec![watch.now()], 0);
    while let Some(progress) = watch.next().await {
        ends += usize::from(progress.state.is_terminal());
        seen.push(progress);
    }
    assert_eq!(ends, 1);
    for pair in seen.windows(2) {
        assert!(pair[0].fraction <= pair[1].fraction && pair[0].state <= pair[1].state, "{pair:?}");
    }
    let grew = seen.windows(2).filter(|pair| pair[0].fraction < pair[1].fraction).count();
    assert!(grew > 3, "it grew in steps: {seen:?}");
    assert!(seen.iter().any(|at| at.parts.is_some_and(|(done, of)| (1..4).contains(&done) && of == 4)), "{seen:?}");
    while let Ok(changed) = changes.try_recv() {
        assert_eq!(changed, job, "parts are told to nobody");
    }
    test.success(job).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_in_the_middle_costs_no_picture_and_doubles_none() {
    let mut test = servers(4).run_ms(1500).start().await;
    let job = ask(&test, 4).await;
    test.until("all are at work", || test.sims.iter().all(|sim| sim.stats().prompts_received == 1)).await;
    test.until_running(job).await;
    test.sims[2].kill().await;
    let view = test.success(job).await;
    assert_eq!(seeds(&view), [7, 8, 9, 10]);
    assert_eq!(test.successes().iter().sum::<usize>(), 4);
    assert_eq!(test.successes()[2], 0);
    let attempts: Vec<u32> = parts(&test, job).await.iter().map(|part| part.attempts).collect();
    assert_eq!(attempts.iter().sum::<u32>(), 5, "{attempts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_fails_is_told_beside_the_pictures_of_the_others() {
    let test = servers(2).start().await;
    for sim in &test.sims {
        let fault = Fault::ExecutionError {
            node: None,
            exception_type: "RuntimeError".to_owned(),
            message: "shapes do not match".to_owned(),
        };
        sim.inject(fault.containing("\"seed\":8,"));
    }
    let view = test.success(ask(&test, 3).await).await;
    assert_eq!(seeds(&view), [7, 9]);
    assert_eq!(view.job.warnings.len(), 1);
    let warning = &view.job.warnings[0];
    assert!(warning.starts_with("1 of 3 pictures could not be made.") && warning.contains("shapes"), "{warning}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_all_fail_fail_the_job_with_the_first_reason() {
    let test = servers(2).start().await;
    let arguments = json!({ "prompt": "x", "render_type": "broken", "n": 3, "width": 64, "height": 64 });
    let view = test.end(test.submit("generate_image", arguments).await).await;
    let JobState::Failed(error) = &view.job.state else { panic!("{:?}", view.job.state) };
    assert_eq!(error.code, ErrorCode::WorkflowInvalid);
    assert!(view.artifacts.is_empty());
    assert!(parts(&test, view.job.id).await.iter().all(|part| part.state.kind() == JobStateKind::Failed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_ends_all_parts_and_frees_their_servers() {
    let test = servers(2).run_ms(60_000).start().await;
    let job = ask(&test, 5).await;
    test.until("four are on the servers", || test.sims.iter().all(|sim| sim.stats().prompts_received == 2)).await;
    test.until_running(job).await;
    let view = test.engine.cancel(job).await.unwrap();
    assert_eq!(view.job.state, JobState::Cancelled);
    test.until("the servers are free", || test.engine.servers().iter().all(|server| server.in_flight == 0)).await;
    test.until("both runs are stopped", || {
        // A prompt that was staged may have begun just before it was taken off, and is stopped as well.
        let stopped = |runs: &[hub_sim::ExecutedPrompt]| {
            !runs.is_empty() && runs.iter().all(|run| run.outcome == Outcome::Interrupted)
        };
        test.sims.iter().all(|sim| stopped(&sim.stats().executed))
    })
    .await;
    assert!(parts(&test, job).await.iter().all(|part| part.state == JobState::Cancelled));
    assert_eq!(test.engine.cancel(job).await.unwrap().job.state, JobState::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_hub_goes_on_with_what_is_left() {
    let mut test = servers(2).run_ms(400).start().await;
    let job = ask(&test, 6).await;
    test.until("one is done", || test.successes().iter().sum::<usize>() > 0).await;
    test.leaves_jobs = true;
    test.engine.shutdown(std::time::Duration::ZERO).await;
    let engine = start_engine(&test.dir, test.config.clone()).await;
    let view = engine.wait(job, PATIENCE).await.unwrap();
    assert_eq!((view.job.state.kind(), seeds(&view)), (JobStateKind::Succeeded, vec![7, 8, 9, 10, 11, 12]));
    assert_eq!(test.successes().iter().sum::<usize>(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_finds_the_whole_and_pictures_count_against_the_bounds() {
    let test = servers(1).config(|config| config.queue_max_per_caller = 4).start().await;
    test.change_server(0, |server| server.draining = true).await;
    let first = test.submit_with_key("k", arguments(3)).await.unwrap().job;
    let again = test.submit_with_key("k", arguments(3)).await.unwrap();
    assert_eq!((again.job.id, again.replayed), (first.id, true));
    let error = test.submit_with_key("other", arguments(2)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::QueueFull);
    assert!(error.message.contains("2 more are too many"), "{error}");
    let why = test.engine.why_waiting(first.id).await.unwrap();
    assert!(why.servers[0].detail.contains("draining"), "{why:?}");
    let one = test.submit_with_key("one", arguments(1)).await.unwrap().job.id;
    test.change_server(0, |server| server.draining = false).await;
    assert_eq!(test.success(first.id).await.artifacts.len(), 3);
    test.success(one).await;
    // The same seed again finds the same pictures.
    let call = ToolCall::parse("generate_image", arguments(3).as_object().unwrap()).unwrap();
    assert_eq!(test.engine.submit(&Caller::local(), call).await.unwrap().job.id, first.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_goes_before_and_behind_others_and_not_its_own_parts() {
    let test = servers(1).start().await;
    test.change_server(0, |server| server.draining = true).await;
    let job = ask(&test, 3).await;
    for precedence in [Precedence::First, Precedence::First, Precedence::Last, Precedence::Last] {
        let moved = test.engine.job_move(job, precedence).await.unwrap();
        assert!(!moved.changed(), "it is alone: {moved:?}");
    }
    let other = test.generate_sampled("another").await;
    for (precedence, priority) in [(Precedence::First, 1), (Precedence::Last, -1)] {
        let moved = test.engine.job_move(job, precedence).await.unwrap();
        assert_eq!((moved.changed(), moved.after), (true, priority));
        let again = test.engine.job_move(job, precedence).await.unwrap();
        assert!(!again.changed(), "it is there already: {again:?}");
    }
    test.change_server(0, |server| server.draining = false).await;
    test.success(job).await;
    test.success(other).await;
}

#[tokio::test]
async fn a_prompt_is_enhanced_once_for_all_pictures() {
    let hub = Hub::start(EngineConfig::default()).await;
    let (sim, _) = hub.llm(OllamaConfig::default(), &[LlmRole::Enhance]).await;
    let job = hub.call("generate_image", json!({ "prompt": "a fox", "n": 4 })).await.unwrap().job;
    assert_eq!(job.state, JobState::Planning);
    let planned = hub.until(job.id, &[JobStateKind::Queued]).await;
    let parts = hub.engine.store().job_parts(job.id).await.unwrap();
    let recipe = planned.recipe.unwrap();
    assert!(recipe.enhanced);
    assert_eq!(parts.len(), 4);
    for (offset, part) in (0..).zip(&parts) {
        let part = part.recipe.as_ref().unwrap();
        assert_eq!((part.seed, &part.prompt), (recipe.seed + offset, &recipe.prompt));
    }
    let chats = sim.requests().into_iter().filter(|request| request.path == "/api/chat").count();
    assert_eq!(chats, 2, "prompt and negative prompt");
    hub.engine.cancel(job.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn derived_and_drawn_seeds_stay_within_what_the_node_takes() {
    let test = servers(1).run_ms(10).start().await;
    // The seed of the sampler comes from a node that takes no more than 63 bits.
    let mut graph: Value = serde_json::from_str(include_str!("../../../../workflows/txt2img-sd15.json")).unwrap();
    for node in graph.as_object_mut().unwrap().values_mut() {
        if node["inputs"].get("seed").is_some() {
            node["inputs"]["seed"] = json!(["90", 0]);
        }
    }
    graph["90"] = json!({ "class_type": "PrimitiveInt", "inputs": { "value": 1 }, "_meta": { "title": "seed" } });
    test.engine.workflow_import("narrow", graph.to_string().as_bytes(), "").await.unwrap();
    test.engine.render_type_save(RenderType::new("narrow", "narrow", Mode::Generate)).await.unwrap();
    let largest = u64::try_from(i64::MAX).unwrap();
    let arguments =
        json!({ "prompt": "foxes", "render_type": "narrow", "n": 3, "seed": largest - 1, "width": 64, "height": 64 });
    let view = test.success(test.submit("generate_image", arguments).await).await;
    assert_eq!(seeds(&view), [largest - 1, largest, 0]);
}
