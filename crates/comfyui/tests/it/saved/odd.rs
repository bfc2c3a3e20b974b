//! Habits of older editors and of custom nodes.

use super::*;

fn with_classes(more: &Value) -> ObjectInfo {
    let mut all = fixtures::json("saved/object_info.json");
    for (name, class) in more.as_object().unwrap() {
        all[name] = class.clone();
    }
    serde_json::from_value(all).unwrap()
}

#[test]
fn get_and_set_nodes_are_followed_by_name() {
    let graph = small(&[
        (1, "EmptyImage", json!([8, 8, 1, 0]), &[]),
        (2, "SetNode", json!(["picture"]), &[("IMAGE", "IMAGE", 1, 0)]),
        (3, "GetNode", json!(["picture"]), &[]),
        (4, "SaveImage", json!(["x"]), &[("images", "IMAGE", 3, 0)]),
        (5, "GetNode", json!(["nothing of this name"]), &[]),
        (6, "PreviewImage", json!([]), &[("images", "IMAGE", 5, 0)]),
    ]);
    let graph = convert(&graph).unwrap().graph;
    assert_eq!(input(&graph, "4", "images"), json!(["1", 0]));
    assert_eq!(input(&graph, "6", "images"), Value::Null);
    assert_eq!(graph.len(), 3);
}

#[test]
fn a_subgraph_that_passes_an_input_through_is_followed() {
    let port = |name: &str, link: u64| json!({"name": name, "type": "IMAGE", "linkIds": [link]});
    let through = json!({"id": "aaaaaaaa-0000-4000-8000-000000000001", "inputs": [port("image", 1)],
        "outputs": [port("image", 1)], "nodes": [],
        "links": [{"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "IMAGE"}]});
    let mut graph = small(&[
        (1, "EmptyImage", json!([]), &[]),
        (2, "aaaaaaaa-0000-4000-8000-000000000001", json!([]), &[("image", "IMAGE", 1, 0)]),
        (3, "SaveImage", json!([]), &[("images", "IMAGE", 2, 0)]),
    ]);
    graph["definitions"] = json!({"subgraphs": [through]});
    assert_eq!(input(&convert(&graph).unwrap().graph, "3", "images"), json!(["1", 0]));
}

#[test]
fn values_saved_by_name_reach_their_inputs_and_those_made_by_choices_too() {
    let classes = with_classes(&json!({"Combine": {"input": {"required": {
        "images": ["IMAGE"], "frame_rate": ["FLOAT", {"default": 8}], "format": [["image/gif", "video/mp4"]],
        "pingpong": ["BOOLEAN", {"default": false}]}}, "output": []}}));
    let graph = small(&[
        (1, "EmptyImage", json!([]), &[]),
        (
            2,
            "Combine",
            json!({"frame_rate": 24, "format": "video/mp4", "crf": 19, "videopreview": {"hidden": false}}),
            &[("images", "IMAGE", 1, 0)],
        ),
    ]);
    let graph = to_api(&graph, &classes).unwrap().graph;
    let expected = json!({"frame_rate": 24, "format": "video/mp4", "pingpong": false, "crf": 19, "images": ["1", 0]});
    assert_eq!(Value::Object(graph.node("2").unwrap().inputs.clone()), expected);
}

#[test]
fn seeds_keep_every_digit_and_controls_are_stepped_over() {
    let sampler = |values: Value| {
        let graph = json!({"nodes": [{"id": 3, "type": "KSampler", "widgets_values": values}]});
        convert(&graph).unwrap().graph
    };
    let graph = sampler(json!([u64::MAX, "randomize", 12, 6.5, "euler", "karras", 0.9]));
    assert_eq!((input(&graph, "3", "seed"), input(&graph, "3", "steps")), (json!(u64::MAX), json!(12)));
    // Saved when the class had no control yet.
    let graph = sampler(json!([5, 12, 6.5, "euler", "karras", 0.9]));
    assert_eq!((input(&graph, "3", "seed"), input(&graph, "3", "denoise")), (json!(5), json!(0.9)));
}

#[test]
fn a_control_that_the_class_lost_is_stepped_over() {
    let graph = json!({"nodes": [{"id": 1, "type": "EmptyImage", "widgets_values": [64, "fixed", 32, 1, 0]}]});
    let graph = convert(&graph).unwrap().graph;
    assert_eq!((input(&graph, "1", "width"), input(&graph, "1", "height")), (json!(64), json!(32)));
}

#[test]
fn values_of_inputs_that_links_alone_feed_are_left_out_where_old_files_have_them() {
    let classes = with_classes(&json!({"Forced": {"input": {"required": {"text": ["STRING", {"forceInput": true}],
        "count": ["INT", {"default": 1}], "name": ["STRING", {}]}}, "output": []}}));
    let forced = |values: Value| {
        let graph = json!({"nodes": [{"id": 1, "type": "Forced", "widgets_values": values}]});
        to_api(&graph, &classes).unwrap().graph.node("1").unwrap().inputs.clone()
    };
    let expected = json!({"count": 4, "name": "n"});
    assert_eq!(Value::Object(forced(json!(["old", 4, "n"]))), expected);
    assert_eq!(Value::Object(forced(json!([4, "n"]))), expected);
}

#[test]
fn inputs_that_a_newer_server_asks_for_get_their_default() {
    let classes = with_classes(&json!({"Newer": {"input": {"required": {"old": ["INT", {}],
        "steps": ["INT", {"default": 16}], "mode": [["fast", "slow"]], "on": ["BOOLEAN"]}}, "output": []}}));
    let graph = json!({"nodes": [{"id": 1, "type": "Newer", "widgets_values": [3]}]});
    let inputs = to_api(&graph, &classes).unwrap().graph.node("1").unwrap().inputs.clone();
    assert_eq!(Value::Object(inputs), json!({"old": 3, "steps": 16, "mode": "fast", "on": false}));
}

#[test]
fn a_list_as_a_value_is_wrapped_so_that_nobody_takes_it_for_a_link() {
    let classes = with_classes(&json!({"Many": {"input": {"required": {"names": ["COMBO",
        {"options": ["a", "b"], "multi_select": true}]}}, "output": []}}));
    let graph = json!({"nodes": [{"id": 1, "type": "Many", "widgets_values": [["a", 1]]}]});
    assert_eq!(input(&to_api(&graph, &classes).unwrap().graph, "1", "names"), json!({"__value__": ["a", 1]}));
}

#[test]
fn alternatives_in_a_prompt_are_decided_and_told() {
    let graph = json!({"nodes": [{"id": 1, "type": "CLIPTextEncode", "widgets_values": ["a {red|blue} cat"]}]});
    let converted = convert(&graph).unwrap();
    assert_eq!(input(&converted.graph, "1", "text"), json!("a red cat"));
    assert!(converted.warnings.iter().any(|warning| warning.to_string().contains("{a|b}")));
}

#[test]
fn a_value_of_the_wrong_type_is_told_by_name() {
    let graph = json!({"nodes": [{"id": 7, "type": "EmptyImage", "widgets_values": ["picture.png", 64, 1, 0]}]});
    let converted = convert(&graph).unwrap();
    let told = converted.warnings[0].to_string();
    assert!(told.starts_with("node 7 (`EmptyImage`)") && told.contains("`width`"), "{told}");
}
