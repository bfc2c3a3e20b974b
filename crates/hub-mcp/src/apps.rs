//! MCP Apps: the page that clients with the extension show beside a result, and its link from tools.
//!
//! One self-contained file for results and gallery alike. It asks for nothing from the network: pixels
//! come through `resources/read`, by way of the client.

use rmcp::model::{ClientCapabilities, ExtensionCapabilities, MetaObject, ResourceContents, Tool};
use serde_json::{Map, Value, json};

use crate::resources::VIEW_URI;

/// Key of the extension among capabilities.
const EXTENSION: &str = "io.modelcontextprotocol/ui";
/// What the extension calls such a page.
const MIME: &str = "text/html;profile=mcp-app";
/// Tools that answer pictures.
const WITH_PICTURES: [&str; 5] = ["generate_image", "upscale_image", "edit_image", "detail_image", "get_job"];
/// The page itself.
const PAGE: &str = include_str!("../assets/view.html");

/// What the hub declares.
pub(crate) fn capability() -> ExtensionCapabilities {
    let mut settings = Map::new();
    settings.insert("mimeTypes".to_owned(), json!([MIME]));
    let mut extensions = ExtensionCapabilities::new();
    extensions.insert(EXTENSION.to_owned(), settings);
    extensions
}

/// Whether the client shows such pages.
pub(crate) fn shown_by(declared: &ClientCapabilities) -> bool {
    let settings = declared.extensions.as_ref().and_then(|all| all.get(EXTENSION));
    settings.is_some_and(|settings| match settings.get("mimeTypes").and_then(Value::as_array) {
        Some(types) => types.iter().any(|mime| mime == MIME),
        None => true,
    })
}

/// Links the page from a tool whose results it shows.
pub(crate) fn link(tool: &mut Tool) {
    if WITH_PICTURES.contains(&tool.name.as_ref()) {
        let link = json!({"resourceUri": VIEW_URI, "visibility": ["model", "app"]});
        tool.meta.get_or_insert_default().insert("ui".to_owned(), link);
    }
}

/// The page as a resource. Without `csp` the client lets it reach no network, which is all it needs.
pub(crate) fn view() -> ResourceContents {
    let mut meta = MetaObject::new();
    meta.insert("ui".to_owned(), json!({"prefersBorder": true}));
    ResourceContents::text(PAGE, VIEW_URI).with_mime_type(MIME).with_meta(meta)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_reaches_for_nothing_outside_itself() {
        for reach in
            ["http://", "https://", "src=\"/", "href=\"/", "@import", "url(", "fetch(", "XMLHttpRequest", "eval("]
        {
            let outside = PAGE.replace("http://www.w3.org/2000/svg", "");
            assert!(!outside.contains(reach), "{reach}");
        }
        assert!(PAGE.len() < 64 * 1024, "{}", PAGE.len());
    }

    #[test]
    fn only_clients_with_the_extension_and_its_type_show_it() {
        let declared = |value: Value| -> ClientCapabilities { serde_json::from_value(value).expect("capabilities") };
        assert!(!shown_by(&declared(json!({}))));
        assert!(shown_by(&declared(json!({"extensions": {EXTENSION: {"mimeTypes": [MIME]}}}))));
        assert!(!shown_by(&declared(json!({"extensions": {EXTENSION: {"mimeTypes": ["text/html"]}}}))));
    }
}
