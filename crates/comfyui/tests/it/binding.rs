//! Writing values into graphs.

use std::collections::BTreeSet;

use comfyui::workflow::bind::{BindError, Bindings, bind, bind_all};
use comfyui::workflow::slots::{Target, detect};
use comfyui::workflow::{Graph, SlotKind, graph::as_link};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixtures;

fn all() -> Bindings {
    Bindings {
        prompt: Some("a blue whale".to_owned()),
        negative: Some("text".to_owned()),
        seed: Some(u64::MAX),
        width: Some(640),
        height: Some(384),
        steps: Some(9),
        cfg: Some(2.5),
        guidance: Some(4.0),
        sampler: Some("dpmpp_2m".to_owned()),
        scheduler: Some("karras".to_owned()),
        denoise: Some(0.5),
        checkpoint: Some("other.safetensors".to_owned()),
        batch: Some(3),
        filename_prefix: Some("hub/1/img".to_owned()),
        ..Bindings::default()
    }
}

/// Every value at every input, for comparing two graphs.
fn inputs(graph: &Graph) -> Vec<(String, String, Value)> {
    graph
        .nodes()
        .flat_map(|(id, node)| {
            node.inputs.iter().map(move |(input, value)| (id.to_owned(), input.clone(), value.clone()))
        })
        .collect()
}

#[test]
fn all_values_arrive_and_nothing_else_changes() {
    for (name, graph) in fixtures::standard_graphs() {
        let slots = detect(&graph);
        let bound = bind_all(&graph, &slots, &all()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let targets: BTreeSet<_> =
            slots.slots.iter().flat_map(|slot| &slot.targets).map(|t| (t.node_id.clone(), t.input.clone())).collect();
        for ((id, input, before), (_, _, after)) in inputs(&graph).into_iter().zip(inputs(&bound.graph)) {
            if before != after {
                assert!(targets.contains(&(id.clone(), input.clone())), "{name}: {id}.{input}");
                assert!(as_link(&before).is_none());
            }
        }
        for slot in &slots.slots {
            let value = |t: &Target| bound.graph.node(&t.node_id).unwrap().inputs[&t.input].clone();
            for target in &slot.targets {
                match slot.kind {
                    SlotKind::Prompt => assert_eq!(value(target), "a blue whale"),
                    SlotKind::Seed => assert_eq!(value(target).as_u64(), Some(u64::MAX), "{name}"),
                    SlotKind::Width => assert_eq!(value(target), 640),
                    SlotKind::FilenamePrefix => assert_eq!(value(target), "hub/1/img"),
                    SlotKind::Checkpoint => assert_eq!(value(target), "other.safetensors"),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn nothing_given_changes_nothing() {
    for (_, graph) in fixtures::standard_graphs() {
        assert_eq!(bind(&graph, &detect(&graph), &Bindings::default()).unwrap(), graph);
    }
}

#[test]
fn large_seeds_survive_the_whole_way() {
    for seed in [0, 1 << 53, (1 << 53) + 1, u64::MAX - 1, u64::MAX] {
        let graph = fixtures::graph("txt2img_flux2_klein");
        let values = Bindings { seed: Some(seed), ..Bindings::default() };
        let text = serde_json::to_string(&bind(&graph, &detect(&graph), &values).unwrap()).unwrap();
        assert!(text.contains(&format!("\"noise_seed\":{seed}}}")), "{text}");
        let again: Graph = serde_json::from_str(&text).unwrap();
        assert_eq!(again.node("11").unwrap().inputs["noise_seed"].as_u64(), Some(seed));
    }
}

#[test]
fn sizes_reach_every_node_that_repeats_them() {
    let graph = fixtures::graph("txt2img_flux2_klein");
    let bound = bind(&graph, &detect(&graph), &all()).unwrap();
    for node in ["5", "14"] {
        let inputs = &bound.node(node).unwrap().inputs;
        assert_eq!((&inputs["width"], &inputs["height"]), (&json!(640), &json!(384)));
    }
}

#[test]
fn values_without_a_place_are_reported_and_pictures_are_refused() {
    let graph = fixtures::graph("txt2img_flux_dev");
    let slots = detect(&graph);
    let bound = bind_all(&graph, &slots, &all()).unwrap();
    assert_eq!(bound.unused, [SlotKind::Negative], "a model without negatives is no failure");
    let image = Bindings { input_image: Some("x.png".to_owned()), ..Bindings::default() };
    assert!(matches!(bind(&graph, &slots, &image), Err(BindError::NoSlot { .. })));
    let mask = Bindings { mask: Some("x.png".to_owned()), ..Bindings::default() };
    assert!(matches!(bind(&graph, &slots, &mask), Err(BindError::NoSlot { .. })));
    let graph = fixtures::graph("inpaint_flux_fill");
    let both = Bindings {
        input_image: Some("hub/a.png".to_owned()),
        mask: Some("hub/m.png".to_owned()),
        ..Bindings::default()
    };
    let bound = bind(&graph, &detect(&graph), &both).unwrap();
    assert_eq!(
        (&bound.node("10").unwrap().inputs["image"], &bound.node("11").unwrap().inputs["image"]),
        (&json!("hub/a.png"), &json!("hub/m.png"))
    );
}

#[test]
fn each_saving_node_gets_its_own_prefix() {
    let mut value = fixtures::graph("txt2img_sd15").to_value();
    value["57:2"] = json!({"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "stale"}});
    let graph = Graph::parse(&value).unwrap();
    let bound = bind(&graph, &detect(&graph), &all()).unwrap();
    assert_eq!(bound.node("9").unwrap().inputs["filename_prefix"], "hub/1/img_n9");
    assert_eq!(bound.node("57:2").unwrap().inputs["filename_prefix"], "hub/1/img_n57-2");
}

#[test]
fn an_absent_contract_seed_is_created() {
    let mut value = fixtures::graph("txt2img_sd15").to_value();
    value["21"] = json!({"class_type": "Seed", "inputs": {}, "_meta": {"title": "MCP_SEED"}});
    let graph = Graph::parse(&value).unwrap();
    let slots = detect(&graph);
    let bound = bind(&graph, &slots, &all()).unwrap();
    assert_eq!(bound.node("21").unwrap().inputs["value"].as_u64(), Some(u64::MAX));
    assert_eq!(bind(&bound, &slots, &all()).unwrap(), bound);
}

#[test]
fn senseless_values_are_refused() {
    let graph = fixtures::graph("txt2img_sd15");
    let slots = detect(&graph);
    let none = Bindings::default;
    for values in [
        Bindings { width: Some(0), ..none() },
        Bindings { steps: Some(0), ..none() },
        Bindings { cfg: Some(f64::NAN), ..none() },
        Bindings { cfg: Some(f64::INFINITY), ..none() },
        Bindings { denoise: Some(1.1), ..none() },
        Bindings { denoise: Some(f64::NAN), ..none() },
    ] {
        assert!(matches!(bind(&graph, &slots, &values), Err(BindError::OutOfRange { .. })), "{values:?}");
    }
    for prefix in ["", "/abs", "../x", "a//b", "a/../b", "a\\b", "a/%date%", "x/"] {
        let values = Bindings { filename_prefix: Some(prefix.to_owned()), ..none() };
        assert!(matches!(bind(&graph, &slots, &values), Err(BindError::UnsafePrefix(_))), "{prefix}");
    }
}

#[test]
fn custom_values_are_checked_like_the_others() {
    let graph = fixtures::graph("txt2img_flux_dev");
    let slots = detect(&graph);
    let set = |node: &str, input: &str, value: Value| {
        let target = Target { node_id: node.to_owned(), input: input.to_owned() };
        bind(&graph, &slots, &Bindings { custom: vec![(target, value)], ..Bindings::default() })
    };
    assert_eq!(set("2", "type", json!("sdxl")).unwrap().node("2").unwrap().inputs["type"], "sdxl");
    assert!(matches!(set("2", "type", json!(5)), Err(BindError::WrongType { .. })));
    assert!(
        matches!(set("2", "type", json!(["1", 0])), Err(BindError::WrongType { .. })),
        "no link can be smuggled in"
    );
    assert!(matches!(set("3", "model", json!("x")), Err(BindError::Linked { .. } | BindError::WrongType { .. })));
    assert!(matches!(set("99", "x", json!("x")), Err(BindError::Stale { .. })));
    assert!(matches!(set("2", "nope", json!("x")), Err(BindError::Stale { .. })));
}

#[test]
fn slots_of_another_graph_are_refused() {
    let slots = detect(&fixtures::graph("txt2img_flux_dev"));
    let other = fixtures::graph("upscale_model");
    assert!(matches!(bind(&other, &slots, &all()), Err(BindError::Stale { .. })));
}

fn some_bindings() -> impl Strategy<Value = Bindings> {
    let texts = (proptest::option::of(".*"), proptest::option::of(".*"), proptest::option::of("[a-z]{1,9}"));
    let numbers = (
        proptest::option::of(any::<u64>()),
        proptest::option::of(1..20_000_u32),
        proptest::option::of(1..20_000_u32),
        proptest::option::of(1..200_u32),
    );
    let floats = (proptest::option::of(0.0..100.0_f64), proptest::option::of(0.0..=1.0_f64));
    (texts, numbers, floats, proptest::option::of("[a-z0-9]{1,8}/[a-z]{1,8}")).prop_map(
        |((prompt, negative, sampler), (seed, width, height, steps), (cfg, denoise), filename_prefix)| Bindings {
            prompt,
            negative,
            sampler,
            seed,
            width,
            height,
            steps,
            cfg,
            denoise,
            filename_prefix,
            ..Bindings::default()
        },
    )
}

/// A standard graph, and the same with some of its values moved behind primitives, which are sometimes missing.
fn some_graph() -> impl Strategy<Value = (Graph, Graph)> {
    let graphs = fixtures::standard_graphs();
    (0..graphs.len(), proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..6)).prop_map(
        move |(which, moves)| {
            let mut value = graphs[which].1.to_value();
            let places: Vec<(String, String)> = inputs(&graphs[which].1)
                .into_iter()
                .filter(|(_, _, value)| as_link(value).is_none())
                .map(|(id, input, _)| (id, input))
                .collect();
            for (number, (place, present)) in moves.into_iter().enumerate() {
                let (id, input) = place.get(&places);
                let primitive = format!("p{number}");
                let old = std::mem::replace(&mut value[id]["inputs"][input], json!([primitive, 0]));
                if present && as_link(&old).is_none() {
                    value[&primitive] = json!({"class_type": "Primitive", "inputs": {"value": old}});
                }
            }
            (graphs[which].1.clone(), Graph::parse(&value).unwrap())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn binding_is_safe_and_idempotent((_, graph) in some_graph(), values in some_bindings()) {
        let slots = detect(&graph);
        let bound = bind(&graph, &slots, &values).unwrap();
        prop_assert_eq!(&bind(&bound, &slots, &values).unwrap(), &bound);
        prop_assert_eq!(graph.links().collect::<Vec<_>>(), bound.links().collect::<Vec<_>>(), "links are never overwritten");
        let targets: BTreeSet<(&str, &str)> = slots.slots.iter().flat_map(|slot| &slot.targets).map(|t| (t.node_id.as_str(), t.input.as_str())).collect();
        for ((id, input, before), (_, _, after)) in inputs(&graph).iter().zip(&inputs(&bound)) {
            if before != after {
                prop_assert!(targets.contains(&(id.as_str(), input.as_str())));
                prop_assert_eq!(before.is_string(), after.is_string());
                prop_assert_eq!(before.is_number(), after.is_number());
            }
        }
        for ((id, before), (other, after)) in graph.nodes().zip(bound.nodes()) {
            prop_assert_eq!(id, other);
            prop_assert_eq!((&before.class_type, &before.meta, &before.extra), (&after.class_type, &after.meta, &after.extra));
        }
    }

    #[test]
    fn slots_found_before_inputs_were_linked_never_break_links((original, linked) in some_graph(), values in some_bindings()) {
        if let Ok(bound) = bind(&linked, &detect(&original), &values) {
            prop_assert_eq!(linked.links().collect::<Vec<_>>(), bound.links().collect::<Vec<_>>());
        }
    }
}
