//! The inputs that could be a slot of a kind, for people who choose one by hand.
//!
//! Wider than detection, which must be right: a person looks at what is offered. An input fits by the type of its
//! value and by its name; where no name fits, every value of the right type is offered.

use serde_json::Value;

use super::{
    SlotKind, Target,
    classes::{CHECKPOINT_INPUTS, is_output, output_target},
    texts::TEXT_INPUTS,
};
use crate::workflow::Graph;

/// Inputs of nodes that hold one value and nothing else.
const PLAIN: [&str; 6] = ["value", "int", "float", "number", "string", "a"];

/// The places that a slot of this kind could have, in the order of the file.
pub fn fitting(graph: &Graph, kind: SlotKind) -> Vec<Target> {
    if kind == SlotKind::Output {
        return outputs(graph);
    }
    let places = |named: bool| -> Vec<Target> {
        let nodes = graph.nodes().flat_map(|(id, node)| node.inputs.keys().map(move |input| (id, node, input)));
        nodes
            .filter(|(_, node, input)| node.literal(input).is_some_and(|value| is_of_type(kind, value)))
            .filter(|(_, _, input)| !named || is_named(kind, input))
            .map(|(id, _, input)| Target { node_id: id.to_owned(), input: input.clone() })
            .collect()
    };
    let named = places(true);
    if named.is_empty() { places(false) } else { named }
}

/// Nodes that show or save; where there are none, those from which nothing is taken.
fn outputs(graph: &Graph) -> Vec<Target> {
    let of_class: Vec<Target> =
        graph.nodes().filter(|(_, node)| is_output(node)).map(|(id, node)| output_target(id, node)).collect();
    if !of_class.is_empty() {
        return of_class;
    }
    let is_end = |id: &str| graph.links().all(|(_, _, link)| link.node_id != id);
    graph.nodes().filter(|(id, _)| is_end(id)).map(|(id, node)| output_target(id, node)).collect()
}

fn is_of_type(kind: SlotKind, value: &Value) -> bool {
    use SlotKind as K;
    match kind {
        K::Seed | K::Width | K::Height | K::Steps | K::Cfg | K::Guidance | K::Denoise | K::Batch => value.is_number(),
        _ => value.is_string(),
    }
}

fn is_named(kind: SlotKind, input: &str) -> bool {
    use SlotKind as K;
    let input = input.to_lowercase();
    let holds = |words: &[&str]| words.iter().any(|word| input.contains(word));
    PLAIN.contains(&input.as_str())
        || match kind {
            K::Prompt | K::Negative => {
                holds(&["text", "prompt"]) || TEXT_INPUTS.iter().any(|known| known.eq_ignore_ascii_case(&input))
            }
            K::Seed => holds(&["seed"]),
            K::Width => holds(&["width"]),
            K::Height => holds(&["height"]),
            K::Steps => holds(&["steps"]),
            K::Cfg => holds(&["cfg"]),
            K::Guidance => holds(&["guidance"]),
            K::Sampler => holds(&["sampler"]),
            K::Scheduler => holds(&["scheduler"]),
            K::Denoise => holds(&["denoise", "strength"]),
            K::Checkpoint => holds(&CHECKPOINT_INPUTS) || input == "model_name",
            K::Lora => holds(&["lora"]),
            K::UpscaleModel | K::Detector => holds(&["model_name"]),
            K::InputImage | K::Mask => holds(&["image", "mask"]),
            K::Batch => holds(&["batch", "amount"]),
            K::FilenamePrefix => holds(&["filename", "prefix"]),
            K::Output => false,
        }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn places(graph: &Value, kind: SlotKind) -> Vec<String> {
        let graph = Graph::parse(graph).expect("a graph");
        let found = fitting(&graph, kind).into_iter();
        found.map(|target| format!("{}.{}", target.node_id, target.input)).collect()
    }

    #[test]
    fn an_input_fits_by_its_type_and_its_name() {
        let graph = json!({
            "1": {"class_type": "CLIPTextEncode", "inputs": {"text": "one", "clip": ["9", 1]}},
            "2": {"class_type": "CLIPTextEncode", "inputs": {"text": ["3", 0], "clip": ["9", 1]}},
            "3": {"class_type": "PrimitiveString", "inputs": {"value": "two"}},
            "4": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 4, "sampler_name": "euler", "cfg": 1.5}},
            "5": {"class_type": "RandomNoise", "inputs": {"noise_seed": 7}},
            "6": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "x"}}
        });
        assert_eq!(places(&graph, SlotKind::Prompt), ["1.text", "3.value"], "a link is no place, nor a sampler's name");
        assert_eq!(places(&graph, SlotKind::Seed), ["4.seed", "5.noise_seed"]);
        assert_eq!(places(&graph, SlotKind::Output), ["6.images"]);
        assert_eq!(places(&graph, SlotKind::Cfg), ["4.cfg"]);
    }

    #[test]
    fn where_no_name_fits_every_value_of_the_type_is_offered() {
        let graph = json!({
            "1": {"class_type": "Odd", "inputs": {"dice": 3, "word": "x", "on": true}},
            "2": {"class_type": "Odder", "inputs": {"from": ["1", 0], "many": 2}}
        });
        assert_eq!(places(&graph, SlotKind::Seed), ["1.dice", "2.many"]);
        assert_eq!(places(&graph, SlotKind::Prompt), ["1.word"]);
        assert_eq!(places(&graph, SlotKind::Output), ["2.from"], "the end of the graph");
    }
}
