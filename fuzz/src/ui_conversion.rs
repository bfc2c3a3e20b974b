//! A workflow as the editor saves it, converted to what can be posted.

use std::sync::LazyLock;

use comfyui::{
    ObjectInfo,
    workflow::{ConvertError, Graph, convert::to_api},
};
use serde_json::Value;

/// The classes of a server, as far as the seeds use them.
static INFO: LazyLock<ObjectInfo> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../crates/comfyui/tests/fixtures/saved/object_info.json"))
        .expect("the fixture is a server's answer")
});

/// Either a graph of the server's classes whose links lead to nodes that are there, or an error that names a node.
///
/// # Panics
/// When a promise is broken.
pub fn ui_conversion(data: &[u8]) {
    let Ok(mut ui) = serde_json::from_slice::<Value>(data) else { return };
    // The seeds are the fixtures of the tests, which hold what goes in beside what comes out.
    if let Some(inner) = ui.get_mut("ui") {
        ui = inner.take();
    }
    let once = to_api(&ui, &INFO);
    assert_eq!(once, to_api(&ui, &INFO), "the same file and the same classes give the same graph");
    match once {
        Ok(converted) => {
            for (consumer, input, link) in converted.graph.links() {
                let known = converted.graph.node(link.node_id).is_some();
                assert!(known, "{consumer}.{input} is linked to {}, which is not there", link.node_id);
            }
            for (id, node) in converted.graph.nodes() {
                assert!(INFO.has_class(&node.class_type), "{id} has a class of the server: {}", node.class_type);
            }
            let written = converted.graph.to_value();
            assert_eq!(Graph::parse(&written).as_ref(), Ok(&converted.graph), "the graph can be read again");
        }
        Err(ConvertError::Nodes(problems)) => {
            assert!(!problems.is_empty(), "an error names its nodes");
            assert!(problems.iter().all(|problem| !problem.on("gpu-1").is_empty()));
        }
        Err(error) => assert!(!error.on("gpu-1").is_empty()),
    }
}
