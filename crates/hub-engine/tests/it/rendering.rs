//! Jobs that go well: where they run, what comes back, what is shown meanwhile.

use std::time::Duration;

use hub_core::{job::JobStateKind, server::ServerState};
use hub_sim::SimAuth;
use serde_json::json;

use crate::fixture::servers;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_simultaneous_jobs_on_two_idle_servers_go_three_and_three() {
    let test = servers(2).run_ms(150).start().await;
    let prompts = ["a", "b", "c", "d", "e", "f"];
    let jobs = futures_util::future::join_all(prompts.map(|prompt| test.generate(prompt))).await;
    for job in jobs {
        test.success(job).await;
    }
    assert_eq!(test.successes(), [3, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_ends_while_it_is_looked_at_is_not_half_ended() {
    let test = servers(1).run_ms(300).start().await;
    let job = test.generate("a").await;
    test.until_running(job).await;
    let read_before = test.engine.view(job).await.unwrap().job;
    test.success(job).await;
    let seen = test.engine.views(vec![read_before]).await.unwrap().remove(0);
    assert!(!seen.job.state.kind().is_terminal() && seen.artifacts.is_empty(), "{seen:?}");
    assert_eq!(test.engine.view(job).await.unwrap().artifacts.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_finishes_before_events_arrive_succeeds() {
    let test = servers(1).run_ms(0).server(0, |sim| sim.history_gap_ms = 0).start().await;
    for prompt in ["a", "b", "c"] {
        let view = test.success(test.generate(prompt).await).await;
        assert_eq!((view.artifacts[0].width_px, view.artifacts[0].height_px), (64, 64));
        assert_eq!(view.artifacts[0].mime, "image/png");
        assert_eq!(view.server.as_deref(), Some("gpu-1"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_costs_the_server_one_post_one_look_and_one_fetch() {
    // Polls would be counted too, so they must not be needed.
    let test = servers(1).config(|config| config.poll_interval = Duration::from_secs(20)).start().await;
    test.until_inventories_are_known().await;
    let before = test.sims[0].stats().requests_by_route;
    test.success(test.generate("a").await).await;
    let after = test.sims[0].stats().requests_by_route;
    let of_job: u64 = after
        .iter()
        .filter(|(route, _)| !["GET /prompt", "GET /system_stats"].contains(&route.as_str()))
        .map(|(route, count)| count - before.get(route).copied().unwrap_or_default())
        .sum();
    assert_eq!(of_job, 3, "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_that_the_server_has_in_its_cache_succeeds() {
    let test = servers(1).start().await;
    let arguments = json!({ "prompt": "same", "seed": 7, "width": 64, "height": 64, "idempotency_key": "first" });
    let first = test.success(test.submit("generate_image", arguments).await).await;
    let arguments = json!({ "prompt": "same", "seed": 7, "width": 64, "height": 64, "idempotency_key": "second" });
    let second = test.success(test.submit("generate_image", arguments).await).await;
    assert_ne!(first.job.id, second.job.id);
    assert_eq!(first.artifacts[0].sha256.len(), 64);
    assert_eq!(test.successes(), [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_images_of_a_batch_and_of_several_save_nodes_are_returned_primary_first() {
    let test = servers(1).start().await;
    let job = test.submit("generate_image", json!({ "prompt": "x", "render_type": "several" })).await;
    let view = test.success(job).await;
    let nodes: Vec<&str> = view.artifacts.iter().map(|artifact| artifact.node.as_deref().unwrap()).collect();
    // Previews are left out where results are saved.
    assert_eq!(nodes, ["5", "5", "3", "3"]);
    let positions: Vec<u32> = view.artifacts.iter().map(|artifact| artifact.position).collect();
    assert_eq!(positions, [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_is_shown_with_previews_and_never_goes_back() {
    let test = servers(1).run_ms(5_000).start().await;
    let job = test.generate_sampled("a fox").await;
    let mut watch = test.engine.watch(job).await.unwrap();
    let (mut fraction, mut sequence, mut steps_seen, mut preview_seen) = (0.0, 0, 0, false);
    while let Some(progress) = watch.next().await {
        assert!(progress.fraction >= fraction, "{progress:?} after {fraction}");
        assert!(progress.sequence >= sequence);
        (fraction, sequence) = (progress.fraction, progress.sequence);
        if let (Some((step, 25)), Some("Sampler")) = (progress.steps, progress.node.as_deref()) {
            assert!(step >= steps_seen);
            steps_seen = step;
            assert_eq!(progress.server.as_deref(), Some("gpu-1"));
        }
        preview_seen |= progress
            .preview
            .as_ref()
            .is_some_and(|preview| preview.mime == "image/jpeg" && preview.bytes.starts_with(b"\xff\xd8"));
        if progress.state.is_terminal() {
            assert_eq!(progress.state, JobStateKind::Succeeded);
        }
    }
    assert!(fraction >= 1.0 && steps_seen > 5 && preview_seen, "{fraction} {steps_seen} {preview_seen}");
    test.success(job).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_announce_each_state_of_a_job() {
    let test = servers(1).start().await;
    let mut changes = test.engine.changes();
    let job = test.generate("a").await;
    test.success(job).await;
    let mut announced = 0;
    while let Ok(id) = changes.try_recv() {
        assert_eq!(id, job);
        announced += 1;
    }
    // Queued, assigned, running, collecting, succeeded.
    assert!(announced >= 5, "{announced}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_picture_is_sent_ahead() {
    let test = servers(1).start().await;
    let made = test.success(test.generate("a").await).await;
    let source = made.artifacts[0].id.to_string();
    let view = test.success(test.submit("upscale_image", json!({ "image": source })).await).await;
    assert_eq!((view.artifacts[0].width_px, view.artifacts[0].height_px), (128, 128));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_parallel_jobs_on_one_server_all_succeed() {
    let test = servers(1).run_ms(5).start().await;
    let prompts: Vec<String> = (0..64).map(|at| format!("job {at}")).collect();
    let jobs = futures_util::future::join_all(prompts.iter().map(|prompt| test.generate(prompt))).await;
    for job in jobs {
        test.success(job).await;
    }
    assert_eq!(test.successes(), [64]);
    assert!(test.engine.servers()[0].in_flight == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_prompts_are_on_a_server_than_it_may_have() {
    let test = servers(1).run_ms(40).start().await;
    test.change_server(0, |server| server.max_in_flight = 1).await;
    let jobs = futures_util::future::join_all(["a", "b", "c", "d"].map(|prompt| test.generate(prompt))).await;
    for job in jobs {
        test.success(job).await;
        assert!(test.engine.servers()[0].queue_remaining.unwrap_or_default() <= 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_under_a_path_with_a_trailing_slash_works() {
    let test = servers(1).server(0, |sim| sim.path_prefix = Some("/comfy".to_owned())).start().await;
    test.engine.server_delete(test.server_id(0)).await.unwrap();
    assert!(test.engine.servers().is_empty());
    let url = format!("{}/", test.sims[0].url());
    assert!(url.ends_with("/comfy/"));
    test.engine.server_add(hub_core::server::NewServer::named("gpu-1", url.parse().unwrap())).await.unwrap();
    test.until_all_ready().await;
    test.success(test.generate("a").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_the_credentials_says_so_until_they_are_given() {
    let auth = SimAuth::Bearer { token: "sesame".to_owned() };
    let test = servers(1).server(0, |sim| sim.auth = Some(auth)).start_unready().await;
    test.until("the refusal is seen", || test.engine.servers()[0].state == ServerState::Unauthorized).await;
    assert!(test.engine.servers()[0].reason.as_ref().unwrap().contains("credentials"));
    // Jobs wait, and say why.
    let job = test.generate("a").await;
    let mut watch = test.engine.watch(job).await.unwrap();
    while watch.now().why_waiting.is_none() {
        watch.next().await.unwrap();
    }
    assert!(watch.now().describe().contains("gpu-1 is unauthorized"), "{}", watch.now().describe());
    let token = "sesame".to_owned().into();
    test.change_server(0, |server| server.auth = hub_core::server::ServerAuth::Bearer { token }).await;
    test.success(job).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_server_finishes_what_it_has_and_gets_nothing_new() {
    let test = servers(2).run_ms(300).start().await;
    let first = futures_util::future::join_all(["a", "b"].map(|prompt| test.generate(prompt))).await;
    for job in &first {
        test.until_running(*job).await;
    }
    test.change_server(0, |server| server.draining = true).await;
    let later = futures_util::future::join_all(["c", "d"].map(|prompt| test.generate(prompt))).await;
    for job in first.into_iter().chain(later) {
        test.success(job).await;
    }
    assert_eq!(test.successes(), [1, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_run_is_told_with_its_true_start() {
    const RUN: u64 = 600;
    let test = servers(1).run_ms(RUN).start().await;
    let (one, two) = (test.generate("a").await, test.generate("b").await);
    let (one, two) = (test.success(one).await, test.success(two).await);
    for view in [&one, &two] {
        let stored = test.engine.store().job_get(view.job.id).await.unwrap().unwrap();
        assert_eq!(stored.times, view.job.times);
        let ran = stored.times.finished_at.unwrap() - stored.times.started_at.unwrap();
        assert!(ran.num_milliseconds() >= RUN.cast_signed() - 50, "it ran for {ran}");
    }
    // Of two that are on the server at once, the second begins when the first is done.
    let (first, second) = if one.job.times.finished_at < two.job.times.finished_at { (one, two) } else { (two, one) };
    let between = second.job.times.started_at.unwrap() - first.job.times.started_at.unwrap();
    assert!(between.num_milliseconds() >= RUN.cast_signed() - 50, "{between} lie between the starts");
}
