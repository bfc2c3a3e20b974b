//! Who goes where, seen from outside: models, fair shares, pins, priorities, and what those who wait are told.

use hub_core::{
    caller::{Caller, CallerWeights},
    catalogue::{Mode, RenderType},
    error::{ErrorCode, UserError},
    ids::JobId,
    placement::{Placement, Wish},
    request::ToolCall,
    server::LlmRole,
};
use hub_engine::{EngineConfig, WaitReason};
use hub_sim::{
    Fault,
    ollama::{OllamaConfig, OllamaFault},
};
use serde_json::json;

use crate::{
    fixture::{PATIENCE, TestEngine, servers, start_engine},
    hub::Hub,
};

/// Shipped workflows with three different sets of model files.
const MODELS: [(&str, &str); 3] = [
    ("sd15", include_str!("../../../../workflows/txt2img-sd15.json")),
    ("sdxl", include_str!("../../../../workflows/txt2img-sdxl.json")),
    ("sd35", include_str!("../../../../workflows/txt2img-sd35.json")),
];

async fn with_models(test: &TestEngine) {
    for (name, graph) in MODELS {
        test.engine.workflow_import(name, graph.as_bytes(), "").await.unwrap();
        test.engine.render_type_save(RenderType::new(name, name, Mode::Generate)).await.unwrap();
    }
}

/// Submits a small picture.
async fn ask(test: &TestEngine, caller: &str, render_type: &str, wish: Wish) -> Result<JobId, UserError> {
    let arguments = json!({ "prompt": "a fox", "render_type": render_type, "width": 64, "height": 64 });
    let mut call = ToolCall::parse("generate_image", arguments.as_object().unwrap()).unwrap();
    call.options.wish = wish;
    Ok(test.engine.submit(&Caller::named(caller), call).await?.job.id)
}

/// Takes all servers in or out of work.
async fn drain(test: &TestEngine, draining: bool) {
    for at in 0..test.sims.len() {
        test.change_server(at, |server| server.draining = draining).await;
    }
}

/// The order in which jobs began on the servers.
async fn in_order_of_start(test: &TestEngine, jobs: &[JobId]) -> Vec<JobId> {
    let mut ended = Vec::new();
    for job in jobs {
        let view = test.success(*job).await;
        ended.push((view.job.times.finished_at, *job));
    }
    ended.sort();
    ended.into_iter().map(|(_, job)| job).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_models_on_three_servers_are_loaded_three_times() {
    // A load that no noise of the machine makes look cheap; the exact figures are tested in virtual time.
    let mut setup = servers(3).run_ms(100);
    for at in 0..3 {
        setup = setup.server(at, |sim| sim.load_ms = 2500);
    }
    let test = setup.start().await;
    with_models(&test).await;
    // Everything waits when the servers begin, so that the order of arrival is what is tested.
    drain(&test, true).await;
    let mut jobs = Vec::new();
    for at in [0, 0, 1, 2, 1, 0, 2, 2, 1, 0, 0, 1, 2, 1, 2, 0, 1, 2] {
        jobs.push(ask(&test, "a", MODELS[at].0, Wish::default()).await.unwrap());
    }
    drain(&test, false).await;
    for job in jobs {
        test.success(job).await;
    }
    let loads: Vec<u64> = test.sims.iter().map(|sim| sim.stats().model_loads).collect();
    assert_eq!(loads, [1, 1, 1]);
    assert_eq!(test.successes(), [6, 6, 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_with_three_jobs_does_not_wait_for_one_with_thirty_two() {
    let test = servers(1).run_ms(50).start().await;
    drain(&test, true).await;
    let mut jobs = Vec::new();
    for (caller, count) in [("a", 32), ("b", 3), ("c", 3)] {
        for _ in 0..count {
            jobs.push(ask(&test, caller, "plain", Wish::default()).await.unwrap());
        }
    }
    let few: Vec<JobId> = jobs[32..].to_vec();
    drain(&test, false).await;
    let order = in_order_of_start(&test, &jobs).await;
    let last = order.iter().rposition(|job| few.contains(job)).unwrap();
    // Three rounds of three callers; half as much again is fair.
    assert!(last < 13, "the last of the six was number {last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_of_twice_the_weight_gets_twice_the_time_while_both_have_work() {
    let weights =
        |weight: f64| CallerWeights::try_from(std::collections::BTreeMap::from([("a".to_owned(), weight)])).unwrap();
    // The configuration says something else: what is stored goes before it, and counts for what waits already.
    // Shares are of measured time: runs so long that no noise of the machine makes one look like two.
    let test = servers(1).run_ms(400).config(|config| config.caller_weights = weights(50.0)).start().await;
    // What is sent at once may overtake each other on the way.
    test.change_server(0, |server| server.max_in_flight = 1).await;
    // Run times are known, so that shares are counted in seconds and not in guesses.
    test.success(ask(&test, "c", "plain", Wish::default()).await.unwrap()).await;
    drain(&test, true).await;
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    // More of each than is right among the first eighteen, so that both have work as long as these run.
    for at in 0..14 {
        of_a.push(ask(&test, "a", "plain", Wish::default()).await.unwrap());
        if at < 8 {
            of_b.push(ask(&test, "b", "plain", Wish::default()).await.unwrap());
        }
    }
    test.engine.set_caller_weights(&weights(2.0)).await.unwrap();
    assert_eq!(test.engine.caller_weights().await.unwrap(), weights(2.0));
    drain(&test, false).await;
    let order = in_order_of_start(&test, &[of_a.clone(), of_b].concat()).await;
    // While both have work: of the first eighteen, twelve are the weightier one's.
    let first = order.iter().take(18).filter(|job| of_a.contains(job)).count();
    assert!((11..=13).contains(&first), "{first} of 18");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pins_are_kept_and_unknown_ones_refused_with_what_there_is() {
    let test = servers(3).start().await;
    test.change_server(2, |server| server.group = Some("big".to_owned())).await;
    let server = |name: &str| Wish { server: Some(name.to_owned()), ..Wish::default() };
    let group = |name: &str| Wish { group: Some(name.to_owned()), ..Wish::default() };
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push((ask(&test, "a", "plain", server("gpu-2")).await.unwrap(), "gpu-2"));
        jobs.push((ask(&test, "a", "plain", group("big")).await.unwrap(), "gpu-3"));
    }
    let by_id = server(&test.server_id(0).to_string());
    jobs.push((ask(&test, "a", "plain", by_id).await.unwrap(), "gpu-1"));
    for (job, expected) in jobs {
        assert_eq!(test.success(job).await.server.as_deref(), Some(expected));
    }
    let error = ask(&test, "a", "plain", server("gpu-9")).await.unwrap_err();
    assert_eq!((error.code, error.argument.as_deref()), (ErrorCode::BadArgument, Some("server")));
    assert_eq!(error.valid_values, ["gpu-1", "gpu-2", "gpu-3"]);
    let error = ask(&test, "a", "plain", group("small")).await.unwrap_err();
    assert_eq!((error.argument.as_deref(), error.valid_values), (Some("group"), vec!["big".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_to_a_server_that_can_never_run_the_job_fails_it_with_the_reason() {
    let test = servers(2).start().await;
    let pinned = || Wish { server: Some("gpu-1".to_owned()), ..Wish::default() };
    test.engine.server_say(test.server_id(0), "plain", Some(false)).await.unwrap();
    let error = ask(&test, "a", "plain", pinned()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoCompatibleServer);
    assert!(error.message.contains("gpu-1 is not used for it"), "{error}");
    test.success(ask(&test, "a", "plain", Wish::default()).await.unwrap()).await;

    // The same, said while jobs wait; and a server that leaves the pool.
    test.engine.server_say(test.server_id(0), "plain", None).await.unwrap();
    drain(&test, true).await;
    let group = Wish { group: Some("big".to_owned()), ..Wish::default() };
    test.change_server(1, |server| server.group = Some("big".to_owned())).await;
    let (first, second) =
        (ask(&test, "a", "plain", pinned()).await.unwrap(), ask(&test, "a", "plain", group).await.unwrap());
    test.engine.server_say(test.server_id(0), "plain", Some(false)).await.unwrap();
    test.engine.server_delete(test.server_id(1)).await.unwrap();
    for (job, said) in [(first, "gpu-1 is marked as unable"), (second, "group big")] {
        let view = test.end(job).await;
        let hub_core::job::JobState::Failed(error) = &view.job.state else { panic!("{:?}", view.job.state) };
        assert_eq!(error.code, ErrorCode::NoCompatibleServer);
        assert!(error.message.contains(said), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_marked_incompatible_is_not_even_asked_when_all_others_failed() {
    let test = servers(2).start().await;
    test.engine.server_say(test.server_id(0), "sampled", Some(false)).await.unwrap();
    let lacking = Fault::ExecutionError {
        node: None,
        exception_type: "FileNotFoundError".to_owned(),
        message: "Model in folder 'checkpoints' with filename 'x.safetensors' not found.".to_owned(),
    };
    test.sims[1].inject(lacking.always());
    let view = test.end(test.generate_sampled("a").await).await;
    let hub_core::job::JobState::Failed(error) = &view.job.state else { panic!("{:?}", view.job.state) };
    assert_eq!(error.code, ErrorCode::NoCompatibleServer);
    assert_eq!(test.sims[0].stats().prompts_received, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pins_and_priorities_survive_a_restart() {
    let test = servers(2).start().await;
    drain(&test, true).await;
    let pinned = Wish { server: Some("gpu-2".to_owned()), ..Wish::default() };
    let job = ask(&test, "a", "plain", pinned).await.unwrap();
    let urgent = ask(&test, "a", "plain", Wish { priority: 7, ..Wish::default() }).await.unwrap();
    test.engine.shutdown(std::time::Duration::ZERO).await;
    let engine = start_engine(&test.dir, test.config.clone()).await;
    let stored = engine.view(job).await.unwrap().job;
    assert_eq!(stored.placement, Placement::Server(test.server_id(1)));
    assert_eq!(engine.view(urgent).await.unwrap().job.priority, 7);
    for mut view in engine.servers() {
        view.server.draining = false;
        engine.server_update(view.server).await.unwrap();
    }
    let view = engine.wait(job, PATIENCE).await.unwrap();
    assert_eq!(view.server.as_deref(), Some("gpu-2"));
    engine.wait(urgent, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn priority_goes_first_within_a_caller() {
    let test = servers(1).start().await;
    // What is sent at once may overtake each other on the way.
    test.change_server(0, |server| server.max_in_flight = 1).await;
    drain(&test, true).await;
    let mut jobs = Vec::new();
    for priority in [0, -5, 9] {
        jobs.push(ask(&test, "a", "plain", Wish { priority, ..Wish::default() }).await.unwrap());
    }
    drain(&test, false).await;
    assert_eq!(in_order_of_start(&test, &jobs).await, [jobs[2], jobs[0], jobs[1]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_waits_says_why_server_by_server() {
    let test = servers(3).start().await;
    test.change_server(0, |server| server.draining = true).await;
    test.change_server(1, |server| server.max_in_flight = 1).await;
    // However long the questions take, the place is not free before.
    test.sims[1].inject(Fault::Hold);
    let pinned = Wish { server: Some("gpu-2".to_owned()), ..Wish::default() };
    let running = ask(&test, "a", "plain", pinned.clone()).await.unwrap();
    test.until_running(running).await;
    let waiting = ask(&test, "a", "plain", pinned).await.unwrap();
    let drained = Wish { server: Some("gpu-1".to_owned()), ..Wish::default() };
    let stuck = ask(&test, "a", "plain", drained).await.unwrap();

    let why = test.engine.why_waiting(waiting).await.unwrap();
    let reasons: Vec<(&str, WaitReason)> = why.servers.iter().map(|why| (why.name.as_str(), why.reason)).collect();
    let expected = [("gpu-1", WaitReason::NotPinned), ("gpu-2", WaitReason::Busy), ("gpu-3", WaitReason::NotPinned)];
    assert_eq!(reasons, expected);
    assert!(why.servers[1].ends_in_s.is_some_and(|seconds| seconds > 0.0));

    let why = test.engine.why_waiting(stuck).await.unwrap();
    assert_eq!(why.servers[0].reason, WaitReason::NotReady);
    assert!(why.servers[0].detail.contains("draining"), "{}", why.servers[0].detail);
    let mut watch = test.engine.watch(stuck).await.unwrap();
    while watch.now().why_waiting.is_none() {
        watch.next().await.unwrap();
    }
    let told = watch.now();
    assert!(told.why_waiting.is_some_and(|why| why.contains("gpu-1 is draining") && !why.contains("gpu-2")));
    assert_eq!(test.engine.why_waiting(running).await, None, "it does not wait");
    test.engine.cancel(stuck).await.unwrap();
    test.sims[1].clear_faults();
    test.success(running).await;
    test.success(waiting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_learned_is_kept() {
    let test = servers(1).run_ms(300).start().await;
    for prompt in ["a", "b"] {
        test.success(test.generate_sampled(prompt).await).await;
    }
    test.engine.shutdown(PATIENCE).await;
    let rows = test.engine.store().learned_times(chrono::DateTime::UNIX_EPOCH).await.unwrap();
    let run = rows.iter().find(|row| row.what == "run").expect("the run's time is kept");
    assert!((0.2..3.0).contains(&run.value), "{run:?}");
    assert_eq!(run.server, test.server_id(0));
}

#[tokio::test]
async fn jobs_that_are_planned_count_as_waiting() {
    let config = EngineConfig { queue_max_per_caller: 2, ..EngineConfig::default() };
    let hub = Hub::start(config).await;
    let (sim, _) = hub.llm(OllamaConfig::default(), &[LlmRole::Enhance]).await;
    sim.inject(OllamaFault::Stall, 10);
    let mut planned = Vec::new();
    for prompt in ["a", "b"] {
        planned.push(hub.call("generate_image", json!({ "prompt": prompt })).await.unwrap().job.id);
    }
    let error = hub.call("generate_image", json!({ "prompt": "c" })).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::QueueFull);
    hub.engine.cancel(planned[0]).await.unwrap();
    // The planner lets go a moment after the job's end is told.
    let room = async {
        loop {
            let again = hub.call("generate_image", json!({ "prompt": "d", "enhance": false })).await;
            if again.is_ok() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, room).await.expect("there is room again");
}

/// A job is at work on the first of two servers, which is slow this once, and another one is staged behind it.
async fn staged_behind_a_slow_run() -> (TestEngine, JobId, JobId) {
    let mut test = servers(2).run_ms(100).start().await;
    test.change_server(1, |server| server.draining = true).await;
    // What a run takes is known, so that the slow one is late and not just unknown.
    for prompt in ["a", "b"] {
        test.success(test.generate_sampled(prompt).await).await;
    }
    test.sims[0].inject(Fault::Slow { factor: 300.0 }.containing("a slow fox"));
    let slow = test.generate_sampled("a slow fox").await;
    test.until_running(slow).await;
    let staged = test.generate_sampled("staged").await;
    test.until("both are on the first server", || test.sims[0].stats().prompts_received == 4).await;
    test.leaves_jobs = true;
    (test, slow, staged)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_staged_behind_a_run_that_takes_too_long_is_given_to_a_server_that_is_idle() {
    let (mut test, slow, staged) = staged_behind_a_slow_run().await;
    test.change_server(1, |server| server.draining = false).await;
    let view = test.success(staged).await;
    assert_eq!((view.server.as_deref(), view.job.attempts), (Some("gpu-2"), 2));
    let attempts = test.engine.store().job_attempts(staged).await.unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome.as_deref().unwrap()).collect();
    assert_eq!(outcomes, ["returned", "succeeded"], "it is no failure of the job's");
    // The late one was left alone, and the first server does not have the other one any more.
    assert_eq!(test.engine.view(slow).await.unwrap().server.as_deref(), Some("gpu-1"));
    test.engine.cancel(slow).await.unwrap();
    test.until("the slow one is interrupted", || test.sims[0].stats().interrupts == 1).await;
    test.leaves_jobs = false;
    test.success(test.generate_sampled("c").await).await;
    let of_staged: usize = test.sims.iter().map(|sim| executed(sim, &attempts[0], &attempts[1])).sum();
    assert_eq!(of_staged, 1, "it ran once");
}

/// How often a server ran one of these attempts.
fn executed(sim: &hub_sim::ComfySim, first: &hub_store::AttemptRow, second: &hub_store::AttemptRow) -> usize {
    let ids = [first, second].map(|stored| stored.attempt.prompt_id.to_string());
    sim.stats().executed.iter().filter(|run| ids.contains(&run.prompt_id)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_keeps_what_it_was_told_to_give_back_runs_it_once() {
    let (mut test, slow, staged) = staged_behind_a_slow_run().await;
    // As the door of a guest does: answered like any other, and not done.
    let ignored = Fault::Http { route: "POST /queue".to_owned(), status: 200, body: "{}".to_owned() };
    test.sims[0].inject(ignored.always());
    test.change_server(1, |server| server.draining = false).await;
    let asked = || test.sims[0].stats().requests_by_route.get("POST /queue").copied().unwrap_or_default();
    test.until("it was asked to give it back", || asked() > 0).await;
    test.engine.cancel(slow).await.unwrap();
    let view = test.success(staged).await;
    assert_eq!((view.server.as_deref(), view.job.attempts), (Some("gpu-1"), 1));
    test.leaves_jobs = false;
}
