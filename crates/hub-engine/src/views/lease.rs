//! What the engine shows of GPUs that LLM servers and ComfyUI servers share.

use serde::Serialize;
use utoipa::ToSchema;

/// Who may have models in the memory of a shared GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseHolder {
    /// The hub has not asked the servers yet.
    #[default]
    Unknown,
    /// Nobody.
    Nobody,
    /// The LLM servers.
    Llm,
    /// The ComfyUI servers.
    Comfyui,
    /// Both: what they have loaded fits.
    Both,
}

/// A GPU that a ComfyUI server shares with LLM servers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct LeaseView {
    /// Its name, as the servers give it.
    pub gpu: String,
    /// Who has it.
    pub holder: LeaseHolder,
    /// The enabled LLM servers on it, by name.
    pub llm_servers: Vec<String>,
    /// Models that the LLM servers had in its memory when they were asked last.
    pub llm_models: Vec<String>,
    /// LLM calls that use it now.
    pub calls: u32,
    /// LLM calls that wait for it.
    pub calls_waiting: u32,
    /// Prompts of the hub's that use it now.
    pub prompts: u32,
    /// Prompts that wait for it.
    pub prompts_waiting: u32,
    /// How often models were evicted for the other side since the hub began.
    pub switches: u64,
    /// What went wrong when room was to be made; null once it went well.
    pub problem: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}
