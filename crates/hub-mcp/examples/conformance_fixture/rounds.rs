//! Calls that answer with questions and are repeated with the answers (2026-07-28).

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, GetPromptRequestParams,
        GetPromptResponse, GetPromptResult, InputRequest, InputRequests, InputRequiredResult, InputResponses,
        PromptMessage, Role,
    },
    service::RequestContext,
};
use serde_json::{Map, Value, json};

use crate::server::{Answer, Listed, Shared, nothing};

/// The prompt that asks back.
pub(crate) const PROMPT: &str = "test_input_required_result_prompt";
const PREFIX: &str = "test_input_required_result_";

pub(crate) fn listed() -> Vec<Listed> {
    vec![
        ("test_input_required_result_elicitation", "Asks for a name.", nothing()),
        ("test_input_required_result_sampling", "Asks the client's model.", nothing()),
        ("test_input_required_result_list_roots", "Asks for the roots.", nothing()),
        ("test_input_required_result_request_state", "Hands out sealed state.", nothing()),
        ("test_input_required_result_multiple_inputs", "Asks three things at once.", nothing()),
        ("test_input_required_result_multi_round", "Asks twice.", nothing()),
        ("test_input_required_result_tampered_state", "Refuses state that was changed.", nothing()),
        ("test_input_required_result_capabilities", "Asks only what the client can answer.", nothing()),
    ]
}

fn question(method: &str, params: &Value) -> InputRequest {
    serde_json::from_value(json!({"method": method, "params": params})).expect("a question as the schema has it")
}

/// A form with one required text `name`.
pub(crate) fn name_form(message: &str) -> InputRequest {
    form(message, &json!({"name": {"type": "string"}}))
}

/// A form with the given properties, all required.
pub(crate) fn form(message: &str, properties: &Value) -> InputRequest {
    let required: Vec<String> = properties.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    let schema = json!({"type": "object", "properties": properties, "required": required});
    question("elicitation/create", &json!({"mode": "form", "message": message, "requestedSchema": schema}))
}

fn sample(text: &str) -> InputRequest {
    let message = json!({"role": "user", "content": {"type": "text", "text": text}});
    question("sampling/createMessage", &json!({"messages": [message], "maxTokens": 100}))
}

fn roots() -> InputRequest {
    serde_json::from_value(json!({"method": "roots/list"})).expect("a question without parameters")
}

fn requests<const N: usize>(questions: [(&str, InputRequest); N]) -> InputRequests {
    questions.into_iter().map(|(key, question)| (key.to_owned(), question)).collect()
}

/// A result that asks and keeps no state.
pub(crate) fn ask<const N: usize>(questions: [(&str, InputRequest); N]) -> CallToolResponse {
    InputRequiredResult::from_input_requests(requests(questions)).into()
}

/// An answer is an object; whatever else a client sends counts as none.
pub(crate) fn answer<'a>(answers: Option<&'a InputResponses>, key: &str) -> Option<&'a Map<String, Value>> {
    answers?.get(key)?.as_object()
}

fn text(answer: &Map<String, Value>, path: &[&str]) -> String {
    let first = path.first().and_then(|key| answer.get(*key));
    let found = path.iter().skip(1).try_fold(first, |at, key| at.map(|value| value.get(key)));
    found.flatten().and_then(Value::as_str).unwrap_or("nothing").to_owned()
}

fn done(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

fn tampered(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::invalid_params(format!("requestState is not ours: {error}"), None)
}

/// Asks, and hands out `state` for the client to bring back.
fn ask_with_state<const N: usize>(
    shared: &Shared,
    state: &Value,
    questions: [(&str, InputRequest); N],
) -> Result<CallToolResponse, ErrorData> {
    let sealed = shared.sealer.seal_json(state).map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(InputRequiredResult::new(Some(requests(questions)), Some(sealed)).into())
}

/// The state that the client brought back, if any.
fn opened(shared: &Shared, request: &CallToolRequestParams) -> Result<Option<Value>, ErrorData> {
    request.request_state.as_deref().map(|sealed| shared.sealer.open_json(sealed).map_err(tampered)).transpose()
}

pub(crate) fn call(shared: &Shared, request: &CallToolRequestParams, context: &RequestContext<RoleServer>) -> Answer {
    let kind = request.name.strip_prefix(PREFIX)?;
    let answers = request.input_responses.as_ref();
    Some(match kind {
        "elicitation" => match answer(answers, "user_name") {
            Some(given) => Ok(done(format!("Hello, {}!", text(given, &["content", "name"])))),
            None => Ok(ask([("user_name", name_form("What is your name?"))])),
        },
        "sampling" => match answer(answers, "capital_question") {
            Some(given) => Ok(done(text(given, &["content", "text"]))),
            None => Ok(ask([("capital_question", sample("What is the capital of France?"))])),
        },
        "list_roots" => match answer(answers, "client_roots") {
            Some(given) => Ok(done(Value::Object(given.clone()).to_string())),
            None => Ok(ask([("client_roots", roots())])),
        },
        "request_state" | "tampered_state" => confirm(shared, request),
        "multiple_inputs" => three(shared, request),
        "multi_round" => twice(shared, request),
        "capabilities" => Ok(as_declared(request, context)),
        _ => return None,
    })
}

fn confirm(shared: &Shared, request: &CallToolRequestParams) -> Result<CallToolResponse, ErrorData> {
    if opened(shared, request)?.is_some() {
        return Ok(done("state-ok"));
    }
    let sure = form("Are you sure?", &json!({"ok": {"type": "boolean"}}));
    ask_with_state(shared, &json!({"at": "confirm"}), [("confirm", sure)])
}

fn three(shared: &Shared, request: &CallToolRequestParams) -> Result<CallToolResponse, ErrorData> {
    let state = opened(shared, request)?;
    let answers = request.input_responses.as_ref();
    let complete = ["user_name", "greeting", "client_roots"].iter().all(|key| answer(answers, key).is_some());
    if state.is_some() && complete {
        return Ok(done("three answers"));
    }
    let questions = [
        ("user_name", name_form("What is your name?")),
        ("greeting", sample("Greet the user.")),
        ("client_roots", roots()),
    ];
    ask_with_state(shared, &json!({"at": "gather"}), questions)
}

fn twice(shared: &Shared, request: &CallToolRequestParams) -> Result<CallToolResponse, ErrorData> {
    let round = opened(shared, request)?.and_then(|state| state.get("round").and_then(Value::as_u64));
    match round {
        None => ask_with_state(shared, &json!({"round": 1}), [("step1", name_form("First: your name?"))]),
        Some(1) => {
            let colour = form("Second: your colour?", &json!({"color": {"type": "string"}}));
            ask_with_state(shared, &json!({"round": 2}), [("step2", colour)])
        }
        Some(_) => Ok(done("two rounds done")),
    }
}

fn as_declared(request: &CallToolRequestParams, context: &RequestContext<RoleServer>) -> CallToolResponse {
    if request.input_responses.is_some() {
        return done("answered");
    }
    let declared = context.client_capabilities().unwrap_or_default();
    let mut questions = InputRequests::new();
    if declared.elicitation.is_some() {
        questions.insert("user_name".to_owned(), name_form("What is your name?"));
    }
    if declared.sampling.is_some() {
        questions.insert("greeting".to_owned(), sample("Greet the user."));
    }
    if declared.roots.is_some() {
        questions.insert("client_roots".to_owned(), roots());
    }
    if questions.is_empty() {
        return done("nothing can be asked");
    }
    InputRequiredResult::from_input_requests(questions).into()
}

/// The prompt that asks back, if it is that one.
pub(crate) fn prompt(request: &GetPromptRequestParams) -> Option<GetPromptResponse> {
    if request.name != PROMPT {
        return None;
    }
    let Some(given) = answer(request.input_responses.as_ref(), "user_context") else {
        let wanted = form("In which context?", &json!({"context": {"type": "string"}}));
        return Some(InputRequiredResult::from_input_requests(requests([("user_context", wanted)])).into());
    };
    let message = PromptMessage::new_text(Role::User, format!("Context: {}", text(given, &["content", "context"])));
    Some(GetPromptResult::new(vec![message]).into())
}
