//! The tables as rows: one module per table, private to this crate.
//!
//! Each holds the row, how a noun of `hub-core` becomes one, and how one becomes a noun again
//! (`TryFrom`, failing with the row's address). No queries here.

pub(crate) mod admin;
pub(crate) mod api_key;
pub(crate) mod artifact;
pub(crate) mod artifact_owner;
pub(crate) mod attempt;
pub(crate) mod audit;
pub(crate) mod job;
pub(crate) mod job_prompt;
pub(crate) mod job_style;
pub(crate) mod learned_time;
pub(crate) mod llm_assignment;
pub(crate) mod llm_server;
pub(crate) mod render_type;
pub(crate) mod server;
pub(crate) mod server_override;
pub(crate) mod session;
pub(crate) mod setting;
pub(crate) mod showcase;
pub(crate) mod style;
pub(crate) mod workflow;
