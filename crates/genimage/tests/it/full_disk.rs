//! A data folder on a small file system of its own, in a mount namespace: really full, really read-only.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use hub_sim::{ComfyConfig, ComfySim, Fault};
use serde_json::{Value, json};

use crate::{
    bed::any_port,
    hub::{Hub, PATIENCE, genimage},
    left_out::{left_out, note},
};

/// Longer than a result is tried again quickly.
const FULL_FOR: Duration = Duration::from_secs(4);

/// What a kernel says that lets users have no mounts of their own, or a sandbox around it.
const FORBIDDEN: [&str; 3] = ["operation not permitted", "permission denied", "no space left on device"];

/// Whether a file system can be mounted at `folder`; where not, says so.
fn can_mount(folder: &Path) -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs"]).arg(folder);
    let error = match probe.env("LC_ALL", "C").output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => format!("unshare is needed (Debian: util-linux): {error}"),
    };
    let forbidden = FORBIDDEN.iter().any(|words| error.to_lowercase().contains(words));
    let tell = if forbidden { note } else { left_out };
    tell(&format!("this system lets its users mount nothing: {}", error.trim()));
    false
}

/// `program` on a file system of its own at `folder`; `None` where that cannot be.
fn mounted(folder: &Path, options: &str, program: &Command) -> Option<Command> {
    if !can_mount(folder) {
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    command.arg("mount -t tmpfs -o \"$1\" tmpfs \"$2\" && shift 2 && exec \"$@\"").args(["sh", options]).arg(folder);
    command.arg(program.get_program()).args(program.get_args()).stdin(std::process::Stdio::null());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Some(command)
}

fn serve(folder: &Path) -> Command {
    let mut command = genimage();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.join("data"));
    command
}

/// A file that takes all the space there is, seen through the hub's own mounts.
struct Filler(PathBuf);

impl Filler {
    fn new(hub: &Hub, folder: &Path) -> Self {
        let inside = folder.strip_prefix("/").unwrap();
        let path = Path::new("/proc").join(hub.pid().to_string()).join("root").join(inside).join("filler");
        File::create(&path).unwrap();
        Self(path)
    }

    /// Takes what is left, to the last byte.
    fn fill(&self) {
        let mut file = File::options().append(true).open(&self.0).unwrap();
        for size in [64 * 1024, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(&self.0).unwrap();
    }
}

async fn submit(hub: &Hub, seed: u32) -> (u16, Value) {
    // A long prompt, so that few jobs use up what the database still has.
    let arguments = json!({ "prompt": "fox ".repeat(4_000), "render_type": "smoke", "seed": seed, "enhance": false });
    hub.post("/api/v1/jobs", &json!({ "tool": "generate_image", "arguments": arguments })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_new_jobs_and_loses_none_that_was_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let Some(command) = mounted(folder.path(), "size=16m", &serve(folder.path())) else { return };
    let hub = Hub::run(command);
    let sim = ComfySim::start(any_port(), ComfyConfig { run_ms: 100, ..ComfyConfig::default() }).await.unwrap();
    hub.add_server(&sim.url()).await;
    sim.inject(Fault::Hold.always());
    let (status, first) = submit(&hub, 0).await;
    assert_eq!(status, 202, "{first}");
    let first = first["id"].as_str().unwrap().to_owned();
    hub.wait_for_state(&first, &["running"]).await;

    let filler = Filler::new(&hub, folder.path());
    let mut accepted = vec![first.clone()];
    let refusal = loop {
        filler.fill();
        let (status, answer) = submit(&hub, u32::try_from(accepted.len()).unwrap()).await;
        if status != 202 {
            break (status, answer);
        }
        accepted.push(answer["id"].as_str().unwrap().to_owned());
        assert!(accepted.len() < 1_000, "the disk does not get full");
    };
    assert_eq!((refusal.0, &refusal.1["code"]), (503, &json!("storage")), "{refusal:?}");
    assert_eq!(refusal.1["detail"], "The hub's disk is full.");
    assert!(refusal.1["hint"].as_str().unwrap().contains("make space"), "{refusal:?}");
    assert_eq!((&refusal.1["recoverable"], &refusal.1["retry_after_s"]), (&json!(true), &json!(60)));
    let call = json!({ "prompt": "fox ".repeat(4_000), "render_type": "smoke", "seed": 1_000_000 });
    let result = hub.call("generate_image", &call).await;
    assert_eq!(result["_meta"]["io.genimage/error"]["code"], "storage", "{result}");

    let told = hub.wait_for("/readyz", |told| told["ready"] == false).await;
    // The database may have room for one small row in a file that has its size already; no new file has.
    let reasons = told["reasons"].to_string();
    assert!(reasons.contains("no space is left") || reasons.contains("picture store"), "{told}");

    // The first job's picture is made and cannot be kept yet.
    sim.clear_faults();
    let begun = Instant::now();
    while sim.stats().executed.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the server does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(FULL_FOR).await;
    let waiting = hub.get(&format!("/api/v1/jobs/{first}")).await;
    assert!(waiting.get("error").is_none(), "{waiting}");
    filler.free();
    hub.wait_for("/readyz", |told| told["ready"] == true).await;
    for job in &accepted {
        let ended = hub.wait_for_state(job, &["succeeded", "failed", "cancelled", "expired"]).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
    }
    let ended = hub.call("generate_image", &call).await;
    assert_eq!(ended["isError"], false, "the refused call works now: {ended}");
}

#[test]
fn a_read_only_data_folder_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut command) = mounted(folder.path(), "size=1m,ro", &serve(folder.path())) else { return };
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("make it writable or choose another with --data-dir"), "{error}");
    assert!(!error.contains("panicked"), "{error}");
}

#[test]
fn a_disk_too_small_for_the_database_is_told_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut command) = mounted(folder.path(), "size=64k", &serve(folder.path())) else { return };
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("no space is left") || error.contains("disk is full"), "{error}");
    assert!(!error.contains("panicked"), "{error}");
}
