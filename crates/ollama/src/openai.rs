//! The OpenAI-compatible dialect: `/v1/chat/completions` as server-sent events, `/v1/models`.
//!
//! Owns its field names, both ways, and the reading of an event stream. Never does I/O.
//! Not expressible here, hence not sent: keep-alive and context size.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    chat::{ChatChunk, ChatDone, ChatRequest, DoneReason, Format, Message, Think},
    error::{Error, Result},
    lines::EventBuffer,
    models::{Capability, Model},
};

/// Name given to a schema, which the dialect demands and nobody reads.
const SCHEMA_NAME: &str = "answer";

/// Body of `POST /v1/chat/completions`, always streamed.
///
/// # Errors
/// [`Error::Unsupported`] when a picture is of a kind the dialect has no media type for.
pub(crate) fn chat_body(request: &ChatRequest) -> Result<Value> {
    let messages = request.messages.iter().map(message).collect::<Result<Vec<_>>>()?;
    let mut body = json!({
        "model": request.model,
        "messages": messages,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    if let Some(format) = &request.format {
        body["response_format"] = match format {
            Format::Json => json!({ "type": "json_object" }),
            Format::Schema(schema) => {
                json!({ "type": "json_schema", "json_schema": { "name": SCHEMA_NAME, "schema": schema } })
            }
        };
    }
    let options = request.options;
    let given = [
        ("temperature", options.temperature.map(Value::from)),
        ("seed", options.seed.map(Value::from)),
        ("max_tokens", options.num_predict.map(Value::from)),
        ("reasoning_effort", request.think.and_then(effort).map(Value::from)),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    Ok(body)
}

/// The dialect has no plain "on": leaving the field out is that.
fn effort(think: Think) -> Option<&'static str> {
    match think {
        Think::Off => Some("none"),
        Think::On => None,
        Think::Low => Some("low"),
        Think::Medium => Some("medium"),
        Think::High => Some("high"),
    }
}

fn message(message: &Message) -> Result<Value> {
    let role = message.role.as_str();
    if message.images.is_empty() {
        return Ok(json!({ "role": role, "content": message.content }));
    }
    let mut parts = vec![json!({ "type": "text", "text": message.content })];
    for image in &message.images {
        let media_type = media_type(image)
            .ok_or(Error::Unsupported("an image sent to the LLM is neither PNG, JPEG, WebP nor GIF"))?;
        let url = format!("data:{media_type};base64,{}", STANDARD.encode(image));
        parts.push(json!({ "type": "image_url", "image_url": { "url": url } }));
    }
    Ok(json!({ "role": role, "content": parts }))
}

fn media_type(image: &[u8]) -> Option<&'static str> {
    match image {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        _ => None,
    }
}

#[derive(Deserialize)]
struct WireCompletion {
    // Absent in some servers' usage events.
    #[serde(default)]
    choices: Option<Vec<WireChoice>>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct WireChoice {
    #[serde(alias = "message")]
    delta: Option<WireDelta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct WireDelta {
    content: Option<String>,
    /// vLLM, llama.cpp and DeepSeek say `reasoning_content`, Ollama and OpenRouter `reasoning`.
    reasoning_content: Option<String>,
    reasoning: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// Reads an event stream. The reason to stop comes before the usage, and `[DONE]` after both, if at all:
/// so the last chunk is made only at the end.
#[derive(Default)]
pub(crate) struct StreamReader {
    events: EventBuffer,
    reason: Option<String>,
    usage: Option<WireUsage>,
}

impl StreamReader {
    /// Takes one line and gives a chunk when it completes one.
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<Option<ChatChunk>> {
        match self.events.line(line)? {
            Some(data) => self.event(&data),
            None => Ok(None),
        }
    }

    /// The stream has ended without `[DONE]`, which some servers never send: fine if a reason to stop came.
    pub(crate) fn end(&mut self) -> Result<Vec<ChatChunk>> {
        let mut chunks = Vec::new();
        if let Some(data) = self.events.finish() {
            chunks.extend(self.event(&data)?);
        }
        if chunks.iter().all(|chunk| chunk.done.is_none()) {
            let reason = self.reason.take().ok_or(Error::Interrupted(None))?;
            chunks.push(self.last_chunk(Some(reason)));
        }
        Ok(chunks)
    }

    /// A server that does not stream answers with one plain object.
    pub(crate) fn whole(&mut self, body: &[u8]) -> Result<Vec<ChatChunk>> {
        let text = self.event(body)?;
        if self.reason.is_none() && text.is_none() {
            return Err(Error::malformed("the answer holds no choice"));
        }
        let reason = self.reason.take();
        Ok(text.into_iter().chain([self.last_chunk(reason)]).collect())
    }

    fn event(&mut self, data: &[u8]) -> Result<Option<ChatChunk>> {
        if data.trim_ascii() == b"[DONE]" {
            let reason = self.reason.take();
            return Ok(Some(self.last_chunk(reason)));
        }
        let value: Value =
            serde_json::from_slice(data).map_err(|e| Error::unparsable("an event of the stream is not JSON", e))?;
        if let Some(error) = Error::in_stream(&value) {
            return Err(error);
        }
        let wire: WireCompletion = serde_json::from_value(value)
            .map_err(|e| Error::unparsable("an event of the stream is not a chat completion", e))?;
        self.usage = wire.usage.or(self.usage);
        let Some(choice) = wire.choices.into_iter().flatten().next() else { return Ok(None) };
        self.reason = choice.finish_reason.or(self.reason.take());
        Ok(choice.delta.map(|delta| ChatChunk {
            content: delta.content.unwrap_or_default(),
            thinking: delta.reasoning_content.or(delta.reasoning).unwrap_or_default(),
            done: None,
        }))
    }

    fn last_chunk(&self, reason: Option<String>) -> ChatChunk {
        let done = ChatDone {
            reason: DoneReason::from(reason),
            prompt_tokens: self.usage.and_then(|usage| usage.prompt_tokens),
            tokens: self.usage.and_then(|usage| usage.completion_tokens),
            load_ms: None,
        };
        ChatChunk { done: Some(done), ..ChatChunk::default() }
    }
}

#[derive(Deserialize)]
struct WireModels {
    data: Option<Vec<WireModel>>,
    /// llama.cpp lists the same models a second time, with capabilities.
    #[serde(default)]
    models: Vec<WireNamed>,
}

#[derive(Deserialize)]
struct WireModel {
    id: String,
    architecture: Option<WireArchitecture>,
}

#[derive(Deserialize)]
struct WireArchitecture {
    /// OpenRouter's way to say that a model sees.
    #[serde(default)]
    input_modalities: Vec<String>,
}

#[derive(Deserialize)]
struct WireNamed {
    #[serde(default)]
    name: String,
    capabilities: Option<Vec<Capability>>,
}

/// Answer of `GET /v1/models`; few servers say what their models can do.
pub(crate) fn models(body: &[u8]) -> Result<Vec<Model>> {
    let wire: WireModels = serde_json::from_slice(body)
        .map_err(|e| Error::unparsable("the model list is not what OpenAI-compatible servers send", e))?;
    let named = wire.models;
    let data = wire.data.ok_or_else(|| Error::malformed("the model list has no `data`"))?;
    Ok(data
        .into_iter()
        .map(|model| {
            let told = named.iter().find(|n| n.name == model.id).and_then(|n| n.capabilities.clone());
            let capabilities = told.map(|list| list.into_iter().collect()).or_else(|| {
                let modalities = model.architecture?.input_modalities;
                let vision = modalities.iter().any(|word| word == "image").then_some(Capability::Vision);
                Some(std::iter::once(Capability::Completion).chain(vision).collect())
            });
            Model {
                name: model.id,
                capabilities,
                parameter_size: None,
                family: None,
                quantization: None,
                size_bytes: None,
                remote: false,
            }
        })
        .collect())
}
