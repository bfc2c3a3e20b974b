//! The tools, one file each: when they are listed, their schemas, and what the small ones answer.
//!
//! Schemas only advertise. What they say about arguments is enforced by `hub-core`, from the same
//! limits; a test holds the two together.

mod arguments;
mod cancel_job;
mod describe_image;
mod detail_image;
mod edit_image;
mod generate_image;
pub(crate) mod generate_prompt;
mod get_job;
mod list_options;
mod schema;
mod upscale_image;

use hub_core::{
    access::KeyRights,
    catalogue::{Catalogue, Mode},
    error::UserError,
    request::unknown_tool,
};
use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value};

pub(crate) use cancel_job::cancel_job;
pub(crate) use get_job::JobQuery;
pub(crate) use list_options::{list_options, render_type_record, style_record};

/// A tool by what is to be done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HubTool {
    /// Makes a job; parsed by `hub-core` under this name.
    Job(&'static str),
    /// `get_job`
    GetJob,
    /// `cancel_job`
    CancelJob,
    /// `list_options`
    ListOptions,
}

const NAMES: [(&str, HubTool); 9] = [
    (generate_image::NAME, HubTool::Job(generate_image::NAME)),
    (upscale_image::NAME, HubTool::Job(upscale_image::NAME)),
    (edit_image::NAME, HubTool::Job(edit_image::NAME)),
    (detail_image::NAME, HubTool::Job(detail_image::NAME)),
    (describe_image::NAME, HubTool::Job(describe_image::NAME)),
    (generate_prompt::NAME, HubTool::Job(generate_prompt::NAME)),
    (get_job::NAME, HubTool::GetJob),
    (cancel_job::NAME, HubTool::CancelJob),
    (list_options::NAME, HubTool::ListOptions),
];

impl HubTool {
    /// The tool of that name, listed or not: a call of one that cannot work is told why.
    ///
    /// # Errors
    /// `unknown_tool`, naming the tools.
    pub(crate) fn named(name: &str) -> Result<Self, UserError> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, tool)| *tool)
            .ok_or_else(|| unknown_tool(name, NAMES.map(|(known, _)| known)))
    }
}

/// Whether a key with these rights can make use of a tool; those that make no job are everybody's.
pub(crate) fn may_call(rights: &KeyRights, tool: &str) -> bool {
    !matches!(HubTool::named(tool), Ok(HubTool::Job(_))) || rights.check_tool(tool).is_ok()
}

/// The tools that can work, in a fixed order. Without any that makes something, there is nothing to
/// wait for, cancel or choose either.
pub(crate) fn list(catalogue: &Catalogue, wait_default_s: u32) -> Vec<Tool> {
    let mut tools: Vec<Tool> = [
        generate_image::definition(catalogue, wait_default_s),
        upscale_image::definition(catalogue, wait_default_s),
        edit_image::definition(catalogue, wait_default_s),
        detail_image::definition(catalogue, wait_default_s),
        describe_image::definition(catalogue, wait_default_s),
        generate_prompt::definition(catalogue, wait_default_s),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !tools.is_empty() {
        tools.extend([get_job::definition(wait_default_s), cancel_job::definition(), list_options::definition()]);
    }
    tools
}

/// Whether there is a server and something to show for this mode.
fn can_render(catalogue: &Catalogue, mode: Mode) -> bool {
    catalogue.enabled_servers > 0 && catalogue.visible(mode).next().is_some()
}

/// What a call of a tool does to the world beyond its answer.
#[derive(Debug, Clone, Copy)]
enum Effect {
    /// Nothing.
    Reads,
    /// Adds something.
    Adds,
    /// Ends something.
    Ends,
}

fn tool(name: &'static str, title: &str, description: String, schema: Map<String, Value>, effect: Effect) -> Tool {
    let annotations = match effect {
        Effect::Reads => ToolAnnotations::new().read_only(true),
        Effect::Adds => ToolAnnotations::new().destructive(false),
        Effect::Ends => ToolAnnotations::new().destructive(true).idempotent(true),
    };
    Tool::new(name, description, schema).with_title(title).with_annotations(annotations.open_world(false))
}

#[cfg(test)]
mod tests;
