//! Reads chat and generate requests of both dialects into one shape, refusing what the real server refuses.
//!
//! Owns the request field names and the texts of parse errors. Never answers.

use std::time::Duration;

use base64::{DecodeError, Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

/// A refusal: status and the text of `error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) error: String,
}

impl Refusal {
    pub(super) fn new(status: u16, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }

    fn bad(error: impl Into<String>) -> Self {
        Self::new(400, error)
    }
}

/// What a request asks for, whatever its dialect.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    /// As written by the client.
    pub(super) model: String,
    pub(super) messages: Vec<Turn>,
    pub(super) stream: bool,
    pub(super) format: Option<Value>,
    pub(super) think: Option<bool>,
    pub(super) keep_alive: Option<KeepAlive>,
    pub(super) num_ctx: Option<u64>,
    pub(super) num_predict: Option<u64>,
    pub(super) wants_tools: bool,
    /// OpenAI only: whether the token counts are wanted in the stream.
    pub(super) include_usage: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) role: String,
    pub(super) content: String,
    pub(super) images: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeepAlive {
    Forever,
    For(Duration),
}

/// Parses a body the way the real server does before it looks at any field.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if body.trim_ascii().is_empty() {
        return Err(Refusal::bad("missing request body"));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Refusal::bad("json: cannot unmarshal the body into a Go value of type api.ChatRequest")),
        Err(error) if error.is_eof() => Err(Refusal::bad("unexpected EOF")),
        Err(error) => Err(Refusal::bad(format!("invalid character in the body: {error}"))),
    }
}

/// `POST /api/chat`.
pub(super) fn chat(body: &[u8]) -> Result<Asked, Refusal> {
    let fields = object(body)?;
    let messages = match fields.get("messages") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(messages)) => messages.iter().map(turn).collect::<Result<_, _>>()?,
        Some(_) => return Err(wrong_type("messages", "[]api.Message")),
    };
    native(&fields, messages)
}

/// `POST /api/generate`: one prompt, which may be empty to load or unload.
pub(super) fn generate(body: &[u8]) -> Result<Asked, Refusal> {
    let fields = object(body)?;
    let images = images(fields.get("images"))?;
    let mut messages = Vec::new();
    if let Some(system) = text(&fields, "system")?.filter(|system| !system.is_empty()) {
        messages.push(Turn { role: "system".to_owned(), content: system, images: Vec::new() });
    }
    match text(&fields, "prompt")?.filter(|prompt| !prompt.is_empty()) {
        Some(prompt) => messages.push(Turn { role: "user".to_owned(), content: prompt, images }),
        // Without a prompt the rest is of no use to the real server either.
        None => messages.clear(),
    }
    native(&fields, messages)
}

fn native(fields: &Map<String, Value>, messages: Vec<Turn>) -> Result<Asked, Refusal> {
    let options = match fields.get("options") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(options)) => options.clone(),
        Some(_) => return Err(wrong_type("options", "map[string]interface {}")),
    };
    Ok(Asked {
        model: text(fields, "model")?.unwrap_or_default(),
        messages,
        stream: flag(fields, "stream")?.unwrap_or(true),
        format: format(fields.get("format"))?,
        think: think(fields.get("think"))?,
        keep_alive: keep_alive(fields.get("keep_alive"))?,
        num_ctx: options.get("num_ctx").and_then(Value::as_u64),
        num_predict: options.get("num_predict").and_then(Value::as_u64),
        wants_tools: has_tools(fields),
        include_usage: false,
    })
}

/// `POST /v1/chat/completions`.
pub(super) fn completion(body: &[u8]) -> Result<Asked, Refusal> {
    let fields = object(body)?;
    let messages = match fields.get("messages") {
        Some(Value::Array(messages)) if !messages.is_empty() => messages,
        _ => return Err(Refusal::bad("[] is too short - 'messages'")),
    };
    let format = match fields.get("response_format") {
        Some(format) if format["type"] == "json_object" => Some(Value::from("json")),
        Some(format) if format["type"] == "json_schema" => Some(format["json_schema"]["schema"].clone()),
        _ => None,
    };
    let think = match fields.get("reasoning_effort").and_then(Value::as_str) {
        None => None,
        Some("none") => Some(false),
        Some("high" | "medium" | "low" | "max") => Some(true),
        Some(other) => {
            return Err(Refusal::bad(format!(
                "invalid reasoning value: '{other}' (must be \"high\", \"medium\", \"low\", \"max\", or \"none\")"
            )));
        }
    };
    Ok(Asked {
        model: text(&fields, "model")?.unwrap_or_default(),
        messages: messages.iter().map(completion_turn).collect::<Result<_, _>>()?,
        stream: flag(&fields, "stream")?.unwrap_or(false),
        format,
        think,
        keep_alive: None,
        num_ctx: None,
        num_predict: fields.get("max_tokens").and_then(Value::as_u64),
        wants_tools: has_tools(&fields),
        include_usage: fields.get("stream_options").is_some_and(|options| options["include_usage"] == true),
    })
}

fn turn(message: &Value) -> Result<Turn, Refusal> {
    let Value::Object(fields) = message else { return Err(wrong_type("messages", "api.Message")) };
    Ok(Turn {
        role: text(fields, "role")?.unwrap_or_default(),
        content: text(fields, "content")?.unwrap_or_default(),
        images: images(fields.get("images"))?,
    })
}

fn completion_turn(message: &Value) -> Result<Turn, Refusal> {
    let role = message["role"].as_str().unwrap_or_default().to_owned();
    let parts = match &message["content"] {
        Value::String(content) => return Ok(Turn { role, content: content.clone(), images: Vec::new() }),
        Value::Array(parts) => parts,
        _ => return Err(Refusal::bad("invalid message content type: <nil>")),
    };
    let mut turn = Turn { role, content: String::new(), images: Vec::new() };
    for part in parts {
        match part["type"].as_str() {
            Some("text") => {
                let text = part["text"].as_str().ok_or_else(|| Refusal::bad("invalid message format"))?;
                turn.content.push_str(text);
            }
            Some("image_url") => {
                let url = part["image_url"]["url"].as_str().or_else(|| part["image_url"].as_str());
                turn.images.push(data_url(url.ok_or_else(|| Refusal::bad("invalid message format"))?)?);
            }
            _ => return Err(Refusal::bad("invalid message format")),
        }
    }
    Ok(turn)
}

fn data_url(url: &str) -> Result<Vec<u8>, Refusal> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Err(Refusal::bad("image URLs are not currently supported, please use base64 encoded data instead"));
    }
    let types = ["image/png", "image/jpeg", "image/jpg", "image/webp", ""];
    let data = types.iter().find_map(|ty| url.strip_prefix(&format!("data:{ty};base64,")));
    let data = data.ok_or_else(|| Refusal::bad("invalid image input"))?;
    STANDARD.decode(data).map_err(|_| Refusal::bad("invalid message format"))
}

fn images(value: Option<&Value>) -> Result<Vec<Vec<u8>>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(images)) => images
            .iter()
            .map(|image| STANDARD.decode(image.as_str().unwrap_or_default()).map_err(|e| illegal_base64(&e)))
            .collect(),
        Some(_) => Err(wrong_type("images", "[]api.ImageData")),
    }
}

fn illegal_base64(error: &DecodeError) -> Refusal {
    let offset = match error {
        DecodeError::InvalidByte(offset, _) | DecodeError::InvalidLastSymbol(offset, _) => *offset,
        DecodeError::InvalidLength(length) => *length,
        DecodeError::InvalidPadding => 0,
    };
    Refusal::bad(format!("illegal base64 data at input byte {offset}"))
}

fn format(value: Option<&Value>) -> Result<Option<Value>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(word)) if word.is_empty() => Ok(None),
        Some(Value::String(word)) if word == "json" => Ok(value.cloned()),
        Some(Value::Object(_)) => Ok(value.cloned()),
        Some(other) => {
            Err(Refusal::new(500, format!("invalid format: {other}; expected \"json\" or a valid JSON Schema object")))
        }
    }
}

fn think(value: Option<&Value>) -> Result<Option<bool>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(think)) => Ok(Some(*think)),
        Some(Value::String(level)) if matches!(level.as_str(), "high" | "medium" | "low" | "max") => Ok(Some(true)),
        Some(other) => Err(Refusal::bad(format!(
            "invalid think value: {other} (must be \"high\", \"medium\", \"low\", \"max\", true, or false)"
        ))),
    }
}

/// Numbers are seconds; texts are Go durations, which need a unit: this is where `"-1"` fails.
pub(super) fn keep_alive(value: Option<&Value>) -> Result<Option<KeepAlive>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(seconds)) => Ok(Some(seconds.as_f64().filter(|s| *s >= 0.0).map_or(
            KeepAlive::Forever,
            // More than Go can hold means for ever there as well.
            |seconds| Duration::try_from_secs_f64(seconds).map_or(KeepAlive::Forever, KeepAlive::For),
        ))),
        Some(Value::String(text)) => go_duration(text).map(Some),
        Some(other) => Err(Refusal::bad(format!("Unsupported type: '{other}'"))),
    }
}

fn go_duration(text: &str) -> Result<KeepAlive, Refusal> {
    let invalid = || Refusal::bad(format!("time: invalid duration \"{text}\""));
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    if rest == "0" {
        return Ok(KeepAlive::For(Duration::ZERO));
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                "" => return Err(Refusal::bad(format!("time: missing unit in duration \"{text}\""))),
                other => return Err(Refusal::bad(format!("time: unknown unit \"{other}\" in duration \"{text}\""))),
            };
        rest = &rest[unit..];
    }
    if negative && seconds > 0.0 {
        return Ok(KeepAlive::Forever);
    }
    Ok(Duration::try_from_secs_f64(seconds).map_or(KeepAlive::Forever, KeepAlive::For))
}

fn has_tools(fields: &Map<String, Value>) -> bool {
    fields.get("tools").and_then(Value::as_array).is_some_and(|tools| !tools.is_empty())
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong_type(name, "string")),
    }
}

fn flag(fields: &Map<String, Value>, name: &str) -> Result<Option<bool>, Refusal> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(wrong_type(name, "bool")),
    }
}

fn wrong_type(field: &str, wanted: &str) -> Refusal {
    Refusal::bad(format!("json: cannot unmarshal value into Go struct field .{field} of type {wanted}"))
}
