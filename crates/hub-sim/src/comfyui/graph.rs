//! Reading a prompt graph: links, execution order, cache signatures, model files.
//!
//! Pure functions over the JSON of a validated prompt. Follows the scheduling rules of the real executor, so that
//! nodes run in the recorded order.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};

use serde_json::{Map, Value};

use super::object_info::Catalogue;

/// A prompt in API format.
pub(crate) type Graph = Map<String, Value>;

/// A cache key: equal for nodes that compute the same thing.
pub(crate) type Signature = u64;

/// Deepest chain of links that is followed.
const MAX_DEPTH: usize = 512;

/// The node id and slot of a link, when the value is one.
pub(crate) fn link(value: &Value) -> Option<(&str, usize)> {
    match value.as_array()?.as_slice() {
        [Value::String(id), slot] => Some((id, usize::try_from(slot.as_u64()?).ok()?)),
        _ => None,
    }
}

/// The class of a node, or "".
pub(crate) fn class<'a>(graph: &'a Graph, id: &str) -> &'a str {
    graph.get(id).and_then(|n| n["class_type"].as_str()).unwrap_or("")
}

/// An input of a node with links to primitives followed to their value.
pub(crate) fn literal<'a>(graph: &'a Graph, id: &str, input: &str) -> Option<&'a Value> {
    let mut value = graph.get(id)?.get("inputs")?.get(input)?;
    for _ in 0..MAX_DEPTH {
        match link(value) {
            Some((from, _)) => value = graph.get(from)?.get("inputs")?.get("value")?,
            None => return Some(value),
        }
    }
    None
}

/// True for the nodes that take `run_ms`.
pub(crate) fn is_sampler(class: &str) -> bool {
    matches!(class, "KSampler" | "KSamplerAdvanced" | "SamplerCustom" | "SamplerCustomAdvanced" | "FaceDetailer")
}

/// Sampling steps of a sampler node, as far as the graph tells; at least 1.
pub(crate) fn steps(graph: &Graph, id: &str) -> u64 {
    let number = |id: &str, name: &str| literal(graph, id, name).and_then(Value::as_u64);
    let own = match class(graph, id) {
        "KSampler" | "FaceDetailer" => number(id, "steps"),
        "KSamplerAdvanced" => number(id, "steps").map(|steps| {
            let from = number(id, "start_at_step").unwrap_or(0);
            let to = number(id, "end_at_step").unwrap_or(steps).min(steps);
            to.saturating_sub(from)
        }),
        _ => graph.get(id).and_then(|n| link(&n["inputs"]["sigmas"])).and_then(|(from, _)| number(from, "steps")),
    };
    own.unwrap_or(1).max(1)
}

/// The model files a graph names, by the inputs of its loader nodes.
pub(crate) fn model_files(graph: &Graph, catalogue: &Catalogue) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for node in graph.values() {
        let Some(class) = node["class_type"].as_str().and_then(|c| catalogue.class(c)) else { continue };
        for input in &class.inputs {
            let from_folder = input
                .options
                .as_deref()
                .is_some_and(|o| matches!(o, [Value::String(s)] if s.starts_with('$') && s != "$input"));
            if let (true, Some(name)) = (from_folder, node["inputs"][&input.name].as_str()) {
                files.insert(name.to_owned());
            }
        }
    }
    files
}

/// Signatures of all nodes. `file_tag` tells the state of a file named by an image loader.
pub(crate) fn signatures(graph: &Graph, file_tag: &dyn Fn(&str) -> String) -> HashMap<String, Signature> {
    let mut done = HashMap::new();
    for id in graph.keys() {
        sign(graph, id, file_tag, &mut done, 0);
    }
    done
}

fn sign(
    graph: &Graph,
    id: &str,
    file_tag: &dyn Fn(&str) -> String,
    done: &mut HashMap<String, Signature>,
    depth: usize,
) -> Signature {
    if let Some(known) = done.get(id) {
        return *known;
    }
    let mut hasher = DefaultHasher::new();
    let class = class(graph, id);
    class.hash(&mut hasher);
    if depth < MAX_DEPTH {
        for (name, value) in graph.get(id).and_then(|n| n["inputs"].as_object()).into_iter().flatten() {
            name.hash(&mut hasher);
            match link(value) {
                Some((from, slot)) => {
                    slot.hash(&mut hasher);
                    sign(graph, from, file_tag, done, depth + 1).hash(&mut hasher);
                }
                None => hash_value(value, &mut hasher),
            }
            if let (true, Some(file)) = (class.starts_with("LoadImage"), value.as_str()) {
                file_tag(file).hash(&mut hasher);
            }
        }
    }
    let signature = hasher.finish();
    done.insert(id.to_owned(), signature);
    signature
}

fn hash_value(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::String(text) => text.hash(hasher),
        Value::Number(n) if n.is_u64() => n.as_u64().hash(hasher),
        other => other.to_string().hash(hasher),
    }
}

/// The nodes still to run, picked one at a time as the real executor does.
pub(crate) struct ExecutionList {
    /// Waiting nodes in the order they were found.
    pending: Vec<String>,
    /// How many unfinished nodes each one waits for.
    waits_for: HashMap<String, usize>,
    /// Who waits for a node.
    blocks: HashMap<String, Vec<String>>,
    outputs: HashSet<String>,
}

impl ExecutionList {
    /// Everything that `wanted` needs and that `is_cached` does not hold.
    pub(crate) fn new(
        graph: &Graph,
        catalogue: &Catalogue,
        wanted: &[String],
        is_cached: impl Fn(&str) -> bool,
    ) -> ExecutionList {
        let mut list = ExecutionList {
            pending: Vec::new(),
            waits_for: HashMap::new(),
            blocks: HashMap::new(),
            outputs: HashSet::new(),
        };
        let mut links: HashSet<(String, String)> = HashSet::new();
        let mut stack: Vec<String> = Vec::new();
        for output in wanted {
            stack.push(output.clone());
            while let Some(id) = stack.pop() {
                if list.waits_for.contains_key(&id) {
                    continue;
                }
                list.pending.push(id.clone());
                list.waits_for.insert(id.clone(), 0);
                if catalogue.class(class(graph, &id)).is_some_and(|c| c.is_output) {
                    list.outputs.insert(id.clone());
                }
                for value in graph.get(&id).and_then(|n| n["inputs"].as_object()).into_iter().flat_map(Map::values) {
                    if let Some((from, _)) = link(value)
                        && !is_cached(from)
                    {
                        stack.push(from.to_owned());
                        links.insert((from.to_owned(), id.clone()));
                    }
                }
            }
        }
        for (from, to) in links {
            *list.waits_for.entry(to.clone()).or_default() += 1;
            list.blocks.entry(from).or_default().push(to);
        }
        list
    }

    /// How many nodes are left.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn pending(&self) -> &[String] {
        &self.pending
    }

    /// Takes the node that runs next: outputs first, then what leads to an output, then the oldest.
    pub(crate) fn pop(&mut self) -> Option<String> {
        let ready: Vec<&String> = self.pending.iter().filter(|id| self.waits_for.get(*id) == Some(&0)).collect();
        let leads = |id: &str, hops: usize| self.leads_to_output(id, hops);
        let chosen = (0..=2)
            .find_map(|hops| ready.iter().find(|id| leads(id, hops)))
            .or_else(|| ready.first())
            .map(|id| (*id).clone())?;
        self.pending.retain(|id| *id != chosen);
        for blocked in self.blocks.remove(&chosen).unwrap_or_default() {
            if let Some(count) = self.waits_for.get_mut(&blocked) {
                *count = count.saturating_sub(1);
            }
        }
        Some(chosen)
    }

    fn leads_to_output(&self, id: &str, hops: usize) -> bool {
        if hops == 0 {
            return self.outputs.contains(id);
        }
        self.blocks.get(id).is_some_and(|next| next.iter().any(|n| self.leads_to_output(n, hops - 1)))
    }
}
