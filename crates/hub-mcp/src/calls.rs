//! One tool call, from its arguments to its answer, alike for every way in.

use std::time::Duration;

use hub_core::{
    error::{ErrorCode, UserError},
    request::{CallOptions, Inline, ToolCall, parse_idempotency_key},
};
use hub_engine::{JobView, Submitted};
use rmcp::model::CallToolResult;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    budget,
    delivery::Delivery,
    follow::{Followed, follow},
    hub::{Hub, log_failure},
    progress::ProgressTeller,
    result,
    tools::{HubTool, JobQuery, cancel_job, list_options},
};

/// A job that a call began or found.
pub(crate) struct Begun {
    pub(crate) submitted: Submitted,
    pub(crate) options: CallOptions,
}

/// Parses the call and submits it. `key` is an idempotency key from outside the arguments, which win.
///
/// # Errors
/// What `hub-core` and the engine refuse.
pub(crate) async fn begin(
    hub: &Hub,
    tool: &str,
    arguments: &Map<String, Value>,
    key: Option<&str>,
    delivery: &Delivery,
) -> Result<Begun, UserError> {
    let mut call = ToolCall::parse(tool, arguments)?;
    if call.options.idempotency_key.is_none() {
        call.options.idempotency_key = key.map(parse_idempotency_key).transpose()?;
    }
    call.options.trace = delivery.trace;
    let options = call.options.clone();
    let submitted = hub.engine.submit(&delivery.caller, call).await?;
    tracing::debug!(job = %submitted.job.id, caller = delivery.caller.as_str(), replayed = submitted.replayed, tool, "accepted");
    Ok(Begun { submitted, options })
}

/// The answer to a call that wants only the plan; `None` for every other call.
///
/// # Errors
/// What `hub-core` and the engine refuse.
pub(crate) async fn planned(
    hub: &Hub,
    tool: &str,
    arguments: &Map<String, Value>,
    delivery: &Delivery,
) -> Result<Option<CallToolResult>, UserError> {
    if arguments.get("plan_only") != Some(&Value::Bool(true)) {
        return Ok(None);
    }
    let plan = hub.engine.plan(&delivery.caller, ToolCall::parse(tool, arguments)?).await?;
    Ok(Some(result::of_plan(&plan, delivery)))
}

/// How long a call may wait.
pub(crate) fn wait(hub: &Hub, asked_s: Option<u32>) -> Duration {
    Duration::from_secs(u64::from(asked_s.unwrap_or(hub.answers().wait_s)))
}

/// The answer about a job that has ended.
pub(crate) async fn ended(hub: &Hub, view: &JobView, inline: Option<Inline>, delivery: &Delivery) -> CallToolResult {
    let inline = inline.unwrap_or(delivery.inline);
    let pictures = budget::pictures(&hub.engine, &view.artifacts, inline, hub.answers()).await;
    result::of_ended(view, &pictures, delivery)
}

/// The handle of a job that goes on.
pub(crate) fn running(hub: &Hub, view: &JobView, delivery: &Delivery) -> CallToolResult {
    result::of_running(view, delivery, hub.answers().wait_s)
}

/// `get_job`.
///
/// # Errors
/// `bad_argument`, `unknown_job`.
pub(crate) async fn get_job(
    hub: &Hub,
    arguments: &Map<String, Value>,
    delivery: &Delivery,
    teller: Option<ProgressTeller>,
    left: &CancellationToken,
) -> Result<CallToolResult, UserError> {
    let query = JobQuery::parse(arguments)?;
    hub.engine.check_job(&delivery.caller, query.job).await?;
    Ok(match follow(&hub.engine, query.job, wait(hub, query.wait_s), teller, left).await? {
        Followed::Ended(view) => ended(hub, &view, query.inline, delivery).await,
        Followed::Running(view) => running(hub, &view, delivery),
        Followed::Left => result::of_error(&gone()),
    })
}

/// What is answered to a caller that no longer listens.
pub(crate) fn gone() -> UserError {
    UserError::new(ErrorCode::Cancelled, "The call was cancelled.")
}

/// A whole call for a caller that waits for one answer and cannot cancel: its leaving leaves the job
/// alone, and the same call again finds it.
pub(crate) async fn answer(
    hub: &Hub,
    tool: HubTool,
    arguments: &Map<String, Value>,
    key: Option<&str>,
    delivery: &Delivery,
) -> CallToolResult {
    let never = CancellationToken::new();
    let answered = match tool {
        HubTool::Job(name) => answer_job(hub, name, arguments, key, delivery, &never).await,
        HubTool::GetJob => get_job(hub, arguments, delivery, None, &never).await,
        HubTool::CancelJob => cancel_job(&hub.engine, arguments, delivery).await,
        HubTool::ListOptions => list_options(&hub.catalogue(), arguments, delivery),
    };
    answered.unwrap_or_else(|error| {
        log_failure("a tool call", &error);
        result::of_error(&error)
    })
}

async fn answer_job(
    hub: &Hub,
    name: &str,
    arguments: &Map<String, Value>,
    key: Option<&str>,
    delivery: &Delivery,
    never: &CancellationToken,
) -> Result<CallToolResult, UserError> {
    if let Some(plan) = planned(hub, name, arguments, delivery).await? {
        return Ok(plan);
    }
    let Begun { submitted, options } = begin(hub, name, arguments, key, delivery).await?;
    let job = submitted.job.id;
    Ok(match follow(&hub.engine, job, wait(hub, options.wait_s), None, never).await? {
        Followed::Ended(view) => ended(hub, &view, options.inline, delivery).await,
        Followed::Running(view) => running(hub, &view, delivery),
        Followed::Left => result::of_error(&gone()),
    })
}
