//! Jobs that cannot be done, and servers that cannot do them.

use std::time::{Duration, Instant};

use hub_core::{error::ErrorCode, error::UserError, job::JobState};
use hub_engine::JobView;
use hub_sim::{Fault, Models, Outcome};
use serde_json::json;

use crate::fixture::servers;

/// Far below every limit that could end such a job instead, and kept on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(10);

fn error(view: &JobView) -> &UserError {
    match &view.job.state {
        JobState::Failed(error) => error,
        other => panic!("not failed but {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cuda_out_of_memory_surfaces_at_once_as_recoverable() {
    let test = servers(1).start().await;
    test.sims[0].inject(Fault::out_of_memory().always());
    let begun = Instant::now();
    let view = test.end(test.generate_sampled("a").await).await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    assert_eq!(error(&view).code, ErrorCode::OutOfMemory);
    assert!(error(&view).code.recoverable());
    assert!(error(&view).message.contains("gpu-1"), "{}", error(&view).message);
    test.until("the server is told to free its memory", || {
        test.sims[0].stats().requests_by_route.contains_key("POST /free")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_memory_on_one_server_moves_the_job_to_another() {
    let test = servers(2).start().await;
    test.sims[0].inject(Fault::out_of_memory().always());
    for prompt in ["a", "b", "c"] {
        test.success(test.generate_sampled(prompt).await).await;
    }
    assert_eq!(test.successes()[0], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_file_that_is_missed_only_while_running_moves_the_job() {
    let test = servers(2).start().await;
    test.sims[0].inject(
        Fault::ExecutionError {
            node: None,
            exception_type: "FileNotFoundError".to_owned(),
            message: "Model in folder 'upscale_models' with filename 'x4.pth' not found.".to_owned(),
        }
        .always(),
    );
    for prompt in ["a", "b", "c"] {
        test.success(test.generate_sampled(prompt).await).await;
    }
    assert_eq!(test.successes()[0], 0);
    assert!(test.sims[0].stats().executed.len() <= 1, "later jobs do not go there first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_fails_is_named_without_paths() {
    let test = servers(1).start().await;
    test.sims[0].inject(Fault::ExecutionError {
        node: Some("6".to_owned()),
        exception_type: "RuntimeError".to_owned(),
        message: "shapes do not match in /opt/ComfyUI/nodes.py".to_owned(),
    });
    let begun = Instant::now();
    let view = test.end(test.generate_sampled("a").await).await;
    assert!(begun.elapsed() < AT_ONCE);
    let error = error(&view);
    assert_eq!(error.code, ErrorCode::NodeFailed);
    assert!(error.message.contains("Decode [VAEDecode] (node 6)"), "{}", error.message);
    assert!(error.message.contains("shapes do not match") && !error.message.contains("/opt"), "{}", error.message);
    // It is the workflow's fault: no second try.
    assert_eq!(test.sims[0].stats().prompts_received, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workflow_that_does_not_validate_names_node_and_input() {
    let test = servers(2).start().await;
    let view = test.end(test.submit("generate_image", json!({ "prompt": "x", "render_type": "broken" })).await).await;
    let error = error(&view);
    assert_eq!(error.code, ErrorCode::WorkflowInvalid);
    assert!(error.message.contains("Enlarge (node 2)") && error.message.contains("scale_by"), "{}", error.message);
    assert_eq!(view.job.attempts, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_one_server_lacks_is_found_on_the_other() {
    let test = servers(2).server(0, |sim| sim.models = Models::none()).start().await;
    for prompt in ["a", "b", "c", "d"] {
        test.success(test.generate_sampled(prompt).await).await;
    }
    assert_eq!(test.successes(), [0, 4]);
    // Asked once at most; then the hub knows.
    assert!(test.sims[0].stats().prompts_received <= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_no_server_has_is_named_with_the_servers() {
    let test = servers(2).start().await;
    for sim in &test.sims {
        sim.inject(Fault::MissingModel { name: "v1-5-pruned-emaonly-fp16.safetensors".to_owned() }.always());
    }
    let view = test.end(test.generate_sampled("a").await).await;
    let error = error(&view);
    assert_eq!(error.code, ErrorCode::NoCompatibleServer);
    for part in ["v1-5-pruned-emaonly-fp16.safetensors", "gpu-1", "gpu-2"] {
        assert!(error.message.contains(part), "{}", error.message);
    }
    // Once it is installed, the next job runs.
    test.sims[1].clear_faults();
    test.success(test.generate_sampled("b").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_that_was_accepted_in_part_is_withdrawn_and_fails() {
    let test = servers(1).run_ms(2000).start().await;
    test.sims[0].inject(Fault::NodeErrors200);
    let view = test.end(test.generate_sampled("a").await).await;
    assert_eq!(error(&view).code, ErrorCode::WorkflowInvalid);
    test.until("the rest of it is off the server", || {
        test.sims[0].stats().executed.iter().all(|run| run.outcome == Outcome::Interrupted)
            && test.engine.servers()[0].queue_remaining == Some(0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_by_somebody_else_ends_the_job_and_says_where() {
    let test = servers(1).run_ms(300).start().await;
    test.sims[0].inject(Fault::Interrupted);
    let view = test.end(test.generate_sampled("a").await).await;
    assert_eq!(error(&view).code, ErrorCode::Cancelled);
    assert!(error(&view).message.contains("on the server gpu-1"), "{}", error(&view).message);
    assert_eq!(test.sims[0].stats().prompts_received, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_is_gone_from_the_server_is_told() {
    let test = servers(1).start().await;
    test.sims[0].inject(Fault::ViewMissing);
    let view = test.end(test.generate("a").await).await;
    assert_eq!(error(&view).code, ErrorCode::NoOutput);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_server_loses_the_job_to_another_after_its_limit() {
    let test = servers(2).start().await;
    // The healthy one keeps its long limit: on a busy machine a second without an event is nothing unusual.
    test.change_server(0, |server| server.stall_limit_s = 1).await;
    test.sims[0].inject(Fault::Hang.always());
    let jobs = futures_util::future::join_all(["a", "b", "c"].map(|prompt| test.generate_sampled(prompt))).await;
    for job in jobs {
        test.success(job).await;
    }
    assert_eq!(test.successes()[1], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_hangs_everywhere_times_out() {
    let test = servers(1).start().await;
    test.change_server(0, |server| server.stall_limit_s = 1).await;
    test.sims[0].inject(Fault::Hang);
    let view = test.end(test.generate_sampled("a").await).await;
    assert_eq!(error(&view).code, ErrorCode::TimedOut);
    assert!(error(&view).message.contains("gpu-1"), "{}", error(&view).message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_runs_longer_than_it_may_is_interrupted() {
    let test = servers(1).run_ms(20_000).start().await;
    test.change_server(0, |server| server.run_limit_s = 1).await;
    let view = test.end(test.generate_sampled("a").await).await;
    assert_eq!(error(&view).code, ErrorCode::TimedOut);
    test.until("its prompt is interrupted", || test.sims[0].stats().interrupts == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_waits_too_long_expires() {
    let test = servers(1).config(|config| config.queue_wait_limit = Duration::from_millis(1)).start_unready().await;
    test.engine.server_delete(test.server_id(0)).await.unwrap();
    let added =
        test.engine.server_add(hub_core::server::NewServer::named("gone", "127.0.0.1:9".parse().unwrap())).await;
    assert!(added.is_ok());
    let view = test.end(test.generate("a").await).await;
    assert_eq!(view.job.state, JobState::Expired);
}
