//! Tools that may become tasks.

use std::{future::Future, time::Duration};

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, CreateTaskResult,
    },
    service::RequestContext,
    task_manager::{TaskContext, TaskExit, TaskOptions},
};
use serde_json::{Value, json};

use crate::{
    content::argument,
    rounds,
    server::{Answer, Listed, Shared, nothing},
};

/// Longest time that a caller can have a tool take, in seconds.
const SECONDS_MAX: f64 = 60.0;

pub(crate) fn listed() -> Vec<Listed> {
    let property = |name: &str, kind: &str| json!({"type": "object", "properties": {name: {"type": kind}}});
    vec![
        ("greet", "Greets, at once.", property("name", "string")),
        ("slow_compute", "Takes its time.", property("seconds", "number")),
        ("failing_job", "Fails as a tool; only as a task.", nothing()),
        ("protocol_error_job", "Fails as a request.", nothing()),
        ("confirm_delete", "Asks before it goes on; only as a task.", property("filename", "string")),
        ("multi_input", "Asks two things at once; only as a task.", nothing()),
        ("test_tool_with_task", "Asks first, then becomes a task.", nothing()),
    ]
}

fn said(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn task<F, W>(shared: &Shared, work: W) -> CallToolResponse
where
    W: FnOnce(TaskContext) -> F + Send + 'static,
    F: Future<Output = Result<CallToolResult, TaskExit>> + Send + 'static,
{
    let task = shared.tasks.spawn(TaskOptions::default(), move |context| Box::pin(work(context)));
    CreateTaskResult::new(task).into()
}

pub(crate) async fn call(
    shared: &Shared,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Answer {
    let takes_tasks = context.client_capabilities().is_some_and(|declared| declared.supports_tasks());
    let name = request.name.as_ref();
    if !takes_tasks && matches!(name, "failing_job" | "confirm_delete" | "multi_input" | "test_tool_with_task") {
        let needed = ClientCapabilities::builder().enable_tasks().build();
        return Some(Err(ErrorData::missing_required_client_capability(needed)));
    }
    Some(Ok(match name {
        "greet" => said(format!("Hello, {}!", argument(request, "name").unwrap_or("you"))).into(),
        "slow_compute" => slow(shared, request, takes_tasks).await,
        "failing_job" => task(shared, |_| async {
            tokio::time::sleep(Duration::from_millis(900)).await;
            Ok(CallToolResult::error(vec![ContentBlock::text("It failed, as it should.")]))
        }),
        "protocol_error_job" => {
            let failure = || ErrorData::internal_error("It broke, as it should.", None);
            if !takes_tasks {
                return Some(Err(failure()));
            }
            task(shared, move |_| async move {
                tokio::time::sleep(Duration::from_millis(150)).await;
                Err(TaskExit::Error(failure()))
            })
        }
        "confirm_delete" => {
            let file = argument(request, "filename").unwrap_or("it").to_owned();
            task(shared, |context| async move {
                let form = rounds::form(&format!("Delete {file}?"), &json!({"confirm": {"type": "boolean"}}));
                let given = context.request_input("confirm", form).await?;
                let sure = given.pointer("/content/confirm").and_then(Value::as_bool).unwrap_or(false);
                Ok(said(format!("{file}: {}", if sure { "deleted" } else { "kept" })))
            })
        }
        "multi_input" => task(shared, |context| async move {
            let form = |message| rounds::form(message, &json!({"value": {"type": "string"}}));
            let (first, second) = tokio::try_join!(
                context.request_input("input-a", form("The first value?")),
                context.request_input("input-b", form("The second value?")),
            )?;
            Ok(said(format!("{first} and {second}")))
        }),
        "test_tool_with_task" => {
            let Some(given) = rounds::answer(request.input_responses.as_ref(), "user_name") else {
                return Some(Ok(rounds::ask([("user_name", rounds::name_form("What is your name?"))])));
            };
            let name = given.get("content").and_then(|content| content.get("name")).and_then(Value::as_str);
            let greeting = format!("Hello, {}, from a task!", name.unwrap_or("you"));
            task(shared, |_| async move {
                tokio::time::sleep(Duration::from_millis(150)).await;
                Ok(said(greeting))
            })
        }
        _ => return None,
    }))
}

async fn slow(shared: &Shared, request: &CallToolRequestParams, takes_tasks: bool) -> CallToolResponse {
    let asked = request.arguments.as_ref().and_then(|all| all.get("seconds")).and_then(Value::as_f64);
    let time = Duration::from_secs_f64(asked.unwrap_or(1.0).clamp(0.0, SECONDS_MAX));
    if !takes_tasks {
        tokio::time::sleep(time).await;
        return said("done").into();
    }
    task(shared, move |context| async move {
        tokio::select! {
            () = context.cancelled() => Err(TaskExit::Cancelled),
            () = tokio::time::sleep(time) => Ok(said("done")),
        }
    })
}
