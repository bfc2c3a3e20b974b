//! Ollama's own dialect.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use ollama::{
    Capability, Client, Dialect, DoneReason, Error, ErrorKind, Format, KeepAlive, LlmConfig, Message, Think, WaitPhase,
};
use serde_json::{Value, json};

use crate::server::{Piece, Reply, Server, install_tls};

const STREAM: &str = concat!(
    r#"{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"","thinking":"Hm."},"done":false}"#,
    "\n",
    r#"{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"Un été "},"done":false}"#,
    "\n",
    r#"{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"ça 🦊"},"done":false}"#,
    "\n",
    r#"{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":""},"done":true,"#,
    r#""done_reason":"stop","total_duration":9,"load_duration":7000000,"prompt_eval_count":26,"eval_count":298}"#,
    "\n"
);
const FIRST_LINE: &str = "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"half\"},\"done\":false}\n";

fn request() -> ollama::ChatRequest {
    ollama::ChatRequest::new("m", vec![Message::system("be brief"), Message::user("hello")])
}

async fn kind_of(reply: Reply) -> ErrorKind {
    let server = Server::start([reply]).await;
    server.client(Dialect::Ollama).chat(&request()).await.unwrap_err().kind()
}

#[tokio::test]
async fn answer_is_the_same_however_the_network_cuts_it() {
    for bytes in [1, 7, 64, 10_000] {
        let server = Server::start([Reply::cut_every(STREAM, bytes)]).await;
        let answer = server.client(Dialect::Ollama).chat(&request()).await.unwrap();
        assert_eq!(answer.content, "Un été ça 🦊", "pieces of {bytes}");
        assert_eq!(answer.thinking.as_deref(), Some("Hm."));
        assert_eq!(answer.done_reason, DoneReason::Stop);
        assert_eq!((answer.prompt_tokens, answer.tokens), (Some(26), Some(298)));
    }
}

#[tokio::test]
async fn stream_gives_pieces_and_then_the_end() {
    let server = Server::start([Reply::ok(STREAM)]).await;
    let chunks: Vec<_> =
        server.client(Dialect::Ollama).chat_stream(&request()).map(|chunk| chunk.unwrap()).collect().await;
    assert_eq!(chunks.len(), 4);
    assert_eq!(chunks[1].content, "Un été ");
    let done = chunks[3].done.as_ref().unwrap();
    assert_eq!(done.load_ms, Some(7));
    assert!(chunks[..3].iter().all(|chunk| chunk.done.is_none()));
}

#[tokio::test]
async fn last_line_may_lack_its_line_end() {
    let server = Server::start([Reply::ok(STREAM.trim_end())]).await;
    assert_eq!(server.client(Dialect::Ollama).chat(&request()).await.unwrap().tokens, Some(298));
}

#[tokio::test]
async fn error_line_in_a_stream_of_status_200_is_an_error() {
    let body = format!("{FIRST_LINE}{{\"error\":\"an error was encountered while running the model\"}}\n");
    let server = Server::start([Reply::ok(&body), Reply::ok(&body)]).await;
    let client = server.client(Dialect::Ollama);

    let error = client.chat(&request()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(error.to_string(), "the LLM server failed: an error was encountered while running the model");

    let items: Vec<_> = client.chat_stream(&request()).collect().await;
    assert_eq!(items.len(), 2, "what came before the error is given out first");
    assert_eq!(items[0].as_ref().unwrap().content, "half");
    assert!(items[1].is_err());
}

#[tokio::test]
async fn broken_and_unfinished_streams_are_interrupted() {
    for reply in [Reply::ok(FIRST_LINE), Reply::ok(FIRST_LINE).then(Piece::Break), Reply::ok("")] {
        let server = Server::start([reply]).await;
        let error = server.client(Dialect::Ollama).chat(&request()).await.unwrap_err();
        assert!(matches!(error, Error::Interrupted(_)), "{error:?}");
    }
}

#[tokio::test]
async fn nonsense_is_malformed() {
    assert_eq!(kind_of(Reply::ok("<html>hello</html>\n")).await, ErrorKind::Malformed);
    assert_eq!(kind_of(Reply::ok("{\"surprise\":true}\n")).await, ErrorKind::Malformed);
    assert_eq!(kind_of(Reply::ok("{\"message\":{\"content\":\"cut off\n")).await, ErrorKind::Malformed);
}

#[tokio::test]
async fn stall_in_the_middle_hits_the_idle_limit() {
    let server = Server::start([Reply::ok(FIRST_LINE).then(Piece::Stall)]).await;
    let client = server.client_with(Dialect::Ollama, |config| config.timeouts.idle = Duration::from_millis(50));
    let error = client.chat(&request()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { phase: WaitPhase::NextChunk, limit_ms: 50 }), "{error:?}");
}

#[tokio::test]
async fn silence_from_the_start_hits_the_first_byte_limit() {
    let server = Server::start([Reply::silent(), Reply::silent()]).await;
    let client = server.client_with(Dialect::Ollama, |config| {
        config.timeouts.first_byte = Duration::from_millis(50);
        config.timeouts.lookup = Duration::from_millis(50);
    });
    let error = client.chat(&request()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { phase: WaitPhase::FirstByte, limit_ms: 50 }), "{error:?}");
    assert_eq!(client.version().await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn endless_answers_hit_the_total_limit() {
    let server = Server::start([Reply::ok(FIRST_LINE).then(Piece::Stall)]).await;
    let client = server.client_with(Dialect::Ollama, |config| config.timeouts.total = Duration::from_millis(80));
    let error = client.chat(&request()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { phase: WaitPhase::Finish, limit_ms: 80 }), "{error:?}");
}

#[tokio::test]
async fn dropping_the_future_closes_the_connection() {
    let mut server = Server::start([Reply::ok(FIRST_LINE).then(Piece::Stall)]).await;
    let client = server.client(Dialect::Ollama);
    let question = request();
    {
        let mut stream = std::pin::pin!(client.chat_stream(&question));
        assert_eq!(stream.next().await.unwrap().unwrap().content, "half");
        assert!(server.closed.try_recv().is_err(), "still generating");
    }
    tokio::time::timeout(Duration::from_secs(10), server.closed.recv()).await.expect("the server noticed").unwrap();
}

#[tokio::test]
async fn statuses_say_what_to_do_next() {
    assert_eq!(kind_of(Reply::new(404, r#"{"error":"model 'm' not found"}"#)).await, ErrorKind::ModelMissing);
    assert_eq!(kind_of(Reply::new(401, r#"{"error":"unauthorized"}"#)).await, ErrorKind::Unauthorized);
    let busy = r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#;
    assert_eq!(kind_of(Reply::new(503, busy)).await, ErrorKind::Busy { retry_after: None });
    assert_eq!(
        kind_of(Reply::new(503, busy).header("retry-after", "7")).await,
        ErrorKind::Busy { retry_after: Some(Duration::from_secs(7)) }
    );
    assert_eq!(kind_of(Reply::new(400, r#"{"error":"\"m\" does not support thinking"}"#)).await, ErrorKind::Rejected);
    assert_eq!(kind_of(Reply::new(500, r#"{"error":"llama runner has terminated"}"#)).await, ErrorKind::Transient);
    assert_eq!(kind_of(Reply::new(307, "").header("location", "http://elsewhere/")).await, ErrorKind::Rejected);
}

#[tokio::test]
async fn nobody_listening_is_transient() {
    install_tls();
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("http://user:secret@127.0.0.1:{port}").parse().unwrap();
    let client = Client::new(LlmConfig::new(url, Dialect::Ollama)).unwrap();
    let error = client.version().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(!format!("{client:?} {error:?} {error}").contains("secret"), "{client:?} {error:?}");
}

async fn sent(change: impl FnOnce(&mut ollama::ChatRequest)) -> Value {
    let server = Server::start([Reply::ok(STREAM)]).await;
    let mut request = request();
    change(&mut request);
    server.client(Dialect::Ollama).chat(&request).await.unwrap();
    let asked = server.asked().remove(0);
    assert_eq!(asked.path, "POST /api/chat");
    asked.body
}

#[tokio::test]
async fn only_what_was_asked_for_is_sent() {
    let messages = json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]);
    assert_eq!(sent(|_| {}).await, json!({"model": "m", "messages": messages, "stream": true}));
}

#[tokio::test]
async fn schema_options_and_thinking_are_sent() {
    let schema = json!({"type": "object", "properties": {"positive": {"type": "string"}}});
    let wire = sent(|request| {
        request.format = Some(Format::Schema(schema.clone()));
        request.think = Some(Think::Off);
        request.options.temperature = Some(0.7);
        request.options.seed = Some(u32::MAX);
        request.options.num_ctx = Some(8192);
        request.options.num_predict = Some(500);
    })
    .await;
    assert_eq!(wire["format"], schema);
    assert_eq!(wire["think"], json!(false));
    assert_eq!(
        wire["options"],
        json!({"temperature": 0.7, "seed": 4_294_967_295_u32, "num_ctx": 8192, "num_predict": 500})
    );
    assert_eq!(sent(|request| request.format = Some(Format::Json)).await["format"], json!("json"));
    assert_eq!(sent(|request| request.think = Some(Think::High)).await["think"], json!("high"));
}

#[tokio::test]
async fn images_are_sent_as_plain_base64() {
    let wire = sent(|request| {
        request.messages = vec![Message::user("what is it").with_images(vec![Bytes::from_static(b"\x89PNG\r\n")])];
    })
    .await;
    assert_eq!(wire["messages"][0]["images"], json!(["iVBORw0K"]));
}

#[tokio::test]
async fn keep_alive_takes_only_forms_the_server_accepts() {
    for (keep_alive, expected) in [
        (KeepAlive::Forever, json!(-1)),
        (KeepAlive::Unload, json!(0)),
        (KeepAlive::For(Duration::from_mins(5)), json!(300)),
        (KeepAlive::For(Duration::from_millis(1500)), json!("1500ms")),
    ] {
        assert_eq!(sent(|request| request.keep_alive = Some(keep_alive)).await["keep_alive"], expected);
    }
}

#[tokio::test]
async fn listings_are_read() {
    let tags = r#"{"models":[{"name":"llava:7b","model":"llava:7b","modified_at":"x","size":4700000000,"digest":"d",
        "details":{"parent_model":"","format":"gguf","family":"llama","families":["llama","clip"],"parameter_size":"7B","quantization_level":"Q4_0"},
        "capabilities":["completion","vision","telepathy"]},
        {"name":"cloud","remote_host":"https://ollama.com","details":{"family":"","families":null,"parameter_size":"","quantization_level":""}}]}"#;
    let ps = r#"{"models":[{"name":"llava:7b","size":10,"size_vram":4,"expires_at":"2026-01-01T00:00:00Z","context_length":4096}]}"#;
    let replies = [r#"{"version":"0.12.6"}"#, tags, ps, r#"{"models":null}"#].map(Reply::ok);
    let server = Server::start(replies).await;
    let client = server.client(Dialect::Ollama);

    assert_eq!(client.version().await.unwrap(), "0.12.6");
    let models = client.models().await.unwrap();
    assert_eq!(models[0].parameter_size.as_deref(), Some("7B"));
    assert_eq!(models[0].size_bytes, Some(4_700_000_000));
    let capabilities = models[0].capabilities.as_ref().unwrap();
    assert!(capabilities.contains(&Capability::Vision));
    assert!(capabilities.contains(&Capability::Other("telepathy".to_owned())));
    assert_eq!((models[1].remote, models[1].family.as_deref(), &models[1].capabilities), (true, None, &None));
    let loaded = client.ps().await.unwrap();
    assert_eq!((loaded[0].size_bytes, loaded[0].vram_bytes, loaded[0].context_length), (10, 4, Some(4096)));
    assert_eq!(client.ps().await.unwrap(), []);
}

#[tokio::test]
async fn capabilities_come_from_the_list_or_else_from_a_closer_look() {
    let new = r#"{"models":[{"name":"a:latest","capabilities":["completion"]}]}"#;
    let old = r#"{"models":[{"name":"a:latest"}]}"#;
    let show = r#"{"details":{"family":"llama","families":["llama"]},"model_info":{"llama.context_length":131072},"capabilities":["completion","thinking"]}"#;
    let ancient = r#"{"details":{"families":["llama","clip"]},"projector_info":{}}"#;
    let gone = Reply::new(404, r#"{"error":"model 'b' not found"}"#);
    let server = Server::start([new, old, show, old, ancient].map(Reply::ok).into_iter().chain([
        Reply::ok(old),
        gone,
        Reply::ok(show),
    ]))
    .await;
    let client = server.client(Dialect::Ollama);

    assert_eq!(client.capabilities("a").await.unwrap(), BTreeSet::from([Capability::Completion]));
    assert!(client.capabilities("a").await.unwrap().contains(&Capability::Thinking));
    assert!(client.capabilities("a").await.unwrap().contains(&Capability::Vision));
    assert_eq!(client.capabilities("b").await.unwrap_err().kind(), ErrorKind::ModelMissing);
    assert_eq!(client.show("a").await.unwrap().context_length, Some(131_072));
}

#[tokio::test]
async fn unload_sends_keep_alive_zero() {
    let done = r#"{"model":"m","created_at":"x","response":"","done":true,"done_reason":"unload"}"#;
    let server = Server::start([Reply::ok(done), Reply::new(404, r#"{"error":"model 'm' not found"}"#)]).await;
    let client = server.client(Dialect::Ollama);
    client.unload("m").await.unwrap();
    assert_eq!(server.asked()[0].path, "POST /api/generate");
    assert_eq!(server.asked()[0].body, json!({"model": "m", "keep_alive": 0, "stream": false}));
    assert_eq!(client.unload("m").await.unwrap_err().kind(), ErrorKind::ModelMissing);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let line = format!("{{\"message\":{{\"content\":\"{}\"}},\"done\":false}}\n", "x".repeat(1 << 20));
    let server = Server::start([Reply::ok(&line.repeat(5)).then(Piece::Stall)]).await;
    let error = server.client(Dialect::Ollama).chat(&request()).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
}
