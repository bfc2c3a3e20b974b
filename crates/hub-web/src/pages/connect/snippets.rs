//! What clients are given: for each the file, command or program in its own words, with the hub's address in it and,
//! where the hub asks for one, the key.
//!
//! Address and key are put in by the rules of the language around them, so that no sign in them can end a string.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{language::Said, said};

/// Something to copy.
#[derive(Debug, Serialize)]
pub(super) struct Snippet {
    id: &'static str,
    title: Said,
    about: Said,
    /// What the key must allow beyond a client's usual rights.
    needs: Option<Said>,
    text: String,
}

impl Snippet {
    fn new(id: &'static str, title: Said, about: Said, text: String) -> Self {
        Self { id, title, about, needs: None, text }
    }
}

/// Whom to ask, and with which key.
struct Target<'a> {
    base: &'a str,
    mcp: String,
    key: Option<&'a str>,
}

/// All of them; `key` is what stands for the key, `None` on a hub that asks for none.
pub(super) fn all(base: &str, key: Option<&str>) -> Vec<Snippet> {
    let target = Target { base, mcp: format!("{base}/mcp"), key };
    let mut all = target.of_agents();
    all.extend(target.of_editors());
    all.extend(target.of_programs());
    all.extend(target.of_admins());
    all
}

impl Target<'_> {
    /// An MCP server in a client's configuration file.
    fn server(&self, kind: Option<&str>) -> Value {
        let mut server = json!({ "url": self.mcp });
        if let Some(kind) = kind {
            server["type"] = kind.into();
        }
        if let Some(bearer) = self.bearer() {
            server["headers"] = json!({ "Authorization": bearer });
        }
        server
    }

    fn bearer(&self) -> Option<String> {
        self.key.map(bearer)
    }

    fn of_agents(&self) -> Vec<Snippet> {
        let claude = |header: String| format!("claude mcp add --transport http genimage {}{header}", word(&self.mcp));
        let header = self.bearer().map(|bearer| format!(" --header {}", word(&format!("Authorization: {bearer}"))));
        let mut bridge = json!({ "command": "genimage", "args": ["mcp", "--hub", self.base] });
        if let Some(key) = self.key {
            bridge["env"] = json!({ "GENIMAGE_API_KEY": key });
        }
        let (auth, key) = self.key.map_or(("None", String::new()), |key| ("Bearer", format!("\nKey: {key}")));
        vec![
            Snippet::new(
                "claude-code",
                said!("Claude Code"),
                said!("Adds the hub to Claude Code; then ask it for a picture."),
                claude(header.unwrap_or_default()),
            ),
            Snippet::new(
                "claude-desktop",
                said!("Claude Desktop"),
                said!(
                    "For claude_desktop_config.json (Settings, Developer, Edit config). It starts programs and speaks stdio with them: the hub's own binary bridges, and other clients of that kind take the same."
                ),
                pretty(&json!({ "mcpServers": { "genimage": bridge } })),
            ),
            Snippet::new(
                "open-webui",
                said!("Open WebUI"),
                said!("Admin panel, Settings, External tools, add a connection with these values."),
                format!("Type: MCP (Streamable HTTP)\nURL: {}\nAuth: {auth}{key}", self.mcp),
            ),
            Snippet::new(
                "mcp-json",
                said!("Any MCP client"),
                said!("For the configuration file of clients that speak Streamable HTTP."),
                pretty(&json!({ "mcpServers": { "genimage": self.server(Some("http")) } })),
            ),
        ]
    }

    fn of_editors(&self) -> Vec<Snippet> {
        let mut named = self.server(Some("http"));
        named["name"] = "genimage".into();
        vec![
            Snippet::new(
                "vscode",
                said!("VS Code"),
                said!(
                    "For the file .vscode/mcp.json of a workspace, or “MCP: Open User Configuration” for all of them."
                ),
                pretty(&json!({ "servers": { "genimage": self.server(Some("http")) } })),
            ),
            Snippet::new(
                "vscode-command",
                said!("VS Code, by a command"),
                said!("Adds the hub to your own configuration."),
                format!("code --add-mcp {}", word(&named.to_string())),
            ),
            Snippet::new(
                "cursor",
                said!("Cursor"),
                said!("For the file ~/.cursor/mcp.json, or .cursor/mcp.json of one project."),
                pretty(&json!({ "mcpServers": { "genimage": self.server(None) } })),
            ),
        ]
    }

    fn of_programs(&self) -> Vec<Snippet> {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "generate_image", "arguments": { "prompt": "a red fox in the snow" } } });
        let job = json!({ "tool": "generate_image", "arguments": { "prompt": "a red fox in the snow" } });
        let header = curl_header(self.key);
        vec![
            Snippet::new("python", said!("Python"), said!("Standard library only."), self.python()),
            Snippet::new(
                "typescript",
                said!("TypeScript"),
                said!("With the official SDK: npm install @modelcontextprotocol/sdk@1"),
                self.typescript(),
            ),
            Snippet::new(
                "curl",
                said!("curl, one call"),
                said!("Plain JSON-RPC: one request in, one result out."),
                format!("curl -s {}{header}{}", word(&self.mcp), json_body(&call)),
            ),
            Snippet::new(
                "api",
                said!("curl, JSON API"),
                said!("Submit a job, then follow it to its end."),
                format!(
                    "curl -s {}{header}{}\n\n# with the id from the answer:\ncurl -N {}{header}",
                    word(&format!("{}/api/v1/jobs", self.base)),
                    json_body(&job),
                    word(&format!("{}/api/v1/jobs/JOB_ID/events", self.base)),
                ),
            ),
        ]
    }

    fn python(&self) -> String {
        let mut headers = json!({ "Content-Type": "application/json" });
        if let Some(bearer) = self.bearer() {
            headers["Authorization"] = bearer.into();
        }
        // What JSON writes for texts, Python and TypeScript read as the same texts.
        include_str!("snippets/python.txt")
            .replace("{hub}", &json!(format!("{}/api/v1", self.base)).to_string())
            .replace("{headers}", &headers.to_string())
            .trim_end()
            .to_owned()
    }

    fn typescript(&self) -> String {
        let options = self
            .bearer()
            .map(|bearer| format!(", {{\n  requestInit: {{ headers: {{ Authorization: {} }} }},\n}}", json!(bearer)));
        include_str!("snippets/typescript.txt")
            .replace("{url}", &json!(self.mcp).to_string())
            .replace("{options}", &options.unwrap_or_default())
            .trim_end()
            .to_owned()
    }

    fn of_admins(&self) -> Vec<Snippet> {
        let header = curl_header(self.key);
        let post = |path: &str, body: &Value| {
            format!("curl -s {}{header}{}", word(&format!("{}{path}", self.base)), json_body(body))
        };
        let workflow = format!(
            "jq -n --slurpfile graph workflow_api.json '{{name: \"mine\", graph: $graph[0]}}' \\\n  | curl -s {}{header} \\\n  -H 'Content-Type: application/json' -d @-\n\n{}",
            word(&format!("{}/api/v1/workflows", self.base)),
            post("/api/v1/render-types", &json!({ "name": "mine", "workflow": "mine", "mode": "generate" })),
        );
        let role = word(&format!("{}/api/v1/llm-roles/enhance", self.base));
        let llm = format!(
            "{}\n\ncurl -s -X PUT {role}{header}{}",
            post("/api/v1/llm-servers", &json!({ "name": "ollama", "base_url": "http://127.0.0.1:11434" })),
            json_body(&json!({ "server": "ollama" })),
        );
        let needs = self.key.map(|_| said!("It changes the hub: the key needs the scope admin."));
        let by_admins = |snippet: Snippet| Snippet { needs, ..snippet };
        vec![
            by_admins(Snippet::new(
                "workflow",
                said!("Import a workflow, name it"),
                said!("Export it from ComfyUI with “Export (API)”; the answer lists the slots that were found."),
                workflow,
            )),
            by_admins(Snippet::new(
                "llm",
                said!("Connect an LLM server"),
                said!("Ollama here; `dialect` may be `openai`. Then give it a role."),
                llm,
            )),
        ]
    }
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

/// The header for curl, on a line of its own; nothing where no key is asked for.
pub(in crate::pages) fn curl_header(key: Option<&str>) -> String {
    key.map(|key| format!(" \\\n  -H {}", word(&format!("Authorization: {}", bearer(key))))).unwrap_or_default()
}

/// The body of a request by curl, on lines of their own.
pub(in crate::pages) fn json_body(body: &Value) -> String {
    format!(" \\\n  -H 'Content-Type: application/json' \\\n  -d {}", word(&body.to_string()))
}

fn pretty(value: &Value) -> String {
    // A value made of texts has no way to fail.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// One word of a POSIX shell: nothing in it means anything to the shell.
pub(in crate::pages) fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_the_shell_stays_one_word() {
        assert_eq!(word("http://[::1]:8001/mcp"), "'http://[::1]:8001/mcp'");
        assert_eq!(word("http://hub.test:8001/mcp"), "http://hub.test:8001/mcp");
        assert_eq!(word("it's $HOME"), r"'it'\''s $HOME'");
    }
}
