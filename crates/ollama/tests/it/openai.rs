//! The OpenAI-compatible dialect.

use std::collections::BTreeSet;

use bytes::Bytes;
use ollama::{Capability, ChatRequest, Dialect, DoneReason, Error, ErrorKind, Format, KeepAlive, Message, Think};
use serde_json::json;

use crate::server::{Piece, Reply, Server};

const STREAM: &str = concat!(
    ": keep-alive\n\n",
    r#"data: {"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"choices":[{"index":0,"delta":{"reasoning_content":"Hm."},"finish_reason":null}]}"#,
    "\r\n\r\n",
    r#"data: {"choices":[{"index":0,"delta":{"content":"Un été 🦊"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#,
    "\n\n",
    r#"data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}"#,
    "\n\n",
    "data: [DONE]\n\n",
);

fn request() -> ChatRequest {
    ChatRequest::new("m", vec![Message::user("hello")])
}

#[tokio::test]
async fn event_stream_is_read_however_the_network_cuts_it() {
    for bytes in [1, 13, 10_000] {
        // The stall proves that `[DONE]` ends the answer, not the end of the connection.
        let reply = Reply::cut_every(STREAM, bytes).header("content-type", "text/event-stream").then(Piece::Stall);
        let server = Server::start([reply]).await;
        let answer = server.client(Dialect::OpenAi).chat(&request()).await.unwrap();
        assert_eq!(answer.content, "Un été 🦊", "pieces of {bytes}");
        assert_eq!(answer.thinking.as_deref(), Some("Hm."));
        assert_eq!(answer.done_reason, DoneReason::Length);
        assert_eq!((answer.prompt_tokens, answer.tokens), (Some(5), Some(7)));
        assert_eq!(server.asked()[0].path, "POST /v1/chat/completions");
    }
}

#[tokio::test]
async fn stream_may_end_without_done_but_not_without_a_reason() {
    let finished = STREAM.strip_suffix("data: [DONE]\n\n").unwrap();
    let unfinished = finished.split_once("data: {\"choices\":[{\"index\":0,\"delta\":{},").unwrap().0;
    let server = Server::start([Reply::ok(finished), Reply::ok(unfinished)]).await;
    let client = server.client(Dialect::OpenAi);
    assert_eq!(client.chat(&request()).await.unwrap().tokens, Some(7));
    assert!(matches!(client.chat(&request()).await, Err(Error::Interrupted(_))));
}

#[tokio::test]
async fn server_that_does_not_stream_is_understood() {
    let body = r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let json = |body: &str| Reply::ok(body).header("content-type", "application/json");
    let server = Server::start([json(body), json("{}"), json(r#"{"error":{"message":"no"}}"#)]).await;
    let client = server.client(Dialect::OpenAi);
    let answer = client.chat(&request()).await.unwrap();
    assert_eq!((answer.content.as_str(), answer.done_reason, answer.tokens), ("hi", DoneReason::Stop, Some(2)));
    assert_eq!(client.chat(&request()).await.unwrap_err().kind(), ErrorKind::Malformed);
    assert_eq!(client.chat(&request()).await.unwrap_err().kind(), ErrorKind::Transient);
}

#[tokio::test]
async fn error_event_in_the_middle_is_an_error() {
    let begun = STREAM.split_once("data: {\"choices\":[{\"index\":0,\"delta\":{},").unwrap().0;
    let body = format!("{begun}data: {{\"error\":{{\"message\":\"out of memory\",\"type\":\"server_error\"}}}}\n\n");
    let server = Server::start([Reply::ok(&body)]).await;
    let error = server.client(Dialect::OpenAi).chat(&request()).await.unwrap_err();
    assert_eq!(error.to_string(), "the LLM server failed: out of memory");
}

#[tokio::test]
async fn request_is_written_in_the_dialects_words() {
    let server = Server::start([Reply::ok(STREAM)]).await;
    let client = server.client_with(Dialect::OpenAi, |config| {
        config.api_key = Some("sk-secret".to_owned().into());
    });
    assert!(!format!("{client:?}").contains("sk-secret"));
    let schema = json!({"type": "object"});
    let mut request = request();
    request.messages = vec![
        Message::system("see"),
        Message::user("what")
            .with_images(vec![Bytes::from_static(b"\x89PNG\r\n"), Bytes::from_static(b"\xff\xd8\xff\xe0")]),
    ];
    request.format = Some(Format::Schema(schema.clone()));
    request.think = Some(Think::Off);
    request.keep_alive = Some(KeepAlive::Unload);
    request.options.num_ctx = Some(4096);
    request.options.num_predict = Some(300);
    request.options.temperature = Some(0.5);
    client.chat(&request).await.unwrap();

    let asked = server.asked().remove(0);
    assert_eq!(asked.authorization.as_deref(), Some("Bearer sk-secret"));
    assert_eq!(
        asked.body,
        json!({
            "model": "m",
            "messages": [
                {"role": "system", "content": "see"},
                {"role": "user", "content": [
                    {"type": "text", "text": "what"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K"}},
                    {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/4A=="}},
                ]},
            ],
            "stream": true,
            "stream_options": {"include_usage": true},
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}},
            "temperature": 0.5,
            "max_tokens": 300,
            "reasoning_effort": "none",
        })
    );
}

#[tokio::test]
async fn picture_of_unknown_kind_is_refused_before_sending() {
    let server = Server::start([]).await;
    let mut request = request();
    request.messages[0].images = vec![Bytes::from_static(b"BM bitmap")];
    let error = server.client(Dialect::OpenAi).chat(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn errors_in_openai_shape_are_sorted() {
    let body =
        r#"{"error":{"message":"The model `m` does not exist.","type":"NotFoundError","param":null,"code":404}}"#;
    let denied = r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#;
    let loading = r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#;
    let server = Server::start([Reply::new(404, body), Reply::new(401, denied), Reply::new(503, loading)]).await;
    let client = server.client(Dialect::OpenAi);
    for expected in [ErrorKind::ModelMissing, ErrorKind::Unauthorized, ErrorKind::Busy { retry_after: None }] {
        assert_eq!(client.chat(&request()).await.unwrap_err().kind(), expected);
    }
}

#[tokio::test]
async fn models_tell_what_they_can_where_the_server_says() {
    let plain = r#"{"object":"list","data":[{"id":"m","object":"model","created":1,"owned_by":"x"}]}"#;
    let llama_cpp =
        r#"{"models":[{"name":"m","capabilities":["completion","multimodal"]}],"object":"list","data":[{"id":"m"}]}"#;
    let open_router = r#"{"data":[{"id":"m","architecture":{"input_modalities":["text","image"]}}]}"#;
    let replies = [plain, llama_cpp, open_router, plain].map(Reply::ok);
    let named = Reply::ok(plain).header("server", "llama.cpp");
    let server = Server::start(replies.into_iter().chain([named, Reply::ok("<html>")])).await;
    let client = server.client(Dialect::OpenAi);

    assert_eq!(client.capabilities("m").await.unwrap(), BTreeSet::new());
    let seeing = BTreeSet::from([Capability::Completion, Capability::Vision]);
    assert_eq!(client.capabilities("m").await.unwrap(), seeing);
    assert_eq!(client.capabilities("m").await.unwrap(), seeing);
    assert_eq!(client.capabilities("other").await.unwrap_err().kind(), ErrorKind::ModelMissing);
    assert_eq!(client.version().await.unwrap(), "llama.cpp");
    assert_eq!(client.version().await.unwrap_err().kind(), ErrorKind::Malformed);
    assert_eq!(server.asked()[0].path, "GET /v1/models");
}

#[tokio::test]
async fn calls_the_dialect_lacks_are_refused_without_sending() {
    let server = Server::start([]).await;
    let client = server.client(Dialect::OpenAi);
    assert!(matches!(client.ps().await, Err(Error::Unsupported(_))));
    assert!(matches!(client.show("m").await, Err(Error::Unsupported(_))));
    assert!(matches!(client.unload("m").await, Err(Error::Unsupported(_))));
    assert!(server.asked().is_empty());
}
