//! Ollama's own dialect: `/api/*`, newline-delimited JSON.
//!
//! Owns its field names, both ways. Never does I/O.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    chat::{ChatChunk, ChatDone, ChatRequest, DoneReason, Format, KeepAlive, Message, Think},
    error::{Error, Result},
    models::{Capability, LoadedModel, Model, ModelDetails},
};

const NANOS_PER_MS: u64 = 1_000_000;

/// Body of `POST /api/chat`, always streamed: only a stream can be watched for stalls.
pub(crate) fn chat_body(request: &ChatRequest) -> Value {
    let messages: Vec<Value> = request.messages.iter().map(message).collect();
    let mut body = json!({ "model": request.model, "messages": messages, "stream": true });
    if let Some(format) = &request.format {
        body["format"] = match format {
            Format::Json => json!("json"),
            Format::Schema(schema) => schema.clone(),
        };
    }
    let options = options(request);
    if !options.is_empty() {
        body["options"] = Value::Object(options);
    }
    if let Some(think) = request.think {
        body["think"] = match think {
            Think::Off => json!(false),
            Think::On => json!(true),
            Think::Low => json!("low"),
            Think::Medium => json!("medium"),
            Think::High => json!("high"),
        };
    }
    if let Some(keep_alive) = request.keep_alive {
        body["keep_alive"] = keep_alive_value(keep_alive);
    }
    body
}

/// Body of `POST /api/generate` that takes a model out of memory.
pub(crate) fn unload_body(model: &str) -> Value {
    json!({ "model": model, "keep_alive": keep_alive_value(KeepAlive::Unload), "stream": false })
}

fn message(message: &Message) -> Value {
    let mut value = json!({ "role": message.role.as_str(), "content": message.content });
    if !message.images.is_empty() {
        // Plain base64: a `data:` prefix makes the whole body invalid.
        value["images"] = message.images.iter().map(|image| STANDARD.encode(image)).collect();
    }
    value
}

fn options(request: &ChatRequest) -> Map<String, Value> {
    let options = request.options;
    let given = [
        ("temperature", options.temperature.map(Value::from)),
        ("seed", options.seed.map(Value::from)),
        ("num_ctx", options.num_ctx.map(Value::from)),
        ("num_predict", options.num_predict.map(Value::from)),
    ];
    given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Always a number or a text with a unit; a bare `"-1"` is refused by the server.
fn keep_alive_value(keep_alive: KeepAlive) -> Value {
    match keep_alive {
        KeepAlive::Unload => json!(0),
        KeepAlive::Forever => json!(-1),
        KeepAlive::For(time) if time.subsec_nanos() == 0 => json!(time.as_secs()),
        KeepAlive::For(_) => json!(keep_alive.to_string()),
    }
}

#[derive(Deserialize)]
struct WireChunk {
    message: Option<WireMessage>,
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    load_duration: Option<u64>,
}

#[derive(Deserialize)]
struct WireMessage {
    #[serde(default)]
    content: String,
    #[serde(default)]
    thinking: String,
}

/// One line of a chat stream; errors hide in lines of streams whose status was 200.
pub(crate) fn chunk(line: &[u8]) -> Result<ChatChunk> {
    let value: Value =
        serde_json::from_slice(line).map_err(|e| Error::unparsable("a line of the stream is not JSON", e))?;
    if let Some(error) = Error::in_stream(&value) {
        return Err(error);
    }
    let wire: WireChunk =
        serde_json::from_value(value).map_err(|e| Error::unparsable("a line of the stream is not a chat chunk", e))?;
    let (content, thinking) = wire.message.map(|m| (m.content, m.thinking)).unwrap_or_default();
    let done = wire.done.then(|| ChatDone {
        // Servers before done_reason existed simply stop.
        reason: wire.done_reason.map_or(DoneReason::Stop, |word| DoneReason::from(Some(word))),
        prompt_tokens: wire.prompt_eval_count,
        tokens: wire.eval_count,
        load_ms: wire.load_duration.map(|ns| ns / NANOS_PER_MS),
    });
    Ok(ChatChunk { content, thinking, done })
}

#[derive(Deserialize)]
struct WireVersion {
    version: String,
}

/// Answer of `GET /api/version`.
pub(crate) fn version(body: &[u8]) -> Result<String> {
    parse::<WireVersion>(body, "the version is not what Ollama sends").map(|wire| wire.version)
}

#[derive(Deserialize)]
struct WireList<T> {
    // Go writes an empty list as null.
    models: Option<Vec<T>>,
}

#[derive(Deserialize, Default)]
struct WireDetails {
    #[serde(default)]
    family: String,
    families: Option<Vec<String>>,
    #[serde(default)]
    parameter_size: String,
    #[serde(default)]
    quantization_level: String,
}

#[derive(Deserialize)]
struct WireModel {
    name: String,
    size: Option<u64>,
    #[serde(default)]
    details: Option<WireDetails>,
    capabilities: Option<BTreeSet<Capability>>,
    #[serde(default)]
    remote_host: String,
}

/// Answer of `GET /api/tags`.
pub(crate) fn models(body: &[u8]) -> Result<Vec<Model>> {
    let list: WireList<WireModel> = parse(body, "the model list is not what Ollama sends")?;
    let models = list.models.unwrap_or_default().into_iter();
    Ok(models
        .map(|wire| {
            let details = wire.details.unwrap_or_default();
            Model {
                name: wire.name,
                capabilities: wire.capabilities,
                parameter_size: filled(details.parameter_size),
                family: filled(details.family),
                quantization: filled(details.quantization_level),
                size_bytes: wire.size,
                remote: !wire.remote_host.is_empty(),
            }
        })
        .collect())
}

#[derive(Deserialize)]
struct WireShow {
    details: Option<WireDetails>,
    #[serde(default)]
    model_info: Option<Map<String, Value>>,
    projector_info: Option<Value>,
    capabilities: Option<BTreeSet<Capability>>,
}

/// Answer of `POST /api/show`.
pub(crate) fn show(body: &[u8]) -> Result<ModelDetails> {
    let wire: WireShow = parse(body, "the model's details are not what Ollama sends")?;
    let details = wire.details.unwrap_or_default();
    let info = wire.model_info.unwrap_or_default();
    let context_length =
        info.iter().find(|(key, _)| key.ends_with(".context_length")).and_then(|(_, value)| value.as_u64());
    // Servers before 0.6.4 do not name capabilities; a projector is what makes a model see.
    let capabilities = wire.capabilities.unwrap_or_else(|| {
        let projector = wire.projector_info.is_some_and(|info| !info.is_null());
        let seeing_family =
            details.families.iter().flatten().any(|family| matches!(family.as_str(), "clip" | "mllama"));
        let vision = (projector || seeing_family).then_some(Capability::Vision);
        std::iter::once(Capability::Completion).chain(vision).collect()
    });
    Ok(ModelDetails {
        capabilities,
        context_length,
        family: filled(details.family),
        parameter_size: filled(details.parameter_size),
    })
}

#[derive(Deserialize)]
struct WireLoaded {
    name: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    size_vram: u64,
    context_length: Option<u64>,
    expires_at: Option<String>,
}

/// Answer of `GET /api/ps`.
pub(crate) fn loaded(body: &[u8]) -> Result<Vec<LoadedModel>> {
    let list: WireList<WireLoaded> = parse(body, "the list of loaded models is not what Ollama sends")?;
    let loaded = list.models.unwrap_or_default().into_iter();
    Ok(loaded
        .map(|wire| LoadedModel {
            name: wire.name,
            size_bytes: wire.size,
            vram_bytes: wire.size_vram,
            context_length: wire.context_length,
            expires_at: wire.expires_at,
        })
        .collect())
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8], what: &'static str) -> Result<T> {
    serde_json::from_slice(body).map_err(|e| Error::unparsable(what, e))
}

fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}
