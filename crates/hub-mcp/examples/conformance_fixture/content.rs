//! Tools that answer at once: each kind of content, an error, progress, a mirrored header.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResult, ContentBlock, ProgressNotificationParam, ResourceContents},
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::server::{Answer, Listed, nothing};

/// The tool whose argument a client mirrors into a header.
pub(crate) const HEADER_TOOL: &str = "test_custom_header";
/// One transparent pixel.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
/// A wave file without samples.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

pub(crate) fn listed() -> Vec<Listed> {
    vec![
        ("test_simple_text", "Answers one text.", nothing()),
        ("test_image_content", "Answers one picture.", nothing()),
        ("test_audio_content", "Answers one sound.", nothing()),
        ("test_embedded_resource", "Answers one embedded resource.", nothing()),
        ("test_multiple_content_types", "Answers a text, a picture and a resource.", nothing()),
        ("test_error_handling", "Fails as a tool.", nothing()),
        ("test_tool_with_progress", "Tells progress thrice.", nothing()),
        ("test_reconnection", "Takes a moment.", nothing()),
        (
            HEADER_TOOL,
            "Has an argument that clients mirror into a header.",
            json!({
                "type": "object",
                "properties": {"value": {"type": "string", "x-mcp-header": "Value"}},
                "required": ["value"],
            }),
        ),
        ("json_schema_2020_12_tool", "Has a schema that uses what is new in 2020-12.", modern_schema()),
    ]
}

/// Uses `$schema`, `$defs`, `$anchor`, composition and conditions; a server must pass them on whole.
fn modern_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "address",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }},
        "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
        "allOf": [{"anyOf": [{"required": ["name"]}, {"required": ["address"]}]}],
        "if": {"required": ["address"]},
        "then": {"properties": {"address": {"required": ["street"]}}},
        "else": {"required": ["name"]},
        "additionalProperties": false,
    })
}

fn resource(uri: &str, mime: &str, text: &str) -> ContentBlock {
    ContentBlock::resource(ResourceContents::text(text, uri).with_mime_type(mime))
}

pub(crate) async fn call(request: &CallToolRequestParams, context: &RequestContext<RoleServer>) -> Answer {
    let blocks = match request.name.as_ref() {
        "test_simple_text" => vec![ContentBlock::text("This is a simple text response for testing.")],
        "test_image_content" => vec![ContentBlock::image(PNG, "image/png")],
        "test_audio_content" => vec![ContentBlock::audio(WAV, "audio/wav")],
        "test_embedded_resource" => {
            vec![resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")]
        }
        "test_multiple_content_types" => vec![
            ContentBlock::text("Multiple content types test:"),
            ContentBlock::image(PNG, "image/png"),
            resource("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ],
        "test_error_handling" => {
            let text = ContentBlock::text("This tool intentionally returns an error for testing");
            return Some(Ok(CallToolResult::error(vec![text]).into()));
        }
        "test_tool_with_progress" => {
            tell_progress(context).await;
            vec![ContentBlock::text("Told 0, 50 and 100.")]
        }
        "test_reconnection" => {
            tokio::time::sleep(Duration::from_millis(120)).await;
            vec![ContentBlock::text("Still here.")]
        }
        HEADER_TOOL => match argument(request, "value") {
            Some(value) => vec![ContentBlock::text(value)],
            None => return Some(Err(ErrorData::invalid_params("`value` must be a text", None))),
        },
        "json_schema_2020_12_tool" => {
            vec![ContentBlock::text(format!("name: {}", argument(request, "name").unwrap_or("-")))]
        }
        _ => return None,
    };
    Some(Ok(CallToolResult::success(blocks).into()))
}

/// A text among the arguments.
pub(crate) fn argument<'a>(request: &'a CallToolRequestParams, name: &str) -> Option<&'a str> {
    request.arguments.as_ref()?.get(name)?.as_str()
}

async fn tell_progress(context: &RequestContext<RoleServer>) {
    let Some(token) = context.meta.get_progress_token() else { return };
    for percent in [0.0, 50.0, 100.0] {
        let step = ProgressNotificationParam::new(token.clone(), percent).with_total(100.0);
        if context.peer.notify_progress(step).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}
