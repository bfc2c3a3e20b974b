use std::time::Duration;

use hub_core::{
    error::ErrorCode,
    job::{JobState, JobStateKind},
    server::{LlmAssignment, LlmRole},
};
use hub_engine::{DescribeTemplates, EngineConfig};
use hub_sim::ollama::{OllamaConfig, OllamaFault, SimModel};
use image::ImageFormat;
use serde_json::json;

use crate::hub::{Hub, picture};

fn config() -> EngineConfig {
    EngineConfig { enhance_budget: Duration::from_secs(5), ..EngineConfig::default() }
}

fn replying(text: &str) -> OllamaConfig {
    let mut config = OllamaConfig::default();
    for key in ["a fox", "ugly", "fog"] {
        config.replies.push((key.to_owned(), text.to_owned()));
    }
    config
}

#[tokio::test]
async fn enhancement_comes_before_styles_and_keeps_the_original() {
    let hub = Hub::start(config()).await;
    let (sim, _) = hub.llm(replying("enhanced text"), &[LlmRole::Enhance]).await;
    hub.style("cinematic", |style| {
        style.prompt_template = "cinematic".to_owned();
        style.negative_template = "blurry".to_owned();
    })
    .await;
    let arguments = json!({"prompt": "a fox", "seed": 42, "styles": ["cinematic"]});
    let submitted = hub.call("generate_image", arguments).await.unwrap();
    assert_eq!(submitted.job.state, JobState::Planning);
    let job = hub.until(submitted.job.id, &[JobStateKind::Queued]).await;
    let recipe = job.recipe.unwrap();
    assert_eq!(recipe.prompt.as_deref(), Some("enhanced text, cinematic"));
    assert_eq!(recipe.negative_prompt.as_deref(), Some("enhanced text, blurry"));
    assert_eq!((recipe.prompt_asked.as_deref(), recipe.seed), (Some("a fox"), 42));
    assert!(recipe.enhanced && recipe.not_enhanced_because.is_none());
    let chats: Vec<_> = sim.requests().into_iter().filter(|request| request.path == "/api/chat").collect();
    assert_eq!(chats.len(), 2);
    assert_eq!(chats[0].body["think"], json!(false));
    assert!(chats[0].body["messages"][0]["content"].as_str().unwrap().contains("Plain words."));
}

#[tokio::test]
async fn weights_embeddings_and_lora_tags_survive_whatever_the_model_answers() {
    let hub = Hub::start(config()).await;
    let (_sim, _) = hub.llm(replying("\"A crimson fox in the snow\""), &[LlmRole::Enhance]).await;
    let prompt = "a fox (fur:1.2), embedding:soft, <lora:detail:0.8>";
    let job = hub.call("generate_image", json!({"prompt": prompt})).await.unwrap().job.id;
    let recipe = hub.until(job, &[JobStateKind::Queued]).await.recipe.unwrap();
    assert_eq!(
        recipe.prompt.as_deref(),
        Some("A crimson fox in the snow, (fur:1.2), embedding:soft, <lora:detail:0.8>")
    );
}

#[tokio::test]
async fn without_an_llm_the_plain_prompt_is_used_and_the_recipe_says_why() {
    let hub = Hub::start(config()).await;
    let (recipe, warnings) = hub.recipe("generate_image", json!({"prompt": "a fox"})).await;
    assert!(!recipe.enhanced && warnings.is_empty());
    assert!(recipe.not_enhanced_because.unwrap().contains("no LLM"));
    let (_, warnings) = hub.recipe("generate_image", json!({"prompt": "a fox", "enhance": true})).await;
    assert!(warnings.iter().any(|warning| warning.contains("no LLM")), "{warnings:?}");
    let (_sim, _) = hub.llm(replying("x"), &[LlmRole::Enhance]).await;
    let (recipe, _) = hub.recipe("generate_image", json!({"prompt": "a fox", "enhance": false})).await;
    assert!(recipe.not_enhanced_because.unwrap().contains("switched off"));
}

#[tokio::test]
async fn a_failing_llm_costs_a_warning_and_not_the_picture() {
    let hub = Hub::start(config()).await;
    let (sim, _) = hub.llm(OllamaConfig::default(), &[LlmRole::Enhance]).await;
    sim.inject(OllamaFault::Status { status: 500, error: "boom".to_owned() }, 10);
    let job = hub.call("generate_image", json!({"prompt": "a fox"})).await.unwrap().job.id;
    let job = hub.until(job, &[JobStateKind::Queued]).await;
    let recipe = job.recipe.unwrap();
    assert_eq!(recipe.prompt.as_deref(), Some("a fox"));
    assert!(!recipe.enhanced && recipe.not_enhanced_because.is_some());
    assert!(job.warnings.iter().any(|warning| warning.contains("boom")), "{:?}", job.warnings);
    let chats = sim.requests().iter().filter(|request| request.path == "/api/chat").count();
    assert_eq!(chats, 2, "one retry");
}

#[tokio::test]
async fn a_failure_that_passes_is_retried_once() {
    let hub = Hub::start(config()).await;
    let (sim, _) = hub.llm(replying("enhanced text"), &[LlmRole::Enhance]).await;
    sim.inject(OllamaFault::BreakOff, 1);
    let job = hub.call("generate_image", json!({"prompt": "a fox"})).await.unwrap().job.id;
    let recipe = hub.until(job, &[JobStateKind::Queued]).await.recipe.unwrap();
    assert_eq!(recipe.prompt.as_deref(), Some("enhanced text"));
}

#[tokio::test]
async fn a_silent_llm_is_left_when_the_budget_is_used_up() {
    let hub = Hub::start(EngineConfig { enhance_budget: Duration::from_millis(200), ..config() }).await;
    let (sim, _) = hub.llm(OllamaConfig::default(), &[LlmRole::Enhance]).await;
    sim.inject(OllamaFault::Silent, 10);
    let job = hub.call("generate_image", json!({"prompt": "a fox"})).await.unwrap().job.id;
    let recipe = hub.until(job, &[JobStateKind::Queued]).await.recipe.unwrap();
    assert!(recipe.not_enhanced_because.unwrap().contains("0.2 s"));
}

#[tokio::test]
async fn a_planning_job_can_be_cancelled_and_its_llm_call_ends() {
    let hub = Hub::start(EngineConfig::default()).await;
    let (sim, _) = hub.llm(OllamaConfig::default(), &[LlmRole::Enhance]).await;
    sim.inject(OllamaFault::Stall, 10);
    let job = hub.call("generate_image", json!({"prompt": "a fox"})).await.unwrap().job.id;
    until(|| sim.requests().iter().any(|request| request.path == "/api/chat")).await;
    assert_eq!(hub.engine.cancel(job).await.unwrap().job.state.kind(), JobStateKind::Cancelled);
    until(|| sim.cancelled() == 1).await;
}

#[tokio::test]
async fn planning_goes_on_after_a_restart() {
    let hub = Hub::start(EngineConfig::default()).await;
    let (sim, _) = hub.llm(replying("enhanced text"), &[LlmRole::Enhance]).await;
    sim.inject(OllamaFault::Stall, 1);
    let job = hub.call("generate_image", json!({"prompt": "a fox"})).await.unwrap().job.id;
    until(|| sim.requests().iter().any(|request| request.path == "/api/chat")).await;
    let hub = hub.restart().await;
    let recipe = hub.until(job, &[JobStateKind::Queued]).await.recipe.unwrap();
    assert_eq!(recipe.prompt.as_deref(), Some("enhanced text"));
}

#[tokio::test]
async fn describe_image_answers_a_description() {
    let hub = Hub::start(EngineConfig::default()).await;
    let (sim, _) = hub.llm(OllamaConfig::default(), &[LlmRole::Describe]).await;
    sim.reply_to("French", "Un renard roux.");
    let artifact = hub
        .engine
        .store_input(&hub_core::caller::Caller::local(), picture(2000, 1000, ImageFormat::Png).into())
        .await
        .unwrap();
    let arguments = json!({"image": artifact.id.to_string(), "description_type": "natural", "language": "fr"});
    let job = hub.call("describe_image", arguments).await.unwrap().job.id;
    let job = hub.until(job, &[JobStateKind::Succeeded, JobStateKind::Failed]).await;
    assert_eq!(job.text.as_deref(), Some("Un renard roux."), "{:?}", job.state);
    let chat = sim.requests().into_iter().find(|request| request.path == "/api/chat").unwrap();
    assert_eq!(chat.body["model"], json!("sim-vision:latest"), "the first model that sees");
    let sent = chat.body["messages"][0]["images"][0].as_str().unwrap();
    assert!(sent.len() < 1_000_000 && sent.starts_with("/9j/"), "a JPEG of moderate size");
}

#[tokio::test]
async fn a_description_without_a_model_that_sees_fails_with_the_reason() {
    let hub = Hub::start(EngineConfig::default()).await;
    let blind =
        OllamaConfig { models: vec![SimModel::new("blind:latest", &["completion"])], ..OllamaConfig::default() };
    let (_sim, _) = hub.llm(blind, &[LlmRole::Describe]).await;
    let artifact = hub
        .engine
        .store_input(&hub_core::caller::Caller::local(), picture(8, 8, ImageFormat::Jpeg).into())
        .await
        .unwrap();
    let job = hub.call("describe_image", json!({"image": artifact.id.to_string()})).await.unwrap().job.id;
    let job = hub.until(job, &[JobStateKind::Succeeded, JobStateKind::Failed]).await;
    let JobState::Failed(error) = job.state else { panic!("it cannot succeed: {:?}", job.state) };
    assert_eq!(error.code, ErrorCode::NotConfigured);
    assert!(error.message.contains("see pictures"), "{}", error.message);
}

#[tokio::test]
async fn an_assigned_model_that_cannot_see_is_refused_before_the_call_naming_those_that_can() {
    let hub = Hub::start(EngineConfig::default()).await;
    let models = vec![
        SimModel::new("blind:latest", &["completion"]),
        SimModel::new("eye-a:latest", &["completion", "vision"]),
        SimModel::new("eye-b:latest", &["vision"]),
    ];
    let (sim, server) = hub.llm(OllamaConfig { models, ..OllamaConfig::default() }, &[]).await;
    let to = LlmAssignment { server: server.id, model: Some("blind:latest".to_owned()) };
    hub.engine.llm_assign(LlmRole::Describe, Some(to)).await.unwrap();
    let artifact = hub
        .engine
        .store_input(&hub_core::caller::Caller::local(), picture(8, 8, ImageFormat::Jpeg).into())
        .await
        .unwrap();
    let job = hub.call("describe_image", json!({"image": artifact.id.to_string()})).await.unwrap().job.id;
    let job = hub.until(job, &[JobStateKind::Succeeded, JobStateKind::Failed]).await;
    let JobState::Failed(error) = job.state else { panic!("it cannot succeed: {:?}", job.state) };
    assert_eq!(error.code, ErrorCode::NotConfigured);
    assert!(error.message.contains("these can: eye-a:latest, eye-b:latest"), "{}", error.message);
    assert!(sim.requests().iter().all(|request| request.path != "/api/chat"), "no picture was sent");
}

#[tokio::test]
async fn describing_in_french_uses_the_french_instructions() {
    let hub = Hub::start(EngineConfig::default()).await;
    let (sim, _) = hub.llm(OllamaConfig::default(), &[LlmRole::Describe]).await;
    let own = DescribeTemplates { optimized_fr: "{width} sur {height}, {braces}".to_owned(), ..Default::default() };
    hub.engine.describe_templates_edit(|_| Ok(own.clone())).await.unwrap();
    let artifact = hub
        .engine
        .store_input(&hub_core::caller::Caller::local(), picture(30, 20, ImageFormat::Png).into())
        .await
        .unwrap();
    let arguments = json!({"image": artifact.id.to_string(), "language": "fr"});
    let job = hub.call("describe_image", arguments).await.unwrap().job.id;
    hub.until(job, &[JobStateKind::Succeeded]).await;
    let chat = sim.requests().into_iter().find(|request| request.path == "/api/chat").unwrap();
    assert_eq!(chat.body["messages"][0]["content"], json!("30 sur 20, {braces}"));
}

#[tokio::test]
async fn deleting_an_llm_server_in_use_keeps_templates() {
    let hub = Hub::start(EngineConfig::default()).await;
    let (_sim, server) = hub.llm(OllamaConfig::default(), &[LlmRole::Describe, LlmRole::Enhance]).await;
    let own = DescribeTemplates { natural: "Say what you see.".to_owned(), ..DescribeTemplates::default() };
    hub.engine.describe_templates_edit(|_| Ok(own.clone())).await.unwrap();
    assert!(hub.engine.catalogue().can_describe);
    hub.engine.llm_server_delete(server.id).await.unwrap();
    let catalogue = hub.engine.catalogue();
    assert!(!catalogue.can_describe && !catalogue.can_enhance);
    assert_eq!(hub.engine.describe_templates().await.unwrap(), own);
}

pub(crate) async fn until(condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached).await.expect("it happens in time");
}
