//! Snippets that connect a client to this hub, with the address under which this browser reaches it.

use axum::{extract::State, http::HeaderMap, response::Html};
use serde::Serialize;

use super::{Frame, html};
use crate::{error::WebError, language::Said, links, render::Page, router::App, said};

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct ConnectPage {
    frame: Frame,
    base_url: String,
    mcp_url: String,
    snippets: Vec<Snippet>,
}

#[derive(Debug, Serialize)]
struct Snippet {
    id: &'static str,
    title: Said,
    about: Said,
    text: String,
}

pub(crate) async fn show(State(app): State<App>, headers: HeaderMap) -> Result<Html<String>, WebError> {
    html(&app, &page(links::base_url(&app, &headers)))
}

fn page(base_url: String) -> ConnectPage {
    let fill = |text: &str| text.replace("{base}", &base_url);
    let snippets = vec![
        Snippet {
            id: "claude-code",
            title: said!("Claude Code"),
            about: said!("Adds the hub to Claude Code; then ask it for a picture."),
            text: fill("claude mcp add --transport http genimage {base}/mcp"),
        },
        Snippet {
            id: "mcp-json",
            title: said!("Any MCP client"),
            about: said!("For the configuration file of clients that speak Streamable HTTP."),
            text: fill(
                "{\n  \"mcpServers\": {\n    \"genimage\": {\n      \"type\": \"http\",\n      \"url\": \"{base}/mcp\"\n    }\n  }\n}",
            ),
        },
        Snippet {
            id: "mcp-stdio",
            title: said!("MCP client that starts programs"),
            about: said!("For clients that only speak stdio: the same binary bridges to this hub."),
            text: fill(
                "{\n  \"mcpServers\": {\n    \"genimage\": {\n      \"command\": \"genimage\",\n      \"args\": [\"mcp\", \"--hub\", \"{base}\"]\n    }\n  }\n}",
            ),
        },
        Snippet {
            id: "curl",
            title: said!("curl, one call"),
            about: said!("Plain JSON-RPC: one request in, one result out."),
            text: fill(
                "curl -s {base}/mcp \\\n  -H 'Content-Type: application/json' \\\n  -d '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"generate_image\",\"arguments\":{\"prompt\":\"a red fox in the snow\"}}}'",
            ),
        },
        Snippet {
            id: "api",
            title: said!("curl, JSON API"),
            about: said!("Submit a job, then follow it to its end."),
            text: fill(
                "curl -s {base}/api/v1/jobs \\\n  -H 'Content-Type: application/json' \\\n  -d '{\"tool\":\"generate_image\",\"arguments\":{\"prompt\":\"a red fox in the snow\"}}'\n\n# with the id from the answer:\ncurl -N {base}/api/v1/jobs/JOB_ID/events",
            ),
        },
        Snippet {
            id: "python",
            title: said!("Python"),
            about: said!("Standard library only."),
            text: fill(
                "import json, time, urllib.request\n\nHUB = \"{base}/api/v1\"\n\ndef call(path, body=None):\n    data = json.dumps(body).encode() if body else None\n    request = urllib.request.Request(HUB + path, data, {\"Content-Type\": \"application/json\"})\n    return json.load(urllib.request.urlopen(request))\n\njob = call(\"/jobs\", {\"tool\": \"generate_image\", \"arguments\": {\"prompt\": \"a red fox in the snow\"}})\nwhile job[\"state\"] not in (\"succeeded\", \"failed\", \"cancelled\", \"expired\"):\n    time.sleep(0.5)\n    job = call(\"/jobs/\" + job[\"id\"])\n\nif job[\"state\"] == \"succeeded\":\n    urllib.request.urlretrieve(job[\"images\"][0][\"url\"], \"fox.png\")\nelse:\n    print(job[\"error\"][\"message\"])",
            ),
        },
        Snippet {
            id: "workflow",
            title: said!("Import a workflow, name it"),
            about: said!("Export it from ComfyUI with “Export (API)”; the answer lists the slots that were found."),
            text: fill(
                "jq -n --slurpfile graph workflow_api.json '{name: \"mine\", graph: $graph[0]}' \\\n  | curl -s {base}/api/v1/workflows -H 'Content-Type: application/json' -d @-\n\ncurl -s {base}/api/v1/render-types \\\n  -H 'Content-Type: application/json' \\\n  -d '{\"name\":\"mine\",\"workflow\":\"mine\",\"mode\":\"generate\"}'",
            ),
        },
        Snippet {
            id: "llm",
            title: said!("Connect an LLM server"),
            about: said!("Ollama here; `dialect` may be `openai`. Then give it a role."),
            text: fill(
                "curl -s {base}/api/v1/llm-servers \\\n  -H 'Content-Type: application/json' \\\n  -d '{\"name\":\"ollama\",\"base_url\":\"http://127.0.0.1:11434\"}'\n\ncurl -s -X PUT {base}/api/v1/llm-roles/enhance \\\n  -H 'Content-Type: application/json' \\\n  -d '{\"server\":\"ollama\"}'",
            ),
        },
    ];
    ConnectPage {
        frame: Frame::new("connect", said!("Connect")),
        mcp_url: format!("{base_url}/mcp"),
        base_url,
        snippets,
    }
}

impl Page for ConnectPage {
    const TEMPLATE: &'static str = "pages/connect.html";

    #[cfg(test)]
    fn sample() -> Self {
        page("http://hub.test:8001".to_owned())
    }
}
