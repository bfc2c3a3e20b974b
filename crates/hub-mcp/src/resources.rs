//! Pictures, recipes, jobs and the catalogue as MCP resources: listed, read, followed.

mod address;
mod listing;
mod read;
mod updates;

use rmcp::model::{CacheScope, ListResourceTemplatesResult, ResourceTemplate};

pub(crate) use address::{Address, VIEW_URI};
pub(crate) use listing::list;
pub(crate) use read::{exists, not_found, read};
pub(crate) use updates::{NewPictures, Update, Updates};

use crate::{handler::FIXED_TTL_MS, listing::server_info_meta};

/// MIME type of what is no picture.
const JSON_MIME: &str = "application/json";

/// `resources/templates/list`.
pub(crate) fn templates() -> ListResourceTemplatesResult {
    let template = |noun: &str, argument: &str, title: &str, text: &str| {
        ResourceTemplate::new(format!("genimage://{noun}/{{{argument}}}"), noun)
            .with_title(title)
            .with_description(text)
    };
    let json = |template: ResourceTemplate| template.with_mime_type(JSON_MIME);
    let templates = vec![
        template("images", "id", "A stored picture", "A picture by its id (img_…), as tool results name it."),
        template(
            "previews",
            "id",
            "A small version",
            "A JPEG of at most 384 px a side of a stored picture, by its id.",
        )
        .with_mime_type("image/jpeg"),
        json(template("jobs", "id", "A job", "State, result or error of a job, by its id (job_…).")),
        json(template("recipes", "id", "A recipe", "What a job was asked and how it was resolved, by its id (job_…).")),
        json(template("styles", "name", "A style", "A style by its name.")),
        json(template("render-types", "name", "A render type", "A render type by its name.")),
    ];
    let mut result = ListResourceTemplatesResult::with_all_items(templates)
        .with_ttl_ms(FIXED_TTL_MS)
        .with_cache_scope(CacheScope::Public);
    result.meta = Some(server_info_meta());
    result
}
