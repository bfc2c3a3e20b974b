//! MCP before 2026-07-28: sessions that begin with `initialize`.

use axum::{body::Body, http::Request};
use hub_core::job::JobStateKind;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::harness::{Answer, HOST, TestHub, read, record};

const HEADERS: [(&str, &str); 2] =
    [("accept", "application/json, text/event-stream"), ("content-type", "application/json")];

/// One client's session.
pub(crate) struct Session<'a> {
    pub(crate) hub: &'a TestHub,
    pub(crate) id: String,
}

impl<'a> Session<'a> {
    pub(crate) async fn begin(hub: &'a TestHub, version: &str) -> Self {
        Self::begin_with(hub, version, json!({})).await
    }

    /// A session of a client that declares these capabilities.
    pub(crate) async fn begin_with(hub: &'a TestHub, version: &str, capabilities: Value) -> Self {
        let about = json!({"name": "t", "version": "1"});
        let params = json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": about});
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let answer = hub.post("/mcp", &HEADERS, body.to_string()).await;
        let result = answer.response()["result"].take();
        assert_eq!(result["protocolVersion"], version);
        assert_eq!(result["serverInfo"]["name"], "genimage-hub");
        let id = answer.headers["mcp-session-id"].to_str().unwrap().to_owned();
        let session = Self { hub, id };
        session.notify("notifications/initialized", json!({})).await;
        session
    }

    async fn send(&self, body: Value) -> Answer {
        let mut headers = HEADERS.to_vec();
        headers.push(("mcp-session-id", &self.id));
        self.hub.post("/mcp", &headers, body.to_string()).await
    }

    /// What the server says of itself, from now on, as text.
    pub(crate) async fn hear(&self) -> Body {
        let request = Request::get("/mcp").header("host", HOST).header("mcp-session-id", &self.id);
        let request = request.header("accept", "text/event-stream").body(Body::empty()).unwrap();
        let response = self.hub.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        response.into_body()
    }

    pub(crate) async fn notify(&self, method: &str, params: Value) {
        let answer = self.send(json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
        assert_eq!(answer.status.as_u16(), 202);
    }

    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        self.send(json!({"jsonrpc": "2.0", "id": 5, "method": method, "params": params})).await.response()
    }
}

fn quick() -> Value {
    let arguments = json!({"prompt": "a fox", "render_type": "sd15", "seed": 7, "styles": [], "enhance": false});
    json!({"name": "generate_image", "arguments": arguments})
}

#[tokio::test]
async fn each_older_revision_is_served() {
    let hub = TestHub::start(0).await;
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let session = Session::begin(&hub, version).await;
        let tools = session.ask("tools/list", json!({})).await["result"].take();
        assert!(!tools["tools"].as_array().unwrap().is_empty());
        assert!(tools.get("resultType").is_none(), "{version}");
        let result = session.ask("tools/call", quick()).await["result"].take();
        assert_eq!(record(&result)["status"], "succeeded", "{version}: {result}");
        assert_eq!(session.ask("ping", json!({})).await["result"], json!({}));
    }
}

#[tokio::test]
async fn a_session_of_before_a_restart_goes_on() {
    let hub = TestHub::start(0).await;
    let session = Session { hub: &hub, id: "0b6f9c9e-from-before".to_owned() };
    let tools = session.ask("tools/list", json!({})).await;
    assert!(tools["result"]["tools"].is_array(), "{tools}");
}

#[tokio::test]
async fn a_cancelled_notification_cancels_its_job() {
    let hub = TestHub::start(60_000).await;
    let session = Session::begin(&hub, "2025-11-25").await;
    let call = session.send(json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": quick()}));
    let cancel = async {
        let job = hub.newest_job().await;
        session.notify("notifications/cancelled", json!({"requestId": 5, "reason": "enough"})).await;
        hub.becomes(job, JobStateKind::Cancelled).await;
    };
    let (answer, ()) = tokio::join!(call, cancel);
    assert!(answer.messages().is_empty(), "a cancelled request is not answered: {}", answer.text);
}

#[tokio::test]
async fn a_dropped_connection_cancels_nothing() {
    let hub = TestHub::start(1_200).await;
    let session = Session::begin(&hub, "2025-11-25").await;
    let job = tokio::select! {
        _ = session.ask("tools/call", quick()) => panic!("nothing can be answered yet"),
        job = hub.newest_job() => job,
    };
    hub.becomes(job, JobStateKind::Succeeded).await;
}

#[tokio::test]
async fn a_missing_resource_has_the_older_code() {
    let hub = TestHub::start(0).await;
    let session = Session::begin(&hub, "2025-11-25").await;
    let answer = session.ask("resources/read", json!({"uri": "genimage://images/x"})).await;
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["data"]["uri"]),
        (&json!(-32002), &json!("genimage://images/x"))
    );
}

#[tokio::test]
async fn a_session_that_is_ended_is_answered_with_204() {
    let hub = TestHub::start(0).await;
    let session = Session::begin(&hub, "2025-11-25").await;
    let request = Request::delete("/mcp").header("host", HOST).header("mcp-session-id", &session.id);
    let request = request.header("mcp-protocol-version", "2025-11-25").body(Body::empty()).unwrap();
    let answer = read(hub.router.clone().oneshot(request).await.unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
}

#[tokio::test]
async fn broken_bodies_with_mcps_headers_are_json_rpc_errors_too() {
    let hub = TestHub::start(0).await;
    let session = Session::begin(&hub, "2025-11-25").await;
    let current = ("mcp-protocol-version", "2026-07-28");
    for (body, code, id, said) in [
        ("{not json", -32700, Value::Null, "line 1 column 2"),
        ("", -32700, Value::Null, "EOF"),
        ("\u{0}\u{1}", -32700, Value::Null, "line 1"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} and more"#, -32700, Value::Null, "line 1"),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600, Value::Null, "Batches"),
        ("[]", -32600, Value::Null, "Batches"),
        ("7", -32600, Value::Null, "message"),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600, json!(1), "method"),
        (r#"{"jsonrpc":"2.0","id":"a","method":7}"#, -32600, json!("a"), "method"),
    ] {
        for own in [("mcp-session-id", session.id.as_str()), current] {
            let mut headers = HEADERS.to_vec();
            headers.push(own);
            let answer = hub.post("/mcp", &headers, body).await;
            assert_eq!(answer.status.as_u16(), 400, "{body} {own:?}: {}", answer.text);
            assert_eq!(answer.headers["content-type"], "application/json");
            let error = answer.json();
            assert_eq!((&error["error"]["code"], &error["id"]), (&json!(code), &id), "{body}: {error}");
            assert!(error["error"]["message"].as_str().unwrap().contains(said), "{body}: {error}");
        }
    }
    let tools = session.ask("tools/list", json!({})).await;
    assert!(tools["result"]["tools"].is_array(), "the session goes on: {tools}");
}
