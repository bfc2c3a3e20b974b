//! Commands, from the outside.

use serde_json::json;

use crate::hub::{Hub, genimage};

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

#[test]
fn health_fails_where_no_hub_answers() {
    let output = genimage().env("GENIMAGE_LISTEN", "127.0.0.1:1").arg("health").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no hub answers"));
}
