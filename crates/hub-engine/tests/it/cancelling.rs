//! Cancelling stops one job and nobody else's.

use hub_core::job::{JobState, JobStateKind};
use hub_sim::{Fault, Outcome};

use crate::fixture::{TestEngine, servers};

/// The first prompt that comes to the server stands still until it is interrupted or faults are cleared, however long
/// the rest takes.
fn hold_the_first(test: &TestEngine) {
    test.sims[0].inject(Fault::Hold);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_a_running_job_stops_that_prompt_only() {
    let test = servers(1).start().await;
    hold_the_first(&test);
    let running = test.generate_sampled("first").await;
    test.until_running(running).await;
    let staged = test.generate_sampled("second").await;
    let view = test.engine.cancel(running).await.unwrap();
    assert_eq!(view.job.state, JobState::Cancelled);
    test.success(staged).await;
    let outcomes: Vec<Outcome> = test.sims[0].stats().executed.iter().map(|run| run.outcome).collect();
    assert_eq!(outcomes, [Outcome::Interrupted, Outcome::Success]);
    assert_eq!(test.engine.view(running).await.unwrap().job.state, JobState::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_a_staged_job_takes_it_off_the_server() {
    let test = servers(1).start().await;
    hold_the_first(&test);
    let running = test.generate_sampled("first").await;
    test.until_running(running).await;
    let staged = test.generate_sampled("second").await;
    test.until("it is staged", || test.sims[0].stats().prompts_received == 2).await;
    test.engine.cancel(staged).await.unwrap();
    // Before the one in front of it ends, or it would begin.
    test.until("it is off the server", || test.engine.servers()[0].in_flight == 1).await;
    test.sims[0].clear_faults();
    test.success(running).await;
    assert_eq!(test.successes(), [1]);
    test.until("the place is free again", || test.engine.servers()[0].in_flight == 0).await;
    assert_eq!(test.sims[0].stats().executed.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_on_an_older_server_spares_the_neighbour() {
    let test = servers(1).server(0, |sim| sim.version = "0.3.64".to_owned()).start().await;
    hold_the_first(&test);
    let running = test.generate_sampled("first").await;
    test.until_running(running).await;
    let staged = test.generate_sampled("second").await;
    test.until("it is staged", || test.sims[0].stats().prompts_received == 2).await;
    test.engine.cancel(staged).await.unwrap();
    // Before the one in front of it ends, or it would begin.
    test.until("it is off the server", || test.engine.servers()[0].in_flight == 1).await;
    test.sims[0].clear_faults();
    test.success(running).await;
    assert_eq!(test.sims[0].stats().interrupts, 0);
    assert_eq!(test.successes(), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_a_waiting_job_ends_its_watch_once() {
    let test = servers(1).start().await;
    test.change_server(0, |server| server.max_in_flight = 1).await;
    hold_the_first(&test);
    let running = test.generate_sampled("first").await;
    test.until_running(running).await;
    let waiting = test.generate_sampled("second").await;
    let mut watch = test.engine.watch(waiting).await.unwrap();
    test.engine.cancel(waiting).await.unwrap();
    let mut ends = 0;
    while let Some(progress) = watch.next().await {
        ends += usize::from(progress.state == JobStateKind::Cancelled);
    }
    assert_eq!(ends, 1);
    // Again: it stays as it is.
    assert_eq!(test.engine.cancel(waiting).await.unwrap().job.state, JobState::Cancelled);
    test.sims[0].clear_faults();
    test.success(running).await;
    assert_eq!(test.sims[0].stats().prompts_received, 1);
    assert_eq!(test.engine.cancel(running).await.unwrap().job.state, JobState::Succeeded);
}
