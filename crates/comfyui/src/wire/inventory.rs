//! `/object_info` boiled down to what decides whether a server can run a graph: its node classes, and the files
//! that its loaders list.
//!
//! A server full of custom nodes answers tens of megabytes; what is kept of them is a few hundred kilobytes,
//! since every name and every list is stored once. One class of an odd shape costs only what it says about
//! itself: its name still counts.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::lenient;
use crate::workflow::files;

/// Tells one `/object_info` from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of an answer's body.
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }
}

/// What a server can run.
#[derive(Clone, PartialEq, Eq)]
pub struct Inventory {
    classes: HashMap<Arc<str>, Inputs>,
    /// Classes with inputs of whole numbers of a span worth knowing.
    spans: HashMap<Arc<str>, Spans>,
    malformed: usize,
    /// Counted once, since lists are long.
    files: usize,
    fingerprint: Fingerprint,
}

/// Choice inputs of a class that may name model files, by name.
type Inputs = Box<[(Arc<str>, Choices)]>;
/// Sorted.
type Choices = Arc<[Arc<str>]>;
/// The largest values of inputs, by name.
type Spans = Box<[(Arc<str>, u64)]>;

/// Limits of whole numbers below this are those of sizes and counts, which nobody asks the inventory for.
const SPAN_MIN: u64 = 1 << 16;

impl Inventory {
    /// Reads the body of `GET /object_info`.
    ///
    /// # Errors
    /// When it is no JSON object, whatever Python's numbers in it.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let fingerprint = Fingerprint::of(body);
        let mut parsed = parse(body).or_else(|error| match lenient::sanitise(body) {
            Cow::Owned(clean) => parse(&clean),
            Cow::Borrowed(_) => Err(error),
        })?;
        parsed.classes.shrink_to_fit();
        let Reader { classes, spans, .. } = parsed;
        let mut read = Self { classes, spans, malformed: parsed.malformed, files: 0, fingerprint };
        read.files = read.model_files().len();
        Ok(read)
    }

    /// Which answer this was read from.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether the server has the node class.
    pub fn has_class(&self, class: &str) -> bool {
        self.classes.contains_key(class)
    }

    /// How many node classes it has.
    pub fn class_count(&self) -> usize {
        self.classes.len()
    }

    /// How many of them could not be understood; they count as present, with inputs that take anything.
    pub fn malformed_count(&self) -> usize {
        self.malformed
    }

    /// Whether an input of a class lists the file; `None` when the class or input is unknown, or takes more than
    /// what a list says.
    pub fn lists(&self, class: &str, input: &str, file: &str) -> Option<bool> {
        let inputs = self.classes.get(class)?;
        let (_, choices) = inputs.iter().find(|(name, _)| &**name == input)?;
        Some(choices.binary_search_by(|choice| (**choice).cmp(file)).is_ok())
    }

    /// The largest value of an input of whole numbers with a large span, such as a seed; `None` when the class or
    /// input is unknown, or takes whatever 64 bits hold.
    pub fn largest(&self, class: &str, input: &str) -> Option<u64> {
        let (_, largest) = self.spans.get(class)?.iter().find(|(name, _)| &**name == input)?;
        Some(*largest)
    }

    /// Every model file that any loader lists, sorted.
    pub fn model_files(&self) -> BTreeSet<&str> {
        // Lists are shared between classes: look at each once.
        let mut seen = HashSet::new();
        let lists = self.classes.values().flat_map(|inputs| inputs.iter()).map(|(_, choices)| choices);
        lists
            .filter(|choices| seen.insert(choices.as_ptr()))
            .flat_map(|choices| choices.iter())
            .map(|choice| &**choice)
            .filter(|choice| files::has_model_extension(choice))
            .collect()
    }

    /// The model files by the input that takes them (`ckpt_name`, `lora_name`, …), both sorted.
    pub fn model_files_by_input(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut by_input: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (input, choices) in self.classes.values().flat_map(|inputs| inputs.iter()) {
            let files = choices.iter().map(|choice| &**choice).filter(|choice| files::has_model_extension(choice));
            by_input.entry(input).or_default().extend(files);
        }
        by_input.retain(|_, files| !files.is_empty());
        by_input
    }

    /// How many model files the loaders list in all.
    pub fn model_file_count(&self) -> usize {
        self.files
    }

    /// Adds classes that the server knows under another name.
    pub fn add_classes(&mut self, classes: impl IntoIterator<Item = String>) {
        for class in classes {
            self.classes.entry(class.into()).or_default();
        }
    }
}

impl fmt::Debug for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inventory({} classes, {} malformed)", self.classes.len(), self.malformed)
    }
}

#[derive(Default)]
struct Reader {
    classes: HashMap<Arc<str>, Inputs>,
    spans: HashMap<Arc<str>, Spans>,
    malformed: usize,
    names: HashSet<Arc<str>>,
    lists: HashSet<Choices>,
}

fn parse(body: &[u8]) -> Result<Reader, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let reader = json.deserialize_map(ClassByClass)?;
    json.end()?;
    Ok(reader)
}

/// Goes through the classes one at a time, so that only one of them is ever held as JSON.
struct ClassByClass;

impl<'de> Visitor<'de> for ClassByClass {
    type Value = Reader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("node classes by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reader, A::Error> {
        let mut reader = Reader::default();
        while let Some((class, raw)) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
            let value: Option<Value> = serde_json::from_str(raw.get()).ok();
            let inputs = value.as_ref().and_then(|class| reader.inputs(class));
            reader.malformed += usize::from(inputs.is_none());
            let class = reader.name(&class);
            let spans = value.as_ref().map(|value| reader.spans(value)).unwrap_or_default();
            if !spans.is_empty() {
                reader.spans.insert(class.clone(), spans);
            }
            reader.classes.insert(class, inputs.unwrap_or_default());
        }
        Ok(reader)
    }
}

impl Reader {
    /// `None` when the class has no inputs where they should be.
    fn inputs(&mut self, class: &Value) -> Option<Inputs> {
        let sections = class.get("input")?.as_object()?;
        let mut inputs = Vec::new();
        for section in ["required", "optional"] {
            for (name, spec) in sections.get(section).and_then(Value::as_object).into_iter().flatten() {
                if let Some(choices) = self.choices(name, spec) {
                    inputs.push((self.name(name), choices));
                }
            }
        }
        Some(inputs.into_boxed_slice())
    }

    fn spans(&mut self, class: &Value) -> Spans {
        let sections = ["required", "optional"].map(|section| class.get("input")?.get(section)?.as_object());
        let largest = |spec: &Value| {
            let max = spec.get(1).filter(|_| spec.get(0).is_some_and(|kind| kind == "INT"))?.get("max")?.as_u64()?;
            (SPAN_MIN..u64::MAX).contains(&max).then_some(max)
        };
        let inputs = sections.into_iter().flatten().flatten();
        inputs.filter_map(|(name, spec)| Some((self.name(name), largest(spec)?))).collect()
    }

    /// The list of an input, when it may be one of model files. Lists of samplers and pictures are not kept. An
    /// empty list is: it is how a loader says that it found no file.
    fn choices(&mut self, input: &str, spec: &Value) -> Option<Choices> {
        let list = match spec.get(0)? {
            Value::Array(list) => list,
            Value::String(kind) if kind == "COMBO" => spec.get(1)?.get("options")?.as_array()?,
            _ => return None,
        };
        // Anything but texts (a choice that carries inputs of its own, say) takes more than the list says.
        let mut files: Vec<&str> = list.iter().map(Value::as_str).collect::<Option<_>>()?;
        let of_models = files.is_empty()
            || files::is_loader_input(input)
            || files.iter().any(|choice| files::has_model_extension(choice));
        if !of_models {
            return None;
        }
        files.sort_unstable();
        files.dedup();
        let choices: Choices = files.into_iter().map(|file| self.name(file)).collect();
        if let Some(known) = self.lists.get(&choices) {
            return Some(known.clone());
        }
        self.lists.insert(choices.clone());
        Some(choices)
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_shapes_of_lists_are_read_and_only_files_are_kept() {
        let body = json!({
            "Old": {"input": {"required": {"ckpt_name": [["b.safetensors", "a.safetensors"], {}], "sampler": [["euler"]]}}},
            "New": {"input": {"optional": {"lora": ["COMBO", {"options": ["x.safetensors", "None"]}], "steps": ["INT", {}]}}},
            "Bare": {"input": {"required": {"file": [[]], "extra": [[{"key": "x.gguf"}]]}}},
        });
        let inventory = Inventory::parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(inventory.lists("Old", "ckpt_name", "a.safetensors"), Some(true));
        assert_eq!(inventory.lists("Old", "ckpt_name", "c.safetensors"), Some(false));
        assert_eq!(inventory.lists("Old", "sampler", "euler"), None);
        assert_eq!(inventory.lists("New", "lora", "x.safetensors"), Some(true));
        assert_eq!(inventory.lists("Bare", "file", "x.safetensors"), Some(false), "it found no file");
        assert_eq!(inventory.lists("Bare", "extra", "x.gguf"), None);
        assert_eq!(
            inventory.model_files().into_iter().collect::<Vec<_>>(),
            ["a.safetensors", "b.safetensors", "x.safetensors"]
        );
        let by_input = inventory.model_files_by_input();
        assert_eq!(by_input.keys().copied().collect::<Vec<_>>(), ["ckpt_name", "lora"]);
        assert_eq!(by_input["lora"].iter().copied().collect::<Vec<_>>(), ["x.safetensors"]);
        assert_eq!((inventory.class_count(), inventory.malformed_count()), (3, 0));
    }

    #[test]
    fn the_spans_of_seeds_are_kept_where_they_are_less_than_all() {
        let body = json!({
            "Narrow": {"input": {"required": {"seed": ["INT", {"min": 0, "max": 4_294_967_295_u64}], "steps": ["INT", {"max": 10_000}]}}},
            "Wide": {"input": {"required": {"seed": ["INT", {"max": u64::MAX}]}, "optional": {"cfg": ["FLOAT", {"max": 1e9}]}}},
            "Odd": {"input": {"required": {"seed": ["INT", {"max": 1e19}], "other": ["INT"], "more": 7}}},
        });
        let inventory = Inventory::parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(inventory.largest("Narrow", "seed"), Some(u64::from(u32::MAX)));
        for (class, input) in
            [("Narrow", "steps"), ("Wide", "seed"), ("Wide", "cfg"), ("Odd", "seed"), ("None", "seed")]
        {
            assert_eq!(inventory.largest(class, input), None, "{class}.{input}");
        }
        assert_eq!(inventory.malformed_count(), 0);
    }

    #[test]
    fn odd_classes_and_pythons_numbers_cost_nothing_else() {
        let body = br#"{"A": {"input": {"required": {"ckpt_name": [["a.ckpt"], {"max": Infinity}]}}, "x": NaN},
            "B": null, "C": {"input": 7}, "D": [1, 2], "E": {"input": {"required": {"vae_name": ["COMBO", 3]}}}}"#;
        let inventory = Inventory::parse(body).unwrap();
        assert_eq!((inventory.class_count(), inventory.malformed_count()), (5, 3));
        assert_eq!(inventory.lists("A", "ckpt_name", "a.ckpt"), Some(true));
        assert!(inventory.has_class("B") && inventory.has_class("D") && !inventory.has_class("F"));
        for broken in [&b"[]"[..], b"{\"A\": {", b"<html>", b"{} {}"] {
            assert!(Inventory::parse(broken).is_err(), "{}", String::from_utf8_lossy(broken));
        }
    }

    #[test]
    fn nesting_beyond_reason_is_one_odd_class() {
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let body = format!(r#"{{"Deep": {deep}, "Fine": {{"input": {{}}}}}}"#);
        let inventory = Inventory::parse(body.as_bytes()).unwrap();
        assert_eq!((inventory.class_count(), inventory.malformed_count()), (2, 1));
    }

    #[test]
    fn lists_that_many_loaders_share_are_kept_once() {
        let files: Vec<String> = (0..500).map(|n| format!("lora-{n}.safetensors")).collect();
        let class = json!({"input": {"required": {"lora_name": [files]}}});
        let body: serde_json::Map<String, Value> = (0..3_000).map(|n| (format!("Class{n}"), class.clone())).collect();
        let inventory = Inventory::parse(Value::Object(body).to_string().as_bytes()).unwrap();
        assert_eq!(inventory.class_count(), 3_000);
        let lists: HashSet<*const Arc<str>> =
            inventory.classes.values().flat_map(|inputs| inputs.iter()).map(|(_, list)| list.as_ptr()).collect();
        assert_eq!(lists.len(), 1);
        assert_eq!((inventory.model_files().len(), inventory.model_file_count()), (500, 500));
    }
}
