//! The Ollama double from outside, over a plain socket, so that no client's tolerance hides a wrong byte.

mod calls;

use hub_sim::ollama::{OllamaConfig, OllamaFault, SimModel};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpStream};

use self::calls::{TEST_LIMIT, ask, get, open, picture, post, send, sim, start, with};

#[tokio::test]
async fn greets_and_lists_like_the_real_server() {
    let sim = sim().await;
    assert_eq!(get(&sim, "/").await.body, "Ollama is running");
    let head = send(&sim, "HEAD", "/", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(get(&sim, "/api/version").await.json(), json!({"version": "0.12.6"}));
    let tags = get(&sim, "/api/tags").await;
    assert!(tags.head.contains("content-type: application/json; charset=utf-8"), "{}", tags.head);
    let vision = &tags.json()["models"][1];
    assert_eq!(vision["name"], "sim-vision:latest");
    assert_eq!(vision["capabilities"], json!(["completion", "vision"]));
    assert_eq!(vision["details"]["families"], json!(["llama", "clip"]));
    assert_eq!(vision["digest"].as_str().unwrap().len(), 64);
    let show = post(&sim, "/api/show", json!({"model": "sim-thinker"})).await.json();
    assert_eq!(show["model_info"]["llama.context_length"], 131_072);
    assert_eq!(show["capabilities"], json!(["completion", "tools", "thinking"]));
    let models = get(&sim, "/v1/models").await.json();
    assert_eq!(models["data"][0]["id"], "sim-llama:latest");
    assert_eq!(get(&sim, "/v1/models/sim-llama").await.json()["object"], "model");
    let missing = get(&sim, "/api/nothing").await;
    assert_eq!((missing.status, missing.body.as_str()), (404, "404 page not found"));
    assert_eq!(get(&sim, "/api/chat").await.status, 405);
}

#[tokio::test]
async fn chat_streams_lines_unless_told_otherwise() {
    let sim = sim().await;
    let mut body = ask("sim-llama", "a (red:1.2) fox");
    body.as_object_mut().unwrap().remove("stream");
    let streamed = post(&sim, "/api/chat", body).await;
    assert!(streamed.head.contains("application/x-ndjson"), "{}", streamed.head);
    let lines = streamed.lines();
    let (last, chunks) = lines.split_last().unwrap();
    assert!(chunks.iter().all(|chunk| chunk["done"] == false && chunk["model"] == "sim-llama"));
    assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("stop")));
    for field in ["total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_duration"] {
        assert!(last[field].is_u64(), "{field} in {last}");
    }
    assert_eq!(last["eval_count"], chunks.len());
    let said: String = chunks.iter().map(|chunk| chunk["message"]["content"].as_str().unwrap()).collect();
    assert!(said.starts_with("a (red:1.2) fox, "), "{said}");

    let whole = post(&sim, "/api/chat", ask("sim-llama", "a (red:1.2) fox")).await.json();
    assert_eq!(whole["message"]["content"], said.as_str(), "the same question gets the same answer");
    assert_eq!(whole["done"], true);
}

#[tokio::test]
async fn format_gives_an_instance_of_the_schema() {
    let sim = sim().await;
    let schema = json!({"type": "object", "properties": {
        "positive": {"type": "string"}, "style": {"enum": ["oil", "ink"]}, "ideas": {"type": "array", "items": {"type": "string"}, "minItems": 2},
    }, "required": ["positive", "style", "ideas"]});
    let body = with(ask("sim-llama", "a fox"), "format", schema);
    let content = post(&sim, "/api/chat", body).await.json()["message"]["content"].as_str().unwrap().to_owned();
    let instance: Value = serde_json::from_str(&content).unwrap();
    assert!(instance["positive"].as_str().unwrap().starts_with("a fox, "));
    assert_eq!(instance["style"], "oil");
    assert_eq!(instance["ideas"].as_array().unwrap().len(), 2);
    let plain = post(&sim, "/api/chat", with(ask("sim-llama", "a fox"), "format", json!("json"))).await.json();
    assert!(serde_json::from_str::<Value>(plain["message"]["content"].as_str().unwrap()).unwrap().is_object());
    let refused = post(&sim, "/api/chat", with(ask("sim-llama", "a fox"), "format", json!("yaml"))).await;
    assert_eq!(refused.status, 500);
}

#[tokio::test]
async fn images_are_described_by_size_and_colour_where_the_model_sees() {
    let sim = sim().await;
    let body = |model: &str, image: &str| json!({"model": model, "stream": false, "messages": [{"role": "user", "content": "what is it", "images": [image]}]});
    let seen = post(&sim, "/api/chat", body("sim-vision", &picture())).await.json();
    let said = seen["message"]["content"].as_str().unwrap();
    assert!(said.contains("3 × 2 pixels") && said.contains("#dc141e") && said.contains("red"), "{said}");
    let blind = post(&sim, "/api/chat", body("sim-llama", &picture())).await.json();
    assert!(blind["message"]["content"].as_str().unwrap().starts_with("what is it"), "pictures are ignored silently");
    let refused = post(&sim, "/api/chat", body("sim-vision", &format!("data:image/png;base64,{}", picture()))).await;
    assert_eq!((refused.status, refused.json()), (400, json!({"error": "illegal base64 data at input byte 4"})));
}

#[tokio::test]
async fn refusals_have_the_real_words() {
    let sim = start(OllamaConfig {
        models: vec![SimModel::new("plain:latest", &["completion"]), SimModel::new("embed:latest", &["embedding"])],
        ..OllamaConfig::default()
    })
    .await;
    let cases = [
        (ask("nope", "x"), 404, "model 'nope' not found"),
        (ask("", "x"), 400, "model is required"),
        (with(ask("plain", "x"), "think", json!(true)), 400, "\"plain\" does not support thinking"),
        (with(ask("plain", "x"), "keep_alive", json!("-1")), 400, "time: missing unit in duration \"-1\""),
        (with(ask("plain", "x"), "keep_alive", json!("soon")), 400, "time: invalid duration \"soon\""),
        (ask("embed", "x"), 400, "\"embed\" does not support chat"),
        (
            with(ask("plain", "x"), "tools", json!([{}])),
            400,
            "registry.ollama.ai/library/plain:latest does not support tools",
        ),
    ];
    for (body, status, error) in cases {
        let answer = post(&sim, "/api/chat", body).await;
        assert_eq!((answer.status, answer.json()), (status, json!({ "error": error })));
    }
    assert_eq!(send(&sim, "POST", "/api/chat", "").await.json(), json!({"error": "missing request body"}));
    assert_eq!(post(&sim, "/api/chat", with(ask("plain", "x"), "think", json!(false))).await.status, 200);
    assert_eq!(post(&sim, "/api/show", json!({"model": "nope"})).await.status, 404);
}

#[tokio::test]
async fn thinking_models_think_unless_told_not_to() {
    let sim = sim().await;
    let thought = post(&sim, "/api/chat", ask("sim-thinker", "a fox")).await.json();
    assert!(thought["message"]["thinking"].as_str().unwrap().contains("a fox"));
    let silent = post(&sim, "/api/chat", with(ask("sim-thinker", "a fox"), "think", json!(false))).await.json();
    assert_eq!(silent["message"].get("thinking"), None);
    assert_eq!(silent["message"]["content"], thought["message"]["content"]);
}

#[tokio::test]
async fn models_are_loaded_kept_and_unloaded() {
    let sim = start(OllamaConfig { max_loaded: 2, ..OllamaConfig::default() }).await;
    let generate = |model: &str, keep_alive: Value| json!({"model": model, "keep_alive": keep_alive});
    let loaded = post(&sim, "/api/generate", generate("sim-llama", json!(-1))).await.json();
    assert_eq!((&loaded["done_reason"], &loaded["response"]), (&json!("load"), &json!("")));
    let empty_chat = json!({"model": "sim-vision", "messages": []});
    assert_eq!(post(&sim, "/api/chat", empty_chat).await.json()["done_reason"], "load");
    assert_eq!(sim.loaded(), ["sim-llama:latest", "sim-vision:latest"], "longest-lived first");
    let ps = get(&sim, "/api/ps").await.json();
    assert_eq!(ps["models"][1]["context_length"], 4096);
    assert_eq!(ps["models"][1]["size"], ps["models"][1]["size_vram"]);

    post(&sim, "/api/chat", with(ask("sim-thinker", "x"), "options", json!({"num_ctx": 8192}))).await;
    assert_eq!(sim.loaded(), ["sim-llama:latest", "sim-thinker:latest"], "the first to expire made room");
    let unloaded = post(&sim, "/api/generate", generate("sim-llama", json!(0))).await.json();
    assert_eq!(unloaded["done_reason"], "unload");
    post(&sim, "/api/chat", with(ask("sim-thinker", "x"), "keep_alive", json!("0s"))).await;
    assert_eq!(sim.loaded(), Vec::<String>::new());
    assert_eq!(sim.cancelled(), 0);
}

#[tokio::test]
async fn generate_answers_prompts() {
    let sim = sim().await;
    let body = json!({"model": "sim-llama", "prompt": "a fox", "system": "enhance", "options": {"num_predict": 3}});
    let lines = post(&sim, "/api/generate", body).await.lines();
    let said: String = lines.iter().map(|line| line["response"].as_str().unwrap()).collect();
    assert_eq!(said.split_whitespace().count(), 3);
    let last = lines.last().unwrap();
    assert_eq!(last["done_reason"], "length");
    assert!(last["context"].is_array());
}

#[tokio::test]
async fn openai_dialect_streams_events_and_answers_whole() {
    let sim = sim().await;
    let ask = json!({"model": "sim-llama", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "a fox"}]});
    let answer = post(&sim, "/v1/chat/completions", ask.clone()).await;
    assert!(answer.head.contains("text/event-stream"), "{}", answer.head);
    let events = answer.events();
    let (done, events) = events.split_last().unwrap();
    assert_eq!(*done, "[DONE]");
    let events: Vec<Value> = events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let (usage, events) = events.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert!(usage["usage"]["completion_tokens"].as_u64().unwrap() > 2);
    assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "stop");
    let said: String = events.iter().map(|event| event["choices"][0]["delta"]["content"].as_str().unwrap()).collect();

    let whole = post(&sim, "/v1/chat/completions", with(ask, "stream", json!(false))).await.json();
    assert_eq!(whole["choices"][0]["message"]["content"], said.as_str());
    assert_eq!(whole["object"], "chat.completion");
}

#[tokio::test]
async fn openai_dialect_sees_data_urls_and_refuses_in_its_own_shape() {
    let sim = sim().await;
    let ask = |model: &str, url: &str| {
        json!({"model": model, "messages": [{"role": "user", "content": [
            {"type": "text", "text": "what"}, {"type": "image_url", "image_url": {"url": url}}]}]})
    };
    let seen =
        post(&sim, "/v1/chat/completions", ask("sim-vision", &format!("data:image/png;base64,{}", picture()))).await;
    assert!(seen.json()["choices"][0]["message"]["content"].as_str().unwrap().contains("3 × 2"));
    let refused = post(&sim, "/v1/chat/completions", ask("sim-vision", "https://example.com/x.png")).await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    let missing = post(&sim, "/v1/chat/completions", ask("nope", "data:;base64,AAAA")).await;
    assert_eq!(
        (missing.status, missing.json()),
        (
            404,
            json!({"error": {"message": "model 'nope' not found", "type": "not_found_error", "param": null, "code": null}})
        )
    );
}

#[tokio::test]
async fn scripted_faults_hit_the_next_requests_in_order() {
    let sim = sim().await;
    let stream = with(ask("sim-llama", "a fox"), "stream", json!(true));
    sim.inject(OllamaFault::Busy, 2);
    sim.inject(OllamaFault::Status { status: 500, error: "llama runner has terminated".to_owned() }, 1);
    sim.inject(OllamaFault::MidStreamError { error: "out of memory".to_owned() }, 2);
    sim.inject(OllamaFault::Malformed, 1);
    sim.inject(OllamaFault::Fenced, 1);
    sim.inject(OllamaFault::ThinkTags { text: "hm".to_owned() }, 1);
    sim.inject(OllamaFault::CutShort, 1);
    for _ in 0..2 {
        let busy = post(&sim, "/api/chat", stream.clone()).await;
        assert_eq!(busy.status, 503);
        assert_eq!(busy.json()["error"], "server busy, please try again.  maximum pending requests exceeded");
    }
    assert_eq!(post(&sim, "/api/chat", stream.clone()).await.status, 500);
    let broken = post(&sim, "/api/chat", stream.clone()).await;
    assert_eq!(broken.status, 200);
    assert_eq!(broken.lines().last().unwrap(), &json!({"error": "out of memory"}));
    assert_eq!(post(&sim, "/api/chat", ask("sim-llama", "a fox")).await.status, 500, "unstreamed, it has a status");
    let malformed = post(&sim, "/api/chat", stream.clone()).await.body;
    assert!(serde_json::from_str::<Value>(malformed.lines().last().unwrap()).is_err());
    let content =
        async || post(&sim, "/api/chat", ask("sim-llama", "a fox")).await.json()["message"]["content"].clone();
    assert!(content().await.as_str().unwrap().contains("```json\na fox, "));
    assert!(content().await.as_str().unwrap().starts_with("<think>hm</think>"));
    let cut = post(&sim, "/api/chat", ask("sim-llama", "a fox")).await.json();
    assert_eq!(cut["done_reason"], "length");
    assert_eq!(post(&sim, "/api/chat", ask("sim-llama", "a fox")).await.json()["done_reason"], "stop");
}

#[tokio::test]
async fn paths_can_be_made_to_fail() {
    let sim = sim().await;
    sim.fail_path("/api/tags", 502, "bad gateway", 1);
    assert_eq!(get(&sim, "/api/tags").await.status, 502);
    assert_eq!(get(&sim, "/api/tags").await.status, 200);
}

#[tokio::test]
async fn client_that_leaves_a_stalled_answer_frees_its_place() {
    let sim = sim().await;
    sim.inject(OllamaFault::Stall, 1);
    let mut socket =
        open(&sim, "POST", "/api/chat", &with(ask("sim-llama", "a fox"), "stream", json!(true)).to_string()).await;
    let mut byte = [0];
    socket.read_exact(&mut byte).await.unwrap();
    assert_eq!(sim.cancelled(), 0);
    drop(socket);
    // The only place is free again, or this would hang.
    assert_eq!(post(&sim, "/api/chat", ask("sim-llama", "a fox")).await.status, 200);
    assert_eq!(sim.cancelled(), 1);
}

#[tokio::test]
async fn full_queue_is_busy() {
    let sim = start(OllamaConfig { max_queue: 0, ..OllamaConfig::default() }).await;
    sim.inject(OllamaFault::Stall, 1);
    let mut socket = open(&sim, "POST", "/api/chat", &ask("sim-llama", "a fox").to_string()).await;
    let mut byte = [0];
    socket.read_exact(&mut byte).await.unwrap();
    assert_eq!(post(&sim, "/api/chat", ask("sim-llama", "a fox")).await.status, 503);
}

#[tokio::test]
async fn replies_are_scripted_and_requests_recorded() {
    let config =
        OllamaConfig { replies: vec![("FOX".to_owned(), "exactly this".to_owned())], ..OllamaConfig::default() };
    let sim = start(config).await;
    let said = post(&sim, "/api/chat", ask("sim-llama", "a fox")).await.json();
    assert_eq!(said["message"]["content"], "exactly this");
    sim.reply_to("a fox", "or that");
    assert_eq!(post(&sim, "/api/chat", ask("sim-llama", "a fox")).await.json()["message"]["content"], "or that");
    let requests = sim.requests();
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/api/chat"));
    assert_eq!(requests[0].body, ask("sim-llama", "a fox"));
}

#[tokio::test]
async fn key_is_demanded_where_set() {
    let sim = start(OllamaConfig { api_key: Some("k".to_owned()), ..OllamaConfig::default() }).await;
    assert_eq!(get(&sim, "/").await.status, 200);
    assert_eq!(get(&sim, "/api/tags").await.json(), json!({"error": "unauthorized"}));
    assert_eq!(get(&sim, "/v1/models").await.json()["error"]["message"], "unauthorized");
}

#[tokio::test]
async fn stop_ends_stalled_answers_and_closes_the_port() {
    let sim = sim().await;
    let addr = sim.addr();
    sim.inject(OllamaFault::Stall, 1);
    let mut socket =
        open(&sim, "POST", "/api/chat", &with(ask("sim-llama", "a fox"), "stream", json!(true)).to_string()).await;
    let mut bytes = vec![0];
    socket.read_exact(&mut bytes).await.unwrap();
    sim.stop().await;
    assert!(TcpStream::connect(addr).await.is_err());
    // Ends either way: with the bytes sent so far or with a reset.
    let ended = tokio::time::timeout(TEST_LIMIT, socket.read_to_end(&mut bytes)).await;
    assert!(ended.is_ok(), "the stalled answer was cut");
}

#[test]
fn configuration_reads_from_toml() {
    let config = OllamaConfig::from_toml(
        r#"
        delay_ms = 5
        replies = [["fox", "a fox"]]
        [[models]]
        name = "m:1b"
        capabilities = ["completion"]
        [[faults]]
        kind = "mid_stream_error"
        error = "x"
        times = 2
        [[faults]]
        kind = "busy"
        "#,
    )
    .unwrap();
    assert_eq!(config.models, [SimModel::new("m:1b", &["completion"])]);
    assert_eq!(config.replies, [("fox".to_owned(), "a fox".to_owned())]);
    assert_eq!((&config.faults[1].fault, config.faults[0].times, config.faults[1].times), (&OllamaFault::Busy, 2, 1));
    assert!(OllamaConfig::from_toml("colour = 1").is_err());
}
