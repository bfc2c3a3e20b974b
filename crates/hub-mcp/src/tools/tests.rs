use hub_core::{error::ErrorCode, request::ToolCall};
use serde_json::json;

use super::*;
use crate::{names::OPTIONS_META_KEY, samples};

/// The size that the design allows for `tools/list` of a well-filled hub.
const LIST_MAX_BYTES: usize = 8 * 1024;
/// Arguments that are taken but not advertised: the older system's names.
const UNLISTED: [&str; 5] = ["enhance_prompt", "input_image_url", "render_style", "style_names", "upscale_type"];

fn names(catalogue: &Catalogue) -> Vec<String> {
    list(catalogue, 45).into_iter().map(|tool| tool.name.into_owned()).collect()
}

#[test]
fn a_full_hub_lists_everything_within_the_budget() {
    let tools = list(&samples::catalogue(), 45);
    let text = serde_json::to_string(&json!({"tools": tools})).expect("tools serialise");
    assert!(text.len() <= LIST_MAX_BYTES, "{} bytes", text.len());
    insta::assert_json_snapshot!("tools_list", tools);
}

#[test]
fn an_empty_hub_lists_nothing() {
    assert!(names(&Catalogue::default()).is_empty());
}

#[test]
fn a_tool_is_listed_only_when_it_can_work() {
    let full = samples::catalogue();
    let without = |change: &dyn Fn(&mut Catalogue)| {
        let mut catalogue = full.clone();
        change(&mut catalogue);
        names(&catalogue)
    };
    let helpers = ["get_job", "cancel_job", "list_options"];
    let no_server = without(&|catalogue| catalogue.enabled_servers = 0);
    assert_eq!(no_server, [&["describe_image", "generate_prompt"][..], &helpers].concat());
    let no_vision = without(&|catalogue| catalogue.can_describe = false);
    assert_eq!(
        no_vision,
        [&["generate_image", "upscale_image", "edit_image", "detail_image", "generate_prompt"][..], &helpers].concat()
    );
    let no_generator = without(&|catalogue| catalogue.can_generate_prompts = false);
    assert!(!no_generator.contains(&"generate_prompt".to_owned()));
    let hidden = without(&|catalogue| {
        for kind in &mut catalogue.render_types {
            kind.visible = kind.mode == Mode::Upscale;
        }
    });
    assert_eq!(hidden, [&["upscale_image", "describe_image", "generate_prompt"][..], &helpers].concat());
}

#[test]
fn what_is_advertised_is_what_is_parsed() {
    for tool in list(&samples::catalogue(), 45) {
        let mut probe = Map::new();
        // The least that each tool needs, then one argument that none has: the refusal lists them all.
        for (name, value) in [("prompt", "x"), ("image", "img_00000000000000000000000000000001")] {
            if tool.input_schema["properties"].get(name).is_some() {
                probe.insert(name.to_owned(), json!(value));
            }
        }
        probe.insert("no_such_argument".to_owned(), json!(1));
        let Ok(HubTool::Job(name)) = HubTool::named(&tool.name) else { continue };
        let refusal = ToolCall::parse(name, &probe).expect_err("an unknown argument is refused");
        let mut parsed: Vec<&str> =
            refusal.valid_values.iter().map(String::as_str).filter(|name| !UNLISTED.contains(name)).collect();
        parsed.sort_unstable();
        let properties = tool.input_schema["properties"].as_object().expect("an object");
        let mut advertised: Vec<&str> = properties.keys().map(String::as_str).collect();
        advertised.sort_unstable();
        assert_eq!(advertised, parsed, "{name}");
    }
}

#[test]
fn every_choice_and_bound_that_is_advertised_is_taken() {
    for tool in list(&samples::catalogue(), 45) {
        let Ok(HubTool::Job(name)) = HubTool::named(&tool.name) else { continue };
        let properties = tool.input_schema["properties"].as_object().expect("an object");
        for (property, schema) in properties {
            let mut values: Vec<Value> = Vec::new();
            for key in ["minimum", "maximum", "default"] {
                values.extend(schema.get(key).cloned());
            }
            values.extend(schema.get("enum").and_then(Value::as_array).cloned().unwrap_or_default());
            if let Some(items) = schema.pointer("/items/enum").and_then(Value::as_array) {
                values.extend(items.iter().map(|item| json!([item])));
            }
            for value in values {
                let mut arguments = Map::new();
                if properties.contains_key("prompt") {
                    arguments.insert("prompt".to_owned(), json!("x"));
                }
                if properties.contains_key("image") {
                    arguments.insert("image".to_owned(), json!("https://example.com/a.png"));
                }
                for side in ["width", "height"] {
                    if matches!(property.as_str(), "width" | "height") {
                        arguments.insert(side.to_owned(), value.clone());
                    }
                }
                arguments.insert(property.clone(), value.clone());
                let parsed = ToolCall::parse(name, &arguments);
                assert!(parsed.is_ok(), "{name}.{property} = {value}: {parsed:?}");
            }
        }
    }
}

#[test]
fn schemas_keep_to_what_every_client_bears() {
    fn walk(tool: &str, value: &Value) {
        match value {
            Value::Object(map) => {
                assert!(!map.contains_key("format") && !map.contains_key("anyOf"), "{tool}: {value}");
                assert!(map.get("type").is_none_or(|kind| kind.is_string() || kind.is_object()), "{tool}: {value}");
                assert!(map.get("enum").and_then(Value::as_array).is_none_or(|names| !names.is_empty()), "{tool}");
                map.values().for_each(|inner| walk(tool, inner));
            }
            Value::Array(items) => items.iter().for_each(|inner| walk(tool, inner)),
            _ => {}
        }
    }
    let mut bare = samples::catalogue();
    bare.styles.clear();
    for tool in [list(&samples::catalogue(), 45), list(&bare, 45)].concat() {
        let schema = Value::Object((*tool.input_schema).clone());
        assert_eq!((&schema["type"], &schema["additionalProperties"]), (&json!("object"), &json!(false)));
        walk(&tool.name, &schema);
        assert!(tool.output_schema.is_none(), "{}", tool.name);
    }
}

#[test]
fn an_unknown_tool_is_refused_with_the_names_that_exist() {
    let error = HubTool::named("generate_imgae").expect_err("no such tool");
    assert_eq!(error.code, ErrorCode::UnknownTool);
    assert!(error.explain().contains("Did you mean `generate_image`?"), "{}", error.explain());
    assert_eq!(error.valid_values.len(), 9);
}

#[test]
fn a_job_query_tells_each_fault() {
    let parse = |value: Value| JobQuery::parse(value.as_object().expect("an object"));
    let job = "job_00000000000000000000000000000001";
    let query = parse(json!({"job_id": job, "wait_s": 10.0, "inline": "none"})).expect("a good query");
    assert_eq!((query.wait_s, query.inline), (Some(10), Some(hub_core::request::Inline::None)));
    for (bad, argument) in [
        (json!({}), "job_id"),
        (json!({"job_id": 7}), "job_id"),
        (json!({"job_id": "img_00000000000000000000000000000001"}), "job_id"),
        (json!({"job_id": job, "wait_s": 601}), "wait_s"),
        (json!({"job_id": job, "wait_s": -1}), "wait_s"),
        (json!({"job_id": job, "wait_s": 0.5}), "wait_s"),
        (json!({"job_id": job, "inline": "all"}), "inline"),
        (json!({"job_id": job, "wait": 1}), "wait"),
    ] {
        let error = parse(bad.clone()).expect_err("refused");
        assert_eq!(error.argument.as_deref(), Some(argument), "{bad}");
    }
}

#[test]
fn the_options_name_every_choice() {
    let catalogue = samples::catalogue();
    let result = list_options(&catalogue, &Map::new(), &samples::delivery()).expect("options");
    let text = &result.content[0].as_text().expect("a text").text;
    let names =
        catalogue.render_types.iter().map(|kind| &kind.name).chain(catalogue.styles.iter().map(|style| &style.name));
    for name in names {
        assert!(text.contains(name.as_str()), "{name}");
    }
    let meta = result.meta.expect("a record");
    assert_eq!(meta[OPTIONS_META_KEY]["render_types"].as_array().map(Vec::len), Some(12));
}
