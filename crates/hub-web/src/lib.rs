//! The people's and programs' edge: pages, the JSON API and the pictures themselves.
//!
//! Parses, authorises by what the guard before it says, asks the engine or the store, and renders.
//! It never talks to a ComfyUI or LLM server and decides nothing about jobs. Invariants: every page
//! works without script; nothing a caller wrote reaches a page unescaped; no secret leaves; path
//! input never names a file.

mod api;
mod archive;
mod asker;
mod assets;
mod attachment;
mod audit;
mod connection;
mod cookies;
mod csrf;
mod error;
mod forms;
mod headers;
mod health;
mod language;
mod links;
mod live;
mod lookup;
mod lost;
mod metrics;
mod outputs;
mod pages;
mod presses;
mod problem;
mod render;
mod router;
mod undo;
mod viewer;

pub use cookies::session_of;
pub use headers::secure as secure_headers;
pub use language::Translations;
pub use lost::LostForms;
pub use router::{WebConfig, WebState, route_paths, router};
