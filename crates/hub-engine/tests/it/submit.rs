use chrono::TimeDelta;
use hub_core::{
    caller::Caller,
    error::ErrorCode,
    job::JobStateKind,
    request::{ImageSize, ToolCall},
    server::NewServer,
};
use hub_engine::EngineConfig;
use serde_json::{Value, json};

use crate::hub::Hub;

#[tokio::test]
async fn style_names_null_is_treated_as_omitted() {
    let hub = Hub::start(EngineConfig::default()).await;
    hub.style("sharp", |style| {
        style.is_default = true;
        style.prompt_template = "sharp".to_owned();
    })
    .await;
    let (recipe, _) = hub.recipe("generate_image", json!({"prompt": "a fox", "style_names": null})).await;
    assert_eq!(recipe.styles, ["sharp"]);
    assert_eq!(recipe.prompt.as_deref(), Some("a fox, sharp"));
    let (recipe, _) = hub.recipe("generate_image", json!({"prompt": "a fox", "style_names": []})).await;
    assert!(recipe.styles.is_empty(), "an empty list means none");
}

#[tokio::test]
async fn seed_ratio_and_style_reach_the_recipe_and_nothing_else_does() {
    let hub = Hub::start(EngineConfig::default()).await;
    hub.style("cinematic", |style| {
        style.prompt_template = "cinematic".to_owned();
        style.negative_template = "blurry".to_owned();
    })
    .await;
    let arguments = json!({"prompt": "a fox", "seed": 42, "aspect_ratio": "16:9", "styles": ["cinematic"]});
    let (recipe, warnings) = hub.recipe("generate_image", arguments).await;
    assert_eq!(recipe.prompt.as_deref(), Some("a fox, cinematic"));
    assert_eq!(recipe.negative_prompt.as_deref(), Some("blurry"));
    assert_eq!((recipe.seed, recipe.size), (42, Some(ImageSize { width_px: 1344, height_px: 768 })));
    assert!(warnings.is_empty(), "{warnings:?}");
    let (bare, _) = hub.recipe("generate_image", json!({"prompt": "a fox"})).await;
    assert_eq!((bare.negative_prompt, bare.size, bare.steps), (None, None, None), "the workflow keeps its own");
}

#[tokio::test]
async fn explicit_render_type_is_kept_with_a_warning() {
    let hub = Hub::start(EngineConfig::default()).await;
    hub.style("tied", |style| {
        style.render_types = vec!["flux".to_owned()];
        style.preferred_render_type = Some("flux".to_owned());
    })
    .await;
    let arguments = json!({"prompt": "a fox", "render_type": "sdxl", "styles": ["tied"]});
    let (recipe, warnings) = hub.recipe("generate_image", arguments).await;
    assert_eq!(recipe.render_type, "sdxl");
    assert!(warnings.iter().any(|warning| warning.contains("`tied`")), "{warnings:?}");
    let (recipe, warnings) = hub.recipe("generate_image", json!({"prompt": "a fox", "styles": ["tied"]})).await;
    assert_eq!((recipe.render_type.as_str(), warnings.len()), ("flux", 0));
}

#[tokio::test]
async fn unknown_style_21_9_seed_minus_5_and_denoise_1_5_are_refused_naming_valid_values() {
    let hub = Hub::start(EngineConfig::default()).await;
    hub.style("cinematic", |_| {}).await;
    let cases: [(&str, Value, ErrorCode, &str); 4] = [
        ("generate_image", json!({"prompt": "x", "styles": ["cinematik"]}), ErrorCode::UnknownStyle, "cinematic"),
        ("generate_image", json!({"prompt": "x", "aspect_ratio": "21:9"}), ErrorCode::BadArgument, "16:9"),
        ("generate_image", json!({"prompt": "x", "seed": -5}), ErrorCode::BadArgument, "18446744073709551615"),
        (
            "upscale_image",
            json!({"image": "http://192.0.2.1/a.png", "denoise": 1.5}),
            ErrorCode::BadArgument,
            "from 0 to 1",
        ),
    ];
    for (tool, arguments, code, named) in cases {
        let error = hub.call(tool, arguments).await.expect_err(named);
        assert_eq!(error.code, code);
        assert!(error.explain().contains(named), "{}", error.explain());
    }
}

#[tokio::test]
async fn seed_2_pow_70_is_refused() {
    let hub = Hub::start(EngineConfig::default()).await;
    let arguments: Value = serde_json::from_str(r#"{"prompt": "x", "seed": 1180591620717411303424}"#).unwrap();
    let error = hub.call("generate_image", arguments).await.expect_err("too large");
    assert_eq!(error.argument.as_deref(), Some("seed"));
    let (recipe, _) = hub.recipe("generate_image", json!({"prompt": "x", "seed": u64::MAX})).await;
    assert_eq!(recipe.seed, u64::MAX, "every seed of 64 bits survives the store");
}

#[tokio::test]
async fn generate_image_with_an_upscale_render_type_is_refused() {
    let hub = Hub::start(EngineConfig::default()).await;
    let error = hub.call("generate_image", json!({"prompt": "x", "render_type": "4x"})).await.expect_err("wrong mode");
    assert_eq!(error.code, ErrorCode::WrongMode);
    assert_eq!(error.valid_values, ["flux", "sdxl"]);
}

#[tokio::test]
async fn upscale_with_url_of_own_db_file_is_refused() {
    let config =
        EngineConfig { public_url: Some("http://hub.example.com:8001".parse().unwrap()), ..EngineConfig::default() };
    let hub = Hub::start(config).await;
    for url in [
        "http://127.0.0.1:8001/data/hub.db",
        "http://127.0.0.1:8001/outputs/../hub.db",
        "http://127.0.0.1:8001/outputs/..%2Fhub.db",
        "http://localhost:8001/hub.db",
        "http://[::1]:8001/hub.db",
        "http://2130706433/hub.db",
        "file:///data/hub.db",
    ] {
        let error = hub.call("upscale_image", json!({"image": url})).await.expect_err(url);
        assert_eq!(error.code, ErrorCode::InputImage, "{url}: {}", error.message);
    }
}

#[tokio::test]
async fn style_template_with_braces_is_kept_literally() {
    let hub = Hub::start(EngineConfig::default()).await;
    hub.style("odd", |style| style.prompt_template = "{x} of {prompt} in {{curly}}".to_owned()).await;
    let (recipe, _) = hub.recipe("generate_image", json!({"prompt": "a {fox}", "styles": ["odd"]})).await;
    assert_eq!(recipe.prompt.as_deref(), Some("{x} of a {fox} in {{curly}}"));
}

#[tokio::test]
async fn base_url_with_trailing_slash_is_normalised() {
    let hub = Hub::start(EngineConfig::default()).await;
    let server = NewServer::named("second", "http://127.0.0.1:10/comfy/".parse().unwrap());
    let stored = hub.engine.server_add(server).await.unwrap();
    assert_eq!(stored.base_url.to_string(), "http://127.0.0.1:10/comfy");
    let again = NewServer::named("third", "http://127.0.0.1:10/comfy".parse().unwrap());
    let error = hub.engine.server_add(again).await.expect_err("the same address");
    assert_eq!(error.argument.as_deref(), Some("base_url"));
}

#[tokio::test]
async fn an_idempotency_key_leads_to_one_job() {
    let hub = Hub::start(EngineConfig::default()).await;
    let keyed = |prompt: &str| json!({"prompt": prompt, "idempotency_key": "k1"});
    let first = hub.call("generate_image", keyed("a fox")).await.unwrap();
    let second = hub.call("generate_image", keyed("a fox")).await.unwrap();
    assert_eq!((first.replayed, second.replayed), (false, true));
    assert_eq!(first.job.id, second.job.id);
    let error = hub.call("generate_image", keyed("a dog")).await.expect_err("other arguments");
    assert_eq!(error.code, ErrorCode::IdempotencyMismatch);
}

#[tokio::test]
async fn an_identical_call_with_a_seed_finds_the_first_job_within_the_window() {
    let hub = Hub::start(EngineConfig::default()).await;
    let call = || hub.call("generate_image", json!({"prompt": "a fox", "seed": 7}));
    let first = call().await.unwrap();
    hub.clock.advance(TimeDelta::seconds(119));
    let second = call().await.unwrap();
    assert!(second.replayed && second.job.id == first.job.id);
    let other = ToolCall::parse("generate_image", json!({"prompt": "a fox", "seed": 7}).as_object().unwrap()).unwrap();
    let other = hub.engine.submit(&Caller::named("another"), other).await.unwrap();
    assert!(!other.replayed, "another caller's job is its own");
    hub.clock.advance(TimeDelta::seconds(121));
    assert!(!call().await.unwrap().replayed, "the window is over");
}

#[tokio::test]
async fn without_a_seed_only_a_late_retry_of_an_unfinished_job_finds_it() {
    let hub = Hub::start(EngineConfig::default()).await;
    let call = || hub.call("generate_image", json!({"prompt": "a fox"}));
    let first = call().await.unwrap();
    let second = call().await.unwrap();
    assert!(!second.replayed, "two calls at once are two pictures");
    assert_ne!(first.job.recipe.unwrap().seed, second.job.recipe.unwrap().seed);
    hub.clock.advance(TimeDelta::seconds(61));
    let retry = call().await.unwrap();
    assert!(retry.replayed && retry.job.id == second.job.id);
    for job in [first.job.id, second.job.id] {
        hub.engine.cancel(job).await.unwrap();
    }
    assert!(!call().await.unwrap().replayed, "a cancelled job is nobody's answer");
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let config = EngineConfig { queue_max: 3, queue_max_per_caller: 2, ..EngineConfig::default() };
    let hub = Hub::start(config).await;
    for seed in 0..2 {
        hub.call("generate_image", json!({"prompt": "x", "seed": seed})).await.unwrap();
    }
    let error = hub.call("generate_image", json!({"prompt": "x", "seed": 2})).await.expect_err("own share is full");
    assert_eq!(error.code, ErrorCode::QueueFull);
    assert!(error.retry_after_s.is_some_and(|seconds| seconds > 0));
    let repeat = hub.call("generate_image", json!({"prompt": "x", "seed": 1})).await.unwrap();
    assert!(repeat.replayed, "a repeat finds its job although the queue is full");
}

#[tokio::test]
async fn a_cancelled_job_ends_once_and_is_answered_as_it_is() {
    let hub = Hub::start(EngineConfig::default()).await;
    let job = hub.call("generate_image", json!({"prompt": "x"})).await.unwrap().job.id;
    let mut watch = hub.engine.watch(job).await.unwrap();
    assert_eq!(watch.now().state, JobStateKind::Queued);
    for _ in 0..2 {
        assert_eq!(hub.engine.cancel(job).await.unwrap().job.state.kind(), JobStateKind::Cancelled);
    }
    let mut last = watch.now();
    while let Some(progress) = watch.next().await {
        last = progress;
    }
    assert_eq!(last.state, JobStateKind::Cancelled);
    let view = hub.engine.wait(job, std::time::Duration::from_secs(5)).await.unwrap();
    assert_eq!(view.job.state.kind(), JobStateKind::Cancelled);
    assert!(view.progress.is_none());
}

#[tokio::test]
async fn an_empty_hub_says_what_it_lacks() {
    let hub = Hub::empty(EngineConfig::default()).await;
    let error = hub.call("generate_image", json!({"prompt": "x"})).await.expect_err("no render type");
    assert_eq!(error.code, ErrorCode::NotConfigured);
    let error = hub.call("describe_image", json!({"image": "http://192.0.2.1/a.png"})).await.expect_err("no LLM");
    assert_eq!(error.code, ErrorCode::NotConfigured);
    let hub = Hub::start(EngineConfig::default()).await;
    let mut server = hub.engine.servers().remove(0).server;
    server.enabled = false;
    hub.engine.server_update(server).await.unwrap();
    let error = hub.call("generate_image", json!({"prompt": "x"})).await.expect_err("no server");
    assert_eq!(error.code, ErrorCode::NoServer);
}

#[tokio::test]
async fn a_change_of_the_catalogue_is_seen_by_the_next_call() {
    let hub = Hub::start(EngineConfig::default()).await;
    let mut changes = hub.engine.catalogue_changes();
    let before = *changes.borrow_and_update();
    hub.style("new", |style| style.prompt_template = "new".to_owned()).await;
    assert!(*changes.borrow_and_update() > before);
    assert!(hub.engine.catalogue().style("new").is_some());
    let (recipe, _) = hub.recipe("generate_image", json!({"prompt": "x", "styles": ["new"]})).await;
    assert_eq!(recipe.prompt.as_deref(), Some("x, new"));
}

#[tokio::test]
async fn the_shipped_catalogue_is_seeded_once() {
    let hub = Hub::empty(EngineConfig::default()).await;
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let (styles, types) = (read("config/catalogue/styles.toml"), read("config/catalogue/render_types.toml"));
    let names: Vec<String> = std::fs::read_dir(root.join("workflows"))
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".toml")?.to_owned()))
        .collect();
    let files: Vec<(String, String)> = names
        .iter()
        .map(|name| (read(&format!("workflows/{name}.toml")), read(&format!("workflows/{name}.json"))))
        .collect();
    let pairs: Vec<(&str, &str)> = files.iter().map(|(about, graph)| (about.as_str(), graph.as_str())).collect();
    hub.engine.seed_catalogue(&pairs, &styles, &types).await.unwrap();
    let seeded = hub.engine.catalogue();
    assert!(seeded.render_types.len() >= 5 && seeded.styles.len() >= 10);
    let gone = seeded.styles[0].clone();
    hub.engine.style_delete(gone.id).await.unwrap();
    hub.engine.seed_catalogue(&pairs, &styles, &types).await.unwrap();
    assert!(hub.engine.catalogue().style(&gone.name).is_none(), "what was deleted does not come back");
}
