//! `genimage import-legacy`: an MCP_GenImage database with everything that one may hold.

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::{Value, json};

use crate::hub::{Hub, done, genimage, said};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mcp_genimage").join(name)
}

fn import(folder: &Path, file: &Path, more: &[&str]) -> Output {
    let mut command = genimage();
    command.arg("import-legacy").arg(file).args(more).arg("--data-dir").arg(folder);
    command.output().unwrap()
}

async fn jobs(hub: &Hub, query: &str) -> Vec<Value> {
    hub.get(&format!("/api/v1/jobs?{query}")).await["jobs"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_database_becomes_configuration_and_history_once() {
    let folder = tempfile::tempdir().unwrap();
    let workflows = fixture("workflows");
    let arguments = ["--workflows", workflows.to_str().unwrap()];
    let before = std::fs::read(fixture("head.db")).unwrap();

    let preview = done(&import(folder.path(), &fixture("head.db"), &[&arguments[..], &["--dry-run"]].concat()));
    for told in [
        "+ servers big",
        "nothing was written",
        "3 jobs are new, 0 were here",
        "`Lost` is left out",
        "its name is a path",
        "`broken` is left out",
    ] {
        assert!(preview.contains(told), "{told}: {preview}");
    }
    let told = done(&import(folder.path(), &fixture("head.db"), &arguments));
    assert!(told.contains("+ styles Aquarelle") && told.contains("3 jobs are new"), "{told}");
    let again = done(&import(folder.path(), &fixture("head.db"), &arguments));
    assert!(again.contains("0 changed") && again.contains("0 jobs are new, 3 were here already"), "{again}");
    assert_eq!(std::fs::read(fixture("head.db")).unwrap(), before, "the file is only read");

    let hub = Hub::start(folder.path(), &[]);
    let refused = import(folder.path(), &fixture("head.db"), &arguments);
    assert!(said(&refused).contains("another hub") && !refused.status.success(), "{}", said(&refused));
    let style = hub.get("/api/v1/styles/Aquarelle").await;
    assert_eq!((&style["is_default"], &style["preferred_render_type"]), (&json!(true), &json!("Draft")), "{style}");
    assert_eq!(style["render_types"], json!(["Draft"]));
    let noir = hub.get("/api/v1/styles/Noir%20%7Bcity%7D").await;
    assert_eq!((&noir["enabled"], &noir["prompt_template"]), (&json!(false), &json!("film noir, {high contrast}")));
    let draft = hub.get("/api/v1/render-types/Draft").await;
    assert_eq!(
        (&draft["is_default"], &draft["mode"], &draft["workflow"]),
        (&json!(true), &json!("generate"), &json!("draft"))
    );
    assert_eq!(draft["prompt_examples"], json!(["a red fox", "a blue bird"]));
    assert_eq!(hub.get("/api/v1/render-types/Hidden").await["visible"], false);
    let bigger = hub.get("/api/v1/render-types/Bigger").await;
    assert_eq!((&bigger["mode"], &bigger["defaults"]["denoise"]), (&json!("upscale"), &json!(0.35)), "{bigger}");
    assert_eq!(hub.get("/api/v1/render-types/Lost").await["status"], 404);
    let big = hub.get("/api/v1/servers/big").await;
    assert_eq!((&big["base_url"], &big["enabled"]), (&json!("http://192.0.2.7:8188"), &json!(true)), "{big}");
    assert_eq!(hub.get("/api/v1/servers/idle").await["enabled"], false);
    assert_eq!(hub.get("/api/v1/llm-roles/enhance").await["model"], "llama3.1:8b");
    assert_eq!(hub.get("/api/v1/llm-roles/describe").await["model"], "llava:13b");
    let templates = hub.get("/api/v1/describe-templates").await;
    assert!(templates.to_string().contains("Say what you see."), "{templates}");
    let generator = hub.get("/api/v1/prompt-generator").await;
    assert!(generator.to_string().contains("\"subjects_to_propose\":7"), "{generator}");

    let history = jobs(&hub, "caller=mcp-genimage").await;
    assert_eq!(history.len(), 3, "{history:?}");
    let made = &jobs(&hub, "q=lighthouse").await[0];
    assert_eq!((&made["state"], &made["created_at"]), (&json!("succeeded"), &json!("2025-10-01T12:00:00Z")), "{made}");
    assert_eq!(jobs(&hub, "style=Aquarelle").await.len(), 1);
    assert_eq!(jobs(&hub, "render_type=Bigger").await[0]["tool"], "upscale_image");
    assert_eq!(jobs(&hub, "server=big").await.len(), 1);
    let failed = &jobs(&hub, "state=failed").await[0];
    let failed = hub.get(&format!("/api/v1/jobs/{}", failed["id"].as_str().unwrap())).await;
    assert!(failed["error"]["message"].as_str().unwrap().contains("compatible with 'Gone'"), "{failed}");
    let page = hub.http.get(format!("{}/jobs/{}", hub.url, made["id"].as_str().unwrap())).send().await.unwrap();
    assert_eq!(page.status(), 200, "a page of a job without pictures");
}

#[test]
fn what_is_no_such_database_or_damaged_is_refused_and_nothing_is_written() {
    let (folder, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = std::fs::read(fixture("head.db")).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = files.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let patched = |old: &str, new: &str| {
        assert_eq!(old.len(), new.len());
        let at = whole.windows(old.len()).position(|there| there == old.as_bytes()).unwrap();
        let mut bytes = whole.clone();
        bytes[at..at + new.len()].copy_from_slice(new.as_bytes());
        bytes
    };
    // Another program's database: this hub's own.
    let own = tempfile::tempdir().unwrap();
    Hub::start(own.path(), &[]).terminate();
    for (file, told) in [
        (write("text", "a diary, not a database. ".repeat(99).as_bytes()), "is not read"),
        (write("empty", b""), "no database of MCP_GenImage"),
        (write("half", &whole[..whole.len() / 2]), "is not read"),
        (own.path().join("hub.db"), "no database of MCP_GenImage"),
        (write("time", &patched("2025-10-03 09:00:00", "yesterday, at nine.")), "generation_logs.timestamp"),
        (write("mode", &patched("upscale", "upsidey")), "unknown mode"),
        (files.path().join("missing"), "there is no file"),
    ] {
        let refused = import(folder.path(), &file, &[]);
        assert_eq!(refused.status.code(), Some(1), "{told}: {}", said(&refused));
        assert!(said(&refused).contains(told) && !said(&refused).contains("panicked"), "{told}: {}", said(&refused));
    }
    let exported = genimage().args(["config", "export", "--data-dir"]).arg(folder.path()).output().unwrap();
    let exported: Value = serde_json::from_slice(&exported.stdout).unwrap();
    for section in ["servers", "styles", "render_types", "llm_servers", "workflows"] {
        assert_eq!(exported[section], json!([]), "{section}");
    }
}
