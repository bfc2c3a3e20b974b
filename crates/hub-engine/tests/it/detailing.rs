//! Parts of pictures redrawn, from the call to the graph that the server ran and the picture that came back.

use hub_core::{
    artifact::ArtifactRole,
    caller::Caller,
    catalogue::{Mode, RenderType},
    error::{ErrorCode, UserError},
    ids::{ArtifactId, JobId},
    request::{JobRequest, ToolCall},
};
use hub_engine::Submitted;
use image::ImageFormat;
use serde_json::{Value, json};

use crate::{
    fixture::{TestEngine, servers},
    hub::picture,
};

/// One server, the shipped detailers, and a picture of 64 × 48.
async fn detailing() -> (TestEngine, ArtifactId) {
    let test = servers(1).run_ms(10).start().await;
    for (name, graph, is_default) in [
        ("inpaint", include_str!("../../../../workflows/detail-inpaint-sdxl.json"), true),
        ("parts", include_str!("../../../../workflows/detail-part-sdxl.json"), false),
    ] {
        test.engine.workflow_import(name, graph.as_bytes(), "").await.unwrap();
        let row = RenderType { is_default, ..RenderType::new(name, name, Mode::Detail) };
        test.engine.render_type_save(row).await.unwrap();
    }
    let source = test.engine.store_input(&Caller::local(), picture(64, 48, ImageFormat::Png).into()).await.unwrap();
    (test, source.id)
}

async fn detail(test: &TestEngine, image: ArtifactId, mut arguments: Value) -> Result<Submitted, UserError> {
    arguments["image"] = json!(image.to_string());
    call(test, arguments).await
}

async fn call(test: &TestEngine, arguments: Value) -> Result<Submitted, UserError> {
    let call = ToolCall::parse("detail_image", arguments.as_object().unwrap())?;
    test.engine.submit(&Caller::local(), call).await
}

/// What the servers ran for a job, by node class.
fn ran(test: &TestEngine, class: &str) -> Vec<Value> {
    let graphs = test.sims.iter().flat_map(|sim| sim.stats().executed);
    let nodes = graphs.map(|run| run.graph.as_object().unwrap().values().cloned().collect::<Vec<Value>>());
    let of_class = |nodes: Vec<Value>| nodes.into_iter().find(|node| node["class_type"] == class);
    nodes.filter_map(of_class).map(|node| node["inputs"].clone()).collect()
}

async fn sha256(test: &TestEngine, id: ArtifactId) -> String {
    test.engine.artifact(id).await.unwrap().sha256
}

fn pictures(job: &hub_core::job::Job) -> u32 {
    let JobRequest::Image(image) = &job.request else { panic!("{:?}", job.request) };
    image.n
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_box_and_a_mask_reach_the_server_as_a_mask_picture() {
    let (test, source) = detailing().await;
    let boxed = detail(&test, source, json!({ "prompt": "a hat", "region": [16, 8, 32, 16] })).await.unwrap();
    let view = test.success(boxed.job.id).await;
    assert_eq!(view.artifacts.len(), 1);
    let mask = view.job.recipe.unwrap().mask.unwrap();
    let own = detail(&test, source, json!({ "prompt": "a scarf", "mask": mask.to_string() })).await.unwrap();
    test.success(own.job.id).await;

    let names = [sha256(&test, source).await, sha256(&test, mask).await];
    let (pictures, masks) = (ran(&test, "LoadImage"), ran(&test, "LoadImageMask"));
    assert_eq!((pictures.len(), masks.len()), (2, 2));
    for (picture, mask) in pictures.iter().zip(&masks) {
        assert!(picture["image"].as_str().unwrap().contains(&names[0]), "{picture}");
        assert!(mask["image"].as_str().unwrap().contains(&names[1]), "{mask}");
    }
    let prompts: Vec<Value> = ran(&test, "CLIPTextEncode").into_iter().map(|node| node["text"].clone()).collect();
    assert_eq!(prompts.len(), 2, "{prompts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mask_that_is_worked_on_later_stands_among_given_pictures_again() {
    let (test, source) = detailing().await;
    let store = async || {
        let bytes = picture(64, 48, ImageFormat::Jpeg);
        test.engine.store_input(&Caller::local(), bytes.into()).await.unwrap().id
    };
    let role = async |id: ArtifactId| test.engine.artifact(id).await.unwrap().role;
    let given = store().await;
    let mask = json!({ "prompt": "a hat", "mask": given.to_string() });
    let masked = detail(&test, source, mask.clone()).await.unwrap().job.id;
    assert_eq!((role(source).await, role(given).await), (ArtifactRole::Input, ArtifactRole::Mask));
    assert_eq!(store().await, given, "it is stored once, whatever it is");
    let arguments = json!({ "prompt": "a scarf", "region": [16, 8, 32, 16] });
    let boxed = detail(&test, given, arguments).await.unwrap().job.id;
    assert_eq!(role(given).await, ArtifactRole::Input);
    let both = detail(&test, given, mask).await.unwrap().job.id;
    assert_eq!(role(given).await, ArtifactRole::Input, "one that is both can be picked");
    let drawn = test.success(boxed).await.job.recipe.unwrap().mask.unwrap();
    assert_eq!(role(drawn).await, ArtifactRole::Mask);
    for job in [masked, both] {
        test.success(job).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_part_is_looked_for_by_its_own_detector() {
    let (test, source) = detailing().await;
    for part in ["face", "hand"] {
        let job = detail(&test, source, json!({ "part": part })).await.unwrap().job.id;
        assert_eq!(test.success(job).await.artifacts.len(), 1, "{part}");
    }
    let detectors: Vec<Value> =
        ran(&test, "UltralyticsDetectorProvider").into_iter().map(|node| node["model_name"].clone()).collect();
    assert_eq!(detectors, ["bbox/face_yolov8m.pt", "bbox/hand_yolov8s.pt"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wholly_black_mask_is_refused_before_anything_runs() {
    let (test, source) = detailing().await;
    let mut jpeg = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(64, 48).write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    let black = test.engine.store_input(&Caller::local(), jpeg.into_inner().into()).await.unwrap();
    let error = detail(&test, source, json!({ "prompt": "a hat", "mask": black.id.to_string() })).await.unwrap_err();
    assert_eq!((error.code, error.argument.as_deref()), (ErrorCode::BadArgument, Some("mask")));
    assert!(error.message.contains("wholly black"), "{error}");
    assert!(error.hint.unwrap().contains("white"));
    assert_eq!(test.sims[0].stats().prompts_received, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_versions_of_a_detail_are_one_job_and_a_variation_makes_as_many() {
    let (test, source) = detailing().await;
    let arguments = json!({ "prompt": "a hat", "region": [16, 8, 32, 16], "n": 2, "seed": 7 });
    let first = detail(&test, source, arguments).await.unwrap().job.id;
    let seeds: Vec<u64> = test.success(first).await.artifacts.iter().filter_map(|artifact| artifact.seed).collect();
    assert_eq!(seeds, [7, 8]);

    let vary = async |mut arguments: Value| -> JobId {
        arguments["from_job"] = json!(first.to_string());
        call(&test, arguments).await.unwrap().job.id
    };
    let same = test.success(vary(json!({ "prompt": "a cap" })).await).await;
    assert_eq!((pictures(&same.job), same.artifacts.len()), (2, 2));
    let one = test.success(vary(json!({ "prompt": "a cap", "n": 1 })).await).await;
    assert_eq!((pictures(&one.job), one.artifacts.len()), (1, 1));
}
