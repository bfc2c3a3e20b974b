//! Which models of an LLM server can do what a role needs.

use hub_core::server::{LlmRole, LlmServer};
use ollama::{Capability, Client};

use super::LlmFailure;

/// Models of one server that are looked at closely when its list does not tell what they can do.
const LOOKED_AT_MAX: usize = 24;

/// What a model must be able to do for a role, and how to say it.
fn needed(role: LlmRole) -> (Capability, &'static str) {
    match role {
        LlmRole::Enhance | LlmRole::PromptGenerator => (Capability::Completion, "write text"),
        LlmRole::Describe => (Capability::Vision, "see pictures"),
    }
}

/// The assigned model, unless the server says that it cannot do it. One about which the server says
/// nothing is believed: a person chose it.
pub(super) async fn checked(
    client: &Client,
    server: &LlmServer,
    name: String,
    role: LlmRole,
) -> Result<String, LlmFailure> {
    if needed(role).0 == Capability::Completion {
        // Any chat model will do; a wrong one is told by its first call.
        return Ok(name);
    }
    let (capability, need) = needed(role);
    let capabilities =
        client.capabilities(&name).await.map_err(|cause| LlmFailure::Call { server: server.name.clone(), cause })?;
    if capabilities.is_empty() || capabilities.contains(&capability) {
        return Ok(name);
    }
    let able = capable(client, server, &capability, usize::MAX).await?.0;
    Err(LlmFailure::NotCapable { server: server.name.clone(), model: name, need, able })
}

/// The first model of a server that can do it, else the first about which the server says nothing.
pub(super) async fn first_capable(client: &Client, server: &LlmServer, role: LlmRole) -> Result<String, LlmFailure> {
    let (capability, need) = needed(role);
    let (able, unknown) = capable(client, server, &capability, 1).await?;
    let first = able.into_iter().next().or(unknown);
    first.ok_or_else(|| LlmFailure::NoModel { server: server.name.clone(), need })
}

/// The first models of a server that can do it, at most `most`; and the first about which it says nothing.
async fn capable(
    client: &Client,
    server: &LlmServer,
    capability: &Capability,
    most: usize,
) -> Result<(Vec<String>, Option<String>), LlmFailure> {
    let failed = |cause| LlmFailure::Call { server: server.name.clone(), cause };
    let (mut able, mut unknown) = (Vec::new(), None);
    for model in client.models().await.map_err(failed)?.into_iter().take(LOOKED_AT_MAX) {
        let capabilities = match model.capabilities {
            Some(capabilities) => capabilities,
            None => client.capabilities(&model.name).await.map_err(failed)?,
        };
        if capabilities.contains(capability) {
            able.push(model.name);
            if able.len() >= most {
                break;
            }
        } else if capabilities.is_empty() && unknown.is_none() {
            unknown = Some(model.name);
        }
    }
    Ok((able, unknown))
}
