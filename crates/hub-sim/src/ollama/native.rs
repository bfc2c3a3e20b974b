//! Ollama's own wire shapes: `/api/*`, newline-delimited JSON.
//!
//! Owns its field names and statuses on the way out. Never decides what an answer says.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    SimModel, memory,
    play::{self, Ending, Play, Running, Step, Token},
    request::{self, Asked, Refusal},
    server::{self, Admitted, Shared},
};

/// When every model was made, as far as anyone can tell.
const MODIFIED_AT: &str = "2026-01-15T09:30:00.000000000Z";
/// Nominal speed behind the reported durations.
const NANOS_PER_PROMPT_TOKEN: usize = 1_000_000;

pub(super) fn error(refusal: &Refusal) -> Response {
    server::json(refusal.status, &json!({ "error": refusal.error }))
}

pub(super) async fn version(State(shared): State<Arc<Shared>>) -> Response {
    server::json(200, &json!({ "version": shared.config.version }))
}

pub(super) async fn tags(State(shared): State<Arc<Shared>>) -> Response {
    let models = shared.config.models.iter().map(|model| {
        let mut listed = json!({
            "name": model.name,
            "model": model.name,
            "modified_at": MODIFIED_AT,
            "size": model.size_bytes,
            "digest": digest(model),
            "details": details(model),
        });
        if shared.config.list_capabilities {
            listed["capabilities"] = json!(model.capabilities);
        }
        listed
    });
    server::json(200, &json!({ "models": models.collect::<Vec<_>>() }))
}

pub(super) async fn ps(State(shared): State<Arc<Shared>>) -> Response {
    let models = shared.loaded().into_iter().map(|(model, loaded)| {
        json!({
            "name": model.name,
            "model": model.name,
            "size": model.size_bytes,
            "digest": digest(model),
            "details": details(model),
            // The real server adds the longest time Go can hold, some 292 years.
            "expires_at": timestamp(loaded.expires.unwrap_or_else(|| memory::now() + chrono::Duration::days(292 * 365))),
            "size_vram": loaded.vram_bytes,
            "context_length": loaded.num_ctx,
        })
    });
    server::json(200, &json!({ "models": models.collect::<Vec<_>>() }))
}

pub(super) async fn show(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let named = request::object(&body).and_then(|fields| {
        let name = fields.get("model").or_else(|| fields.get("name")).and_then(Value::as_str).unwrap_or_default();
        shared.model(name)
    });
    match named {
        Ok(model) => server::json(200, &shown(model)),
        Err(refusal) => error(&refusal),
    }
}

pub(super) async fn chat(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    answer(&shared, request::chat(&body), Shape::Chat).await
}

pub(super) async fn generate(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    answer(&shared, request::generate(&body), Shape::Generate).await
}

/// The two calls differ only in where the words are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Chat,
    Generate,
}

async fn answer(shared: &Arc<Shared>, asked: Result<Asked, Refusal>, shape: Shape) -> Response {
    let asked = match asked {
        Ok(asked) => asked,
        Err(refusal) => return error(&refusal),
    };
    let (model, stream) = (asked.model.clone(), asked.stream);
    let verb = if shape == Shape::Chat { "chat" } else { "generate" };
    match shared.admit(asked, verb).await {
        Err(refusal) => error(&refusal),
        Ok(Admitted::Loaded) => server::json(200, &memory_only(shape, &model, "load")),
        Ok(Admitted::Unloaded) => server::json(200, &memory_only(shape, &model, "unload")),
        Ok(Admitted::Answer(play, running)) if stream => streamed(&play, running, shape),
        Ok(Admitted::Answer(play, running)) => whole(&play, running, shape).await,
    }
}

fn streamed(play: &Play, running: Running, shape: Shape) -> Response {
    let mut steps = Vec::new();
    for token in play.tokens() {
        steps.push(Step::Send(line(&chunk(shape, &play.model, &token))));
        if !play.token_wait.is_zero() {
            steps.push(Step::Wait(play.token_wait));
        }
    }
    steps.push(match &play.ending {
        Ending::Done => {
            let nothing = Token { thinking: String::new(), content: String::new() };
            let mut last = chunk(shape, &play.model, &nothing);
            finish(&mut last, play, shape);
            Step::Send(line(&last))
        }
        Ending::Error(error) => Step::Send(line(&json!({ "error": error }))),
        Ending::Stall => Step::Stall,
        Ending::Break => Step::Break,
        Ending::Malformed => Step::Send("{\"model\":\"sim\",\"message\":{\"role\":\"assist\n".to_owned()),
    });
    ([("content-type", "application/x-ndjson")], play::body(steps, running)).into_response()
}

async fn whole(play: &Play, running: Running, shape: Shape) -> Response {
    let tokens = u32::try_from(play.token_count()).unwrap_or(u32::MAX);
    let writing: Duration = play.token_wait.saturating_mul(tokens);
    let lasted = play::wait(writing, &running.shared.stop()).await;
    let whole = Token { thinking: play.thinking.clone(), content: play.content.clone() };
    let mut body = chunk(shape, &play.model, &whole);
    finish(&mut body, play, shape);
    let text = body.to_string();
    let steps = match play.whole(text, lasted) {
        Ok(steps) => steps,
        Err(error) => {
            running.finish();
            return self::error(&Refusal::new(500, error));
        }
    };
    ([("content-type", "application/json; charset=utf-8")], play::body(steps, running)).into_response()
}

fn chunk(shape: Shape, model: &str, token: &Token) -> Value {
    let mut chunk = json!({ "model": model, "created_at": timestamp(memory::now()) });
    match shape {
        Shape::Chat => {
            chunk["message"] = json!({ "role": "assistant", "content": token.content });
            if !token.thinking.is_empty() {
                chunk["message"]["thinking"] = json!(token.thinking);
            }
        }
        Shape::Generate => {
            chunk["response"] = json!(token.content);
            if !token.thinking.is_empty() {
                chunk["thinking"] = json!(token.thinking);
            }
        }
    }
    chunk["done"] = json!(false);
    chunk
}

fn finish(chunk: &mut Value, play: &Play, shape: Shape) {
    let total = nanos(play.started);
    let load = u64::try_from(play.load.as_nanos()).unwrap_or(u64::MAX);
    chunk["done"] = json!(true);
    chunk["done_reason"] = json!(play.done_reason);
    if shape == Shape::Generate {
        // Tokens of the conversation; nobody may look inside.
        chunk["context"] = json!((1..=play.token_count().min(64)).collect::<Vec<_>>());
    }
    chunk["total_duration"] = json!(total);
    chunk["load_duration"] = json!(load);
    chunk["prompt_eval_count"] = json!(play.prompt_tokens);
    chunk["prompt_eval_duration"] = json!(play.prompt_tokens * NANOS_PER_PROMPT_TOKEN);
    chunk["eval_count"] = json!(play.token_count());
    chunk["eval_duration"] = json!(total.saturating_sub(load));
}

fn memory_only(shape: Shape, model: &str, reason: &str) -> Value {
    let nothing = Token { thinking: String::new(), content: String::new() };
    let mut answer = chunk(shape, model, &nothing);
    answer["done"] = json!(true);
    answer["done_reason"] = json!(reason);
    answer
}

fn shown(model: &SimModel) -> Value {
    let family = &model.family;
    let mut shown = json!({
        "license": "Simulated model, no licence.",
        "modelfile": format!("# Modelfile generated by \"ollama show\"\nFROM {}\n", model.name),
        "parameters": "stop                           \"<|eot_id|>\"",
        "template": "{{ .System }} {{ .Prompt }}",
        "details": details(model),
        "model_info": {
            "general.architecture": family,
            "general.parameter_count": 8_030_261_312_u64,
            format!("{family}.context_length"): model.context_length,
            format!("{family}.embedding_length"): 4096,
        },
        "capabilities": model.capabilities,
        "modified_at": MODIFIED_AT,
    });
    if model.can("vision") {
        shown["projector_info"] = json!({ "general.architecture": "clip" });
    }
    shown
}

fn details(model: &SimModel) -> Value {
    let mut families = vec![model.family.as_str()];
    if model.can("vision") {
        families.push("clip");
    }
    json!({
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": families,
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization,
    })
}

fn digest(model: &SimModel) -> String {
    use std::fmt::Write as _;
    Sha256::digest(model.name.as_bytes()).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
