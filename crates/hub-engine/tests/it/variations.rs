//! Plans without jobs, and jobs that start from others.

use hub_core::{
    caller::Caller,
    error::ErrorCode,
    job::{Job, JobStateKind},
    request::{ImageSize, JobRequest, ToolCall},
    server::LlmRole,
};
use hub_engine::{EngineConfig, PlanView};
use hub_sim::ollama::OllamaConfig;
use hub_store::JobFilter;
use image::ImageFormat;
use serde_json::{Value, json};

use crate::hub::{Hub, picture};

async fn plan(hub: &Hub, tool: &str, arguments: Value) -> PlanView {
    hub.engine.plan(&Caller::local(), ToolCall::parse(tool, arguments.as_object().unwrap()).unwrap()).await.unwrap()
}

async fn generated(hub: &Hub, arguments: Value) -> Job {
    hub.call("generate_image", arguments).await.unwrap().job
}

#[tokio::test]
async fn a_plan_tells_the_recipe_and_makes_no_job() {
    let hub = Hub::start(EngineConfig::default()).await;
    let (sim, _) = hub.llm(OllamaConfig::default(), &[LlmRole::Enhance]).await;
    hub.style("ink", |style| style.prompt_template = "ink drawing".to_owned()).await;
    let arguments = json!({
        "prompt": "a fox", "styles": ["ink"], "aspect_ratio": "16:9", "seed": 7, "plan_only": true,
    });
    let told = plan(&hub, "generate_image", arguments.clone()).await;
    assert_eq!(told.recipe.prompt.as_deref(), Some("a fox, ink drawing"));
    assert_eq!((told.recipe.seed, told.would_enhance), (7, true));
    assert_eq!(told.recipe.size, Some(ImageSize { width_px: 1344, height_px: 768 }));
    assert_eq!(told.servers.iter().map(|server| server.name.as_str()).collect::<Vec<_>>(), ["gpu"]);
    assert!(sim.requests().iter().all(|request| request.path != "/api/chat"), "no LLM is asked");
    let error = hub.call("generate_image", arguments).await.expect_err("a plan is no job");
    assert_eq!(error.code, ErrorCode::BadArgument);
    let jobs = hub.engine.store().job_list(&JobFilter::default(), None, 10).await.unwrap().jobs;
    assert!(jobs.is_empty(), "{jobs:?}");
}

#[tokio::test]
async fn a_plan_refuses_what_a_submit_would() {
    let hub = Hub::start(EngineConfig::default()).await;
    let refused = async |tool: &str, arguments: Value| {
        let call = ToolCall::parse(tool, arguments.as_object().unwrap())?;
        hub.engine.plan(&Caller::local(), call).await
    };
    let unknown = refused("generate_image", json!({"prompt": "x", "styles": ["none such"]})).await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::UnknownStyle);
    let picture = json!({"image": "img_00000000000000000000000000000001", "plan_only": true});
    assert_eq!(refused("upscale_image", picture).await.unwrap_err().code, ErrorCode::UnknownImage);
    let elsewhere = json!({"image": "http://127.0.0.1:9/a.png", "plan_only": true});
    let told = refused("upscale_image", elsewhere).await.unwrap();
    assert!(told.warnings.iter().any(|warning| warning.contains("not looked at")), "{:?}", told.warnings);
}

#[tokio::test]
async fn a_variation_keeps_the_recipe_but_the_seed() {
    let hub = Hub::start(EngineConfig::default()).await;
    hub.style("ink", |style| {
        style.prompt_template = "ink drawing of {prompt}".to_owned();
        style.negative_template = "photo".to_owned();
    })
    .await;
    let arguments = json!({
        "prompt": "a fox", "negative_prompt": "snow", "styles": ["ink"], "render_type": "flux",
        "aspect_ratio": "16:9", "seed": 7,
    });
    let first = generated(&hub, arguments).await;
    let again = generated(&hub, json!({"from_job": first.id.to_string()})).await;
    let (old, new) = (first.recipe.unwrap(), again.recipe.unwrap());
    assert_eq!(again.parent, Some(first.id));
    assert_ne!(new.seed, old.seed);
    assert_eq!(hub_core::recipe::Recipe { seed: old.seed, ..new.clone() }, old, "all else is as it was");
    let seeded = generated(&hub, json!({"from_job": first.id.to_string(), "seed": 7})).await;
    assert_eq!(seeded.recipe.unwrap(), old, "with its seed it is the same picture");
}

#[tokio::test]
async fn what_a_variation_gives_changes_only_that() {
    let hub = Hub::start(EngineConfig::default()).await;
    hub.style("ink", |style| style.prompt_template = "ink".to_owned()).await;
    hub.style("oil", |style| style.prompt_template = "oil".to_owned()).await;
    let first = generated(&hub, json!({"prompt": "a fox", "styles": ["ink"], "aspect_ratio": "16:9"})).await;
    let vary = async |mut change: Value| {
        change["from_job"] = json!(first.id.to_string());
        generated(&hub, change).await.recipe.unwrap()
    };
    let prompt = vary(json!({"prompt": "a hare"})).await;
    assert_eq!((prompt.prompt.as_deref(), prompt.size), (Some("a hare, ink"), first.recipe.as_ref().unwrap().size));
    assert_eq!(vary(json!({"styles": ["oil"]})).await.prompt.as_deref(), Some("a fox, oil"));
    let render_type = vary(json!({"render_type": "flux", "aspect_ratio": "1:1"})).await;
    assert_eq!((render_type.render_type.as_str(), render_type.prompt.as_deref()), ("flux", Some("a fox, ink")));
    assert_eq!(render_type.size, Some(ImageSize { width_px: 1024, height_px: 1024 }));
    assert_eq!(vary(json!({"negative_prompt": "rain"})).await.negative_prompt.as_deref(), Some("rain"));
}

#[tokio::test]
async fn an_enhanced_prompt_is_kept_as_it_was_and_not_reworded_again() {
    let hub = Hub::start(EngineConfig::default()).await;
    let (sim, _) = hub.llm(OllamaConfig::default(), &[LlmRole::Enhance]).await;
    let first = generated(&hub, json!({"prompt": "a fox"})).await.id;
    let old = hub.until(first, &[JobStateKind::Queued]).await.recipe.unwrap();
    assert!(old.enhanced);
    let asked = sim.requests().len();
    let new = generated(&hub, json!({"from_job": first.to_string()})).await.recipe.unwrap();
    assert_eq!((new.prompt, new.negative_prompt, new.enhanced), (old.prompt, old.negative_prompt, true));
    assert_eq!(sim.requests().len(), asked, "the words are there already");
}

#[tokio::test]
async fn jobs_that_cannot_be_varied_are_refused_with_the_reason() {
    let hub = Hub::start(EngineConfig::default()).await;
    let refused = async |tool: &str, job: String| {
        let error = hub.call(tool, json!({"from_job": job})).await.expect_err("refused");
        assert_eq!(error.argument.as_deref(), Some("from_job"), "{error:?}");
        error
    };
    let none = refused("generate_image", "job_00000000000000000000000000000001".to_owned()).await;
    assert_eq!(none.code, ErrorCode::UnknownJob);
    let first = generated(&hub, json!({"prompt": "a fox"})).await;
    let other = refused("edit_image", first.id.to_string()).await;
    assert_eq!(other.code, ErrorCode::WrongMode);
    assert!(other.hint.unwrap().contains("generate_image"));
    assert!(refused("generate_image", "img_1".to_owned()).await.message.contains("job's id"));
}

#[tokio::test]
async fn a_box_becomes_a_mask_and_a_mask_is_kept() {
    let hub = Hub::start(EngineConfig::default()).await;
    hub.detailers().await;
    let source = hub.engine.store_input(&Caller::local(), picture(64, 48, ImageFormat::Png).into()).await.unwrap();
    let image = source.id.to_string();
    let boxed = json!({"image": image, "prompt": "a hat", "region": [16, 8, 32, 16]});
    let job = hub.call("detail_image", boxed.clone()).await.unwrap().job;
    let recipe = job.recipe.unwrap();
    assert_eq!((recipe.render_type.as_str(), recipe.part, recipe.input), ("inpaint", None, Some(source.id)));
    let mask = hub.engine.artifact(recipe.mask.unwrap()).await.unwrap();
    assert_eq!((mask.width_px, mask.height_px, mask.mime.as_str()), (64, 48, "image/png"));
    let pixels = image::load_from_memory(&hub.engine.artifact_bytes(&mask).await.unwrap()).unwrap().to_luma8();
    for (x, y, shade) in [(15, 8, 0), (16, 7, 0), (16, 8, 255), (47, 23, 255), (48, 23, 0), (47, 24, 0)] {
        assert_eq!(pixels.get_pixel(x, y).0, [shade], "{x},{y}");
    }
    let fractions = json!({"image": image, "prompt": "a hat", "region": [0.25, 0.166_666_7, 0.5, 0.333_333_3]});
    let same = hub.call("detail_image", fractions).await.unwrap().job.recipe.unwrap();
    assert_eq!(same.mask, recipe.mask, "the same box");
    let own = json!({"image": image, "prompt": "a hat", "mask": mask.id.to_string()});
    assert_eq!(hub.call("detail_image", own).await.unwrap().job.recipe.unwrap().mask, recipe.mask);
    let varied = json!({"from_job": job.id.to_string(), "prompt": "a scarf"});
    let varied = hub.call("detail_image", varied).await.unwrap().job.recipe.unwrap();
    assert_eq!((varied.mask, varied.prompt.as_deref()), (recipe.mask, Some("a scarf")));
}

#[tokio::test]
async fn a_part_goes_to_the_render_type_that_finds_it() {
    let hub = Hub::start(EngineConfig::default()).await;
    hub.detailers().await;
    assert!(hub.engine.catalogue().finds_parts);
    let source = hub.engine.store_input(&Caller::local(), picture(64, 48, ImageFormat::Png).into()).await.unwrap();
    let call = async |mut arguments: Value| {
        arguments["image"] = json!(source.id.to_string());
        hub.call("detail_image", arguments).await
    };
    let recipe = call(json!({"part": "hand"})).await.unwrap().job.recipe.unwrap();
    assert_eq!(recipe.render_type, "parts");
    assert!(recipe.prompt.unwrap().contains("hand"), "not the workflow's own text about something else");
    for (arguments, argument, said) in [
        (json!({"prompt": "x"}), "region", "must be told what to redraw"),
        (json!({"prompt": "x", "part": "nose"}), "part", "nose"),
        (json!({"prompt": "x", "part": "face", "region": [0, 0, 9, 9]}), "region", "only one"),
        (json!({"prompt": "x", "part": "face", "render_type": "inpaint"}), "part", "cannot find"),
        (json!({"prompt": "x", "region": [0, 0, 9, 9], "render_type": "parts"}), "region", "finds what to redraw"),
        (json!({"prompt": "x", "region": [0, 0, 99, 9]}), "region", "the picture is 64x48"),
        (json!({"prompt": "x", "region": [0, 0, 9]}), "region", "four numbers"),
        (json!({"region": [0, 0, 9, 9]}), "prompt", "required"),
    ] {
        let error = call(arguments.clone()).await.expect_err("refused");
        assert_eq!(error.argument.as_deref(), Some(argument), "{arguments}: {error:?}");
        assert!(error.message.contains(said), "{arguments}: {}", error.message);
    }
    let jobs = hub.engine.store().job_list(&JobFilter::default(), None, 10).await.unwrap().jobs;
    assert!(jobs.iter().all(|job| matches!(job.request, JobRequest::Image(_)) && job.caller == Caller::local()));
    assert_eq!(jobs.len(), 1, "what is refused is no job");
}
