//! MCP prompts for common tasks, and completion of what the catalogue names.

use hub_core::catalogue::{Catalogue, Mode};
use rmcp::{
    ErrorData,
    model::{
        CacheScope, CompleteRequestParams, CompleteResult, CompletionInfo, GetPromptRequestParams, GetPromptResponse,
        GetPromptResult, ListPromptsResult, Prompt, PromptArgument, PromptMessage, Role,
    },
};
use serde_json::Value;

use crate::{handler::FIXED_TTL_MS, listing::server_info_meta};

const MAKE: &str = "make_picture";
const IMPROVE: &str = "improve_picture";

/// `prompts/list`.
pub(crate) fn list() -> ListPromptsResult {
    let argument = |name: &str, description: &str, required: bool| {
        PromptArgument::new(name).with_description(description).with_required(required)
    };
    let make = vec![
        argument("subject", "What the picture shows", true),
        argument("style", "A style by name", false),
        argument("render_type", "A render type by name", false),
    ];
    let improve = vec![
        argument("image", "Id (img_…, job_…) or URL of the picture", true),
        argument("wish", "What should become better", false),
    ];
    let mut result = ListPromptsResult::with_all_items(vec![
        Prompt::new(MAKE, Some("Have a picture made, with a prompt worked out first."), Some(make))
            .with_title("Make a picture"),
        Prompt::new(IMPROVE, Some("Look at a picture and make a better one."), Some(improve))
            .with_title("Improve a picture"),
    ])
    .with_ttl_ms(FIXED_TTL_MS)
    .with_cache_scope(CacheScope::Public);
    result.meta = Some(server_info_meta());
    result
}

/// `prompts/get`.
///
/// # Errors
/// -32602 for an unknown prompt or a missing argument.
pub(crate) fn get(request: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let given = |name: &str| {
        let value = request.arguments.as_ref().and_then(|all| all.get(name)).and_then(Value::as_str);
        value.map(str::trim).filter(|text| !text.is_empty())
    };
    let required = |name: &str| {
        given(name).ok_or_else(|| ErrorData::invalid_params(format!("The argument `{name}` is required."), None))
    };
    let text = match request.name.as_str() {
        MAKE => make(required("subject")?, given("style"), given("render_type")),
        IMPROVE => improve(required("image")?, given("wish")),
        other => {
            let shown: String = other.chars().take(80).collect();
            let message = format!("There is no prompt `{shown}`. Valid: {MAKE}, {IMPROVE}.");
            return Err(ErrorData::invalid_params(message, None));
        }
    };
    let mut result = GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]);
    result.meta = Some(server_info_meta());
    Ok(result.into())
}

fn make(subject: &str, style: Option<&str>, render_type: Option<&str>) -> String {
    let style = style.map(|name| format!(", styles [\"{name}\"]")).unwrap_or_default();
    let render_type = render_type.map(|name| format!(", render_type \"{name}\"")).unwrap_or_default();
    format!(
        "Make a picture of: {subject}\n\nFirst write a vivid prompt in English: subject, setting, light, composition, \
         medium. Then call generate_image with it{style}{render_type}. Show me the picture, its URL, and its seed."
    )
}

fn improve(image: &str, wish: Option<&str>) -> String {
    let wish = wish.unwrap_or("whatever would help it most");
    format!(
        "Improve the picture {image}. What should become better: {wish}.\n\nIf you cannot see it, call describe_image \
         first. Then call edit_image, or generate_image with a better prompt, and upscale_image at the end if those \
         tools are there. Show me the result beside the original and say what you changed."
    )
}

/// `completion/complete`: names of styles and render types.
///
/// # Errors
/// None that a client can cause.
pub(crate) fn complete(catalogue: &Catalogue, request: &CompleteRequestParams) -> Result<CompleteResult, ErrorData> {
    let names: Vec<&str> = match request.argument.name.as_str() {
        "style" | "styles" => catalogue.enabled_styles().map(|style| style.name.as_str()).collect(),
        "render_type" => catalogue.visible(Mode::Generate).map(|kind| kind.name.as_str()).collect(),
        _ => Vec::new(),
    };
    let typed = request.argument.value.to_lowercase();
    let mut found: Vec<String> =
        names.into_iter().filter(|name| name.to_lowercase().contains(&typed)).map(str::to_owned).collect();
    // What begins as typed is likelier meant than what merely holds it; the sort keeps the order else.
    found.sort_by_key(|name| !name.to_lowercase().starts_with(&typed));
    let total = u32::try_from(found.len()).unwrap_or(u32::MAX);
    let more = found.len() > CompletionInfo::MAX_VALUES;
    found.truncate(CompletionInfo::MAX_VALUES);
    CompletionInfo::with_pagination(found, Some(total), more)
        .map(CompleteResult::new)
        .map_err(|error| ErrorData::internal_error(error, None))
}
