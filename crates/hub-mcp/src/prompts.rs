//! MCP prompts for common tasks.

use rmcp::{
    ErrorData,
    model::{
        CacheScope, GetPromptRequestParams, GetPromptResponse, GetPromptResult, ListPromptsResult, Prompt,
        PromptArgument, PromptMessage, Role,
    },
};
use serde_json::{Value, json};

use crate::{handler::FIXED_TTL_MS, listing::server_info_meta};

/// Name, title, what it is for, and its arguments: name, meaning, whether it must be given.
struct Entry {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    arguments: &'static [(&'static str, &'static str, bool)],
    write: fn(&Given<'_>) -> String,
}

const STYLE: (&str, &str, bool) = ("style", "A style by name", false);
const RENDER_TYPE: (&str, &str, bool) = ("render_type", "A render type by name", false);
const SIZE: (&str, &str, bool) = ("size", "An aspect ratio, such as 16:9", false);
const IMAGE: (&str, &str, bool) = ("image", "Id (img_…, job_…) or URL of the picture", true);

const PROMPTS: [Entry; 5] = [
    Entry {
        name: "make_picture",
        title: "Make a picture",
        about: "Have a picture made, with a prompt worked out first.",
        arguments: &[("subject", "What the picture shows", true), STYLE, RENDER_TYPE, SIZE],
        write: make,
    },
    Entry {
        name: "improve_picture",
        title: "Improve a picture",
        about: "Look at a picture and make a better one.",
        arguments: &[IMAGE, ("wish", "What should become better", false)],
        write: improve,
    },
    Entry {
        name: "picture_like",
        title: "A picture like this one",
        about: "Describe a picture and make another of its kind.",
        arguments: &[IMAGE, ("change", "What should be different", false), STYLE, RENDER_TYPE],
        write: like,
    },
    Entry {
        name: "picture_series",
        title: "A series of pictures",
        about: "Make several pictures that belong together.",
        arguments: &[
            ("subject", "What the series shows", true),
            ("scenes", "The scenes, or how many (default 4)", false),
            STYLE,
            RENDER_TYPE,
            SIZE,
        ],
        write: series,
    },
    Entry {
        name: "print_size",
        title: "Make a picture large",
        about: "Upscale a picture and check the result.",
        arguments: &[IMAGE],
        write: enlarge,
    },
];

/// The arguments that were given, trimmed; empty ones are none.
struct Given<'a>(&'a GetPromptRequestParams);

impl<'a> Given<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        let value = self.0.arguments.as_ref().and_then(|all| all.get(name)).and_then(Value::as_str);
        value.map(str::trim).filter(|text| !text.is_empty())
    }

    /// An argument that was checked to be there.
    fn required(&self, name: &str) -> &'a str {
        self.get(name).unwrap_or_default()
    }

    /// The choices as arguments of a tool: `, styles ["x"], render_type "y"`.
    fn choices(&self) -> String {
        let style = self.get("style").map(|name| format!(", styles [\"{name}\"]"));
        let render_type = self.get("render_type").map(|name| format!(", render_type \"{name}\""));
        let size = self.get("size").map(|ratio| format!(", aspect_ratio \"{ratio}\""));
        [style, render_type, size].into_iter().flatten().collect()
    }
}

/// `prompts/list`.
pub(crate) fn list() -> ListPromptsResult {
    let prompts = PROMPTS.iter().map(|entry| {
        let arguments = entry
            .arguments
            .iter()
            .map(|(name, text, required)| PromptArgument::new(*name).with_description(*text).with_required(*required));
        Prompt::new(entry.name, Some(entry.about), Some(arguments.collect())).with_title(entry.title)
    });
    let mut result = ListPromptsResult::with_all_items(prompts.collect())
        .with_ttl_ms(FIXED_TTL_MS)
        .with_cache_scope(CacheScope::Public);
    result.meta = Some(server_info_meta());
    result
}

/// `prompts/get`.
///
/// # Errors
/// -32602 for an unknown prompt, an unknown argument or a missing one, naming what is valid.
pub(crate) fn get(request: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let Some(entry) = PROMPTS.iter().find(|entry| entry.name == request.name) else {
        let shown: String = request.name.chars().take(80).collect();
        let names = PROMPTS.map(|entry| entry.name);
        let message = format!("There is no prompt `{shown}`. Valid: {}.", names.join(", "));
        return Err(ErrorData::invalid_params(message, Some(json!({"valid_values": names}))));
    };
    let names: Vec<&str> = entry.arguments.iter().map(|(name, ..)| *name).collect();
    let unknown = request.arguments.iter().flatten().map(|(name, _)| name).find(|name| !names.contains(&name.as_str()));
    if let Some(unknown) = unknown {
        let shown: String = unknown.chars().take(80).collect();
        let message = format!("`{}` has no argument `{shown}`. Valid: {}.", entry.name, names.join(", "));
        return Err(ErrorData::invalid_params(message, Some(json!({"argument": shown, "valid_values": names}))));
    }
    let given = Given(request);
    for (name, text, required) in entry.arguments {
        if *required && given.get(name).is_none() {
            let message = format!("The argument `{name}` is required: {text}.");
            return Err(ErrorData::invalid_params(message, Some(json!({"argument": name}))));
        }
    }
    let text = (entry.write)(&given);
    let mut result =
        GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).with_description(entry.about);
    result.meta = Some(server_info_meta());
    Ok(result.into())
}

fn make(given: &Given<'_>) -> String {
    format!(
        "Make a picture of: {}\n\nFirst write a vivid prompt in English: subject, setting, light, composition, \
         medium. Then call generate_image with it{}. Show me the picture, its URL, and its seed.",
        given.required("subject"),
        given.choices(),
    )
}

fn improve(given: &Given<'_>) -> String {
    let wish = given.get("wish").unwrap_or("whatever would help it most");
    format!(
        "Improve the picture {}. What should become better: {wish}.\n\nIf you cannot see it, call describe_image \
         first. Then call edit_image, or generate_image with a better prompt, and upscale_image at the end if those \
         tools are there. Show me the result beside the original and say what you changed.",
        given.required("image"),
    )
}

fn like(given: &Given<'_>) -> String {
    let change = given.get("change").unwrap_or("nothing in particular");
    format!(
        "Make a picture like {}. What should be different: {change}.\n\nCall describe_image with description_type \
         \"optimized\" if that tool is there, else look at the picture yourself. Mend the words for what should be \
         different and call generate_image with them{}. Show me both pictures.",
        given.required("image"),
        given.choices(),
    )
}

fn series(given: &Given<'_>) -> String {
    let scenes = given.get("scenes").unwrap_or("4");
    format!(
        "Make a series of pictures of: {}\nScenes: {scenes}\n\nWrite down once what stays the same (who, clothes, \
         place, light, medium). Make each scene with generate_image{}: the same words first, then the scene, with \
         wait_s 0, so that all are made at the same time; then call get_job for each. Show them in order, with their \
         seeds.",
        given.required("subject"),
        given.choices(),
    )
}

fn enlarge(given: &Given<'_>) -> String {
    format!(
        "Make the picture {} large enough to print. Call upscale_image with it. Compare the result with the original; \
         if it lost its look, call upscale_image again with a lower denoise. Tell me the final size and its URL.",
        given.required("image"),
    )
}
