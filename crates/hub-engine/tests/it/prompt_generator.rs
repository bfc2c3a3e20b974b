use hub_core::{error::ErrorCode, job::JobState, job::JobStateKind, request::GeneratedPrompt, server::LlmRole};
use hub_engine::{EngineConfig, PromptGeneratorSettings};
use hub_sim::ollama::{OllamaConfig, OllamaFault, OllamaSim};
use serde_json::{Value, json};

use crate::hub::Hub;

async fn start() -> (Hub, OllamaSim) {
    let hub = Hub::start(EngineConfig::default()).await;
    hub.style("ink", |style| {
        "ink drawing of {prompt} {literally}".clone_into(&mut style.prompt_template);
        "photo".clone_into(&mut style.negative_template);
    })
    .await;
    hub.style("oil", |style| "oil on canvas".clone_into(&mut style.prompt_template)).await;
    let (sim, _) = hub.llm(OllamaConfig::default(), &[LlmRole::PromptGenerator]).await;
    (hub, sim)
}

async fn generated(hub: &Hub, arguments: Value) -> GeneratedPrompt {
    let job = hub.call("generate_prompt", arguments).await.unwrap().job.id;
    let job = hub.until(job, &[JobStateKind::Succeeded, JobStateKind::Failed]).await;
    job.generated_prompt().unwrap_or_else(|| panic!("{:?}", job.state))
}

fn chats(sim: &OllamaSim) -> Vec<Value> {
    sim.requests().into_iter().filter(|request| request.path == "/api/chat").map(|request| request.body).collect()
}

#[tokio::test]
async fn one_call_makes_a_prompt_of_subject_elements_and_style() {
    let (hub, sim) = start().await;
    let arguments = json!({"subject": "a (red:1.2) fox", "elements": ["lantern", "rain"], "style": "ink", "seed": 7});
    let prompt = generated(&hub, arguments).await;
    assert!(prompt.positive_prompt.starts_with("ink drawing of a (red:1.2) fox"), "{}", prompt.positive_prompt);
    assert!(prompt.positive_prompt.ends_with("{literally}"), "other braces are literal: {}", prompt.positive_prompt);
    assert!(prompt.negative_prompt.ends_with("photo"), "{}", prompt.negative_prompt);
    assert_eq!((prompt.style.as_deref(), prompt.seed, prompt.elements.len()), (Some("ink"), 7, 2));
    let asked = chats(&sim);
    assert_eq!(asked.len(), 1);
    let format = &asked[0]["format"];
    assert_eq!(format["properties"]["details"]["minItems"], json!(2));
    assert!(format["properties"].get("elements").is_none() && format["properties"].get("style").is_none());
    assert!(asked[0]["options"]["seed"].is_u64());
    let said = asked[0]["messages"].to_string();
    assert!(said.contains("lantern; rain") && said.contains("JSON Schema"), "{said}");
}

#[tokio::test]
async fn the_same_seed_asks_the_same_and_another_one_does_not() {
    let (hub, sim) = start().await;
    generated(&hub, json!({"seed": 1, "idempotency_key": "a"})).await;
    generated(&hub, json!({"seed": 1, "idempotency_key": "b"})).await;
    generated(&hub, json!({"seed": 2})).await;
    let drawn = generated(&hub, json!({})).await;
    let asked = chats(&sim);
    assert_eq!(asked[0], asked[1]);
    assert_ne!(asked[0]["messages"], asked[2]["messages"]);
    let again = generated(&hub, json!({"seed": drawn.seed})).await;
    assert_eq!(again, drawn, "a drawn seed can be given again");
}

#[tokio::test]
async fn the_settings_decide_how_much_is_proposed_and_which_styles_are_offered() {
    let (hub, sim) = start().await;
    let settings = PromptGeneratorSettings {
        subjects_to_propose: 2,
        elements_to_propose: 4,
        elements_to_select: 3,
        variations_to_propose: 6,
        allowed_styles: Some(vec!["oil".to_owned()]),
        instructions: "Invent boldly.".to_owned(),
    };
    hub.engine.prompt_generator_edit(|_| Ok(settings.clone())).await.unwrap();
    let prompt = generated(&hub, json!({})).await;
    assert_eq!((prompt.style.as_deref(), prompt.elements.len()), (Some("oil"), 3));
    let asked = chats(&sim);
    let properties = &asked[0]["format"]["properties"];
    assert_eq!(properties["subjects"]["maxItems"], json!(2));
    assert_eq!(properties["elements"]["maxItems"], json!(4));
    assert_eq!(properties["details"]["items"]["properties"]["variations"]["maxItems"], json!(6));
    assert!(asked[0]["messages"][0]["content"].as_str().unwrap().starts_with("Invent boldly."));
    let error = hub.call("generate_prompt", json!({"style": "ink"})).await.unwrap_err();
    assert_eq!((error.code, error.valid_values), (ErrorCode::UnknownStyle, vec!["oil".to_owned(), "none".to_owned()]));
    assert_eq!(generated(&hub, json!({"style": "none"})).await.style, None);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_sent_back_once() {
    let (hub, sim) = start().await;
    sim.reply_to("a fox", "I would rather write a poem.");
    let job = hub.call("generate_prompt", json!({"subject": "a fox"})).await.unwrap().job.id;
    let job = hub.until(job, &[JobStateKind::Succeeded, JobStateKind::Failed]).await;
    let JobState::Failed(error) = job.state else { panic!("a poem is no prompt: {:?}", job.text) };
    assert_eq!(error.code, ErrorCode::LlmUnavailable);
    assert!(error.message.starts_with("No prompt could be generated"), "{}", error.message);
    let asked = chats(&sim);
    assert_eq!(asked.len(), 2, "one call and one repair");
    let last = asked[1]["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned();
    assert!(last.contains("not a JSON object"), "{last}");
}

#[tokio::test]
async fn without_a_server_for_it_the_refusal_says_what_to_do() {
    let hub = Hub::start(EngineConfig::default()).await;
    assert!(!hub.engine.catalogue().can_generate_prompts);
    let error = hub.call("generate_prompt", json!({})).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotConfigured);
    assert!(error.hint.unwrap().contains("prompt_generator"));
}

#[tokio::test]
async fn a_job_goes_on_after_a_restart_with_the_seed_it_drew() {
    let (hub, sim) = start().await;
    sim.inject(OllamaFault::Stall, 1);
    let job = hub.call("generate_prompt", json!({})).await.unwrap().job.id;
    crate::enhance::until(|| !chats(&sim).is_empty()).await;
    let hub = hub.restart().await;
    let job = hub.until(job, &[JobStateKind::Succeeded, JobStateKind::Failed]).await;
    assert!(job.generated_prompt().is_some(), "{:?}", job.state);
    let asked = chats(&sim);
    assert_eq!(asked[0]["messages"], asked[1]["messages"]);
}
