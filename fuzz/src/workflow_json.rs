//! A workflow as somebody uploads it: read, looked through for slots, filled in.

use comfyui::workflow::{Bindings, Found, Graph, bind::bind_all, files, format, slots};

/// Whatever is read as a graph survives writing; slots name what is there; filling in keeps every node and every link,
/// and doing it twice is doing it once.
///
/// # Panics
/// When a promise is broken.
pub fn workflow_json(data: &[u8]) {
    let Ok(Found::Api(unwrapped)) = format::find(data) else { return };
    let graph = unwrapped.graph;
    let again = Graph::parse(&graph.to_value()).expect("what was written is read");
    assert_eq!(graph, again, "writing loses nothing");

    let found = slots::detect(&graph);
    assert_eq!(found, slots::detect(&again), "the same graph has the same slots");
    for slot in &found.slots {
        assert!(!slot.targets.is_empty(), "a slot has a place: {slot:?}");
        for target in &slot.targets {
            assert!(graph.node(&target.node_id).is_some(), "a slot's node is there: {slot:?}");
        }
    }
    files::model_files(&graph);
    files::node_classes(&graph);

    let values = bindings();
    let Ok(bound) = bind_all(&graph, &found, &values) else { return };
    same_but_for_values(&graph, &bound.graph);
    let twice = bind_all(&bound.graph, &found, &values).expect("what was bound can be bound");
    assert_eq!(bound, twice, "binding twice is binding once");
}

fn bindings() -> Bindings {
    Bindings {
        prompt: Some("a red fox".to_owned()),
        negative: Some("blurred".to_owned()),
        seed: Some(u64::MAX),
        width: Some(512),
        height: Some(768),
        steps: Some(7),
        cfg: Some(6.5),
        guidance: Some(3.5),
        sampler: Some("euler".to_owned()),
        scheduler: Some("normal".to_owned()),
        denoise: Some(0.5),
        batch: Some(1),
        filename_prefix: Some("hub/job/img".to_owned()),
        ..Bindings::default()
    }
}

fn same_but_for_values(before: &Graph, after: &Graph) {
    assert_eq!(before.len(), after.len());
    for ((id, node), (id_after, node_after)) in before.nodes().zip(after.nodes()) {
        assert_eq!(
            (id, &node.class_type, &node.meta, &node.extra),
            (id_after, &node_after.class_type, &node_after.meta, &node_after.extra)
        );
        for input in node.inputs.keys() {
            assert!(node_after.inputs.contains_key(input), "node {id} keeps its input {input:?}");
        }
    }
    assert!(before.links().eq(after.links()), "every link stays");
}
