//! `get_job`: the result of a call that answered with a handle, or any earlier one's again.

use hub_core::{error::UserError, ids::JobId, limits, request::Inline};
use rmcp::model::Tool;
use serde_json::{Map, Value, json};

use super::{
    Effect, arguments,
    schema::{INLINE, Schema, job_id},
    tool,
};

pub(super) const NAME: &str = "get_job";

const DESCRIPTION: &str = "Wait for a job and get its result, as the call that began it would have answered.";

pub(super) fn definition(wait_default_s: u32) -> Tool {
    let schema = Schema::new()
        .with_required("job_id", job_id())
        .with("wait_s", json!({"type": "integer", "maximum": limits::WAIT_MAX_S, "default": wait_default_s}))
        .with("inline", json!({"type": "string", "enum": INLINE}));
    tool(NAME, "Get job", DESCRIPTION.to_owned(), schema.build(), Effect::Reads)
}

/// A question after a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobQuery {
    /// Which job.
    pub(crate) job: JobId,
    /// Seconds to wait for its end; `None` = the default.
    pub(crate) wait_s: Option<u32>,
    /// How much of each picture to inline; `None` = as the connection says.
    pub(crate) inline: Option<Inline>,
}

impl JobQuery {
    /// Reads the tool's arguments.
    ///
    /// # Errors
    /// `bad_argument`.
    pub(crate) fn parse(given: &Map<String, Value>) -> Result<Self, UserError> {
        let query = Self {
            job: arguments::job_id(given)?,
            wait_s: arguments::wait_s(given)?,
            inline: arguments::inline(given)?,
        };
        arguments::refuse_unknown(NAME, given, &["job_id", "wait_s", "inline"])?;
        Ok(query)
    }
}
