//! `genimage config`, with a hub and without.

use std::{path::Path, process::Output};

use serde_json::{Value, json};

use crate::hub::{Hub, command, said};

fn config(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command("config", folder, arguments, environment)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_moves_from_a_running_hub_to_a_folder_and_into_another_hub() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = tempfile::tempdir().unwrap();
    let (file, again) = (files.path().join("hub.json"), files.path().join("again.json"));
    let (file, again) = (file.to_str().unwrap(), again.to_str().unwrap());
    let passphrase = [("GENIMAGE_PASSPHRASE", "correct horse")];

    // The hub listens elsewhere than its folder's configuration says: it is named.
    let hub = Hub::start(first.path(), &[]);
    let server =
        json!({"name": "gpu", "base_url": "http://127.0.0.1:9", "auth": {"kind": "bearer", "token": "hunter2"}});
    assert_eq!(hub.post("/api/v1/servers", &server).await.0, 201);
    let lost = config(first.path(), &["export"], &[("GENIMAGE_LISTEN", "127.0.0.1:1")]);
    assert!(!lost.status.success() && said(&lost).contains("--hub"), "{}", said(&lost));
    let exported = config(first.path(), &["export", "-o", file, "--with-secrets", "--hub", &hub.url], &passphrase);
    assert!(exported.status.success(), "{}", said(&exported));
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains("hunter2") && text.contains("xchacha20poly1305"));

    // No hub uses the second folder: its database is worked on directly.
    let closed = config(second.path(), &["import", file, "--replace"], &[]);
    assert!(!closed.status.success() && said(&closed).contains("GENIMAGE_PASSPHRASE"), "{}", said(&closed));
    let preview = config(second.path(), &["import", file, "--replace", "--dry-run"], &passphrase);
    assert!(preview.status.success() && said(&preview).contains("+ servers gpu"), "{}", said(&preview));
    let imported = config(second.path(), &["import", file, "--replace"], &passphrase);
    assert!(imported.status.success() && !said(&imported).contains("hunter2"), "{}", said(&imported));
    let exported = config(second.path(), &["export", "-o", again], &[]);
    assert!(exported.status.success(), "{}", said(&exported));
    let mut open: Value = serde_json::from_str(&text).unwrap();
    open.as_object_mut().unwrap().shift_remove("secrets");
    let round: Value = serde_json::from_str(&std::fs::read_to_string(again).unwrap()).unwrap();
    assert_eq!(round, open);
    drop(hub);

    // A hub on that folder has it all, and notices an import while it runs.
    let hub = Hub::start(second.path(), &[]);
    let gpu = hub.get("/api/v1/servers/gpu").await;
    assert_eq!(gpu["auth"]["secret_set"], true, "{gpu}");
    let older = files.path().join("older.json");
    std::fs::write(&older, json!({"serverUrl": "http://127.0.0.1:7", "timeout": 1000}).to_string()).unwrap();
    let address = hub.url.trim_start_matches("http://").to_owned();
    let live = config(second.path(), &["import", older.to_str().unwrap()], &[("GENIMAGE_LISTEN", &address)]);
    assert!(live.status.success(), "{}", said(&live));
    assert_eq!(hub.get("/api/v1/servers/Default%20Server").await["run_limit_s"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_the_parts_that_were_asked_for_whoever_writes_it() {
    let (folder, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = files.path().join("hub.json");
    let sections = |place: &[&str], flags: &[&str]| -> Vec<String> {
        let arguments = [&["export", "-o", file.to_str().unwrap()][..], place, flags].concat();
        let exported = config(folder.path(), &arguments, &[]);
        assert!(exported.status.success(), "{}", said(&exported));
        let document: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        document.as_object().unwrap().keys().cloned().collect()
    };
    let check = |place: &[&str]| {
        let servers = ["format", "version", "servers", "llm_servers"];
        assert_eq!(sections(place, &["--only-servers"]), servers);
        assert_eq!(sections(place, &["--only-servers", "--without-workflows"]), servers);
        let all = sections(place, &[]);
        assert!(all.starts_with(&servers.map(str::to_owned)) && all.iter().any(|name| name == "workflows"), "{all:?}");
        let others: Vec<String> = all.into_iter().filter(|name| name != "workflows").collect();
        assert_eq!(sections(place, &["--without-workflows"]), others);
    };
    let hub = Hub::start(folder.path(), &[]);
    check(&["--hub", &hub.url]);
    drop(hub);
    check(&[]);
}

#[test]
fn a_file_that_will_not_do_is_told_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.json");
    for (text, told) in [
        (
            r#"{"format": "genimage-config", "version": 1, "servers": [{"name": "a", "base_url": "ftp://x"}]}"#,
            "servers[0].base_url",
        ),
        (r#"{"format": "genimage-config", "version": 1, "servers": [{"name": "a""#, "cut off"),
        (r#"{"format": "genimage-config", "version": 9}"#, "version 9"),
    ] {
        std::fs::write(&file, text).unwrap();
        let refused = config(folder.path(), &["import", file.to_str().unwrap()], &[]);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        assert!(said(&refused).contains(told), "{}", said(&refused));
    }
    let missing = config(folder.path(), &["import", "/nonexistent.json"], &[]);
    assert!(said(&missing).contains("/nonexistent.json"), "{}", said(&missing));
}
