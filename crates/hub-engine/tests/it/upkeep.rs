//! What piles up and goes: pictures deleted by people, jobs that retention does not keep.

use std::time::Duration;

use chrono::TimeDelta;
use hub_core::{caller::Caller, ids::ArtifactId};
use hub_engine::{EngineConfig, JobView, PreviewBudget, ReconcilerStatus, RetentionPolicy};
use hub_store::FileDeletion;
use image::ImageFormat;
use serde_json::json;

use crate::{
    fixture::{TestEngine, servers},
    hub::{Hub, picture},
};

async fn pictures(test: &TestEngine, count: usize) -> Vec<JobView> {
    let mut views = Vec::new();
    for n in 0..count {
        views.push(test.success(test.generate(&format!("picture {n}")).await).await);
    }
    views
}

fn file(test: &TestEngine, view: &JobView) -> std::path::PathBuf {
    test.dir.path().join("pictures").join(view.artifacts[0].object_key())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_picture_is_gone_everywhere_at_once_and_its_job_stays() {
    let test = servers(1).start().await;
    let views = pictures(&test, 2).await;
    let artifact = &views[0].artifacts[0];
    let budget = PreviewBudget { max_side_px: 64, max_bytes: 10_000 };
    test.engine.preview(artifact, budget).await.unwrap();
    test.engine.thumbnail(artifact).await.unwrap();
    let mut gone = test.engine.pictures_gone();
    gone.mark_unchanged();

    let outcome = test.engine.artifacts_delete(&[artifact.id, ArtifactId::new()], false).await.unwrap();
    assert_eq!(outcome.deleted.len(), 1);
    assert!(gone.has_changed().unwrap(), "listeners are told");
    assert!(!file(&test, &views[0]).exists() && file(&test, &views[1]).exists());
    assert!(test.engine.artifact(artifact.id).await.is_err());
    assert!(test.engine.preview(artifact, budget).await.is_err(), "no copy is left in memory");
    assert!(test.engine.thumbnail(artifact).await.is_err());
    let view = test.engine.view(views[0].job.id).await.unwrap();
    assert!(view.artifacts.is_empty() && view.job.recipe.is_some(), "{view:?}");
    assert_eq!(test.engine.artifacts_delete(&[artifact.id], false).await.unwrap(), FileDeletion::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_made_again_when_it_is_asked_for_again() {
    let test = servers(1).start().await;
    let arguments = json!({"prompt": "the same", "seed": 7});
    let first = test.success(test.submit("generate_image", arguments.clone()).await).await;
    assert_eq!(test.submit("generate_image", arguments.clone()).await, first.job.id, "a repeat finds the first");
    test.engine.artifacts_delete(&[first.artifacts[0].id], false).await.unwrap();
    let again = test.success(test.submit("generate_image", arguments).await).await;
    assert_ne!(again.job.id, first.job.id);
    assert!(file(&test, &again).exists(), "equal bytes, stored anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_unfinished_job_works_on_stays() {
    let mut test = servers(1).start().await;
    let view = pictures(&test, 1).await.remove(0);
    let id = view.artifacts[0].id;
    let server = test.server_id(0);
    test.change_server(0, |server| server.draining = true).await;
    let job = test.submit("upscale_image", json!({"image": id.to_string()})).await;
    let outcome = test.engine.artifacts_delete(&[id], true).await.unwrap();
    assert_eq!((outcome.in_use, outcome.deleted.len()), (vec![id], 0), "on {server}");
    test.engine.cancel(job).await.unwrap();
    assert_eq!(test.engine.artifacts_delete(&[id], true).await.unwrap().deleted.len(), 1);
    test.leaves_jobs = false;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_by_number_takes_the_oldest_and_says_so_before() {
    let test = servers(1).start().await;
    let views = pictures(&test, 4).await;
    test.engine.artifacts_favour(&[views[0].artifacts[0].id], true).await.unwrap();
    let two = RetentionPolicy { pictures: Some(2), ..RetentionPolicy::default() };
    let plan = test.engine.retention_plan(two).await.unwrap();
    assert_eq!((plan.jobs, plan.files, plan.more), (2, 2, false), "the favourite counts, and stays");
    let size: u64 = views[1..3].iter().map(|view| view.artifacts[0].size_bytes).sum();
    assert_eq!(plan.bytes, size);
    let span = plan.span.unwrap();
    assert_eq!(span.0, views[1].job.times.finished_at.unwrap());
    assert_eq!(span.1, views[2].job.times.finished_at.unwrap());
    assert!(test.engine.view(views[1].job.id).await.is_ok(), "a plan deletes nothing");
    for harmless in [RetentionPolicy::default(), RetentionPolicy { gb: Some(1), days: Some(1), pictures: Some(4) }] {
        assert_eq!(test.engine.retention_plan(harmless).await.unwrap().jobs, 0, "{harmless:?}");
    }

    let run = async || test.engine.reconcile("retention").await.unwrap().last.unwrap().status;
    assert_eq!(run().await, ReconcilerStatus::Idle, "nothing is set");
    let changes = json!({"retention.pictures": 2}).as_object().unwrap().clone();
    test.engine.settings_change(&changes, false, |_| Ok(())).await.unwrap();
    assert_eq!(run().await, ReconcilerStatus::Done(2));
    assert_eq!(run().await, ReconcilerStatus::Idle);
    for (at, stays) in [(0, true), (1, false), (2, false), (3, true)] {
        assert_eq!(test.engine.view(views[at].job.id).await.is_ok(), stays, "{at}");
        assert_eq!(file(&test, &views[at]).exists(), stays, "{at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_pictures_go_by_age_once_no_job_needs_them() {
    let hub = Hub::start(EngineConfig { retention_days: Some(2), ..EngineConfig::default() }).await;
    let give = async |width| {
        hub.engine.store_input(&Caller::local(), picture(width, 8, ImageFormat::Png).into()).await.unwrap()
    };
    let (unused, used, favourite) = (give(8).await, give(9).await, give(10).await);
    hub.engine.artifacts_favour(&[favourite.id], true).await.unwrap();
    let job = hub.call("upscale_image", json!({"image": used.id.to_string()})).await.unwrap().job.id;
    let run = async || hub.engine.reconcile("retention").await.unwrap().last.unwrap().status;
    let stay = async || {
        let ids = [unused.id, used.id, favourite.id];
        let mut found = Vec::new();
        for id in ids {
            found.push(hub.engine.artifact(id).await.is_ok());
        }
        found
    };
    let policy = RetentionPolicy { days: Some(2), ..RetentionPolicy::default() };
    assert_eq!(run().await, ReconcilerStatus::Idle, "nothing is old");

    hub.clock.advance(TimeDelta::days(3));
    let plan = hub.engine.retention_plan(policy).await.unwrap();
    assert_eq!((plan.jobs, plan.inputs.files, plan.inputs.bytes), (0, 1, unused.size_bytes));
    assert_eq!(stay().await, [true, true, true], "a plan deletes nothing");
    assert_eq!(run().await, ReconcilerStatus::Done(1));
    assert_eq!(stay().await, [false, true, true]);

    hub.engine.cancel(job).await.unwrap();
    assert_eq!(run().await, ReconcilerStatus::Idle, "the job has only just ended");
    hub.clock.advance(TimeDelta::days(3));
    assert_eq!(run().await, ReconcilerStatus::Done(2), "the job and its picture");
    assert_eq!(stay().await, [false, false, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_of_files_tells_and_changes_nothing() {
    let test = servers(1).config(|config| config.orphan_grace = Duration::ZERO).start().await;
    let views = pictures(&test, 2).await;
    assert_eq!(test.engine.files_check().await.unwrap(), hub_engine::FileCheck::default());
    std::fs::remove_file(file(&test, &views[0])).unwrap();
    let stray = test.dir.path().join("pictures/ab").join(format!("{}.png", "ab".repeat(32)));
    std::fs::create_dir_all(stray.parent().unwrap()).unwrap();
    std::fs::write(&stray, "12345").unwrap();
    let found = test.engine.files_check().await.unwrap();
    assert_eq!((found.unnamed, found.unnamed_bytes, found.lost), (1, 5, 1));
    assert_eq!(found.lost_first[0].id, views[0].artifacts[0].id);
    assert!(stray.exists());
}
