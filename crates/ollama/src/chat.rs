//! The chat request and answer, independent of dialect.
//!
//! Owns the nouns and their plain-text forms (keep-alive). Never knows JSON field names: those live in the dialects.

use std::{fmt, str::FromStr, time::Duration};

use bytes::Bytes;
use serde_json::Value;

/// A question to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// Name as listed by the server.
    pub model: String,
    /// The conversation so far, oldest first.
    pub messages: Vec<Message>,
    /// Shape forced on the answer; `None` forces none. Say in the prompt too that JSON is wanted, or some models emit
    /// blanks until their limit.
    pub format: Option<Format>,
    /// Sampling and size; unset fields are left to the server.
    pub options: ChatOptions,
    /// `None` leaves it to the server, which means that thinking models think.
    pub think: Option<Think>,
    /// How long the model stays loaded afterwards; not sent in the OpenAI dialect.
    pub keep_alive: Option<KeepAlive>,
}

impl ChatRequest {
    /// A request with everything optional left out.
    pub fn new(model: impl Into<String>, messages: Vec<Message>) -> Self {
        Self {
            model: model.into(),
            messages,
            format: None,
            options: ChatOptions::default(),
            think: None,
            keep_alive: None,
        }
    }
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// Encoded pictures (PNG, JPEG, WebP). Check [`crate::Capability::Vision`] first: servers ignore pictures silently.
    pub images: Vec<Bytes>,
}

impl Message {
    /// Instructions.
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: Role::System, content: content.into(), images: Vec::new() }
    }

    /// The person's words.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into(), images: Vec::new() }
    }

    /// The model's own earlier words.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into(), images: Vec::new() }
    }

    /// The same message with pictures.
    #[must_use]
    pub fn with_images(mut self, images: Vec<Bytes>) -> Self {
        self.images = images;
        self
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// Shape forced on the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// Some JSON object; never an array at the top.
    Json,
    /// JSON that matches this JSON Schema. Models behind remote hosts may ignore it: parse with care.
    Schema(Value),
}

/// Sampling and size; `None` leaves the server's or model's default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ChatOptions {
    /// 0 is the most predictable; usual range 0–2.
    pub temperature: Option<f64>,
    /// Same seed, same answer, as far as the server can.
    pub seed: Option<u32>,
    /// Context in tokens; another value than the loaded one reloads the model. Not sent in the OpenAI dialect.
    pub num_ctx: Option<u32>,
    /// Most tokens to write.
    pub num_predict: Option<u32>,
}

/// How much a thinking model thinks. `On` and the levels are refused by models that cannot think; `Off` is always fine.
/// The gpt-oss family ignores `Off` and `On` and wants a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Think {
    /// Answer at once.
    Off,
    /// Think as usual.
    On,
    /// Think a little.
    Low,
    /// Think.
    Medium,
    /// Think a lot.
    High,
}

/// How long a model stays in memory after the answer.
///
/// Typed because the wire form is a trap: the text `-1` is refused, the number is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// Unload right after the answer.
    Unload,
    /// Until the server stops or needs the memory.
    Forever,
    /// This long; zero is the same as `Unload`.
    For(Duration),
}

/// A keep-alive text that is neither seconds nor a duration such as `10m`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a keep-alive time: use -1 (for ever), 0 (unload), seconds, or a duration such as 30s, 10m, 1h30m")]
pub struct InvalidKeepAlive;

impl FromStr for KeepAlive {
    type Err = InvalidKeepAlive;

    /// Reads what people write in settings: `-1`, `0`, seconds, `10m`, `1h30m`, `-1m`.
    ///
    /// # Errors
    /// [`InvalidKeepAlive`] for any other text, and for a time beyond all bounds.
    fn from_str(text: &str) -> Result<Self, InvalidKeepAlive> {
        let text = text.trim();
        let (negative, size) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let seconds = match size.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => parse_duration(size).ok_or(InvalidKeepAlive)?,
        };
        Ok(match (negative, seconds.is_zero()) {
            (_, true) => Self::Unload,
            (true, false) => Self::Forever,
            (false, false) => Self::For(seconds),
        })
    }
}

impl fmt::Display for KeepAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unload => f.write_str("0"),
            Self::Forever => f.write_str("-1"),
            Self::For(time) if time.subsec_nanos() == 0 => write!(f, "{}s", time.as_secs()),
            Self::For(time) => write!(f, "{}ms", time.as_millis()),
        }
    }
}

/// Go's duration text without its fractions: number and unit, repeated.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let seconds_each = match &rest[..unit] {
            "h" => Some(3600),
            "m" => Some(60),
            "s" => Some(1),
            "ms" => None,
            _ => return None,
        };
        let part = match seconds_each {
            Some(each) => Duration::from_secs(number.checked_mul(each)?),
            None => Duration::from_millis(number),
        };
        total = total.checked_add(part)?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

/// A piece of a streamed answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatChunk {
    /// More of the answer; may be empty.
    pub content: String,
    /// More of the thinking; may be empty.
    pub thinking: String,
    /// Set on the last chunk only.
    pub done: Option<ChatDone>,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatDone {
    /// Why the model stopped.
    pub reason: DoneReason,
    /// Tokens read, if told.
    pub prompt_tokens: Option<u64>,
    /// Tokens written, if told.
    pub tokens: Option<u64>,
    /// Time spent loading the model, in milliseconds, if told.
    pub load_ms: Option<u64>,
}

/// Why the model stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DoneReason {
    /// It was finished.
    Stop,
    /// It reached its token or context limit; JSON is then cut off.
    Length,
    /// It was only loaded.
    Load,
    /// It was only unloaded.
    Unload,
    /// Another word, or none (empty).
    Other(String),
}

impl From<Option<String>> for DoneReason {
    fn from(word: Option<String>) -> Self {
        match word.as_deref() {
            Some("stop") => Self::Stop,
            Some("length") => Self::Length,
            Some("load") => Self::Load,
            Some("unload") => Self::Unload,
            _ => Self::Other(word.unwrap_or_default()),
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatAnswer {
    /// The text as written; see [`crate::clean_text`] and [`crate::extract_json`].
    pub content: String,
    /// What the model thought, if it did and told.
    pub thinking: Option<String>,
    /// Why it stopped.
    pub done_reason: DoneReason,
    /// Tokens read, if told.
    pub prompt_tokens: Option<u64>,
    /// Tokens written, if told.
    pub tokens: Option<u64>,
    /// From sending to the last byte, measured here, in milliseconds.
    pub total_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alive_reads_what_people_write() {
        let cases = [
            ("-1", KeepAlive::Forever),
            ("-1m", KeepAlive::Forever),
            ("0", KeepAlive::Unload),
            ("0s", KeepAlive::Unload),
            (" 300 ", KeepAlive::For(Duration::from_mins(5))),
            ("5m", KeepAlive::For(Duration::from_mins(5))),
            ("1h30m", KeepAlive::For(Duration::from_mins(90))),
            ("1500ms", KeepAlive::For(Duration::from_millis(1500))),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse(), Ok(expected), "{text}");
            assert_eq!(expected.to_string().parse(), Ok(expected), "round trip of {text}");
        }
        for text in ["", "m", "5", "five", "5 m", "--1", "5d", "99999999999999999999h"] {
            let parsed = text.parse::<KeepAlive>();
            assert_eq!(parsed.is_ok(), text == "5", "{text}: {parsed:?}");
        }
    }
}
