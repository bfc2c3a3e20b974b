//! What a server says about its models. Owns the nouns; the wire shapes stay in the dialects.

use std::collections::BTreeSet;

use serde::Deserialize;

/// Something a model can do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(from = "String")]
#[non_exhaustive]
pub enum Capability {
    /// Writes text.
    Completion,
    /// Calls tools.
    Tools,
    /// Fills in the middle of a text.
    Insert,
    /// Sees images.
    Vision,
    /// Makes embeddings; usually cannot chat.
    Embedding,
    /// Thinks before it answers, by default.
    Thinking,
    /// Makes images.
    Image,
    /// Hears audio.
    Audio,
    /// A word this client does not know yet.
    Other(String),
}

impl Capability {
    /// The word servers use.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Completion => "completion",
            Self::Tools => "tools",
            Self::Insert => "insert",
            Self::Vision => "vision",
            Self::Embedding => "embedding",
            Self::Thinking => "thinking",
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for Capability {
    fn from(word: String) -> Self {
        match word.as_str() {
            "completion" => Self::Completion,
            "tools" => Self::Tools,
            "insert" => Self::Insert,
            // llama.cpp's word for models with an image projector.
            "vision" | "multimodal" => Self::Vision,
            "embedding" => Self::Embedding,
            "thinking" => Self::Thinking,
            "image" => Self::Image,
            "audio" => Self::Audio,
            _ => Self::Other(word),
        }
    }
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A model the server can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The name to ask for, with its tag.
    pub name: String,
    /// `None` when the list does not say; ask [`crate::Client::capabilities`] then.
    pub capabilities: Option<BTreeSet<Capability>>,
    /// As the server writes it, such as `8.0B`.
    pub parameter_size: Option<String>,
    /// Architecture family, such as `llama`.
    pub family: Option<String>,
    /// Such as `Q4_K_M`.
    pub quantization: Option<String>,
    /// Size on disk, in bytes, if told.
    pub size_bytes: Option<u64>,
    /// Whether the server passes requests for it to another host.
    pub remote: bool,
}

/// One model looked at closely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelDetails {
    /// What it can do; derived from its parts on servers too old to say.
    pub capabilities: BTreeSet<Capability>,
    /// Longest context it was trained for, in tokens, if told. The server may run it with less.
    pub context_length: Option<u64>,
    /// Architecture family, such as `llama`.
    pub family: Option<String>,
    /// As the server writes it, such as `8.0B`.
    pub parameter_size: Option<String>,
}

/// A model that is in memory now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedModel {
    /// The name to ask for, with its tag.
    pub name: String,
    /// Memory in all, in bytes.
    pub size_bytes: u64,
    /// Memory on GPUs, in bytes; less than `size_bytes` means that part of it runs on the CPU.
    pub vram_bytes: u64,
    /// Context it was loaded with, in tokens, if told.
    pub context_length: Option<u64>,
    /// When it will be unloaded, RFC 3339 as the server writes it, if told.
    pub expires_at: Option<String>,
}
