//! Holds the ComfyUI double to recordings of real servers, and its faults to their descriptions.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod api;
mod card;
mod events;
mod faults;
mod harness;
mod ollama;
mod pictures;
mod prompt_failures;
