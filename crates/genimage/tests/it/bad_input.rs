//! Broken requests at every edge: refused in words that say what to change, before any GPU work, and
//! the hub goes on.

use serde_json::{Value, json};

use crate::bed::Bed;

/// An answer to a raw body: status, type, JSON.
async fn send(bed: &Bed, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> (u16, String, Value) {
    let mut request = bed.edge.http.post(format!("{}{path}", bed.edge.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body).build().unwrap();
    // A hub that refuses a body by its length closes the connection while the client still writes, and some clients
    // then lose the answer (RFC 9112, section 9.6): such a one asks again, as this test does.
    let mut answer = None;
    for _ in 0..10 {
        let sent = bed.edge.http.execute(request.try_clone().unwrap()).await;
        match sent {
            Err(error) if error.is_request() => {}
            sent => {
                answer = Some(sent.unwrap());
                break;
            }
        }
    }
    let answer = answer.unwrap();
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
    (answer.status().as_u16(), kind, answer.json().await.unwrap())
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const MCP: [(&str, &str); 3] = [
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
    ("mcp-protocol-version", "2025-11-25"),
];

#[tokio::test(flavor = "multi_thread")]
async fn malformed_json_is_told_with_its_place_at_every_edge() {
    let bed = Bed::start().await;
    for body in ["{nope", "", "\u{0}\u{7}", "\"", "nul"] {
        for headers in [&JSON[..], &MCP[..]] {
            let (status, kind, answer) = send(&bed, "/mcp", headers, body).await;
            assert_eq!((status, kind.as_str()), (400, "application/json"), "{body:?}: {answer}");
            assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32700), &Value::Null), "{body:?}");
            assert!(answer["error"]["message"].as_str().unwrap().contains("line 1"), "{answer}");
        }
        let (status, _, answer) = send(&bed, "/legacy/mcp", &JSON, body).await;
        assert_eq!((status, &answer["error"]["code"]), (200, &json!(-32700)), "{body:?}: {answer}");
        for path in ["/api/v1/jobs", "/api/v1/servers", "/api/v1/workflows", "/api/v1/styles"] {
            let (status, kind, answer) = send(&bed, path, &JSON, body).await;
            assert_eq!((status, kind.as_str()), (400, "application/problem+json"), "{path} {body:?}: {answer}");
            assert!(answer["detail"].as_str().unwrap().contains("line 1"), "{path}: {answer}");
        }
    }
    assert_eq!(bed.posted(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_types_name_their_argument() {
    let bed = Bed::start().await;
    for (tool, argument, wrong) in [
        ("generate_image", "prompt", json!(7)),
        ("generate_image", "prompt", json!({ "text": "a fox" })),
        ("generate_image", "negative_prompt", json!(["ugly"])),
        ("generate_image", "styles", json!("film")),
        ("generate_image", "styles", json!([7])),
        ("generate_image", "render_type", json!(1)),
        ("generate_image", "aspect_ratio", json!(1.5)),
        ("generate_image", "width", json!("512")),
        ("generate_image", "seed", json!("42x")),
        ("generate_image", "seed", json!(true)),
        ("generate_image", "enhance", json!("yes")),
        ("generate_image", "wait_s", json!([])),
        ("generate_image", "inline", json!(0)),
        ("upscale_image", "image", json!(["img"])),
        ("upscale_image", "denoise", json!("half")),
        ("get_job", "job_id", json!(7)),
    ] {
        let mut arguments = match tool {
            "get_job" => json!({}),
            "upscale_image" => json!({ "image": "img_00000000000000000000000000000001", "render_type": "UP" }),
            _ => json!({ "prompt": "a fox", "render_type": "GEN" }),
        };
        if argument == "width" {
            arguments["height"] = json!(512);
        }
        arguments[argument] = wrong;
        let error = bed.fails(tool, &arguments).await;
        assert_eq!((&error["code"], &error["argument"]), (&json!("bad_argument"), &json!(argument)), "{arguments}");
    }
    // `arguments` and `params` themselves.
    let call = |arguments: Value| json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "generate_image", "arguments": arguments } });
    for body in [
        call(json!("a fox")),
        call(json!(["a fox"])),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": [] }),
    ] {
        let (_, answer) = bed.edge.post("/mcp", &body).await;
        assert_eq!(answer["error"]["code"], -32602, "{body}: {answer}");
    }
    assert_eq!(bed.posted(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_tool_style_render_type_or_size_lists_what_is_valid() {
    let bed = Bed::start().await;
    bed.style("film", "cinematic", "", &json!({})).await;
    let (_, answer) = bed
        .edge
        .post("/mcp", &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "draw" } }))
        .await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert!(answer["error"]["data"]["valid_values"].as_array().unwrap().contains(&json!("generate_image")));
    let (status, answer) = bed.edge.post("/api/v1/jobs", &json!({ "tool": "draw", "arguments": {} })).await;
    assert_eq!((status, &answer["code"]), (422, &json!("unknown_tool")));
    assert!(answer["valid_values"].as_array().unwrap().contains(&json!("generate_image")), "{answer}");

    for (argument, value, code, valid) in [
        ("styles", json!(["flim"]), "unknown_style", "film"),
        ("render_type", json!("gen"), "unknown_render_type", "GEN"),
        ("aspect_ratio", json!("7:3"), "bad_argument", "16:9"),
        ("inline", json!("some"), "bad_argument", "preview"),
    ] {
        let mut arguments = json!({ "prompt": "a fox", "render_type": "GEN" });
        arguments[argument] = value;
        let error = bed.fails("generate_image", &arguments).await;
        assert_eq!((&error["code"], &error["argument"]), (&json!(code), &json!(argument)), "{error}");
        assert!(error["valid_values"].as_array().unwrap().contains(&json!(valid)), "{error}");
        if argument != "inline" {
            let (status, problem) =
                bed.edge.post("/api/v1/jobs", &json!({ "tool": "generate_image", "arguments": arguments })).await;
            assert_eq!((status, &problem["code"]), (422, &json!(code)), "{problem}");
            assert_eq!(problem["valid_values"], error["valid_values"]);
        }
    }
    for (width, height, argument, said) in
        [(15, 512, "width", "16"), (512, 100_000, "height", "8192"), (4096, 4096, "width", "2048")]
    {
        let arguments = json!({ "prompt": "a fox", "render_type": "sdxl", "width": width, "height": height });
        let error = bed.fails("generate_image", &arguments).await;
        assert_eq!((&error["code"], &error["argument"]), (&json!("bad_argument"), &json!(argument)), "{error}");
        assert!(error["message"].as_str().unwrap().contains(said), "{error}");
    }
    assert_eq!(bed.posted(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_out_of_range_is_refused_with_the_range() {
    let bed = Bed::start().await;
    for seed in ["-1", "18446744073709551616", "1.5", "1e30", "-9223372036854775809", "\"seven\""] {
        let arguments = format!(r#"{{"prompt":"a fox","render_type":"GEN","seed":{seed}}}"#);
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"generate_image","arguments":{arguments}}}}}"#
        );
        let (_, _, answer) = send(&bed, "/mcp", &JSON, call).await;
        let error = &answer["result"]["_meta"]["io.genimage/error"];
        assert_eq!((&error["code"], &error["argument"]), (&json!("bad_argument"), &json!("seed")), "{seed}: {answer}");
        assert!(error["message"].as_str().unwrap().contains("18446744073709551615"), "{seed}: {error}");
        let submit = format!(r#"{{"tool":"generate_image","arguments":{arguments}}}"#);
        let (status, _, problem) = send(&bed, "/api/v1/jobs", &JSON, submit).await;
        assert_eq!((status, &problem["argument"]), (422, &json!("seed")), "{seed}: {problem}");
    }
    assert_eq!(bed.posted(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_of_ten_megabytes_is_refused_without_being_quoted() {
    let bed = Bed::start().await;
    let huge = "a fox ".repeat(10 * 1024 * 1024 / 6);
    let arguments = json!({ "prompt": huge, "render_type": "GEN" });
    let error = bed.fails("generate_image", &arguments).await;
    assert_eq!((&error["code"], &error["argument"]), (&json!("bad_argument"), &json!("prompt")));
    assert!(error["message"].as_str().unwrap().contains("20000") && error.to_string().len() < 500, "{error}");
    let (status, problem) =
        bed.edge.post("/api/v1/jobs", &json!({ "tool": "generate_image", "arguments": arguments })).await;
    assert_eq!((status, &problem["argument"]), (422, &json!("prompt")));
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "generate_image", "arguments": arguments } });
    let (_, answer) = bed.edge.post("/legacy/mcp", &call).await;
    assert_eq!(answer["error"]["code"], -32602);

    // Past the limit on bodies it is not even read.
    let beyond = vec![b' '; 49 * 1024 * 1024];
    for (path, headers) in [("/mcp", &JSON[..]), ("/mcp", &MCP[..]), ("/api/v1/jobs", &JSON[..])] {
        let (status, _, answer) = send(&bed, path, headers, beyond.clone()).await;
        assert!([400, 413].contains(&status), "{path}: {status} {answer}");
        assert!(answer.to_string().contains("50331648"), "{path} names the limit: {answer}");
    }
    assert_eq!(bed.posted(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_with_control_characters_is_refused_by_their_name_and_line_breaks_are_kept() {
    let bed = Bed::start().await;
    for (text, name) in
        [("a\u{0}fox", "U+0000"), ("a \u{1b}[31mfox", "U+001B"), ("a fox\u{7f}", "U+007F"), ("\u{9b}a fox", "U+009B")]
    {
        for argument in ["prompt", "negative_prompt"] {
            let mut arguments = json!({ "prompt": "a fox", "render_type": "GEN" });
            arguments[argument] = json!(text);
            let error = bed.fails("generate_image", &arguments).await;
            assert_eq!((&error["code"], &error["argument"]), (&json!("bad_argument"), &json!(argument)), "{error}");
            assert!(error["message"].as_str().unwrap().contains(name), "{error}");
        }
    }
    assert_eq!(bed.posted(), 0);
    let prompt = "a fox,\n\tin “snow” 🦊 – \u{202e}狐狸";
    bed.succeeds("generate_image", &json!({ "prompt": prompt, "render_type": "GEN", "styles": [] })).await;
    assert_eq!(bed.ran()["2"]["inputs"]["text"], prompt);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_workflow_is_refused_saying_what_is_wrong_with_it() {
    let bed = Bed::start().await;
    let node = json!({ "1": { "class_type": "SaveImage", "inputs": { "images": ["99", 0] } } });
    for (graph, said) in [
        (json!("{\"1\": {\"class_type\""), "not valid JSON"),
        (json!([1, 2]), "workflow"),
        (json!({}), "workflow"),
        (json!({ "1": "KSampler" }), "class_type"),
        (json!({ "1": { "inputs": {} } }), "class_type"),
        (json!({ "nodes": [], "links": [], "version": 0.4 }), "no node that would run"),
    ] {
        let (status, problem) = bed.edge.post("/api/v1/workflows", &json!({ "name": "bad", "graph": graph })).await;
        assert_eq!((status, &problem["code"]), (422, &json!("workflow_invalid")), "{graph}: {problem}");
        assert_eq!(problem["argument"], "graph", "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(said), "{graph}: {problem}");
    }
    // A graph that can be read but not run is taken with its problems, and no render type can be made of
    // one that makes nothing.
    let (status, imported) = bed.edge.post("/api/v1/workflows", &json!({ "name": "loose", "graph": node })).await;
    assert_eq!(status, 201, "{imported}");
    assert!(imported["problems"].to_string().contains("99"), "{imported}");
    let nothing = json!({ "1": { "class_type": "PrimitiveInt", "inputs": { "value": 1 } } });
    bed.created("workflows", &json!({ "name": "nothing", "graph": nothing })).await;
    let body = json!({ "name": "nothing", "workflow": "nothing", "mode": "generate" });
    let (status, problem) = bed.edge.post("/api/v1/render-types", &body).await;
    assert_eq!((status, &problem["code"]), (422, &json!("workflow_invalid")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("an output"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_workflow_is_named_with_those_there_are() {
    let bed = Bed::start().await;
    let body = json!({ "name": "lost", "workflow": "txt2img-sdxll", "mode": "generate" });
    let (status, problem) = bed.edge.post("/api/v1/render-types", &body).await;
    assert_eq!((status, &problem["argument"]), (422, &json!("workflow")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("txt2img-sdxll"), "{problem}");
    assert!(problem["hint"].as_str().unwrap().contains("`txt2img-sdxl`"), "{problem}");
    assert!(problem["valid_values"].as_array().unwrap().contains(&json!("smoke")), "{problem}");
    let pinned = json!({ "name": "lost", "workflow": "smoke", "workflow_version": 9, "mode": "generate" });
    let (status, problem) = bed.edge.post("/api/v1/render-types", &pinned).await;
    assert_eq!(status, 422);
    assert!(problem["detail"].as_str().unwrap().contains("version 9"), "{problem}");
}
