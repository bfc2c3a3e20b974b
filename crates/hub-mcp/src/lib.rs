//! The MCP edge: agents, scripts and older bots ask for pictures here.
//!
//! Owns the tools and their schemas, the shape of results, MCP over Streamable HTTP and stdio in both
//! protocol eras, the plain JSON-RPC answer for callers without MCP's headers, and the older
//! system's WebSocket dialect. It decides nothing about jobs: every call becomes one
//! [`hub_core::request::ToolCall`] for the engine, and every answer is made of the engine's views.
//!
//! Invariants: nothing else imports `rmcp`; arguments are parsed by `hub-core` alone, so the schemas
//! here only advertise; a user's error is a tool result, a protocol error means a broken request.

mod apps;
mod budget;
mod calls;
mod completion;
mod config;
mod delivery;
mod dialect;
mod edge;
mod follow;
mod handler;
mod hub;
mod jsonrpc;
mod listing;
mod names;
mod progress;
mod prompts;
#[cfg(test)]
mod reference;
mod resources;
mod result;
#[cfg(test)]
mod samples;
mod stdio;
mod tasks;
mod tools;
pub mod transport;

pub use config::McpConfig;
pub use edge::McpEdge;
pub use stdio::{StdioError, serve_stdio};
