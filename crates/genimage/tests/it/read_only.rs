//! The data folder becomes read-only while the hub is at work, and writable again.
//!
//! A file system in use cannot simply be mounted read-only; it becomes so when its disk or its server fails. That is
//! played by a shim before the C library: while a file exists, whatever would change something below a folder fails with
//! EROFS, open files included. It is compiled here; without a C compiler the test is left out, and fails with `CI` set.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use hub_sim::{ComfyConfig, ComfySim, Fault};
use serde_json::{Value, json};

use crate::{
    bed::any_port,
    hub::{Hub, PATIENCE, genimage},
    left_out::left_out,
};

/// Longer than a result is tried again quickly.
const CLOSED_FOR: Duration = Duration::from_secs(4);

const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int closed(const char *path) {
    const char *folder = getenv("SHIM_FOLDER"), *flag = getenv("SHIM_FLAG");
    return folder && flag && !strncmp(path, folder, strlen(folder)) && !access(flag, F_OK);
}
static int closed_fd(int fd) {
    char link[64], path[4096];
    const char *flag = getenv("SHIM_FLAG");
    if (!flag || access(flag, F_OK)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return closed(path);
}
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REFUSE do { errno = EROFS; return -1; } while (0)
#define CHANGES(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))
#define OPEN(name) int name(const char *path, int flags, ...) { \
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
    if (CHANGES(flags) && closed(path)) REFUSE; \
    return REAL(name)(path, flags, mode); }
OPEN(open)
OPEN(open64)
#define FD(name, arguments, ...) ssize_t name arguments { if (closed_fd(fd)) REFUSE; return REAL(name)(__VA_ARGS__); }
FD(write, (int fd, const void *from, size_t count), fd, from, count)
FD(writev, (int fd, const struct iovec *from, int count), fd, from, count)
FD(pwrite, (int fd, const void *from, size_t count, off_t at), fd, from, count, at)
FD(pwrite64, (int fd, const void *from, size_t count, off64_t at), fd, from, count, at)
#define CUT(name, type) int name(int fd, type to) { if (closed_fd(fd)) REFUSE; return REAL(name)(fd, to); }
CUT(ftruncate, off_t)
CUT(ftruncate64, off64_t)
#define PATH(name, arguments, ...) int name arguments { if (closed(path)) REFUSE; return REAL(name)(__VA_ARGS__); }
PATH(mkdir, (const char *path, mode_t mode), path, mode)
PATH(unlink, (const char *path), path)
PATH(rename, (const char *path, const char *to), path, to)
PATH(link, (const char *path, const char *to), path, to)
"#;

/// The shim, ready to be loaded; `None` where it cannot be made.
fn shim(folder: &Path) -> Option<PathBuf> {
    let (source, made) = (folder.join("shim.c"), folder.join("shim.so"));
    fs::write(&source, SHIM).unwrap();
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-w", "-o"]).arg(&made).arg(&source).arg("-ldl").output();
    if compiled.as_ref().is_ok_and(|output| output.status.success()) {
        return Some(made);
    }
    left_out(&format!("no C compiler (Debian: gcc): {compiled:?}"));
    None
}

async fn submit(hub: &Hub, seed: u32) -> (u16, Value) {
    let arguments = json!({ "prompt": "a fox", "render_type": "smoke", "seed": seed, "enhance": false });
    hub.post("/api/v1/jobs", &json!({ "tool": "generate_image", "arguments": arguments })).await
}

async fn ready(hub: &Hub) -> Value {
    hub.get("/readyz").await
}

async fn until_ready_is(hub: &Hub, wanted: bool) -> Value {
    let begun = Instant::now();
    loop {
        let told = ready(hub).await;
        if told["ready"] == wanted {
            return told;
        }
        assert!(begun.elapsed() < PATIENCE, "{told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_data_folder_refuses_new_jobs_and_loses_none_that_was_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let Some(shim) = shim(folder.path()) else { return };
    let (data, flag) = (folder.path().join("data"), folder.path().join("read-only"));
    let mut command = genimage();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data);
    command.env("LD_PRELOAD", &shim).env("SHIM_FOLDER", &data).env("SHIM_FLAG", &flag);
    let hub = Hub::run(command);
    let server = ComfySim::start(any_port(), ComfyConfig { run_ms: 100, ..ComfyConfig::default() }).await.unwrap();
    hub.add_server(&server.url()).await;
    server.inject(Fault::Hold.always());
    let mut accepted = Vec::new();
    for seed in 0..3 {
        let (status, job) = submit(&hub, seed).await;
        assert_eq!(status, 202, "{job}");
        accepted.push(job["id"].as_str().unwrap().to_owned());
        // A server takes two at once, and which of two prompts reaches it first is chance.
        hub.wait_for_state(&accepted[0], &["running"]).await;
    }
    until_ready_is(&hub, true).await;

    fs::write(&flag, "").unwrap();
    let (status, refusal) = submit(&hub, 1_000).await;
    assert_eq!((status, &refusal["code"]), (503, &json!("storage")), "{refusal}");
    assert_eq!(refusal["recoverable"], true, "{refusal}");
    let told = until_ready_is(&hub, false).await;
    assert!(told["reasons"].to_string().contains("cannot be written"), "{told}");
    assert_ne!(told["store"], "ok", "the database lies there too: {told}");
    // Its picture is made, and cannot be kept yet.
    server.clear_faults();
    let begun = Instant::now();
    while server.stats().executed.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the server does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(CLOSED_FOR).await;
    for job in &accepted {
        let waiting = hub.get(&format!("/api/v1/jobs/{job}")).await;
        assert!(waiting.get("error").is_none(), "{waiting}");
    }

    fs::remove_file(&flag).unwrap();
    for job in &accepted {
        let ended = hub.wait_for_state(job, &["succeeded", "failed", "cancelled", "expired"]).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
    }
    assert_eq!(server.stats().executed.len(), accepted.len(), "none was made twice");
    until_ready_is(&hub, true).await;
    assert_eq!(submit(&hub, 1_000).await.0, 202, "the refused call works now");
}
