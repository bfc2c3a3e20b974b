//! What piles up and goes: pictures deleted by people, jobs that retention does not keep.

use std::time::Duration;

use chrono::TimeDelta;
use hub_core::{
    artifact::MediaKind,
    caller::Caller,
    ids::{ArtifactId, PromptId, ServerId},
    job::Attempt,
};
use hub_engine::{EngineConfig, JobView, PreviewBudget, ReconcilerStatus, RetentionPolicy};
use hub_store::{FileDeletion, NewArtifact, Ran};
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

/// A picture that some job made, one second after the one before; of its bytes only the row tells.
async fn made(hub: &Hub, number: u8, size_bytes: u64) -> ArtifactId {
    hub.clock.advance(TimeDelta::seconds(1));
    let job = hub.call("generate_image", json!({"prompt": format!("picture {number}")})).await.unwrap().job.id;
    let attempt = Attempt { number: 1, server: ServerId::new(), prompt_id: PromptId::random() };
    assert!(hub.engine.store().job_assign(job, &attempt).await.unwrap());
    let picture = NewArtifact {
        id: ArtifactId::new(),
        kind: MediaKind::Image,
        mime: "image/png".to_owned(),
        extension: "png".to_owned(),
        sha256: format!("{number:064x}"),
        size_bytes,
        width_px: 64,
        height_px: 64,
        seed: None,
        position: 0,
        node: None,
    };
    let id = picture.id;
    assert!(hub.engine.store().job_succeed(job, 1, job, Ran::default(), &[picture]).await.unwrap().is_some());
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_by_size_takes_the_oldest_until_the_rest_fits_and_no_favourite() {
    let hub = Hub::start(EngineConfig::default()).await;
    let mut pictures = Vec::new();
    // Without the two that are to go they are exactly as large as may be.
    for (number, size_bytes) in (0..).zip([600_000_000, 1, 300_000_000, 400_000_000]) {
        pictures.push(made(&hub, number, size_bytes).await);
    }
    hub.engine.artifacts_favour(&pictures[..1], true).await.unwrap();
    let stay = async || {
        let mut found = Vec::new();
        for picture in &pictures {
            found.push(hub.engine.store().artifact_get(*picture).await.unwrap().is_some());
        }
        found
    };
    let one = RetentionPolicy { gb: Some(1), ..RetentionPolicy::default() };
    let plan = hub.engine.retention_plan(one).await.unwrap();
    assert_eq!((plan.jobs, plan.files, plan.bytes), (2, 2, 300_000_001));
    assert_eq!(stay().await, [true, true, true, true], "a plan deletes nothing");

    let run = async || hub.engine.reconcile("retention").await.unwrap().last.unwrap().status;
    let changes = json!({"retention.gb": 1}).as_object().unwrap().clone();
    hub.engine.settings_change(&changes, false, |_| Ok(())).await.unwrap();
    assert_eq!(run().await, ReconcilerStatus::Done(2));
    assert_eq!(stay().await, [true, false, false, true]);
    assert_eq!(run().await, ReconcilerStatus::Idle);

    // Favourites that are too large by themselves stay, and nothing beside them.
    let large = made(&hub, 9, 1_100_000_000).await;
    hub.engine.artifacts_favour(&[large], true).await.unwrap();
    assert_eq!(run().await, ReconcilerStatus::Done(1));
    assert_eq!(stay().await, [true, false, false, false]);
    assert!(hub.engine.artifact(large).await.is_ok());
    assert_eq!(run().await, ReconcilerStatus::Idle);
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
