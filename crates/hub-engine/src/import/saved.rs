//! Workflows in ComfyUI's saved format, made into graphs.
//!
//! What belongs to which input only a server knows, so the conversion asks the connected ones for their node
//! lists: those that take work first, until one knows every node. Owns that choice and the words for people;
//! the conversion itself is the `comfyui` crate's.

use std::{fmt::Write as _, sync::Arc};

use comfyui::{
    Client, ObjectInfo,
    workflow::{ConvertError, Converted, Graph, to_api},
};
use hub_core::error::{ErrorCode, UserError};
use serde_json::Value;

use crate::Conversion;

const EXPORT: &str = "export it in ComfyUI with \"File > Export (API)\"";

/// Converts a saved workflow with the node list of the first of `clients` that knows all its nodes.
///
/// # Errors
/// `workflow_invalid`: no server answers, or the nodes that cannot be converted, by name.
pub(crate) async fn convert(ui: Value, clients: Vec<(String, Client)>) -> Result<(Graph, Conversion), UserError> {
    let ui = Arc::new(ui);
    let mut silent = Vec::new();
    let mut closest: Option<(String, ConvertError)> = None;
    for (server, client) in clients {
        let info = match node_list(&client).await {
            Ok(info) => info,
            Err(error) => {
                silent.push(format!("{server}: {error}"));
                continue;
            }
        };
        let ui = ui.clone();
        // Thousands of nodes take a while, which is no work for the threads that serve requests.
        let result = tokio::task::spawn_blocking(move || to_api(&ui, &info)).await.map_err(|error| {
            tracing::error!(error = %error, "the conversion of a workflow ended early");
            UserError::new(ErrorCode::Internal, "The workflow could not be converted.")
        })?;
        match result {
            Ok(Converted { graph, warnings }) => {
                let warnings = warnings.iter().map(|warning| warning.on(&server)).collect();
                return Ok((graph, Conversion { server, warnings }));
            }
            Err(error) => {
                let closer = closest.as_ref().is_none_or(|(_, best)| weight(&error) < weight(best));
                if closer {
                    closest = Some((server, error));
                }
            }
        }
    }
    Err(match closest {
        Some((server, error)) => refuse(format!("The workflow cannot be converted: {}.", error.on(&server)))
            .with_hint(format!("Install what is missing, mute those nodes and save again, or {EXPORT}.")),
        None => unheard(&silent),
    })
}

/// The classes of one server.
async fn node_list(client: &Client) -> Result<ObjectInfo, comfyui::Error> {
    client.object_info().await
}

/// How much is in the way.
fn weight(error: &ConvertError) -> usize {
    match error {
        ConvertError::Nodes(problems) => problems.len(),
        _ => usize::MAX,
    }
}

/// No server gave its node list.
fn unheard(silent: &[String]) -> UserError {
    let mut message = "The workflow is in ComfyUI's saved format; to convert it, the node list of a server is needed, \
                       and no server is connected"
        .to_owned();
    if !silent.is_empty() {
        let _ = write!(message, " ({})", silent.join("; "));
    }
    message.push('.');
    refuse(message).with_hint(format!("Connect a ComfyUI server that can run it, or {EXPORT} and import that."))
}

fn refuse(message: String) -> UserError {
    let mut error = UserError::new(ErrorCode::WorkflowInvalid, message);
    error.argument = Some("graph".to_owned());
    error
}
