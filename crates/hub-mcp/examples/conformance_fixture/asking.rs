//! Tools that turn to the client while they run: older revisions' sampling, elicitation and logging,
//! and the current revision's checks of what a client declared.
#![expect(deprecated, reason = "sampling and logging are deprecated, but the older revision is examined")]

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResult, ClientCapabilities, ContentBlock, CreateMessageRequestParams,
        ElicitRequestParams, LoggingLevel, LoggingMessageNotificationParam, SamplingMessage,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::{
    content::argument,
    rounds,
    server::{Answer, Listed, Shared, nothing},
};

const LOGGER: &str = "fixture";

pub(crate) fn listed() -> Vec<Listed> {
    let text = |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}, "required": [name]});
    vec![
        ("test_tool_with_logging", "Logs while it runs.", nothing()),
        ("test_sampling", "Has the client's model answer.", text("prompt")),
        ("test_elicitation", "Asks the user.", text("message")),
        ("test_elicitation_sep1034_defaults", "Asks with defaults.", nothing()),
        ("test_elicitation_sep1330_enums", "Asks with every form of choice.", nothing()),
        ("test_missing_capability", "Needs a client that samples.", nothing()),
        ("test_streaming_elicitation", "Asks back.", nothing()),
        ("test_logging_tool", "Logs when asked to.", nothing()),
        ("test_trigger_tool_change", "Tells that tools changed.", nothing()),
        ("test_trigger_prompt_change", "Tells that prompts changed.", nothing()),
    ]
}

pub(crate) async fn call(
    shared: &Shared,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Answer {
    let text = match request.name.as_ref() {
        "test_tool_with_logging" => {
            for message in ["begun", "half-way", "done"] {
                log(context, LoggingLevel::Info, message).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok("logged thrice".to_owned())
        }
        "test_logging_tool" => {
            if let Some(level) = context.meta.log_level() {
                log(context, level, "as asked").await;
            }
            Ok("logged if asked".to_owned())
        }
        "test_sampling" => sample(context, argument(request, "prompt").unwrap_or("Hello")).await,
        "test_elicitation" => elicit(context, argument(request, "message").unwrap_or("Who are you?"), person()).await,
        "test_elicitation_sep1034_defaults" => elicit(context, "Change what is not so.", with_defaults()).await,
        "test_elicitation_sep1330_enums" => elicit(context, "Choose.", choices()).await,
        "test_missing_capability" => {
            if context.client_capabilities().is_none_or(|declared| declared.sampling.is_none()) {
                let needed = ClientCapabilities::builder().enable_sampling().build();
                return Some(Err(ErrorData::missing_required_client_capability(needed)));
            }
            Ok("declared".to_owned())
        }
        "test_streaming_elicitation" => {
            return Some(Ok(rounds::ask([("answer", rounds::name_form("Say something."))])));
        }
        "test_trigger_tool_change" => {
            for listener in shared.listeners() {
                // A listener that did not ask for this, or has left, is none of the caller's business.
                drop(listener.notify_tool_list_changed().await);
            }
            Ok("told".to_owned())
        }
        "test_trigger_prompt_change" => {
            for listener in shared.listeners() {
                drop(listener.notify_prompt_list_changed().await);
            }
            Ok("told".to_owned())
        }
        _ => return None,
    };
    Some(Ok(match text {
        Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]).into(),
        Err(why) => CallToolResult::error(vec![ContentBlock::text(why)]).into(),
    }))
}

async fn log(context: &RequestContext<RoleServer>, level: LoggingLevel, message: &str) {
    let entry = LoggingMessageNotificationParam::new(level, json!(message)).with_logger(LOGGER);
    drop(context.peer.notify_logging_message(entry).await);
}

async fn sample(context: &RequestContext<RoleServer>, prompt: &str) -> Result<String, String> {
    let question = CreateMessageRequestParams::new(vec![SamplingMessage::user_text(prompt)], 100);
    let answer = context.peer.create_message(question).await.map_err(|error| error.to_string())?;
    let text = answer.message.content.first().and_then(|block| block.as_text()).map(|block| block.text.clone());
    Ok(format!("LLM response: {}", text.unwrap_or_default()))
}

async fn elicit(context: &RequestContext<RoleServer>, message: &str, schema: Value) -> Result<String, String> {
    let requested_schema = serde_json::from_value(schema).map_err(|error| error.to_string())?;
    let question =
        ElicitRequestParams::FormElicitationParams { meta: None, message: message.to_owned(), requested_schema };
    let answer = context.peer.create_elicitation(question).await.map_err(|error| error.to_string())?;
    let action = serde_json::to_value(&answer.action).map_err(|error| error.to_string())?;
    let given = serde_json::to_value(&answer.content).map_err(|error| error.to_string())?;
    Ok(format!("User response: action={}, content={given}", action.as_str().unwrap_or_default()))
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"},
        },
        "required": ["username", "email"],
    })
}

fn with_defaults() -> Value {
    json!({"type": "object", "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    }})
}

fn choices() -> Value {
    let plain = ["option1", "option2", "option3"];
    let titled = json!([
        {"const": "value1", "title": "First"},
        {"const": "value2", "title": "Second"},
        {"const": "value3", "title": "Third"},
    ]);
    json!({"type": "object", "properties": {
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }})
}
