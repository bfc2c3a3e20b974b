//! Tests of servers, stage by stage.

use hub_core::server::{Reach, ServerAuth};
use hub_engine::{ServerTest, StageName, StageOutcome};
use hub_sim::{Fault, Models, SimAuth};
use tokio::io::AsyncWriteExt as _;

use crate::fixture::{TestEngine, servers};

fn reach(url: &str) -> Reach {
    Reach { base_url: url.parse().unwrap(), auth: ServerAuth::None, origin: None, ca: None }
}

fn failed_at(test: &ServerTest) -> (StageName, String) {
    let stage = test.failure().unwrap_or_else(|| panic!("it went well: {test:?}"));
    assert!(!test.ok && stage.hint.is_some(), "{stage:?}");
    let names: Vec<StageName> = test.stages.iter().map(|stage| stage.name).collect();
    assert_eq!(names.len(), 6, "every stage is told: {names:?}");
    let at = names.iter().position(|name| *name == stage.name).unwrap();
    assert!(test.stages[at + 1..].iter().all(|stage| stage.outcome == StageOutcome::Skipped), "{test:?}");
    (stage.name, format!("{} {}", stage.detail, stage.hint.as_deref().unwrap_or_default()))
}

async fn tried(test: &TestEngine, reach: &Reach) -> (StageName, String) {
    failed_at(&test.engine.server_test_reach(reach).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_servers_are_tested_with_what_they_lack() {
    let mut test = servers(3).server(1, |config| config.models = Models::none()).start().await;
    test.sims[2].kill().await;
    let answers = test.engine.servers_test_all().await.unwrap();
    assert_eq!(answers.iter().map(|answer| answer.name.as_str()).collect::<Vec<_>>(), ["gpu-1", "gpu-2", "gpu-3"]);
    let good = &answers[0];
    assert!(good.ok && good.stages.iter().all(|stage| stage.outcome == StageOutcome::Ok), "{good:?}");
    assert_eq!((good.version.as_deref(), good.server), (Some("0.33.0"), Some(test.server_id(0))));
    assert!(good.render_types.iter().all(|row| row.ok) && !good.render_types.is_empty());
    assert!(good.duration_ms > 0.0);
    let lacking = &answers[1];
    assert!(lacking.ok, "it works, but not for everything");
    let row = lacking.render_types.iter().find(|row| row.render_type == "sampled").unwrap();
    assert_eq!(row.lack.files, ["v1-5-pruned-emaonly-fp16.safetensors"]);
    assert_eq!(lacking.stages.last().unwrap().outcome, StageOutcome::Warning);
    assert_eq!(failed_at(&answers[2]).0, StageName::Reachable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_names_the_stage_that_fails_and_what_to_do() {
    let test = servers(1).start().await;
    let (sim, url) = (&test.sims[0], test.sims[0].url());
    let nobody = reach("http://genimage-test.invalid:1");
    assert_eq!(tried(&test, &nobody).await.0, StageName::Reachable);

    sim.set_auth(Some(SimAuth::login("hash", "s3cret")));
    let mut wrong = reach(&url);
    wrong.auth = ServerAuth::Bearer { token: hub_core::server::SecretSource::Literal("s3cret".to_owned()) };
    let (stage, told) = tried(&test, &wrong).await;
    assert_eq!(stage, StageName::Authorised);
    assert!(told.contains("hash in login/PASSWORD") && !told.contains("s3cret"), "{told}");
    sim.set_auth(None);

    sim.inject(Fault::HtmlAnswers.always());
    assert_eq!(tried(&test, &reach(&url)).await.0, StageName::Comfyui);
    sim.clear_faults();
    sim.inject(Fault::Http { route: "/system_stats".to_owned(), status: 404, body: String::new() }.always());
    assert_eq!(tried(&test, &reach(&url)).await.0, StageName::Comfyui);
    sim.clear_faults();

    // Another program, and one that hangs up on http.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        }
    });
    let (stage, told) = tried(&test, &reach(&format!("http://{address}"))).await;
    assert_eq!(stage, StageName::Reachable);
    assert!(told.contains("https"), "{told}");
    let (stage, _) = tried(&test, &reach(&format!("https://{address}"))).await;
    assert_eq!(stage, StageName::Reachable);

    let mut broken = reach(&url);
    broken.ca = Some("file:/no/such/ca.pem".parse().unwrap());
    assert!(tried(&test, &broken).await.1.contains("certificate file"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_or_a_catalogue_that_fails_is_a_warning() {
    let test = servers(1).start().await;
    let sim = &test.sims[0];
    sim.inject(Fault::Http { route: "/ws".to_owned(), status: 404, body: String::new() }.always());
    sim.inject(Fault::Http { route: "/object_info".to_owned(), status: 500, body: String::new() }.always());
    let answer = test.engine.server_test(test.server_id(0)).await.unwrap();
    let of = |name| answer.stages.iter().find(|stage| stage.name == name).unwrap().outcome;
    assert!(answer.ok);
    assert_eq!((of(StageName::Events), of(StageName::Inventory)), (StageOutcome::Warning, StageOutcome::Warning));
    assert_eq!(of(StageName::RenderTypes), StageOutcome::Skipped);
    let gone = test.engine.server_test(hub_core::ids::ServerId::new()).await;
    assert!(gone.is_err());
}
