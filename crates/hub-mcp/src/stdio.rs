//! MCP over standard input and output, for clients that start the hub as a child process.

use std::sync::Arc;

use hub_engine::Engine;
use rmcp::ServiceExt as _;

use crate::{config::McpConfig, handler::HubHandler, hub::Hub};

/// Why the conversation could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The client did not begin as MCP has it.
    #[error("the client did not begin an MCP conversation")]
    Begin(#[source] Box<rmcp::service::ServerInitializeError>),
    /// The conversation ended by a defect.
    #[error("the conversation broke off")]
    Broken(#[source] tokio::task::JoinError),
}

/// Serves one client over standard input and output until it closes them. Nothing else may write to
/// standard output meanwhile.
///
/// # Errors
/// [`StdioError`].
pub async fn serve_stdio(engine: Engine, config: McpConfig) -> Result<(), StdioError> {
    let handler = HubHandler::new(Arc::new(Hub::new(engine, config)));
    let running =
        Box::pin(handler.serve(rmcp::transport::stdio())).await.map_err(|error| StdioError::Begin(Box::new(error)))?;
    let reason = running.waiting().await.map_err(StdioError::Broken)?;
    tracing::debug!(?reason, "the client is gone");
    Ok(())
}
