//! Validation of a posted prompt, with the error types, texts and shapes of the real server.
//!
//! Owns the answer to "may this run, and if not why". It coerces values in place as the real server does; it never
//! queues or runs anything. The order of errors inside one node is not defined, as on the real server.

mod values;

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::config::Version;
use super::graph::Graph;
use super::object_info::{Catalogue, ClassSpec, InputSpec, Listing};
use values::{check_value, python_text, repr};

/// What validation reads.
pub(crate) struct Rules<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) listing: &'a Listing,
    pub(crate) version: Version,
    /// Tells whether an image file a loader names exists.
    pub(crate) has_file: &'a dyn Fn(&str) -> bool,
}

/// The verdict on a prompt.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Runs these output nodes; `node_errors` is non-empty when other outputs were dropped.
    Good { outputs: Vec<String>, node_errors: Value },
    /// 400 with these two members.
    Bad { error: Value, node_errors: Value },
    /// 500: the real server stumbles.
    Crash,
}

/// Validates a prompt and coerces its values.
pub(crate) fn validate(prompt: &mut Graph, targets: Option<&[String]>, rules: &Rules<'_>) -> Verdict {
    let mut outputs = Vec::new();
    for (id, node) in prompt.iter() {
        let Some(node) = node.as_object() else { return Verdict::Crash };
        let Some(class) = node.get("class_type").and_then(Value::as_str).and_then(|c| rules.catalogue.class(c)) else {
            return unknown_class(id, node, rules.version);
        };
        if class.is_output && targets.is_none_or(|t| t.contains(id)) {
            outputs.push(id.clone());
        }
    }
    if outputs.is_empty() {
        return Verdict::Bad {
            error: error("prompt_no_outputs", "Prompt has no outputs", "", &json!({})),
            node_errors: json!({}),
        };
    }
    let mut run = Run { prompt, rules, done: HashMap::new(), order: Vec::new(), visiting: Vec::new() };
    let mut good = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    let mut node_errors = Map::new();
    for output in outputs {
        if let Err(raised) = run.node(&output) {
            let reason = json!({"type": "exception_during_validation", "message": "Exception when validating node",
                "details": raised.text, "extra_info": {"exception_type": raised.kind, "traceback": raised.traceback()}});
            run.settle(&output, false, vec![reason]);
        }
        let (valid, reasons) = run.done.get(&output).cloned().unwrap_or((false, Vec::new()));
        if valid {
            good.push(output);
            continue;
        }
        lines.extend(
            reasons
                .iter()
                .map(|r| format!("{}: {}", r["message"].as_str().unwrap_or(""), r["details"].as_str().unwrap_or(""))),
        );
        run.report(&output, &mut node_errors);
    }
    if good.is_empty() {
        let error = error(
            "prompt_outputs_failed_validation",
            "Prompt outputs failed validation",
            &lines.join("\n"),
            &json!({}),
        );
        return Verdict::Bad { error, node_errors: Value::Object(node_errors) };
    }
    Verdict::Good { outputs: good, node_errors: Value::Object(node_errors) }
}

/// The four members every error has.
pub(crate) fn error(kind: &str, message: &str, details: &str, extra_info: &Value) -> Value {
    json!({"type": kind, "message": message, "details": details, "extra_info": extra_info})
}

fn unknown_class(id: &str, node: &Map<String, Value>, version: Version) -> Verdict {
    let class = node.get("class_type").and_then(Value::as_str);
    let title = node
        .get("_meta")
        .and_then(|m| m["title"].as_str())
        .or(class)
        .map_or_else(|| format!("Node ID '#{id}'"), str::to_owned);
    let details = format!("Node ID '#{id}'");
    let error = if version.after(0, 11, 1) {
        let message = match class {
            Some(_) => format!("Node '{title}' not found. The custom node may not be installed."),
            None => {
                format!("Node '{title}' has no class_type. The workflow may be corrupted or a custom node is missing.")
            }
        };
        let extra = json!({"node_id": id, "class_type": class, "node_title": title});
        error("missing_node_type", &message, &details, &extra)
    } else {
        let message = match class {
            Some(class) => format!("Cannot execute because node {class} does not exist."),
            None => "Cannot execute because a node is missing the class_type property.".to_owned(),
        };
        error("invalid_prompt", &message, &details, &json!({}))
    };
    Verdict::Bad { error, node_errors: json!({}) }
}

/// An exception the real validator would raise.
struct Raised {
    kind: &'static str,
    text: String,
}

impl Raised {
    fn key(key: &str) -> Raised {
        Raised { kind: "KeyError", text: repr(&Value::String(key.to_owned())) }
    }

    fn traceback(&self) -> Value {
        json!([
            "  File \"/opt/ComfyUI/execution.py\", line 955, in validate_inputs\n    r = await validate_inputs(prompt_id, prompt, o_id, validated, visiting)\n",
            format!("  File \"/opt/ComfyUI/execution.py\", line 933, in validate_inputs\n    {}\n", self.kind)
        ])
    }
}

struct Run<'a, 'r> {
    prompt: &'a mut Graph,
    rules: &'a Rules<'r>,
    done: HashMap<String, (bool, Vec<Value>)>,
    order: Vec<String>,
    visiting: Vec<String>,
}

impl Run<'_, '_> {
    /// Validates a node and everything it depends on; true when valid.
    fn node(&mut self, id: &str) -> Result<bool, Raised> {
        if let Some((valid, _)) = self.done.get(id) {
            return Ok(*valid);
        }
        if let Some(from) = self.visiting.iter().position(|v| v == id) {
            self.cycle(from);
            return Ok(false);
        }
        self.visiting.push(id.to_owned());
        let result = self.inputs(id);
        self.visiting.pop();
        let (valid, errors) = result?;
        let valid = valid && errors.is_empty();
        if !self.done.contains_key(id) {
            self.settle(id, valid, errors);
        }
        Ok(valid)
    }

    fn inputs(&mut self, id: &str) -> Result<(bool, Vec<Value>), Raised> {
        let node = self.prompt.get(id).ok_or_else(|| Raised::key(id))?;
        let inputs = node.get("inputs").and_then(Value::as_object).ok_or_else(|| Raised::key("inputs"))?.clone();
        let name = node["class_type"].as_str().unwrap_or("").to_owned();
        let class = self.rules.catalogue.class(&name).ok_or_else(|| Raised::key(&name))?;
        let (mut valid, mut errors) = (true, Vec::new());
        for input in &class.inputs {
            let Some(value) = inputs.get(&input.name) else {
                if input.required {
                    let extra = json!({"input_name": input.name});
                    errors.push(error("required_input_missing", "Required input is missing", &input.name, &extra));
                }
                continue;
            };
            if value.is_array() {
                match self.linked(input, value)? {
                    Linked::Fine => {}
                    Linked::Upstream => valid = false,
                    Linked::Wrong(wrong) => errors.push(wrong),
                }
            } else {
                let own_check = is_image_file(class, input);
                match check_value(input, value, self.rules.listing, own_check) {
                    Ok(Some(coerced)) => self.store(id, &input.name, coerced),
                    Ok(None) => {}
                    Err(wrong) => errors.push(wrong),
                }
                if let (true, Some(file)) = (own_check, value.as_str())
                    && !(self.rules.has_file)(file)
                {
                    let details = format!("{} - Invalid image file: {file}", input.name);
                    let extra = json!({"input_name": input.name});
                    errors.push(error(
                        "custom_validation_failed",
                        "Custom validation failed for node",
                        &details,
                        &extra,
                    ));
                }
            }
        }
        Ok((valid, errors))
    }

    fn linked(&mut self, input: &InputSpec, value: &Value) -> Result<Linked, Raised> {
        let config = self.config(input);
        let Some([from, slot]) = value.as_array().and_then(|l| <&[Value; 2]>::try_from(l.as_slice()).ok()) else {
            let extra = json!({"input_name": input.name, "input_config": config, "received_value": value});
            let message = "Bad linked input, must be a length-2 list of [node_id, slot_index]";
            return Ok(Linked::Wrong(error("bad_linked_input", message, &input.name, &extra)));
        };
        let from = from.as_str().map_or_else(|| python_text(from), str::to_owned);
        let source = self.prompt.get(&from).ok_or_else(|| Raised::key(&from))?;
        let class_name = source["class_type"].as_str().unwrap_or("");
        let class = self.rules.catalogue.class(class_name).ok_or_else(|| Raised::key(class_name))?;
        let received = slot
            .as_u64()
            .and_then(|s| class.outputs.get(usize::try_from(s).ok()?))
            .ok_or_else(|| Raised { kind: "IndexError", text: "tuple index out of range".to_owned() })?;
        if !accepts(input, received) {
            let details = format!("{}, received_type({received}) mismatch input_type({})", input.name, input.kind);
            let extra = json!({"input_name": input.name, "input_config": config, "received_type": received, "linked_node": value});
            return Ok(Linked::Wrong(error(
                "return_type_mismatch",
                "Return type mismatch between linked nodes",
                &details,
                &extra,
            )));
        }
        match self.node(&from) {
            Ok(true) => Ok(Linked::Fine),
            Ok(false) => Ok(Linked::Upstream),
            Err(raised) => {
                let extra = json!({"input_name": input.name, "input_config": config, "exception_message": raised.text,
                    "exception_type": raised.kind, "traceback": raised.traceback(), "linked_node": value});
                let message = "Exception when validating inner node";
                let reason = error("exception_during_inner_validation", message, &raised.text, &extra);
                self.settle(&from, false, vec![reason]);
                Ok(Linked::Upstream)
            }
        }
    }

    fn cycle(&mut self, from: usize) {
        let ring: Vec<String> = self.visiting[from..].to_vec();
        let named: Vec<String> = ring
            .iter()
            .chain(ring.first())
            .map(|id| format!("{id} ({})", self.prompt[id]["class_type"].as_str().unwrap_or("")))
            .collect();
        let told = self.rules.version.after(0, 19, 3);
        for id in &ring {
            let reason = error(
                "dependency_cycle",
                "Dependency cycle detected",
                &named.join(" -> "),
                &json!({"node_id": id, "cycle_nodes": ring}),
            );
            self.settle(id, false, if told { vec![reason] } else { Vec::new() });
        }
    }

    fn settle(&mut self, id: &str, valid: bool, reasons: Vec<Value>) {
        self.done.insert(id.to_owned(), (valid, reasons));
        self.order.push(id.to_owned());
    }

    fn store(&mut self, id: &str, input: &str, value: Value) {
        if let Some(slot) = self.prompt.get_mut(id).and_then(|n| n["inputs"].get_mut(input)) {
            *slot = value;
        }
    }

    /// Adds the failed nodes known so far to the answer, each with this output as a victim.
    fn report(&self, output: &str, node_errors: &mut Map<String, Value>) {
        for id in &self.order {
            let Some((false, reasons)) = self.done.get(id) else { continue };
            if reasons.is_empty() {
                continue;
            }
            let entry = node_errors.entry(id.clone()).or_insert_with(
                || json!({"errors": reasons, "dependent_outputs": [], "class_type": self.prompt[id]["class_type"]}),
            );
            if let Some(list) = entry["dependent_outputs"].as_array_mut()
                && !list.iter().any(|o| o == output)
            {
                list.push(json!(output));
            }
        }
    }

    fn config(&self, input: &InputSpec) -> Value {
        let mut config = input.config.clone();
        self.rules.listing.fill(&mut config);
        config
    }
}

enum Linked {
    Fine,
    /// The error sits further up.
    Upstream,
    Wrong(Value),
}

fn accepts(input: &InputSpec, received: &str) -> bool {
    let wanted = input.kind.as_str();
    received == wanted
        || received == "*"
        || wanted == "*"
        || wanted.split(',').any(|w| w == received)
        || (wanted == "COMBO" && received == "STRING")
}

fn is_image_file(class: &ClassSpec, input: &InputSpec) -> bool {
    input.name == "image" && class.inputs.first().is_some_and(|i| i.config[1]["image_upload"] == true)
}
