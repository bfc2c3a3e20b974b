//! Servers, sockets and replies that get lost: nothing is lost with them, and nothing is done twice.

use std::time::Duration;

use hub_core::server::{NewServer, ServerState};
use hub_engine::AlertKind;
use hub_sim::{ComfyConfig, ComfySim, DieAt, Fault, Outcome};

use crate::{
    cable::Cable,
    fixture::{PATIENCE, TestEngine, servers},
};

fn total(test: &TestEngine) -> usize {
    test.successes().iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_while_it_runs_loses_the_job_to_the_other() {
    let mut test = servers(2).run_ms(400).start().await;
    test.change_server(1, |server| server.weight = 0.1).await;
    let job = test.generate_sampled("a").await;
    test.until_running(job).await;
    assert_eq!(test.engine.view(job).await.unwrap().server.as_deref(), Some("gpu-1"));
    test.sims[0].kill().await;
    let view = test.success(job).await;
    assert_eq!(view.server.as_deref(), Some("gpu-2"));
    assert_eq!(view.job.attempts, 2);
    test.until("the dead server is seen", || test.engine.servers()[0].state == ServerState::Down).await;
    assert!(test.engine.servers()[0].reason.is_some());
    // It comes back by itself.
    test.sims[0].restart().await;
    test.until_all_ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_empty_runs_the_job_once_more() {
    let test = servers(1).run_ms(300).start().await;
    test.sims[0].inject(Fault::RestartEmpty);
    let view = test.success(test.generate_sampled("a").await).await;
    assert_eq!(view.job.attempts, 2);
    assert_eq!((test.successes()[0], test.sims[0].stats().prompts_received), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_before_the_history_is_written_runs_the_job_again() {
    let mut test = servers(1).run_ms(100).start().await;
    test.sims[0].inject(Fault::Die { at: DieAt::BeforeHistory });
    let job = test.generate_sampled("a").await;
    let sim = &test.sims[0];
    test.until("it died", || !sim.is_up()).await;
    test.sims[0].restart().await;
    assert_eq!(test.success(job).await.job.attempts, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_socket_does_not_stop_the_job() {
    let test = servers(1).run_ms(400).start().await;
    test.sims[0].inject(Fault::DropSocket);
    let view = test.success(test.generate_sampled("a").await).await;
    assert_eq!((view.job.attempts, total(&test)), (1, 1));
    test.until("a new socket is open", || test.sims[0].stats().ws_connections == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deaf_socket_does_not_stop_the_job() {
    let test = servers(1).run_ms(200).start().await;
    test.sims[0].inject(Fault::Deaf);
    let view = test.success(test.generate_sampled("a").await).await;
    assert_eq!((view.job.attempts, total(&test)), (1, 1));
    let ran = view.job.times.finished_at.unwrap() - view.job.times.started_at.unwrap();
    assert!(ran.num_milliseconds() >= 150, "it ran for {ran}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_whose_reply_is_lost_is_executed_and_delivered_once() {
    let test = servers(2).run_ms(300).start().await;
    for sim in &test.sims {
        sim.inject(Fault::AcceptThenTimeout);
    }
    let view = test.success(test.generate_sampled("a").await).await;
    assert_eq!((view.job.attempts, total(&test)), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_500_for_a_prompt_that_is_queued_all_the_same_is_executed_and_delivered_once() {
    let test = servers(2).run_ms(300).start().await;
    for sim in &test.sims {
        sim.inject(Fault::QueuedBut500);
    }
    let view = test.success(test.generate_sampled("a").await).await;
    assert_eq!((view.job.attempts, total(&test)), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_500_for_a_prompt_that_is_not_queued_is_tried_again_under_a_new_id() {
    let test = servers(1).start().await;
    test.sims[0].inject(Fault::Http { route: "POST /prompt".to_owned(), status: 500, body: "oops".to_owned() });
    let view = test.success(test.generate("a").await).await;
    assert_eq!((view.job.attempts, total(&test)), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_on_every_job_does_not_get_it_for_ever() {
    let mut test = servers(1).run_ms(50).config(|config| config.attempts_max = 2).start().await;
    test.sims[0].inject(Fault::Die { at: DieAt::MidRun }.always());
    let job = test.generate_sampled("a").await;
    for _ in 0..2 {
        let sim = &test.sims[0];
        test.until("it died", || !sim.is_up()).await;
        test.sims[0].restart().await;
    }
    let view = test.end(job).await;
    let hub_core::job::JobState::Failed(error) = &view.job.state else { panic!("{:?}", view.job.state) };
    assert_eq!(error.code, hub_core::error::ErrorCode::ServerLost);
    assert_eq!(view.job.attempts, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_events_are_ignored() {
    let test = servers(1).start().await;
    test.sims[0].inject(Fault::UnknownEvents.always());
    test.success(test.generate_sampled("a").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_waits_while_its_only_server_is_away() {
    let mut test = servers(1).start().await;
    test.sims[0].kill().await;
    test.until("the server is down", || test.engine.servers()[0].state == ServerState::Down).await;
    let job = test.generate("a").await;
    let mut watch = test.engine.watch(job).await.unwrap();
    while watch.now().why_waiting.is_none() {
        watch.next().await.unwrap();
    }
    assert!(watch.now().describe().contains("gpu-1 is down"), "{}", watch.now().describe());
    test.sims[0].restart().await;
    assert_eq!(test.success(job).await.job.attempts, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_dead_gets_no_more_jobs() {
    let test = servers(2).config(|config| config.poll_interval = Duration::from_millis(300)).start().await;
    // The healthy one keeps its long limit: on a busy machine a second without an event is nothing unusual.
    test.change_server(0, |server| server.stall_limit_s = 1).await;
    test.sims[0].inject(Fault::ZombieWorker);
    let mut jobs = 0;
    while test.sims[0].stats().prompts_received == 0 {
        assert!(jobs < 50, "the dead one is never tried");
        let both = futures_util::future::join_all(["a", "b"].map(|prompt| test.generate_sampled(prompt))).await;
        jobs += both.len();
        for job in both {
            test.success(job).await;
        }
    }
    test.until("it counts as dead", || test.engine.servers()[0].state == ServerState::Zombie).await;
    let tried = test.sims[0].stats().prompts_received;
    for prompt in ["c", "d"] {
        test.success(test.generate_sampled(prompt).await).await;
    }
    assert_eq!(test.sims[0].stats().prompts_received, tried);
    assert_eq!(test.successes(), [0, jobs + 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_runs_jobs_but_hands_out_no_pictures_rests() {
    let test = servers(2).run_ms(20).config(|config| config.attempts_max = 5).start().await;
    let broken = Fault::Http { route: "GET /view".to_owned(), status: 500, body: "disk error".to_owned() };
    test.sims[0].inject(broken.always());
    let breaker = || test.engine.servers()[0].live.breaker;
    let mut rounds = 0;
    while breaker().failures < 3 {
        rounds += 1;
        assert!(rounds < 50, "its breaker stays closed: {:?}", breaker());
        let prompts = ["a", "b", "c", "d"];
        let jobs = futures_util::future::join_all(prompts.map(|prompt| test.generate(prompt))).await;
        for job in jobs {
            let view = test.success(job).await;
            assert_eq!(view.server.as_deref(), Some("gpu-2"), "no picture comes from the other");
        }
    }
    let alerts = test.engine.recent_alerts();
    assert!(alerts.iter().any(|alert| alert.kind == AlertKind::BreakerOpened), "{alerts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_pictures_are_always_gone_rests() {
    let test = servers(1).run_ms(20).start().await;
    test.sims[0].inject(Fault::ViewMissing.always());
    for prompt in ["a", "b", "c"] {
        let view = test.end(test.generate(prompt).await).await;
        assert!(matches!(view.job.state, hub_core::job::JobState::Failed(_)), "{:?}", view.job.state);
    }
    let breaker = test.engine.servers()[0].live.breaker;
    assert_eq!(breaker.failures, 3, "{breaker:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_taken_out_of_the_pool_gives_its_job_back() {
    let test = servers(2).run_ms(1500).start().await;
    let job = test.generate_sampled("a").await;
    test.until_running(job).await;
    let at = usize::from(test.engine.view(job).await.unwrap().server.as_deref() == Some("gpu-2"));
    test.change_server(at, |server| server.enabled = false).await;
    let view = test.success(job).await;
    assert_eq!(view.job.attempts, 2);
    test.until("the old prompt is off the server", || {
        test.sims[at].stats().executed.iter().any(|run| run.outcome == Outcome::Interrupted)
    })
    .await;
}

/// A server that takes no prompts.
fn out_of_order() -> Fault {
    Fault::Http { route: "POST /prompt".to_owned(), status: 500, body: "out of order".to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_again_and_again_rests_and_says_so() {
    let mut test = servers(2)
        .run_ms(20)
        .config(|config| {
            config.attempts_max = 5;
            // Longer than anything here may take. That a rest ends is the next test's.
            config.breaker_pause = Duration::from_hours(1);
        })
        .start()
        .await;
    test.sims[0].inject(out_of_order().always());
    let posts = |sim: &ComfySim| sim.stats().requests_by_route.get("POST /prompt").copied().unwrap_or(0);
    // Several at once, so that some go to the broken one although it never finished any.
    let several = async || {
        let mut jobs = Vec::new();
        for prompt in ["a", "b", "c", "d"] {
            jobs.push(test.generate(prompt).await);
        }
        for job in jobs {
            test.success(job).await;
        }
    };
    let mut rounds = 0;
    while posts(&test.sims[0]) < 3 {
        rounds += 1;
        assert!(rounds < 50, "the broken server is not asked: {}", posts(&test.sims[0]));
        several().await;
    }
    // Two may be on their way at once, so the third failure can have a fourth beside it.
    let asked = posts(&test.sims[0]);
    assert!(asked <= 4, "three failures in a row are enough: {asked}");
    several().await;
    assert_eq!((test.successes()[0], posts(&test.sims[0])), (0, asked), "it rests");

    // Alone it gets no work either, although it is well again, and says why.
    test.sims[0].clear_faults();
    test.sims[1].kill().await;
    test.until("the other is down", || test.engine.servers()[1].state == ServerState::Down).await;
    let job = test.generate("i").await;
    let mut watch = test.engine.watch(job).await.unwrap();
    let says = async {
        while !watch.now().describe().contains("gpu-1 rests after several failures") {
            watch.next().await.expect("it waits");
        }
    };
    let said = tokio::time::timeout(PATIENCE, says).await;
    assert!(said.is_ok(), "{}", watch.now().describe());
    assert_eq!(posts(&test.sims[0]), asked, "it still rests");
    test.engine.cancel(job).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_rested_is_tried_again() {
    // Longer than one failed attempt takes.
    let rest = Duration::from_secs(3);
    let test = servers(1)
        .run_ms(20)
        .config(|config| {
            config.attempts_max = 5;
            config.breaker_pause = rest;
        })
        .start()
        .await;
    test.sims[0].inject(out_of_order().next(3));
    let job = test.generate("a").await;
    assert_eq!(test.success(job).await.job.attempts, 4);
    let attempts = test.engine.store().job_attempts(job).await.unwrap();
    let between = attempts[3].created_at - attempts[2].created_at;
    assert!(between.to_std().unwrap() >= rest, "it was tried again after {between}");
    let alerts = test.engine.recent_alerts();
    assert!(alerts.iter().any(|alert| alert.kind == AlertKind::BreakerOpened), "{alerts:?}");
    let breaker = test.engine.servers()[0].live.breaker;
    assert_eq!((breaker.open, breaker.failures), (false, 0), "a job that comes through ends it: {breaker:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_left_on_a_server_that_went_away_is_taken_off_when_it_returns() {
    let test = servers(1).run_ms(40).start().await;
    let slow = ComfyConfig { run_ms: 60_000, ..ComfyConfig::default() };
    let far = ComfySim::start(([127, 0, 0, 1], 0).into(), slow).await.unwrap();
    let mut cable = Cable::to(far.addr()).await;
    test.change_server(0, |server| server.enabled = false).await;
    test.engine.server_add(NewServer::named("far", cable.url().parse().unwrap())).await.unwrap();
    let job = test.generate_sampled("a").await;
    test.until_running(job).await;
    test.change_server(0, |server| server.enabled = true).await;

    cable.cut().await;
    assert_eq!(test.success(job).await.server.as_deref(), Some("gpu-1"));
    assert!(far.stats().executed.is_empty(), "it works on");
    cable.mend().await;
    test.until("the old prompt is off the server", || far.stats().executed.len() == 1).await;
    assert_eq!(far.stats().executed[0].outcome, Outcome::Interrupted);
    assert_eq!(test.successes(), [1], "the picture is made once");
}
