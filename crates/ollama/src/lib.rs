//! A stand-alone client for chat models: Ollama's native API and servers that speak the OpenAI-compatible `/v1`.
//!
//! Owns: the wire shapes of both dialects, streaming with idle limits, sorting of failures by what the
//! caller should do next, and the cleaning of what models really answer (fences, quotes, thinking).
//!
//! Never: retries, picks a model or a server, caches, reads the environment or logs prompts. A retry needs
//! a budget, and only the caller has one.
//!
//! Invariants:
//! - Every wait is bounded by [`Timeouts`], every body and answer by a named limit.
//! - Dropping a future or a stream closes the connection, which makes the server stop generating.
//! - Error texts carry neither the API key nor the URL's credentials.
//!
//! The TLS provider is the process's choice: install one (`rustls::crypto::ring::default_provider()`) before
//! [`Client::new`], or it answers [`Error::Config`].

mod chat;
mod client;
mod error;
mod lines;
mod models;
mod native;
mod openai;
mod text;

pub use chat::{
    ChatAnswer, ChatChunk, ChatDone, ChatOptions, ChatRequest, DoneReason, Format, InvalidKeepAlive, KeepAlive,
    Message, Role, Think,
};
pub use client::{Client, Dialect, LlmConfig, Timeouts};
pub use error::{Error, ErrorKind, Result, WaitPhase};
pub use models::{Capability, LoadedModel, Model, ModelDetails};
pub use text::{clean_text, extract_json};
