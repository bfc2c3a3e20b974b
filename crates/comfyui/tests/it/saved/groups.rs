//! Group nodes and replaced classes: they become what the nodes themselves become.

use comfyui::wire::Replacement;
use comfyui::workflow::convert::ConvertError;
use comfyui::{ObjectInfo, workflow::to_api};
use serde_json::{Value, json};

use super::{INFO, convert, input, ui};

/// Nodes of `text_to_image` that lie inside the group, in their order there.
const INSIDE: [u64; 5] = [6, 7, 5, 3, 8];

/// `text_to_image` with its middle as a group: text, text, latent, sampler and decoder.
fn grouped(class: &str) -> Value {
    let mut graph = ui("text_to_image");
    let nodes = graph["nodes"].as_array().unwrap().clone();
    let node = |id: u64| nodes.iter().find(|node| node["id"] == id).unwrap().clone();
    let place = |id: &Value| INSIDE.iter().position(|inside| id.as_u64() == Some(*inside));
    let links = graph["links"].as_array().unwrap().clone();
    let inner: Vec<Value> = links
        .iter()
        .filter(|link| place(&link[3]).is_some())
        .map(|link| match place(&link[1]) {
            Some(origin) => json!([origin, link[2], place(&link[3]), link[4], link[1], link[5]]),
            // From outside.
            None => json!([null, link[2], place(&link[3]), link[4], link[1], link[5]]),
        })
        .collect();
    let name = class.split(['>', '/']).nth(1).unwrap();
    graph["extra"]["groupNodes"][name] =
        json!({"nodes": INSIDE.map(node), "links": inner, "external": [[4, 0, "IMAGE"]]});
    let fed = |name: &str, kind: &str, link: u64| json!({"name": name, "type": kind, "link": link});
    let group = json!({"id": 20, "type": class, "mode": 0,
        "inputs": [fed("clip", "CLIP", 51), fed("CLIPTextEncode clip", "CLIP", 52), fed("model", "MODEL", 53),
            fed("vae", "VAE", 54)],
        "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [55]}],
        "widgets_values": ["a stoat", "ugly", 320, 256, 1, 77, "randomize", 9, 3.5, "euler", "normal", 0.5]});
    let mut outer: Vec<Value> = nodes.iter().filter(|node| place(&node["id"]).is_none()).cloned().collect();
    for node in &mut outer {
        if node["type"] == "SaveImage" {
            node["inputs"][0]["link"] = json!(55);
        }
    }
    outer.push(group);
    graph["nodes"] = outer.into();
    graph["links"] = json!([
        [51, 4, 1, 20, 0, "CLIP"],
        [52, 4, 1, 20, 1, "CLIP"],
        [53, 4, 0, 20, 2, "MODEL"],
        [54, 4, 2, 20, 3, "VAE"],
        [55, 20, 0, 9, 0, "IMAGE"]
    ]);
    graph
}

#[test]
fn a_group_becomes_the_nodes_inside_with_the_values_outside() {
    for class in ["workflow>middle", "workflow/middle"] {
        let graph = convert(&grouped(class)).unwrap().graph;
        let at = |node: &str, name: &str| input(&graph, node, name);
        assert_eq!((at("20:0", "text"), at("20:1", "text")), (json!("a stoat"), json!("ugly")), "{class}");
        assert_eq!((at("20:0", "clip"), at("20:1", "clip")), (json!(["4", 1]), json!(["4", 1])));
        assert_eq!(
            (at("20:2", "width"), at("20:2", "height"), at("20:2", "batch_size")),
            (json!(320), json!(256), json!(1))
        );
        let sampler = ["seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"].map(|name| at("20:3", name));
        assert_eq!(sampler, [json!(77), json!(9), json!(3.5), json!("euler"), json!("normal"), json!(0.5)]);
        assert_eq!((at("20:3", "model"), at("20:3", "positive")), (json!(["4", 0]), json!(["20:0", 0])));
        assert_eq!((at("20:3", "negative"), at("20:3", "latent_image")), (json!(["20:1", 0]), json!(["20:2", 0])));
        assert_eq!((at("20:4", "samples"), at("20:4", "vae")), (json!(["20:3", 0]), json!(["4", 2])));
        assert_eq!(at("9", "images"), json!(["20:4", 0]));
        assert_eq!(graph.node("20:0").unwrap().title(), Some("Positive Prompt"));
        assert_eq!(graph.nodes().count(), 7);
    }
}

#[test]
fn two_of_a_group_have_values_of_their_own_and_one_without_has_those_inside() {
    let mut graph = grouped("workflow>middle");
    let mut second = graph["nodes"].as_array().unwrap().iter().find(|node| node["id"] == 20).unwrap().clone();
    second["id"] = json!(21);
    second.as_object_mut().unwrap().remove("widgets_values");
    second["outputs"][0]["links"] = json!([]);
    graph["nodes"].as_array_mut().unwrap().push(second);
    let graph = convert(&graph).unwrap().graph;
    assert_eq!((input(&graph, "20:3", "steps"), input(&graph, "21:3", "steps")), (json!(9), json!(12)));
    assert_eq!(input(&graph, "21:0", "text"), json!("a {cat} on a mat "), "its comments are settled as elsewhere");
}

#[test]
fn inputs_are_known_by_name_by_what_a_person_called_them_or_by_their_order() {
    let mut graph = grouped("workflow>middle");
    graph["extra"]["groupNodes"]["middle"]["config"] = json!({"3": {"input": {"model": {"name": "the model"}}}});
    let at = graph["nodes"].as_array().unwrap().iter().position(|node| node["id"] == 20).unwrap();
    graph["nodes"][at]["inputs"][2]["name"] = json!("the model");
    let renamed = convert(&graph).unwrap().graph;
    assert_eq!(input(&renamed, "20:3", "model"), json!(["4", 0]));
    for (slot, name) in ["one", "two", "three", "four"].iter().enumerate() {
        graph["nodes"][at]["inputs"][slot]["name"] = json!(name);
    }
    let ordered = convert(&graph).unwrap().graph;
    assert_eq!(input(&ordered, "20:3", "model"), json!(["4", 0]));
    assert_eq!(input(&ordered, "20:1", "clip"), json!(["4", 1]));
}

#[test]
fn primitives_reroutes_and_linkable_values_inside_a_group_are_followed() {
    let image = json!({"name": "IMAGE", "type": "IMAGE", "links": [1]});
    let inside = json!([
        {"type": "PrimitiveNode", "title": "Side", "outputs": [{"name": "INT", "type": "INT", "links": [1],
            "widget": {"name": "width"}}], "widgets_values": [512, "fixed"]},
        {"type": "EmptyImage", "inputs": [
            {"name": "width", "type": "INT", "link": 9, "widget": {"name": "width"}},
            {"name": "color", "type": "INT", "link": null, "widget": {"name": "color"}}],
            "outputs": [image], "widgets_values": [64, 48, 1, 7]},
        {"type": "Reroute", "inputs": [{"name": "", "type": "*", "link": 3}], "outputs": [image]},
        {"type": "ImageInvert", "inputs": [{"name": "image", "type": "IMAGE", "link": 4}], "outputs": [image]},
    ]);
    let links = json!([[0, 0, 1, 0, 5, "INT"], [1, 0, 2, 0, 6, "IMAGE"], [2, 0, 3, 0, 7, "IMAGE"]]);
    let graph = |linked: Value| {
        json!({
            "nodes": [
                {"id": 1, "type": "workflow>made",
                    "inputs": [{"name": "color", "type": "INT", "widget": {"name": "color"}, "link": linked}],
                    "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [2]}],
                    "widgets_values": [300, "randomize", 200, 2, 255]},
                {"id": 2, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 2}],
                    "widgets_values": ["x"]},
                {"id": 3, "type": "PrimitiveInt", "outputs": [{"name": "INT", "type": "INT", "links": [1]}],
                    "widgets_values": [11, "fixed"]},
            ],
            "links": [[2, 1, 0, 2, 0, "IMAGE"], [1, 3, 0, 1, 0, "INT"]],
            "extra": {"groupNodes": {"made": {"nodes": inside, "links": links, "external": []}}},
        })
    };
    let held = convert(&graph(Value::Null)).unwrap().graph;
    let at = |name: &str| input(&held, "1:1", name);
    assert_eq!(
        (at("width"), at("height"), at("batch_size"), at("color")),
        (json!(300), json!(200), json!(2), json!(255))
    );
    assert_eq!(input(&held, "1:3", "image"), json!(["1:1", 0]), "through the reroute");
    assert_eq!(input(&held, "2", "images"), json!(["1:3", 0]));
    let linked = convert(&graph(json!(1))).unwrap().graph;
    assert_eq!(input(&linked, "1:1", "color"), json!(["3", 0]), "a link goes before the value");
}

#[test]
fn what_cannot_be_opened_is_named() {
    let problems = |graph: &Value| match convert(graph) {
        Err(ConvertError::Nodes(problems)) => problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let mut nested = grouped("workflow>middle");
    nested["extra"]["groupNodes"]["middle"]["nodes"][0]["type"] = json!("workflow>other");
    assert!(problems(&nested)[0].contains("node 20 (`workflow>middle`) is a group node"), "{:?}", problems(&nested));
    let mut foreign = grouped("workflow>middle");
    foreign["extra"]["groupNodes"]["middle"]["nodes"][2]["type"] = json!("FooLatent");
    assert!(problems(&foreign)[0].contains("node 20:2 (`FooLatent`) is not installed"), "{:?}", problems(&foreign));
    for broken in [json!({}), json!([]), json!({"nodes": [1]}), json!({"nodes": [], "links": "x"}), json!(null)] {
        let mut graph = grouped("workflow>middle");
        graph["extra"]["groupNodes"]["middle"] = broken.clone();
        assert!(convert(&graph).is_ok() || !problems(&graph).is_empty(), "{broken}");
    }
    let mut wild = grouped("workflow>middle");
    wild["extra"]["groupNodes"]["middle"]["links"] =
        json!([[9, 0, 1, 0], [0, 0, 0, 99], [0, 99, 1, 0], [-1, 0, 0, 0], 7]);
    wild["extra"]["groupNodes"]["middle"]["external"] = json!([[99, 0, "X"], 1, [0]]);
    assert!(convert(&wild).is_ok(), "links to nowhere are no links");
}

/// A server that runs some classes as others, as one of 0.33 says it.
fn replacing() -> ObjectInfo {
    let mut info = INFO.clone();
    info.nodes.shift_remove("ImageScaleBy");
    let answer = json!({
        "ImageScaleBy": [{"new_node_id": "ResizeImageMaskNode", "old_node_id": "ImageScaleBy",
            "old_widget_ids": ["upscale_method", "scale_by"],
            "input_mapping": [{"new_id": "input", "old_id": "image"},
                {"new_id": "resize_type", "set_value": "scale by multiplier"},
                {"new_id": "resize_type.multiplier", "old_id": "scale_by"},
                {"new_id": "scale_method", "old_id": "upscale_method"}],
            "output_mapping": null}],
        "ImageSwap": [{"new_node_id": "LoadImage", "old_node_id": "ImageSwap", "old_widget_ids": null,
            "input_mapping": [{"new_id": "image", "old_id": "file"}], "output_mapping": [{"new_idx": 1, "old_idx": 0}]}],
        "ImageInvert ": [{"new_node_id": "ImageInvert", "input_mapping": null, "output_mapping": null}],
        "Gone": [{"new_node_id": "NotHereEither", "input_mapping": null, "output_mapping": null}],
        "Odd": 7,
    });
    info.replaced = Replacement::all(&answer);
    info
}

#[test]
fn a_class_that_the_server_runs_as_another_becomes_that_one() {
    let graph = json!({
        "nodes": [
            {"id": 1, "type": "LoadImage", "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
                "widgets_values": ["a.png", "image"]},
            {"id": 2, "type": "ImageScaleBy", "inputs": [{"name": "image", "type": "IMAGE", "link": 1}],
                "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [2]}], "widgets_values": ["lanczos", 1.5]},
            {"id": 3, "type": "ImageInvert ", "inputs": [{"name": "image", "type": "IMAGE", "link": 2}],
                "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [3]}]},
            {"id": 4, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 3}],
                "widgets_values": ["x"]},
            {"id": 5, "type": "ImageSwap", "outputs": [{"name": "MASK", "type": "MASK", "links": [4]}],
                "widgets_values": ["b.png"]},
            {"id": 6, "type": "MaskToImage", "inputs": [{"name": "mask", "type": "MASK", "link": 4}]},
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"], [3, 3, 0, 4, 0, "IMAGE"], [4, 5, 0, 6, 0, "MASK"]],
    });
    let graph = to_api(&graph, &replacing()).unwrap().graph;
    let scaled = graph.node("2").unwrap();
    assert_eq!(scaled.class_type, "ResizeImageMaskNode");
    assert_eq!(input(&graph, "2", "input"), json!(["1", 0]));
    assert_eq!(input(&graph, "2", "resize_type"), "scale by multiplier");
    assert_eq!(
        (input(&graph, "2", "resize_type.multiplier"), input(&graph, "2", "scale_method")),
        (json!(1.5), json!("lanczos"))
    );
    assert_eq!(
        (graph.node("3").unwrap().class_type.as_str(), input(&graph, "3", "image")),
        ("ImageInvert", json!(["2", 0]))
    );
    assert_eq!(
        (graph.node("5").unwrap().class_type.as_str(), input(&graph, "5", "image")),
        ("LoadImage", json!("b.png"))
    );
    assert_eq!(input(&graph, "6", "mask"), json!(["5", 1]), "the output has another place");
}

#[test]
fn a_replaced_class_whose_values_or_successor_are_not_known_is_named() {
    let info = replacing();
    for (class, values) in [("ImageSwap", json!(["b.png", 1])), ("Gone", json!([]))] {
        let graph = json!({"nodes": [{"id": 5, "type": class, "widgets_values": values,
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}]}]});
        let Err(ConvertError::Nodes(problems)) = to_api(&graph, &info) else { panic!("{class} is converted") };
        assert!(problems[0].to_string().contains("is not installed"), "{problems:?}");
    }
}
