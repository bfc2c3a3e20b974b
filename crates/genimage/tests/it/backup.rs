//! `genimage backup` and `restore`: while the hub works, and against archives that are not what they say.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::Output,
};

use hub_sim::{ComfyConfig, ComfySim};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    bed::any_port,
    hub::{Hub, command, done, said},
};

fn refused(output: &Output, with: &str) {
    let told = said(output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(with) && !told.contains("panicked"), "{with}: {told}");
}

/// Name and content of each.
type Entries = Vec<(String, Vec<u8>)>;

/// A folder whose hub made a picture and knows a server's secret, and its backup.
struct Backed {
    data: TempDir,
    files: TempDir,
    job: Value,
}

impl Backed {
    fn archive(&self) -> PathBuf {
        self.files.path().join("hub.tar")
    }

    async fn make() -> Self {
        let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let hub = Hub::start(data.path(), &[]);
        let sim = ComfySim::start(any_port(), ComfyConfig::default()).await.unwrap();
        hub.add_server(&sim.url()).await;
        let server =
            json!({"name": "gpu", "base_url": "http://127.0.0.1:9", "auth": {"kind": "bearer", "token": "hunter2"}});
        assert_eq!(hub.post("/api/v1/servers", &server).await.0, 201);
        let id = hub.submit(&json!({"prompt": "a fox", "render_type": "smoke", "seed": 7})).await;
        let job = hub.wait_for_state(&id, &["succeeded"]).await;
        let backed = Self { data, files, job };
        let archive = backed.archive();
        done(&command("backup", backed.data.path(), &["-o", archive.to_str().unwrap(), "--hub", &hub.url], &[]));
        hub.terminate();
        backed
    }

    fn picture(&self) -> String {
        self.job["images"][0]["url"].as_str().unwrap().split_once("/outputs/").unwrap().1.to_owned()
    }

    /// Entries of the archive: name and content.
    fn entries(&self) -> Entries {
        let mut archive = tar::Archive::new(std::fs::File::open(self.archive()).unwrap());
        let read = |entry: std::io::Result<tar::Entry<'_, std::fs::File>>| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
        };
        archive.entries().unwrap().map(read).collect()
    }

    /// Writes such entries as an archive, with whatever name.
    fn write(&self, name: &str, entries: &[(String, Vec<u8>)]) -> PathBuf {
        let path = self.files.path().join(name);
        let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
        for (name, bytes) in entries {
            let mut header = tar::Header::new_ustar();
            // Names that no decent writer takes.
            header.as_old_mut().name[..name.len().min(100)].copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
            if name.len() > 100 {
                header.set_path(name).unwrap();
            }
            header.set_size(bytes.len() as u64);
            header.set_entry_type(tar::EntryType::Regular);
            header.set_cksum();
            tar.append(&header, bytes.as_slice()).unwrap();
        }
        tar.into_inner().unwrap();
        path
    }
}

/// All files below a folder with their content, but for the lock.
fn files(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("hub.lock") {
                found.insert(path.clone(), std::fs::read(path).unwrap());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_working_hub_brings_everything_back_elsewhere() {
    let backed = Backed::make().await;
    let archive = backed.archive();
    let names: Vec<String> = backed.entries().into_iter().map(|(name, _)| name).collect();
    assert_eq!((names[0].as_str(), names[1].as_str()), ("backup.json", "hub.db"));
    assert_eq!(names.last().unwrap(), "manifest.jsonl");
    assert!(!names.iter().any(|name| name.contains("secret")), "{names:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    }

    // Without a hub the folder itself is read, to the same end.
    let again = backed.files.path().join("again.tar");
    done(&command("backup", backed.data.path(), &["-o", again.to_str().unwrap()], &[]));
    let elsewhere = tempfile::tempdir().unwrap();
    let checked = done(&command("restore", elsewhere.path(), &[again.to_str().unwrap(), "--dry-run"], &[]));
    assert!(checked.contains("1 jobs, 1 pictures"), "{checked}");
    assert!(files(elsewhere.path()).is_empty());

    let told = done(&command("restore", elsewhere.path(), &[archive.to_str().unwrap()], &[]));
    assert!(told.contains("secret.key"), "the key is missing, which is said: {told}");
    std::fs::copy(backed.data.path().join("secret.key"), elsewhere.path().join("secret.key")).unwrap();
    let objects = |folder: &Path| {
        let all = files(&folder.join("objects"));
        all.into_iter().map(|(path, bytes)| (path.strip_prefix(folder).unwrap().to_owned(), bytes)).collect::<Vec<_>>()
    };
    assert_eq!(objects(elsewhere.path()), objects(backed.data.path()));
    let hub = Hub::start(elsewhere.path(), &[]);
    let job = hub.get(&format!("/api/v1/jobs/{}", backed.job["id"].as_str().unwrap())).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let picture = hub.http.get(format!("{}/outputs/{}", hub.url, backed.picture())).send().await.unwrap();
    assert_eq!(picture.status(), 200);
    let bytes = picture.bytes().await.unwrap();
    assert!(backed.entries().iter().any(|(_, content)| *content == bytes), "the same picture");
    assert_eq!(hub.get("/api/v1/servers/gpu").await["auth"]["secret_set"], true);

    // Not under a hub that runs, and not over data unless told to.
    refused(&command("restore", elsewhere.path(), &[archive.to_str().unwrap(), "--replace"], &[]), "another hub");
    hub.terminate();
    refused(&command("restore", elsewhere.path(), &[archive.to_str().unwrap()], &[]), "--replace");
    let told = done(&command("restore", elsewhere.path(), &[archive.to_str().unwrap(), "--replace"], &[]));
    let (_, kept) = told.split_once("the database of before is ").unwrap();
    assert!(Path::new(kept.split_once(';').unwrap().0).is_file(), "{told}");
    let hub = Hub::start(elsewhere.path(), &[]);
    assert_eq!(hub.get("/api/v1/servers/gpu").await["name"], "gpu");
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_that_are_not_whole_or_not_ours_leave_everything_as_it_was() {
    let backed = Backed::make().await;
    let entries = backed.entries();
    let whole = std::fs::read(backed.archive()).unwrap();
    let before = files(backed.data.path());
    let path = |name: &str, bytes: &[u8]| {
        let path = backed.files.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let changed = |name: &str, change: &dyn Fn(&mut Entries)| {
        let mut entries = entries.clone();
        change(&mut entries);
        backed.write(name, &entries)
    };
    let last = entries.len() - 1;
    let hostile = |name: &str| {
        let name = name.to_owned();
        move |entries: &mut Entries| entries.insert(2, (name.clone(), b"owned".to_vec()))
    };
    let cases = [
        (path("empty", b""), "empty"),
        (path("text", "no archive, a diary. ".repeat(100).as_bytes()), "no tar file"),
        (path("half", &whole[..whole.len() / 2]), "cut off"),
        (path("third", &whole[..whole.len() / 3 * 2]), "cut off"),
        (changed("no-manifest", &|all| drop(all.pop())), "manifest is missing"),
        (changed("short-manifest", &|all| all[last].1.truncate(100)), "manifest has no end"),
        (changed("flipped", &|all| all[3].1[0] ^= 1), "not as the manifest says"),
        (changed("lost", &|all| drop(all.remove(last - 1))), "files that are not in it"),
        (changed("twice", &|all| all.insert(3, all[2].clone())), "twice"),
        (changed("up", &hostile("../escaped")), "has no place"),
        (changed("up-objects", &hostile("objects/../../escaped.png")), "has no place"),
        (changed("absolute", &hostile("/tmp/genimage-escaped")), "has no place"),
        (changed("key", &hostile("secret.key")), "has no place"),
        (changed("order", &|all| all.swap(0, 1)), "begins with `hub.db`"),
        (changed("no-database", &|all| all[1].1 = b"no database".to_vec()), "not as the manifest says"),
        (
            changed("newer", &|all| {
                all[0].1 =
                    String::from_utf8(all[0].1.clone()).unwrap().replace("\"version\": 1", "\"version\": 9").into();
            }),
            "version 9",
        ),
    ];
    for (archive, told) in cases {
        let refusal = command("restore", backed.data.path(), &[archive.to_str().unwrap(), "--replace"], &[]);
        refused(&refusal, told);
        assert!(files(backed.data.path()) == before, "{told}: something was written");
    }
    assert!(!backed.files.path().join("../escaped").exists() && !Path::new("/tmp/genimage-escaped").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_newer_databases_are_refused() {
    let backed = Backed::make().await;
    let path = backed.files.path().join("link.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "backup.json", "/etc/passwd").unwrap();
    tar.into_inner().unwrap();
    let folder = tempfile::tempdir().unwrap();
    refused(&command("restore", folder.path(), &[path.to_str().unwrap()], &[]), "no plain file");

    // A newer hub's database: whole by its manifest.
    let mut entries = backed.entries();
    let (old, new) = (b"m20261121_000001_initial".as_slice(), b"m29991231_000001_initial");
    let places = entries[1].1.windows(old.len()).enumerate().filter(|(_, there)| *there == old);
    for at in places.map(|(at, _)| at).collect::<Vec<_>>() {
        entries[1].1[at..at + new.len()].copy_from_slice(new);
    }
    let last = entries.len() - 1;
    let line = |(name, bytes): &(String, Vec<u8>)| json!({"path": name, "size": bytes.len(), "sha256": sha256(bytes)});
    let mut lines: Vec<Value> = entries[..last].iter().map(line).collect();
    let bytes: usize = entries[..last].iter().map(|(_, bytes)| bytes.len()).sum();
    lines.push(json!({"files": last, "bytes": bytes}));
    entries[last].1 =
        lines.iter().map(Value::to_string).fold(String::new(), |all, line| all + line.as_str() + "\n").into_bytes();
    let archive = backed.write("newer.tar", &entries);
    refused(&command("restore", folder.path(), &[archive.to_str().unwrap()], &[]), "newer than this program");
    assert!(files(folder.path()).is_empty());
}

#[test]
fn postgresql_is_told_what_to_use_instead() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("GENIMAGE_DATABASE_URL", "postgres://hub:hunter2@127.0.0.1:1/hub")];
    let file = folder.path().join("x.tar");
    refused(&command("restore", folder.path(), &[file.to_str().unwrap()], &environment), "pg_restore");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_for_admins_and_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = crate::hub::serve(folder.path());
    serving.env("GENIMAGE_API_KEY", "the-only-key");
    let hub = Hub::run(serving);
    let url = format!("{}/api/v1/backup", hub.url);
    assert_eq!(hub.http.get(&url).send().await.unwrap().status(), 401);
    let as_admin = |path: &str| hub.http.get(format!("{}{path}", hub.url)).bearer_auth("the-only-key");
    let made = hub.http.post(format!("{}/api/v1/keys", hub.url)).bearer_auth("the-only-key");
    let made: Value =
        made.json(&json!({"name": "reader", "scopes": ["read"]})).send().await.unwrap().json().await.unwrap();
    assert_eq!(hub.http.get(&url).bearer_auth(made["key"].as_str().unwrap()).send().await.unwrap().status(), 403);
    let answer = as_admin("/api/v1/backup").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/x-tar");
    assert!(answer.headers()["content-disposition"].to_str().unwrap().contains("genimage-backup-"));
    // Not read away: it holds the only turn, and gives it back when the hub sees that nobody listens any more.
    drop(answer);
    let log: Value = as_admin("/api/v1/audit").send().await.unwrap().json().await.unwrap();
    assert!(log.to_string().contains("GET /api/v1/backup"), "{log}");
    let begun = std::time::Instant::now();
    loop {
        let again = command(
            "backup",
            folder.path(),
            &["-o", folder.path().join("b.tar").to_str().unwrap(), "--hub", &hub.url],
            &[("GENIMAGE_API_KEY", "the-only-key")],
        );
        let busy = String::from_utf8_lossy(&again.stderr).contains("is being made already");
        if !busy || begun.elapsed() > std::time::Duration::from_secs(30) {
            done(&again);
            return;
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().fold(String::new(), |all, byte| all + format!("{byte:02x}").as_str())
}
