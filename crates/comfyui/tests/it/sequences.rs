//! Every recorded event sequence, in full or as the recorder's shorthand, ends in the state it must end in.

use std::collections::{BTreeMap, BTreeSet};

use comfyui::events::{Decoder, Event};
use comfyui::wire::NodeOutput;
use comfyui::workflow::slots::detect;
use comfyui::{ExecutionError, Follow, Graph, Outcome, Phase};
use serde_json::{Value, json};

use crate::events::{decode, follow};
use crate::fixtures::{self, VERSIONS};

/// How a prompt stands when a recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Success,
    Error,
    Interrupted,
    /// Ended, but the message that tells how was not seen.
    Untold,
    /// The recording, the socket or the server ended first.
    Open,
}
use End::{Error, Interrupted, Open, Success, Untold};

/// The state of every prompt of a sequence, in order of appearance.
fn ends(events: &[Event]) -> Vec<End> {
    let mut ids: Vec<&str> = Vec::new();
    for id in events.iter().filter_map(Event::prompt_id) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let end = |id: &&str| match follow(Follow::new(*id), events).phase() {
        Phase::Finished(Outcome::Success) => Success,
        Phase::Finished(Outcome::Error(error)) => {
            assert!(!error.summary().contains("Traceback"));
            Error
        }
        Phase::Finished(Outcome::Interrupted) => Interrupted,
        Phase::Finished(Outcome::Unknown) => Untold,
        Phase::Running => Open,
        phase @ (Phase::Pending | Phase::Settling(_)) => panic!("{id} is left at {phase:?}"),
    };
    ids.iter().map(end).collect()
}

/// Sequences by file and key; both versions end alike.
const SEQUENCES: [(&str, &str, &[End]); 20] = [
    ("http_assets_enabled", "executed", &[Open]),
    ("misc", "SaveImageWebsocket/ws", &[Success]),
    ("ws_batch_and_multi_output", "ws_executed", &[Open]),
    ("ws_cached_rerun", "ws", &[Success]),
    ("ws_interrupt_running", "ws", &[Interrupted]),
    ("ws_node_error", "ws", &[Error]),
    ("ws_node_error_shape", "ws", &[Error]),
    ("ws_preview_legacy", "ws", &[Success]),
    ("ws_preview_metadata", "ws", &[Success]),
    ("ws_preview_none", "ws", &[Success]),
    // Events lost while the socket was away do not change the end.
    ("ws_reconnect_same_client_id", "ws_second", &[Success]),
    ("ws_server_sigint_midrun", "ws_tail", &[Open]),
    ("ws_server_sigkill_midrun", "ws_tail", &[Open]),
    ("ws_server_sigterm_midrun", "ws_tail", &[Open]),
    ("ws_success_image", "ws", &[Success]),
    ("ws_success_txt2img", "ws", &[Success]),
    // Our prompt, then the progress of one that belongs to nobody.
    ("ws_two_clients", "ws_A", &[Success, Open]),
    ("ws_two_clients", "ws_observer", &[Open]),
    ("ws_two_clients", "ws_without_clientId", &[Open]),
    ("ws_two_clients_txt2img_no_client_id", "ws_observer", &[Open]),
];

/// Whether a value is a recorded sequence: a list of frames with their times.
fn is_sequence(value: &Value) -> bool {
    value.as_array().is_some_and(|items| {
        items.first().is_some_and(|item| item.get("t_ms").is_some())
            && items.iter().any(|item| item.get("json").is_some() || item.get("binary").is_some())
    })
}

#[test]
fn every_recorded_sequence_ends_as_it_must() {
    let mut seen = BTreeSet::new();
    for (name, file) in fixtures::recordings() {
        let stem = name.split('/').next_back().unwrap().trim_end_matches(".json").to_owned();
        let mut sequences = Vec::new();
        fixtures::walk(&file, "", &mut |path, value| {
            if is_sequence(value) {
                sequences.push((path.trim_start_matches('/').to_owned(), value));
            }
        });
        for (key, sequence) in sequences {
            let (_, _, expected) = SEQUENCES
                .iter()
                .find(|(file, at, _)| *file == stem && *at == key)
                .unwrap_or_else(|| panic!("nobody says how {name} {key} ends"));
            let (events, unknown) = decode(sequence);
            assert_eq!(unknown, 0, "{name} {key}: {events:?}");
            assert_eq!(ends(&events), *expected, "{name} {key}");
            seen.insert((stem.clone(), key));
        }
    }
    assert_eq!(seen.len(), SEQUENCES.len(), "{seen:?}");
}

/// Turns the recorder's shorthand back into frames. Ids are not in it, so each start opens a prompt of its own;
/// what belongs to none of them is of `p0`.
struct Shorthand {
    started: usize,
    open: bool,
    frames: Vec<Value>,
}

impl Shorthand {
    fn events(text: &str) -> Vec<Event> {
        let mut reader = Self { started: 0, open: false, frames: Vec::new() };
        let mut rest = text.trim();
        while !rest.is_empty() {
            // Blanks stand inside brackets too.
            let end = rest
                .char_indices()
                .scan(0_i32, |depth, (at, c)| {
                    *depth += i32::from(c == '(') - i32::from(c == ')');
                    Some((at, c == ' ' && *depth == 0))
                })
                .find_map(|(at, ends)| ends.then_some(at))
                .unwrap_or(rest.len());
            reader.token(&rest[..end]);
            rest = rest[end..].trim_start();
        }
        let mut decoder = Decoder::new();
        let events = reader.frames.iter().map(|frame| decoder.text(&frame.to_string())).collect();
        assert_eq!(decoder.unknown_count(), 0, "{:?}", reader.frames);
        events
    }

    fn prompt(&self) -> String {
        format!("p{}", if self.open { self.started } else { 0 })
    }

    fn push(&mut self, kind: &str, mut data: Value) {
        if kind != "status" && data.get("prompt_id").is_none() {
            data["prompt_id"] = json!(self.prompt());
        }
        self.frames.push(json!({"type": kind, "data": data}));
    }

    fn token(&mut self, token: &str) {
        let (kind, inside) =
            token.split_once('(').map_or((token, ""), |(kind, rest)| (kind, rest.trim_end_matches(')')));
        let number = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("{token}"));
        match kind {
            "open" | "closed" => {}
            "status" => {
                let (queue, sid) = inside.strip_suffix(" sid").map_or((inside, None), |queue| (queue, Some("c")));
                let remaining = number(queue.strip_prefix("q=").unwrap());
                self.push("status", json!({"status": {"exec_info": {"queue_remaining": remaining}}, "sid": sid}));
            }
            "execution_start" => {
                self.started += 1;
                self.open = true;
                self.push(kind, json!({}));
            }
            "execution_cached" => {
                let nodes: Value = serde_json::from_str(&inside.replace('\'', "\"")).unwrap();
                self.push(kind, json!({ "nodes": nodes }));
            }
            "executing" if inside == "None" => {
                self.push(kind, json!({"node": null}));
                self.open = false;
            }
            // To a client that comes back, the server repeats it without the prompt.
            "executing" if !self.open => self.frames.push(json!({"type": kind, "data": {"node": inside}})),
            "executing" => self.push(kind, json!({ "node": inside })),
            "executed" => self.push(kind, json!({"node": inside, "output": null})),
            "progress" => {
                let (node, steps) = inside.rsplit_once(':').unwrap();
                let (value, max) = steps.split_once('/').unwrap();
                self.push(kind, json!({"node": node, "value": number(value), "max": number(max)}));
            }
            "ps" => {
                let node = |part: &str| {
                    let (id, state) = part.rsplit_once(':').unwrap();
                    let (value, max) = state[1..].split_once('/').unwrap();
                    let word = if state.starts_with('f') { "finished" } else { "running" };
                    (id.to_owned(), json!({"value": number(value), "max": number(max), "state": word}))
                };
                let nodes: serde_json::Map<String, Value> = inside.split(',').map(node).collect();
                self.push("progress_state", json!({ "nodes": nodes }));
            }
            "execution_success" | "execution_interrupted" => self.push(kind, json!({})),
            other => panic!("{other} is not in the recorder's shorthand"),
        }
    }
}

/// Shorthand by file and key. The versions differ where one of them was cut off.
fn shorthand_ends(version: &str, file: &str) -> &'static [End] {
    match (version, file) {
        ("v0.3.64", "ws_duplicate_same_number_same_id")
        | (_, "ws_reconnect_overlap" | "ws_reconnect_same_client_id") => &[Open],
        (_, "ws_duplicate_prompt_id" | "ws_duplicate_same_number_same_id") => &[Success; 3],
        (_, "ws_free_and_history_ops") => &[Success; 2],
        (_, "ws_interrupt_by_prompt_id" | "ws_jobs_api") => &[Interrupted, Success],
        (_, "ws_interrupt_idle_then_run" | "ws_partial_execution_targets" | "ws_queue_clear") => &[Success],
        (_, "ws_queue_of_three") => &[Success; 5],
        (_, "ws_two_clients") => &[Success, Open],
        _ => panic!("nobody says how {version}/{file} ends"),
    }
}

#[test]
fn every_sequence_in_shorthand_ends_as_it_must() {
    let mut seen = 0;
    for (name, file) in fixtures::recordings() {
        let mut texts = Vec::new();
        fixtures::walk(&file, "", &mut |path, value| {
            if let Some(text) = value.as_str().filter(|text| text.starts_with("open status(")) {
                texts.push((path.to_owned(), text));
            }
        });
        let (version, stem) = name.trim_end_matches(".json").split_once('/').unwrap();
        for (path, text) in texts {
            let events = Shorthand::events(text);
            assert!(matches!(events[0], Event::Status { sid: Some(_), .. }), "{name}{path}");
            assert_eq!(ends(&events), shorthand_ends(version, stem), "{name}{path}");
            seen += 1;
        }
    }
    assert_eq!(seen, 25, "sequences in shorthand");
}

#[test]
fn every_frame_recorded_as_text_is_understood() {
    let mut seen = 0;
    for (name, file) in fixtures::recordings() {
        fixtures::walk(&file, "", &mut |path, value| {
            if let Some(text) = value.as_str().filter(|text| text.starts_with("{\"type\"")) {
                let event = Decoder::new().text(text);
                assert!(matches!(event, Event::Status { sid: Some(_), .. }), "{name}{path}: {event:?}");
                seen += 1;
            }
        });
    }
    assert_eq!(seen, 4, "the first frames of two logins and two idle sockets");
}

#[test]
fn no_type_a_server_with_assets_sends_is_taken_for_a_broken_one() {
    let file = fixtures::json("v0.33.0/http_assets_enabled.json");
    let mut decoder = Decoder::new();
    let mut ignored = Vec::new();
    for kind in file["ws_types"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()) {
        if let Event::Unknown { kind } = decoder.text(&json!({"type": kind, "data": {}}).to_string())
            && kind != "malformed"
        {
            ignored.push(kind);
        }
    }
    assert_eq!(ignored, ["assets.seed.completed", "assets.seed.enrich_complete", "assets.seed.started"]);
}

/// The graphs that really ran: their recorded course, folded with the graph at hand.
#[test]
fn every_flow_that_ran_is_understood_and_ends_at_one() {
    let mut seen = 0;
    for version in VERSIONS {
        let flows = fixtures::json(&format!("{version}/real_flows.json"));
        for (name, flow) in flows.as_object().unwrap() {
            assert_eq!(flow["status"], "success");
            let graph = Graph::parse(&flow["prompt"]).unwrap();
            let slots = detect(&graph);
            assert!(!fixtures::has_errors(&slots), "{version} {name}: {:?}", slots.problems);
            let outputs: BTreeMap<&str, NodeOutput> = flow["outputs"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(id, output)| (id.as_str(), NodeOutput::parse(id, output.as_object().unwrap())))
                .collect();
            assert!(outputs.keys().copied().eq(slots.output_nodes()), "{version} {name}");
            assert!(outputs.values().all(|output| output.0.len() == 1), "{version} {name}");
            let fold = follow(Follow::graph("p", &graph), &course(flow));
            assert_eq!(fold.phase(), &Phase::Finished(Outcome::Success), "{version} {name}");
            seen += 1;
        }
    }
    assert_eq!(seen, 28);
}

/// The events of a flow, from the order of its nodes and their steps.
fn course(flow: &Value) -> Vec<Event> {
    let frame = |kind: &str, data: Value| json!({"type": kind, "data": data});
    let mut frames = vec![frame("execution_start", json!({"prompt_id": "p"}))];
    for node in flow["executing_order"].as_array().unwrap() {
        if node.is_null() {
            frames.push(frame("execution_success", json!({"prompt_id": "p"})));
        }
        frames.push(frame("executing", json!({"prompt_id": "p", "node": node})));
        for step in flow["progress"].as_array().unwrap().iter().filter(|step| step[0] == *node) {
            frames.push(frame("progress", json!({"prompt_id": "p", "node": node, "value": step[1], "max": step[2]})));
        }
    }
    let mut decoder = Decoder::new();
    frames.iter().map(|frame| decoder.text(&frame.to_string())).collect()
}

#[test]
fn what_a_node_shows_while_running_is_what_the_history_keeps() {
    let mut seen = 0;
    for version in VERSIONS {
        let file = fixtures::json(&format!("{version}/outputs_by_node_type.json"));
        for (class, run) in file.as_object().unwrap().iter().filter(|(_, run)| run.get("history_outputs").is_some()) {
            assert_eq!(run["status_str"], "success");
            let kept: Vec<NodeOutput> = run["history_outputs"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(id, output)| NodeOutput::parse(id, output.as_object().unwrap()))
                .collect();
            let mut decoder = Decoder::new();
            let shown: Vec<NodeOutput> = run["executed_events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|data| match decoder.text(&json!({"type": "executed", "data": data}).to_string()) {
                    Event::Executed { output, .. } => output,
                    other => panic!("{version} {class}: {other:?}"),
                })
                .collect();
            assert!(kept.iter().all(|output| !output.0.is_empty()), "{version} {class}");
            assert_eq!(kept, shown, "{version} {class}");
            seen += 1;
        }
    }
    assert_eq!(seen, 22);
}

#[test]
fn cached_nodes_count_as_done_from_the_start() {
    let runs = fixtures::json("v0.33.0/caching_and_prefix.json")["unique_prefix_per_job"].clone();
    let graph = fixtures::graph("txt2img_sd15");
    let start = |run: &str| {
        let mut fold = Follow::graph("p", &graph);
        let data = json!({"prompt_id": "p", "nodes": runs[run]["cached"]});
        fold.apply(&Decoder::new().text(&json!({"type": "execution_cached", "data": data}).to_string()));
        fold.progress().fraction
    };
    assert!(start("run1") < f64::EPSILON);
    let (other_prefix, identical) = (start("run2_same_graph_other_prefix"), start("run3_identical"));
    assert!(other_prefix > 0.9 && other_prefix < identical && identical < 1.0, "{other_prefix} {identical}");
}

#[test]
fn a_prefix_that_leaves_the_folder_fails_without_showing_where_it_is() {
    let refused = fixtures::json("v0.33.0/caching_and_prefix.json")["filename_prefix_traversal"].clone();
    assert_eq!(refused["status"], "error");
    let error = ExecutionError {
        prompt_id: "p".to_owned(),
        node_id: "9".to_owned(),
        node_type: "SaveImage".to_owned(),
        exception_type: "Exception".to_owned(),
        exception_message: refused["msg"].as_str().unwrap().to_owned(),
    };
    let summary = error.summary();
    assert!(summary.contains("Saving image outside the output folder is not allowed."), "{summary}");
    assert!(!summary.contains('/'), "{summary}");
    assert_eq!(comfyui::missing_model(&error), None);
}

/// From the answer of a server that finds out too late, to what it lacks.
#[test]
fn a_model_that_is_missed_while_running_is_recognised() {
    let frame = json!({"type": "execution_error", "data": {
        "prompt_id": "p", "node_id": "2", "node_type": "UpscaleModelLoader", "executed": ["1"],
        "exception_message": "Model in folder 'upscale_models' with filename 'RealESRGAN_x4plus.pth' not found.",
        "exception_type": "FileNotFoundError", "traceback": ["  File ..."], "current_inputs": {}, "current_outputs": ["1"]
    }});
    let Event::ExecutionError(error) = Decoder::new().text(&frame.to_string()) else { panic!() };
    assert_eq!(comfyui::missing_model(&error).unwrap().to_string(), "model file RealESRGAN_x4plus.pth (model_name)");
    for version in VERSIONS {
        for file in ["ws_node_error", "ws_node_error_shape"] {
            let (events, _) = decode(&fixtures::json(&format!("{version}/{file}.json"))["ws"]);
            let failed = events.iter().find_map(|event| match event {
                Event::ExecutionError(error) => Some(error),
                _ => None,
            });
            assert_eq!(comfyui::missing_model(failed.unwrap()), None, "{version} {file}");
        }
    }
}
