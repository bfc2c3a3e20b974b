//! `cancel_job`: ends a job that nobody wants any more.

use hub_core::{error::UserError, job::JobStateKind};
use hub_engine::Engine;
use rmcp::model::{CallToolResult, Tool};
use serde_json::{Map, Value, json};

use super::{
    Effect, arguments,
    schema::{Schema, job_id},
    tool,
};
use crate::{delivery::Delivery, names::RESULT_META_KEY, result};

pub(super) const NAME: &str = "cancel_job";

const DESCRIPTION: &str = "Cancel a job that waits or runs. A job that has ended stays as it is.";

pub(super) fn definition() -> Tool {
    let schema = Schema::new().with_required("job_id", job_id());
    tool(NAME, "Cancel job", DESCRIPTION.to_owned(), schema.build(), Effect::Ends)
}

/// Cancels and says what became of the job.
///
/// # Errors
/// `bad_argument`, `unknown_job`.
pub(crate) async fn cancel_job(
    engine: &Engine,
    given: &Map<String, Value>,
    delivery: &Delivery,
) -> Result<CallToolResult, UserError> {
    let id = arguments::job_id(given)?;
    arguments::refuse_unknown(NAME, given, &["job_id"])?;
    engine.check_job(&delivery.caller, id).await?;
    let view = engine.cancel(id).await?;
    let state = view.job.state.kind();
    let text = match state {
        JobStateKind::Cancelled => format!("{id} is cancelled."),
        ended if ended.is_terminal() => format!("{id} had ended already: {ended}. Call get_job for its result."),
        other => format!("{id} is being cancelled; it is {other} still."),
    };
    let record = json!({"job": id.to_string(), "status": state.as_str(), "tool": view.job.request.tool()});
    Ok(result::of_data(text, RESULT_META_KEY, record, delivery))
}
