//! Files that cannot be converted: always an end, and a node by name where a node is to blame.

use comfyui::workflow::Why;
use proptest::prelude::*;

use super::*;

fn problems(ui: &Value) -> Vec<String> {
    match convert(ui) {
        Err(ConvertError::Nodes(problems)) => problems.iter().map(|problem| problem.on("gpu-1")).collect(),
        other => panic!("{other:?}"),
    }
}

/// A subgraph with one instance of each of the given classes inside.
fn subgraph(id: &str, inside: &[&str]) -> Value {
    let nodes: Vec<Value> = inside
        .iter()
        .enumerate()
        .map(|(at, class)| json!({"id": at + 1, "type": class, "widgets_values": []}))
        .collect();
    json!({"id": id, "name": "S", "inputs": [], "outputs": [], "nodes": nodes, "links": []})
}

#[test]
fn a_class_the_server_lacks_is_named_with_the_server() {
    let mut graph = small(&[
        (12, "FooBar", json!([]), &[]),
        (13, "Baz", json!([]), &[("image", "IMAGE", 12, 0)]),
        (14, "SaveImage", json!([]), &[("images", "IMAGE", 13, 0)]),
    ]);
    graph["nodes"][1]["title"] = json!("My baz");
    let told = problems(&graph);
    assert_eq!(
        told,
        ["node 12 (`FooBar`) is not installed on gpu-1", "node 13 (\"My baz\", `Baz`) is not installed on gpu-1"]
    );
    graph["nodes"][1]["mode"] = json!(2);
    graph["nodes"][0]["mode"] = json!(4);
    assert!(convert(&graph).is_ok(), "what is muted or bypassed need not be installed");
}

#[test]
fn a_lonely_node_of_an_unknown_class_is_left_out_and_told() {
    let graph =
        json!({"nodes": [{"id": 1, "type": "EmptyImage"}, {"id": 2, "type": "Label (rgthree)", "outputs": []}]});
    let converted = convert(&graph).unwrap();
    assert_eq!(converted.graph.len(), 1);
    assert_eq!(converted.warnings.len(), 1);
    assert_eq!(converted.warnings[0].node_id, "2");
}

#[test]
fn an_unknown_node_that_only_its_consumer_tells_to_be_connected_is_named() {
    let mut graph =
        small(&[(12, "FooBar", json!([]), &[]), (14, "SaveImage", json!(["x"]), &[("images", "IMAGE", 12, 0)])]);
    graph["nodes"][0]["outputs"] = json!([]);
    assert_eq!(problems(&graph), ["node 12 (`FooBar`) is not installed on gpu-1"]);
}

#[test]
fn group_nodes_and_missing_subgraphs_are_named() {
    let graph = json!({"nodes": [{"id": 1, "type": "workflow>mine"},
        {"id": 2, "type": "aaaaaaaa-0000-4000-8000-000000000001"}]});
    let told = problems(&graph);
    assert!(told[0].starts_with("node 1 (`workflow>mine`) is a group node"), "{told:?}");
    assert!(told[1].starts_with("node 2") && told[1].contains("subgraph that the file does not contain"), "{told:?}");
}

#[test]
fn what_the_web_page_makes_is_named() {
    let mut all = fixtures::json("saved/object_info.json");
    all["Camera"] = json!({"input": {"required": {"image": ["WEBCAM", {}]}}, "output": ["IMAGE"]});
    let info: ObjectInfo = serde_json::from_value(all).unwrap();
    let graph = json!({"nodes": [{"id": 5, "type": "Camera", "widgets_values": [""]}]});
    let Err(ConvertError::Nodes(problems)) = to_api(&graph, &info) else { panic!("a camera cannot be converted") };
    assert!(problems[0].to_string().contains("node 5 (`Camera`) takes its input `image` from the web page"));
}

#[test]
fn a_subgraph_that_contains_itself_is_named() {
    let id = "aaaaaaaa-0000-4000-8000-000000000001";
    let graph = json!({"nodes": [{"id": 4, "type": id}], "definitions": {"subgraphs": [subgraph(id, &[id])]}});
    let Err(ConvertError::Nodes(problems)) = convert(&graph) else { panic!("it never ends") };
    assert_eq!((problems[0].node_id.as_str(), &problems[0].why), ("4:1", &Why::ContainsItself));
}

#[test]
fn subgraphs_that_unfold_without_bound_end() {
    let id = |at: usize| format!("aaaaaaaa-0000-4000-8000-{at:012}");
    let mut subgraphs: Vec<Value> = (0..40).map(|at| subgraph(&id(at), &[&id(at + 1), &id(at + 1)])).collect();
    subgraphs.push(subgraph(&id(40), &["EmptyImage"]));
    let graph = json!({"nodes": [{"id": 1, "type": id(0)}], "definitions": {"subgraphs": subgraphs}});
    assert!(matches!(convert(&graph), Err(ConvertError::TooLarge(_))));
}

#[test]
fn subgraphs_thousands_deep_end() {
    let id = |at: usize| format!("aaaaaaaa-0000-4000-8000-{at:012}");
    let port = json!({"name": "width", "type": "INT", "linkIds": [1]});
    let deeper = |at: usize| {
        let mut subgraph = subgraph(&id(at), &[&id(at + 1)]);
        subgraph["inputs"] = json!([port]);
        subgraph["nodes"][0]["inputs"] = json!([{"name": "width", "type": "INT", "link": 1}]);
        subgraph["links"] = json!([[1, -10, 0, 1, 0, "INT"]]);
        subgraph
    };
    let subgraphs: Vec<Value> = (0..20_000).map(deeper).collect();
    let graph = json!({"nodes": [{"id": 1, "type": id(0)}], "definitions": {"subgraphs": subgraphs}});
    assert!(matches!(convert(&graph), Err(ConvertError::Nodes(_))));
}

#[test]
fn reroutes_that_lead_back_are_named_and_long_chains_are_followed() {
    let circle = small(&[
        (1, "Reroute", json!([]), &[("", "*", 2, 0)]),
        (2, "Reroute", json!([]), &[("", "*", 1, 0)]),
        (3, "SaveImage", json!([]), &[("images", "IMAGE", 2, 0)]),
    ]);
    let Err(ConvertError::Nodes(problems)) = convert(&circle) else { panic!("it never ends") };
    assert_eq!((problems[0].node_id.as_str(), &problems[0].why), ("3", &Why::LinkCycle("images".to_owned())));

    let mut nodes: Vec<Value> = vec![json!({"id": 0, "type": "EmptyImage"})];
    let mut links = Vec::new();
    for at in 1..4_000_u64 {
        links.push(json!([at, at - 1, 0, at, 0, "IMAGE"]));
        let class = if at == 3_999 { "PreviewImage" } else { "Reroute" };
        let name = if at == 3_999 { "images" } else { "" };
        nodes.push(json!({"id": at, "type": class, "inputs": [{"name": name, "type": "*", "link": at}]}));
    }
    let graph = convert(&json!({"nodes": nodes, "links": links})).unwrap().graph;
    assert_eq!(input(&graph, "3999", "images"), json!(["0", 0]));
}

#[test]
fn what_is_no_saved_workflow_or_has_nothing_to_run_is_told() {
    assert_eq!(convert(&json!({"3": {"class_type": "KSampler"}})), Err(ConvertError::NotUi));
    assert_eq!(convert(&json!([1])), Err(ConvertError::NotUi));
    let notes = json!({"nodes": [{"id": 1, "type": "Note"}, {"id": 2, "type": "EmptyImage", "mode": 2}, "?", {}]});
    assert_eq!(convert(&notes), Err(ConvertError::Empty));
}

/// A place in a document: at each level one of its children.
fn place(value: &mut Value, steps: impl Iterator<Item = usize>) -> &mut Value {
    let mut here = value;
    for step in steps {
        let size = match here {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            _ => 0,
        };
        if size == 0 {
            break;
        }
        here = match here {
            Value::Array(items) => &mut items[step % size],
            Value::Object(fields) => fields.values_mut().nth(step % size).unwrap(),
            _ => unreachable!("it has children"),
        };
    }
    here
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_mutilated_graph_converts_or_names_a_node(
        name in proptest::sample::select(&GRAPHS[..]),
        cuts in proptest::collection::vec((proptest::collection::vec(0_usize..40, 1..7), 0_usize..9), 1..6),
    ) {
        let mut graph = ui(name);
        let spare = graph["nodes"].clone();
        for (steps, what) in cuts {
            *place(&mut graph, steps.into_iter()) = match what {
                0 => Value::Null,
                1 => json!(-10),
                2 => json!(u64::MAX),
                3 => json!("Reroute"),
                4 => json!([]),
                5 => json!({}),
                6 => json!(4),
                7 => spare.clone(),
                _ => json!([[1, 1, 0, 1, 0, "*"], "x", null]),
            };
        }
        match convert(&graph) {
            Ok(converted) => {
                for (node, input, link) in converted.graph.links() {
                    prop_assert!(converted.graph.node(link.node_id).is_some(), "{node}.{input} leads nowhere");
                }
            }
            Err(ConvertError::Nodes(problems)) => {
                prop_assert!(!problems.is_empty());
                for problem in problems {
                    prop_assert!(!problem.node_id.is_empty() && !problem.class.is_empty(), "{problem:?}");
                }
            }
            Err(ConvertError::NotUi | ConvertError::Empty) => {}
            Err(ConvertError::TooLarge(why)) => prop_assert!(false, "{why}"),
        }
    }
}
