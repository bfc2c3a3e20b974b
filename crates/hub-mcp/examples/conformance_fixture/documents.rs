//! Resources and prompts with fixed contents.

use rmcp::{
    ErrorData,
    model::{
        CacheScope, ContentBlock, GetPromptRequestParams, GetPromptResponse, GetPromptResult, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, Prompt, PromptArgument, PromptMessage, ReadResourceResponse,
        ReadResourceResult, Resource, ResourceContents, ResourceTemplate, Role,
    },
};
use serde_json::{Value, json};

use crate::{content::PNG, rounds, server::TTL_MS};

const TEXT_URI: &str = "test://static-text";
const BINARY_URI: &str = "test://static-binary";
const WATCHED_URI: &str = "test://watched-resource";

pub(crate) fn resources() -> ListResourcesResult {
    ListResourcesResult::with_all_items(vec![
        Resource::new(TEXT_URI, "static-text").with_mime_type("text/plain"),
        Resource::new(BINARY_URI, "static-binary").with_mime_type("image/png"),
        Resource::new(WATCHED_URI, "watched").with_mime_type("text/plain"),
    ])
    .with_ttl_ms(TTL_MS)
    .with_cache_scope(CacheScope::Public)
}

pub(crate) fn templates() -> ListResourceTemplatesResult {
    let template = ResourceTemplate::new("test://template/{id}/data", "template").with_mime_type("application/json");
    ListResourceTemplatesResult::with_all_items(vec![template]).with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public)
}

pub(crate) fn read(uri: &str) -> Result<ReadResourceResponse, ErrorData> {
    let contents = match uri {
        TEXT_URI => {
            ResourceContents::text("This is the content of the static text resource.", uri).with_mime_type("text/plain")
        }
        WATCHED_URI => ResourceContents::text("Nothing changes here.", uri).with_mime_type("text/plain"),
        BINARY_URI => ResourceContents::blob(PNG, uri).with_mime_type("image/png"),
        _ => match uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data")) {
            Some(id) => {
                let document = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
                ResourceContents::text(document.to_string(), uri).with_mime_type("application/json")
            }
            None => return Err(ErrorData::resource_not_found("No such resource.", Some(json!({"uri": uri})))),
        },
    };
    let result = ReadResourceResult::new(vec![contents]).with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public);
    Ok(result.into())
}

fn argument(name: &str, required: bool) -> PromptArgument {
    PromptArgument::new(name).with_required(required)
}

pub(crate) fn prompts() -> ListPromptsResult {
    let two = vec![argument("arg1", true), argument("arg2", true)];
    let uri = vec![argument("resourceUri", true)];
    ListPromptsResult::with_all_items(vec![
        Prompt::new("test_simple_prompt", Some("One message."), None),
        Prompt::new("test_prompt_with_arguments", Some("Repeats its arguments."), Some(two)),
        Prompt::new("test_prompt_with_embedded_resource", Some("Embeds a resource."), Some(uri)),
        Prompt::new("test_prompt_with_image", Some("Holds a picture."), None),
        Prompt::new(rounds::PROMPT, Some("Asks back once."), None),
    ])
    .with_ttl_ms(TTL_MS)
    .with_cache_scope(CacheScope::Public)
}

pub(crate) fn prompt(request: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let given = |name: &str| {
        request.arguments.as_ref().and_then(|all| all.get(name)).and_then(Value::as_str).unwrap_or_default()
    };
    let user = |text: &str| PromptMessage::new_text(Role::User, text);
    let messages = match request.name.as_str() {
        "test_simple_prompt" => vec![user("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            vec![user(&format!("Prompt with arguments: arg1='{}', arg2='{}'", given("arg1"), given("arg2")))]
        }
        "test_prompt_with_embedded_resource" => {
            let uri = if given("resourceUri").is_empty() { "test://example-resource" } else { given("resourceUri") };
            let embedded = ResourceContents::text("Embedded resource content for testing.", uri);
            let block = ContentBlock::resource(embedded.with_mime_type("text/plain"));
            vec![PromptMessage::new(Role::User, block), user("Please process the embedded resource above.")]
        }
        "test_prompt_with_image" => vec![
            PromptMessage::new(Role::User, ContentBlock::image(PNG, "image/png")),
            user("Please analyze the image above."),
        ],
        other => return Err(ErrorData::invalid_params(format!("Unknown prompt: {other}"), None)),
    };
    Ok(GetPromptResult::new(messages).into())
}
