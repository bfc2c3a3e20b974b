//! Why an LLM gave no answer, and how a caller is told.

use std::time::Duration;

use hub_core::error::{ErrorCode, UserError};
use hub_store::StoreError;

use crate::secret::SecretError;

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LlmFailure {
    /// No server is assigned to the role, or it is switched off.
    #[error("no LLM is set up for it")]
    NotAssigned,
    /// The assignment cannot be read.
    #[error("the hub's database failed")]
    Store(#[from] StoreError),
    /// The server's key cannot be read.
    #[error("the key of the LLM server `{server}` cannot be read")]
    Secret {
        /// The server's name.
        server: String,
        /// Why; names places that are not for callers.
        #[source]
        cause: SecretError,
    },
    /// The server lists no model that can do it.
    #[error("the LLM server `{server}` has no model that can {need}")]
    NoModel {
        /// The server's name.
        server: String,
        /// What is needed.
        need: &'static str,
    },
    /// The assigned model cannot do it.
    #[error("the model `{model}` on `{server}` cannot {need}; {}", able_in_words(able))]
    NotCapable {
        /// The server's name.
        server: String,
        /// The model.
        model: String,
        /// What is needed.
        need: &'static str,
        /// Models of that server that can, by name.
        able: Vec<String>,
    },
    /// The call failed.
    #[error("the LLM server `{server}`: {cause}")]
    Call {
        /// The server's name.
        server: String,
        /// Why.
        cause: ollama::Error,
    },
    /// The budget is used up.
    #[error("the LLM did not answer within {} s", limit.as_secs_f32())]
    Budget {
        /// The budget.
        limit: Duration,
    },
    /// The budget is used up by waiting for a GPU that ComfyUI uses.
    #[error("the GPU that the LLM shares with ComfyUI was not free within {} s", limit.as_secs_f32())]
    GpuBusy {
        /// The budget.
        limit: Duration,
    },
    /// It answered nothing that can be used.
    #[error("the LLM's answer was empty or far too long")]
    Useless,
}

fn able_in_words(able: &[String]) -> String {
    if able.is_empty() { "no model there can".to_owned() } else { format!("these can: {}", able.join(", ")) }
}

impl LlmFailure {
    /// What the caller of a tool that needs the LLM is told, after `what` failed.
    pub(crate) fn to_user(&self, what: &str) -> UserError {
        let message = format!("{what}: {self}.");
        match self {
            Self::NotAssigned | Self::Secret { .. } | Self::NoModel { .. } | Self::NotCapable { .. } => {
                UserError::new(ErrorCode::NotConfigured, message)
                    .with_hint("Whoever runs the hub must assign an LLM server and a model that can do it.")
            }
            Self::Store(_) => UserError::new(ErrorCode::Storage, message),
            Self::Call { .. } | Self::Budget { .. } | Self::GpuBusy { .. } | Self::Useless => {
                UserError::new(ErrorCode::LlmUnavailable, message).with_hint("Try again later.")
            }
        }
    }
}
