//! Commands, from the outside.

use std::process::{Command, Stdio};

use hub_sim::{ComfyConfig, ComfySim, Outcome};
use serde_json::json;

use crate::{
    bed::any_port,
    hub::{Hub, PATIENCE, genimage},
};

#[test]
fn generate_writes_a_picture_and_tells_its_seed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fox.png");
    let output =
        genimage().args(["generate", "a red fox", "--demo", "--seed", "42", "-o"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("seed 42") && said.contains("fox.png"), "{said}");
    let picture = image::open(&file).unwrap();
    assert!(picture.width() >= 256 && picture.height() >= 256);
}

#[test]
fn generate_writes_several_pictures_with_seeds_that_count_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fox.png");
    let output = genimage()
        .args(["generate", "a red fox", "--demo", "--seed", "42", "-n", "3", "-o"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    for (line, (name, seed)) in told.lines().zip([("fox.png", 42), ("fox-2.png", 43), ("fox-3.png", 44)]) {
        let path = folder.path().join(name);
        assert_eq!(line, format!("{} seed {seed}", path.display()));
        image::open(path).unwrap();
    }
    assert_eq!(told.lines().count(), 3);
}

#[test]
fn generate_says_what_is_wrong_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (vec!["--aspect-ratio", "5:1"], "21:9"),
        (vec!["--render-type", "nope"], "nope"),
        (vec!["--style", "film-stil"], "Did you mean `film-still`"),
        (vec!["-o", "/nonexistent/fox.png"], "does not exist"),
    ] {
        let output =
            genimage().current_dir(folder.path()).args(["generate", "x", "--demo"]).args(&arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing may be left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn generate_uses_the_hub_that_runs_already() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path(), &["--demo"]);
    let address = hub.url.trim_start_matches("http://").to_owned();
    let file = folder.path().join("fox.png");
    let output =
        genimage().env("GENIMAGE_LISTEN", address).args(["generate", "a red fox", "-o"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    image::open(&file).unwrap();
    let jobs = hub.get("/api/v1/jobs").await;
    assert!(jobs.to_string().contains("a red fox"), "{jobs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_serves_a_picture_by_plain_json_rpc() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path(), &["--demo"]);
    let result = hub.call("generate_image", &json!({ "prompt": "a red fox", "seed": 7 })).await;
    assert_ne!(result["isError"], true, "{result}");
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.contains(&format!("{}/outputs/img_", hub.url)), "{text}");
    assert!(text.contains('7'), "{text}");
}

#[test]
fn doctor_reports_each_check_and_fails_when_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let output = genimage().args(["doctor", "--data-dir"]).arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("ok    data folder"), "{said}");
    // A fresh hub has no server yet: that is what there is to fix.
    assert!(said.contains("FAIL") && !output.status.success(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_a_healthy_hub_well_and_names_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let sim = ComfySim::start(any_port(), ComfyConfig::default()).await.unwrap();
    let hub = Hub::start(folder.path(), &[]);
    let server = json!({ "name": "the one with the big card", "base_url": sim.url() });
    assert_eq!(hub.post("/api/v1/servers", &server).await.0, 201);
    hub.wait_for("/api/v1/servers", |servers| servers.to_string().contains("\"ready\"")).await;
    let doctor = || genimage().args(["doctor", "--data-dir"]).arg(folder.path()).output().unwrap();
    // Beside a hub that runs, what it does not disturb is looked at.
    let beside = doctor();
    let said = String::from_utf8_lossy(&beside.stdout);
    assert_eq!(beside.status.code(), Some(0), "{said}");
    assert!(said.contains("in use by a running hub") && said.contains("ok    database: opens"), "{said}");
    hub.terminate();
    let alone = doctor();
    let said = String::from_utf8_lossy(&alone.stdout);
    assert_eq!(alone.status.code(), Some(0), "{said}");
    assert!(!said.contains("FAIL"), "{said}");
    let of_server: Vec<&str> = said.lines().filter(|line| line.contains("the one with the big card")).collect();
    assert!(of_server.iter().any(|line| line.starts_with("ok    ")), "{said}");
}

#[test]
fn health_fails_where_no_hub_answers() {
    let output = genimage().env("GENIMAGE_LISTEN", "127.0.0.1:1").arg("health").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no hub answers"));
}

#[test]
fn wrong_arguments_are_told_with_what_is_right() {
    for (arguments, said) in [
        (&["generate", "x", "--demo", "--seed", "-1"][..], "from 0 to 18446744073709551615"),
        (&["generate", "x", "--demo", "--seed", "18446744073709551616"], "from 0 to 18446744073709551615"),
        (&["serve", "--listen", "localhost:8001"], "127.0.0.1:8001"),
        (&["generat", "x"], "generate"),
        (&["generate"], "<PROMPT>"),
    ] {
        let output = genimage().args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}

#[test]
fn generate_without_any_server_says_how_to_give_one() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there, so the configured folder is used, which knows no server.
    let output = genimage()
        .env("GENIMAGE_LISTEN", "127.0.0.1:1")
        .args(["generate", "a fox", "--data-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("--server") && error.contains("--demo"), "{error}");
}

#[test]
fn a_server_that_does_not_answer_is_named_when_the_time_is_over() {
    let output =
        genimage().args(["generate", "a fox", "--server", "http://127.0.0.1:1", "--timeout-s", "2"]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("not done after 2 s") && error.contains("server is "), "{error}");
}

/// Starts `generate`, interrupts it while the server works, and checks that the server stops too.
async fn interrupted(arguments: &[&str], environment: Option<(&str, &str)>, sim: &ComfySim) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = genimage();
    command.current_dir(folder.path()).args(["generate", "a slow fox", "--render-type", "smoke"]).args(arguments);
    let child = command.envs(environment).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the server has the prompt", || sim.stats().prompts_received == 1).await;
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("the job was cancelled"), "{error}");
    until("the server stops", || sim.stats().executed.len() == 1).await;
    assert_eq!(sim.stats().executed[0].outcome, Outcome::Interrupted);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing may be left behind");
}

async fn until(what: &str, reached: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !reached() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in time");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_the_picture_on_the_server_too() {
    let slow = ComfyConfig { run_ms: 120_000, ..ComfyConfig::default() };
    let sim = ComfySim::start(any_port(), slow.clone()).await.unwrap();
    interrupted(&["--server", &sim.url()], None, &sim).await;

    let (folder, sim) = (tempfile::tempdir().unwrap(), ComfySim::start(any_port(), slow).await.unwrap());
    let hub = Hub::start(folder.path(), &[]);
    hub.add_server(&sim.url()).await;
    interrupted(&[], Some(("GENIMAGE_LISTEN", hub.url.trim_start_matches("http://"))), &sim).await;
}
