//! What people may call things: as long as a name may be and without a break, the widest letter over and over, or words
//! from right to left among pictures. Pages show them all, and are no wider for it.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{jobs_live::gets_to, window::Window};
use crate::hub::client;

/// What such names are made of.
const SIGNS: [&str; 2] = ["W", "שלום🦊مرحبا👩\u{200d}👩\u{200d}👧"];
const NAME_CHARS: usize = hub_core::limits::NAME_MAX_CHARS;
const PROMPT_CHARS: usize = 200;
const GRAPH: &str = include_str!("../../../../../workflows/smoke.json");

fn as_long(signs: &str, chars: usize) -> String {
    signs.chars().cycle().take(chars).collect()
}

/// Makes one by the API; answers its id.
async fn make(window: &Window, noun: &str, body: &Value) -> anyhow::Result<String> {
    let sent = client().post(format!("{}/api/v1/{noun}", window.hub())).json(body).send().await?;
    let (status, answer) = (sent.status(), sent.json::<Value>().await?);
    let id = answer["id"].as_str().filter(|_| status.is_success());
    Ok(id.with_context(|| format!("{noun}: {answer}"))?.to_owned())
}

/// Gives the hub one of everything under such names; answers the pages that show it.
pub(crate) async fn fill(window: &Window) -> anyhow::Result<Vec<String>> {
    let graph: Value = serde_json::from_str(GRAPH)?;
    let mut pages = Vec::new();
    for (number, signs) in SIGNS.into_iter().enumerate() {
        let (name, prompt) = (as_long(signs, NAME_CHARS), as_long(signs, PROMPT_CHARS));
        // Nobody listens there: the pages say that, too.
        let address = format!("http://127.0.0.1:9/{number}{}", as_long("w", PROMPT_CHARS));
        let server = json!({ "name": name, "base_url": address, "group": name });
        let server = make(window, "servers", &server).await?;
        let workflow = json!({ "name": name, "graph": graph, "description": prompt });
        let workflow = make(window, "workflows", &workflow).await?;
        let render_type = json!({ "name": name, "title": name, "workflow": name, "mode": "generate",
            "description": prompt, "prompt_examples": [prompt] });
        let render_type = make(window, "render-types", &render_type).await?;
        let style = json!({ "name": name, "category": name, "description": prompt, "prompt_template": prompt,
            "negative_template": prompt, "render_types": [name], "preferred_render_type": name });
        let style = make(window, "styles", &style).await?;
        let asked = json!({ "prompt": prompt, "negative_prompt": prompt, "render_type": name, "styles": [name] });
        let waits = json!({ "tool": "generate_image", "arguments": asked, "server": name });
        let waits = make(window, "jobs", &waits).await?;
        let done = make(window, "jobs", &json!({ "tool": "generate_image", "arguments": asked })).await?;
        gets_to(window, &done, "succeeded").await?;
        pages.extend([
            format!("/servers/{server}"),
            format!("/servers/{server}/settings"),
            format!("/workflows/{workflow}"),
            format!("/render-types/{render_type}"),
            format!("/styles/{style}"),
            format!("/jobs/{waits}"),
            format!("/jobs/{done}"),
        ]);
    }
    Ok(pages)
}
