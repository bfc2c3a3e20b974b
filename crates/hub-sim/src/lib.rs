//! Doubles of the servers the hub talks to, over real sockets: a `ComfyUI` ([`comfyui`]) and an Ollama
//! ([`ollama`]), both with scripted faults ([`script`]).
//!
//! Tests, the `--demo` mode and `genimage sim` use them. The crate owns its own wire shapes and imports nothing
//! of ours: a shared type would share a misreading. It is held to recordings of real servers by its own tests.

mod card;
pub mod comfyui;
pub mod ollama;
pub mod script;

pub use card::{Card, CardEvent};
pub use comfyui::{ComfyConfig, ComfySim, ExecutedPrompt, Models, Outcome, SimAuth, SimStats};
pub use script::{DieAt, Fault, Injection, Script, ScriptError, When};
