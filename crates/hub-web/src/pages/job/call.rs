//! The call that makes a job again, as it is copied.

use hub_core::job::Job;
use serde::Serialize;
use serde_json::json;

use crate::pages::{
    connect::snippets::{curl_header, json_body, word},
    playground,
};

#[derive(Debug, Serialize)]
pub(super) struct ShownCall {
    /// Parameters of MCP's `tools/call`.
    mcp: String,
    curl: String,
}

impl ShownCall {
    /// `key` is what stands for the key, `None` on a hub that asks for none.
    pub(super) fn of(job: &Job, base_url: &str, key: Option<&str>) -> Self {
        let call = json!({ "name": job.request.tool(), "arguments": playground::arguments_of(job) });
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call });
        let url = word(&format!("{base_url}/mcp"));
        Self {
            mcp: serde_json::to_string_pretty(&call).unwrap_or_default(),
            curl: format!("curl -s {url}{}{}", curl_header(key), json_body(&request)),
        }
    }
}
