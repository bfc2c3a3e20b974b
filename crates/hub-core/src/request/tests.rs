use serde_json::json;

use super::*;

fn parse(tool: &str, arguments: &Value) -> Result<ToolCall, UserError> {
    ToolCall::parse(tool, arguments.as_object().expect("an object"))
}

fn image(tool: &str, arguments: &Value) -> ImageRequest {
    match parse(tool, arguments).expect("valid").request {
        JobRequest::Image(request) => request,
        other => panic!("not an image: {other:?}"),
    }
}

#[test]
fn null_means_omitted() {
    let all_null = json!({
        "prompt": "a fox", "style_names": null, "seed": null, "aspect_ratio": null, "enhance": null,
        "width": null, "height": null, "render_type": null, "negative_prompt": null, "wait_s": null,
    });
    assert_eq!(image("generate_image", &all_null), ImageRequest::generate("a fox"));
}

#[test]
fn an_empty_list_of_styles_means_none_and_repeats_count_once() {
    assert_eq!(image("generate_image", &json!({"prompt": "x", "styles": []})).styles, StyleChoice::Named(vec![]));
    assert_eq!(
        image("generate_image", &json!({"prompt": "x", "styles": ["a", "a", "b"]})).styles,
        StyleChoice::Named(vec!["a".into(), "b".into()])
    );
}

#[test]
fn every_seed_of_64_bits_is_kept_and_others_are_refused() {
    for seed in [0, 1, u64::MAX] {
        assert_eq!(image("generate_image", &json!({"prompt": "x", "seed": seed})).seed, Some(seed));
    }
    let too_large: Value = serde_json::from_str(r#"{"prompt":"x","seed":1180591620717411303424}"#).expect("JSON");
    for bad in [json!({"prompt": "x", "seed": -5}), too_large, json!({"prompt": "x", "seed": 1.5})] {
        let error = parse("generate_image", &bad).expect_err("out of range");
        assert_eq!(error.argument.as_deref(), Some("seed"));
        assert!(error.message.contains("18446744073709551615"), "{}", error.message);
    }
}

#[test]
fn faults_name_the_argument_and_the_valid_values() {
    for (arguments, argument, said) in [
        (json!({}), "prompt", "required"),
        (json!({"prompt": ""}), "prompt", "required"),
        (json!({"prompt": 7}), "prompt", "is a number"),
        (json!({"prompt": "a\u{0}b"}), "prompt", "U+0000"),
        (json!({"prompt": "x", "aspect_ratio": "5:1"}), "aspect_ratio", "5:1"),
        (json!({"prompt": "x", "width": 512}), "height", "without"),
        (json!({"prompt": "x", "width": 512, "height": 512, "aspect_ratio": "1:1"}), "aspect_ratio", "either"),
        (json!({"prompt": "x", "width": 5, "height": 512}), "width", "from 16"),
        (json!({"prompt": "x", "width": "512", "height": 512}), "width", "is a text"),
        (json!({"prompt": "x", "styles": "anime"}), "styles", "a list"),
        (json!({"prompt": "x", "sytles": []}), "sytles", "no argument"),
        (json!({"prompt": "x", "enhance": "yes"}), "enhance", "true or false"),
        (json!({"prompt": "x", "wait_s": 100_000}), "wait_s", "600"),
        (json!({"prompt": "x", "idempotency_key": ""}), "idempotency_key", "1 to"),
    ] {
        let error = parse("generate_image", &arguments).expect_err("refused");
        assert_eq!(error.argument.as_deref(), Some(argument), "{arguments}");
        assert!(error.message.contains(said), "{arguments}: {}", error.message);
    }
    let ratio = parse("generate_image", &json!({"prompt": "x", "aspect_ratio": "5:1"})).expect_err("refused");
    assert!(ratio.valid_values.contains(&"21:9".to_owned()));
    let typo = parse("generate_image", &json!({"prompt": "x", "sytles": []})).expect_err("refused");
    assert_eq!(typo.hint.as_deref(), Some("Did you mean `styles`?"));
}

#[test]
fn a_prompt_of_ten_megabytes_is_refused_without_being_quoted() {
    let error = parse("generate_image", &json!({"prompt": "a".repeat(10_000_000)})).expect_err("refused");
    assert!(error.message.contains("20000"), "{}", error.message);
    assert!(error.message.len() < 200);
}

#[test]
fn an_upscale_takes_the_older_names() {
    let request = image(
        "upscale_image",
        &json!({"input_image_url": "http://192.0.2.1/a.png", "upscale_type": "4x", "denoise": 0.2}),
    );
    assert_eq!(request.render_type.as_deref(), Some("4x"));
    assert_eq!(request.denoise, Some(0.2));
    let error = parse("upscale_image", &json!({"image": "http://192.0.2.1/a.png", "denoise": 1.5})).expect_err("range");
    assert!(error.message.contains("from 0 to 1"));
}

#[test]
fn pictures_are_named_in_five_forms_and_no_other() {
    let id = ArtifactId::new();
    assert_eq!(ImageRef::parse(&format!("genimage://images/{id}")), Ok(ImageRef::Artifact(id)));
    assert_eq!(ImageRef::parse(&id.to_string()), Ok(ImageRef::Artifact(id)));
    assert!(matches!(ImageRef::parse("https://x.test/a.png"), Ok(ImageRef::Url(_))));
    assert!(matches!(ImageRef::parse("data:image/png;base64,AAAA"), Ok(ImageRef::Data(_))));
    for bad in ["file:///etc/passwd", "/etc/passwd", "../x", "job_1", "img_", "data:text/plain,hi", "http://", ""] {
        let error = ImageRef::parse(bad).expect_err(bad);
        assert_eq!(error.code, ErrorCode::InputImage, "{bad}");
        assert!(!error.valid_values.is_empty(), "{bad}");
    }
}

#[test]
fn an_unknown_tool_is_told_its_neighbour() {
    let error = parse("generate_imag", &json!({})).expect_err("unknown");
    assert_eq!(error.code, ErrorCode::UnknownTool);
    assert_eq!(error.hint.as_deref(), Some("Did you mean `generate_image`?"));
}

#[test]
fn every_request_reads_back_from_its_json() {
    for (tool, arguments) in [
        ("generate_image", json!({"prompt": "x", "seed": u64::MAX, "aspect_ratio": "9:21"})),
        ("describe_image", json!({"image": "https://x.test/a.png", "description_type": "natural"})),
    ] {
        let request = parse(tool, &arguments).expect("valid").request;
        let text = serde_json::to_string(&request).expect("serialises");
        assert_eq!(serde_json::from_str::<JobRequest>(&text).expect("reads back"), request);
    }
}

#[test]
fn one_to_sixteen_pictures_are_asked_for_and_one_leaves_no_trace() {
    for (given, n) in [(json!(1), 1), (json!(16), 16), (json!(4.0), 4), (json!(null), 1)] {
        assert_eq!(image("generate_image", &json!({"prompt": "x", "n": given})).n, n);
        assert_eq!(image("edit_image", &json!({"prompt": "x", "image": "https://h/x.png", "n": given})).n, n);
    }
    for bad in [json!(0), json!(17), json!(-1), json!(1.5), json!("4"), json!([4])] {
        let error = parse("generate_image", &json!({"prompt": "x", "n": bad})).expect_err("out of range");
        assert_eq!(error.argument.as_deref(), Some("n"));
        assert!(error.message.contains("a whole number from 1 to 16"), "{}", error.message);
    }
    let error = parse("upscale_image", &json!({"image": "https://h/x.png", "n": 2})).expect_err("no such argument");
    assert_eq!(error.argument.as_deref(), Some("n"));
    // Requests that were stored before there was a choice are read, and digested, as before.
    let stored = serde_json::to_value(ImageRequest::generate("x")).expect("serialises");
    assert!(stored.get("n").is_none());
    assert_eq!(serde_json::from_value::<ImageRequest>(stored).expect("reads").n, 1);
}
