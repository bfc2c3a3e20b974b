//! The OpenAI-compatible wire shapes: `/v1/*`, server-sent events.
//!
//! Owns its field names, error objects and the order of events. Never decides what an answer says.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    memory,
    play::{self, Ending, Play, Running, Step},
    request::{self, Asked, Refusal},
    server::{self, Admitted, Shared},
};

/// Unix time at which every model was made.
const CREATED: u64 = 1_768_469_400;

pub(super) fn error(refusal: &Refusal) -> Response {
    server::json(refusal.status, &error_body(refusal.status, &refusal.error))
}

pub(super) async fn models(State(shared): State<Arc<Shared>>) -> Response {
    let data: Vec<Value> = shared.config.models.iter().map(|model| listed(&model.name)).collect();
    server::json(200, &json!({ "object": "list", "data": data }))
}

pub(super) async fn model(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    match shared.model(&name) {
        Ok(_) => server::json(200, &listed(&name)),
        Err(refusal) => error(&refusal),
    }
}

pub(super) async fn chat(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let asked = match request::completion(&body) {
        Ok(asked) => asked,
        Err(refusal) => return error(&refusal),
    };
    let Asked { stream, include_usage, .. } = asked;
    match shared.admit(asked, "chat").await {
        Err(refusal) => error(&refusal),
        Ok(Admitted::Answer(play, running)) if stream => streamed(&play, running, include_usage),
        Ok(Admitted::Answer(play, running)) => whole(&play, running).await,
        Ok(Admitted::Loaded | Admitted::Unloaded) => error(&Refusal::new(400, "[] is too short - 'messages'")),
    }
}

fn streamed(play: &Play, running: Running, include_usage: bool) -> Response {
    let mut steps = Vec::new();
    for token in play.tokens() {
        let mut delta = json!({ "role": "assistant", "content": token.content });
        if !token.thinking.is_empty() {
            delta["reasoning"] = json!(token.thinking);
        }
        steps.push(event(&chunk(play, &json!([{ "index": 0, "delta": delta, "finish_reason": null }]))));
        if !play.token_wait.is_zero() {
            steps.push(Step::Wait(play.token_wait));
        }
    }
    match &play.ending {
        Ending::Done => {
            let delta = json!({ "role": "assistant", "content": "" });
            let choices = json!([{ "index": 0, "delta": delta, "finish_reason": play.done_reason }]);
            steps.push(event(&chunk(play, &choices)));
            if include_usage {
                let mut last = chunk(play, &json!([]));
                last["usage"] = usage(play);
                steps.push(event(&last));
            }
            steps.push(Step::Send("data: [DONE]\n\n".to_owned()));
        }
        Ending::Error(error) => steps.push(event(&error_body(500, error))),
        Ending::Stall => steps.push(Step::Stall),
        Ending::Break => steps.push(Step::Break),
        Ending::Malformed => steps.push(Step::Send("data: {\"choices\":[{\"del\n\n".to_owned())),
    }
    ([("content-type", "text/event-stream")], play::body(steps, running)).into_response()
}

async fn whole(play: &Play, running: Running) -> Response {
    let tokens = u32::try_from(play.token_count()).unwrap_or(u32::MAX);
    let lasted = play::wait(play.token_wait.saturating_mul(tokens), &running.shared.stop()).await;
    let mut message = json!({ "role": "assistant", "content": play.content });
    if !play.thinking.is_empty() {
        message["reasoning"] = json!(play.thinking);
    }
    let text = json!({
        "id": id(play),
        "object": "chat.completion",
        "created": memory::now().timestamp(),
        "model": play.model,
        "system_fingerprint": "fp_ollama",
        "choices": [{ "index": 0, "message": message, "finish_reason": play.done_reason }],
        "usage": usage(play),
    })
    .to_string();
    let steps = match play.whole(text, lasted) {
        Ok(steps) => steps,
        Err(error) => {
            running.finish();
            return self::error(&Refusal::new(500, error));
        }
    };
    ([("content-type", "application/json")], play::body(steps, running)).into_response()
}

fn chunk(play: &Play, choices: &Value) -> Value {
    json!({
        "id": id(play),
        "object": "chat.completion.chunk",
        "created": memory::now().timestamp(),
        "model": play.model,
        "system_fingerprint": "fp_ollama",
        "choices": choices,
    })
}

/// The real server draws three digits; the same answer has the same ones here.
fn id(play: &Play) -> String {
    format!("chatcmpl-{}", play.content.len() % 1000)
}

fn usage(play: &Play) -> Value {
    let written = play.token_count();
    json!({
        "prompt_tokens": play.prompt_tokens,
        "completion_tokens": written,
        "total_tokens": play.prompt_tokens + written,
    })
}

fn event(value: &Value) -> Step {
    Step::Send(format!("data: {value}\n\n"))
}

fn listed(name: &str) -> Value {
    json!({ "id": name, "object": "model", "created": CREATED, "owned_by": "library" })
}

fn error_body(status: u16, message: &str) -> Value {
    let kind = match status {
        400 => "invalid_request_error",
        404 => "not_found_error",
        _ => "api_error",
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": null } })
}
