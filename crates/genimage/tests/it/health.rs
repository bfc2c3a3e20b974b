//! What supervisors are told, and what only those who may know.

use std::{fs, path::Path};

use serde_json::{Value, json};
use sqlx::{
    ConnectOptions as _, Connection as _,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

use crate::hub::{Edge, Hub, PATIENCE, serve};

async fn ready(hub: &Edge, key: Option<&str>) -> (u16, Value) {
    let mut request = hub.http.get(format!("{}/readyz", hub.url));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_hear_whether_and_admins_hear_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = serve(folder.path());
    command.env("GENIMAGE_API_KEY", "the-only-key");
    let hub = Hub::run(command);
    assert_eq!(ready(&hub, None).await, (200, json!({"ready": true})));
    let (status, told) = ready(&hub, Some("the-only-key")).await;
    assert_eq!((status, &told["objects"], &told["store"]), (200, &json!("ok"), &json!("ok")), "{told}");
    assert_eq!(told["reasons"], json!(["no ComfyUI server is registered"]));
    for path in ["/livez", "/healthz"] {
        assert_eq!(hub.http.get(format!("{}{path}", hub.url)).send().await.unwrap().status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_store_that_is_gone_is_told_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path(), &[]);
    let objects = folder.path().join("objects");
    // A file in its place: nothing can be written below it, whoever the hub runs as.
    fs::remove_dir_all(&objects).unwrap();
    fs::write(&objects, "in the way").unwrap();
    let told = hub.wait_for("/readyz", |told| told["ready"] == false).await;
    assert_eq!(told["objects"], "unreachable", "{told}");
    assert!(told["reasons"].to_string().contains("picture store"), "{told}");
    assert_eq!(hub.http.get(format!("{}/livez", hub.url)).send().await.unwrap().status(), 200);
    fs::remove_file(&objects).unwrap();
    fs::create_dir(&objects).unwrap();
    hub.wait_for("/readyz", |told| told["ready"] == true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_is_waited_for_and_nothing_accepted_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path(), &["--demo"]);
    let ready = |servers: &Value| servers.to_string().contains("\"ready\"");
    hub.wait_for("/api/v1/servers", ready).await;
    let before = hub.submit(&json!({"prompt": "before", "render_type": "smoke"})).await;
    let locker = locked(&folder.path().join("hub.db")).await;
    // It waits for the lock as long as a caller may be kept, then says so.
    let job = json!({"tool": "generate_image", "arguments": {"prompt": "meanwhile", "render_type": "smoke"}});
    let (status, refusal) = hub.post("/api/v1/jobs", &job).await;
    assert_eq!((status, &refusal["code"]), (503, &json!("storage")), "{refusal}");
    assert!(refusal["retry_after_s"].as_u64().is_some(), "{refusal}");
    assert_eq!(hub.http.get(format!("{}/livez", hub.url)).send().await.unwrap().status(), 200);
    let told = hub.wait_for("/readyz", |told| told["ready"] == false).await;
    assert_eq!((&told["store"], &told["objects"]), (&json!("locked"), &json!("ok")), "{told}");
    assert!(told["reasons"].to_string().contains("another process"), "{told}");
    locker.close().await.unwrap();
    hub.wait_for("/readyz", |told| told["ready"] == true).await;
    hub.wait_for_state(&before, &["succeeded"]).await;
    let after = hub.submit(&json!({"prompt": "after", "render_type": "smoke"})).await;
    hub.wait_for_state(&after, &["succeeded"]).await;
}

/// A connection of another process than the hub's, which holds the write lock.
async fn locked(database: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(database).busy_timeout(PATIENCE);
    let mut connection = options.connect().await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut connection).await.unwrap();
    connection
}
