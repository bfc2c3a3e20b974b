//! Files and their rows agree, whatever happened in between.

use std::{path::PathBuf, time::Duration};

use hub_core::error::ErrorCode;
use hub_engine::ReconcilerStatus;

use crate::fixture::{TestEngine, servers};

/// A hub to which every file is old enough at once.
async fn hub() -> TestEngine {
    servers(1).config(|config| config.orphan_grace = Duration::ZERO).start().await
}

/// Keys of all files that are stored.
fn files(test: &TestEngine) -> Vec<String> {
    let root = test.dir.path().join("pictures");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

fn put(test: &TestEngine, key: &str) -> PathBuf {
    let path = test.dir.path().join("pictures").join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "x").unwrap();
    path
}

async fn sweep(test: &TestEngine) -> ReconcilerStatus {
    test.engine.reconcile("orphans").await.unwrap().last.unwrap().status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_no_row_names_are_deleted_and_no_others() {
    let test = hub().await;
    let view = test.success(test.generate("a").await).await;
    test.engine.thumbnail(&view.artifacts[0]).await.unwrap();
    let kept = files(&test);
    assert_eq!(kept.len(), 3, "picture, recipe, thumbnail: {kept:?}");
    let gone = "ab".repeat(32);
    for key in [format!("ab/{gone}.png"), format!("ab/{gone}.{}.json", view.job.id), format!("thumbs/ab/{gone}.jpg")] {
        put(&test, &key);
    }
    put(&test, "ab/notes.txt");
    assert_eq!(sweep(&test).await, ReconcilerStatus::Done(3));
    let mut expected = kept;
    expected.push("ab/notes.txt".to_owned());
    expected.sort();
    assert_eq!(files(&test), expected);
    assert_eq!(sweep(&test).await, ReconcilerStatus::Idle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn young_files_are_left_alone() {
    let test = servers(1).start().await;
    put(&test, &format!("ab/{}.png", "ab".repeat(32)));
    assert_eq!(sweep(&test).await, ReconcilerStatus::Idle);
    assert_eq!(files(&test).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_whose_file_is_gone_is_told_and_its_row_stays() {
    let test = hub().await;
    let view = test.success(test.generate("a").await).await;
    let artifact = &view.artifacts[0];
    std::fs::remove_file(test.dir.path().join("pictures").join(artifact.object_key())).unwrap();
    let ReconcilerStatus::Failed(error) = sweep(&test).await else { panic!("the loss is not told") };
    assert_eq!(error.code, ErrorCode::Storage);
    assert!(error.message.contains("1 stored picture"), "{}", error.message);
    assert_eq!(test.engine.artifact(artifact.id).await.unwrap(), *artifact);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_reconcilers_did_can_be_read() {
    let test = hub().await;
    let names: Vec<&str> = test.engine.reconcilers().iter().map(|view| view.name).collect();
    assert_eq!(names, ["restart", "expire", "retention", "orphans"]);
    let find = |name: &str| test.engine.reconcilers().into_iter().find(|view| view.name == name).unwrap();
    assert_eq!(find("orphans").last, None, "a start reads no folders");
    test.until("jobs that wait too long are looked for", || find("expire").last.is_some()).await;
    let ran = test.engine.reconcile("orphans").await.unwrap();
    assert_eq!(find("orphans"), ran);
    let error = test.engine.reconcile("nothing").await.unwrap_err();
    assert!(error.valid_values.contains(&"orphans".to_owned()), "{error:?}");
}
