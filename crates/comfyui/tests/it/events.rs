//! Recorded event sequences through the decoder and the fold.

use base64::Engine as _;
use bytes::Bytes;
use comfyui::events::{Decoder, Event, ImageFormat};
use comfyui::{ExecutionError, Follow, Graph, Outcome, Phase, is_out_of_memory};
use serde_json::{Value, json};

use crate::fixtures::{self, VERSIONS};

/// Decodes a recorded sequence. Binary frames whose bytes were not kept are rebuilt from their description.
pub(crate) fn decode(sequence: &Value) -> (Vec<Event>, u64) {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    for entry in sequence.as_array().unwrap() {
        if let Some(json) = entry.get("json") {
            events.push(decoder.text(&json.to_string()));
        } else if let Some(binary) = entry.get("binary") {
            events.push(decoder.binary(frame(binary)));
        }
    }
    (events, decoder.unknown_count())
}

fn frame(binary: &Value) -> Bytes {
    if let Some(base64) = binary["base64"].as_str() {
        let bytes = base64::engine::general_purpose::STANDARD.decode(base64).unwrap();
        assert_eq!(bytes.len() as u64, binary["total_len"].as_u64().unwrap());
        return bytes.into();
    }
    let magic = u32::from_str_radix(binary["image_magic"].as_str().unwrap(), 16).unwrap();
    let number = |key: &str| u32::try_from(binary[key].as_u64().unwrap()).unwrap();
    let mut bytes = number("event_type").to_be_bytes().to_vec();
    if binary["event_type"] == 4 {
        let metadata = binary["metadata"].to_string();
        bytes.extend(u32::try_from(metadata.len()).unwrap().to_be_bytes());
        bytes.extend(metadata.as_bytes());
    } else {
        bytes.extend(number("image_type").to_be_bytes());
    }
    bytes.extend(magic.to_be_bytes());
    bytes.into()
}

fn load(version: &str, file: &str, key: &str) -> (Vec<Event>, u64) {
    decode(&fixtures::json(&format!("{version}/{file}.json"))[key])
}

fn prompt_of(events: &[Event]) -> String {
    events.iter().find_map(Event::prompt_id).unwrap().to_owned()
}

/// Folds and checks on the way that progress stays sane.
pub(crate) fn follow(mut fold: Follow, events: &[Event]) -> Follow {
    let mut last = 0.0;
    for event in events {
        let before = (fold.phase().clone(), fold.progress().clone());
        let changed = fold.apply(event);
        assert_eq!(changed, before != (fold.phase().clone(), fold.progress().clone()));
        let fraction = fold.progress().fraction;
        assert!((0.0..=1.0).contains(&fraction) && fraction >= last, "{fraction} after {last}");
        last = fraction;
    }
    fold
}

#[test]
fn every_recorded_sequence_is_understood_completely() {
    for version in VERSIONS {
        for (file, key) in [
            ("ws_success_image", "ws"),
            ("ws_success_txt2img", "ws"),
            ("ws_cached_rerun", "ws"),
            ("ws_batch_and_multi_output", "ws_executed"),
            ("ws_interrupt_running", "ws"),
            ("ws_node_error", "ws"),
            ("ws_node_error_shape", "ws"),
            ("ws_preview_legacy", "ws"),
            ("ws_preview_metadata", "ws"),
            ("ws_preview_none", "ws"),
            ("ws_reconnect_same_client_id", "ws_second"),
            ("ws_two_clients", "ws_A"),
            ("ws_two_clients", "ws_observer"),
            ("ws_two_clients", "ws_without_clientId"),
            ("ws_two_clients_txt2img_no_client_id", "ws_observer"),
        ] {
            let (events, unknown) = load(version, file, key);
            assert!(events.len() >= 3, "{version} {file}");
            assert_eq!(unknown, 0, "{version} {file} {key}: {events:?}");
        }
    }
}

#[test]
fn successes_finish_at_one_and_only_after_the_end() {
    for version in VERSIONS {
        for (file, key) in [
            ("ws_success_image", "ws"),
            ("ws_success_txt2img", "ws"),
            ("ws_cached_rerun", "ws"),
            ("ws_preview_metadata", "ws"),
            ("ws_two_clients", "ws_A"),
        ] {
            let (events, _) = load(version, file, key);
            let end = events.iter().position(|event| matches!(event, Event::ExecutionSuccess { .. })).unwrap();
            let id = events[end].prompt_id().unwrap();
            let fold = follow(Follow::new(id), &events[..end]);
            assert_eq!(fold.phase(), &Phase::Running, "{file}");
            assert!(fold.progress().fraction < 1.0);
            let fold = follow(fold, &events[end..=end]);
            assert_eq!(fold.phase(), &Phase::Settling(Outcome::Success));
            let fold = follow(fold, &events[end + 1..]);
            assert_eq!(fold.phase(), &Phase::Finished(Outcome::Success), "{version} {file}");
            assert!((fold.progress().fraction - 1.0).abs() < f64::EPSILON);
        }
    }
}

#[test]
fn failures_and_interruptions_are_told_apart() {
    for version in VERSIONS {
        for file in ["ws_node_error", "ws_node_error_shape"] {
            let (events, _) = load(version, file, "ws");
            let fold = follow(Follow::new(prompt_of(&events)), &events);
            let Phase::Finished(Outcome::Error(error)) = fold.phase() else { panic!("{file}: {:?}", fold.phase()) };
            assert!(!error.node_id.is_empty() && !error.exception_type.is_empty());
            assert!(fold.progress().fraction < 1.0);
        }
        let (events, _) = load(version, "ws_interrupt_running", "ws");
        let fold = follow(Follow::new(prompt_of(&events)), &events);
        assert_eq!(fold.phase(), &Phase::Finished(Outcome::Interrupted));
    }
}

#[test]
fn a_sampler_moves_the_bar_more_than_its_neighbours() {
    let recording = fixtures::json("v0.33.0/ws_success_txt2img.json");
    let graph = Graph::parse(&recording["http_post"]["request"]["json"]["prompt"]).unwrap();
    let (events, _) = decode(&recording["ws"]);
    let sampling = events
        .iter()
        .position(|event| matches!(event, Event::Executing { node: Some(node), .. } if node == "3"))
        .unwrap();
    let fold = follow(Follow::graph(prompt_of(&events), &graph), &events[..=sampling]);
    assert!(fold.progress().fraction < 0.3, "{:?}", fold.progress());
    assert_eq!(fold.progress().node.as_deref(), Some("3"));
    let second_step =
        events.iter().position(|event| matches!(event, Event::Progress { value, .. } if *value > 1.5)).unwrap();
    let fold = follow(fold, &events[sampling + 1..=second_step]);
    assert_eq!(fold.progress().steps, Some((2, 3)));
    assert!(fold.progress().fraction > 0.5);
}

#[test]
fn a_missed_cause_is_an_unknown_outcome_and_other_prompts_do_not_matter() {
    let mut decoder = Decoder::new();
    let mut fold = Follow::new("mine");
    for (event, changed) in [
        (json!({"type": "execution_start", "data": {"prompt_id": "other"}}), false),
        (json!({"type": "executing", "data": {"node": "3"}}), false),
        (json!({"type": "progress", "data": {"prompt_id": "mine", "node": "3", "value": 5, "max": 10}}), true),
        (json!({"type": "executing", "data": {"node": null, "prompt_id": "other"}}), false),
        (json!({"type": "executing", "data": {"node": null, "prompt_id": "mine"}}), true),
        (json!({"type": "execution_start", "data": {"prompt_id": "mine"}}), false),
    ] {
        assert_eq!(fold.apply(&decoder.text(&event.to_string())), changed, "{event}");
    }
    assert_eq!(fold.phase(), &Phase::Finished(Outcome::Unknown));
}

#[test]
fn previews_belong_to_a_prompt_in_either_dialect() {
    for version in VERSIONS {
        for file in ["ws_preview_legacy", "ws_preview_metadata"] {
            let (events, _) = load(version, file, "ws");
            let prompt = prompt_of(&events);
            let mut previews = 0;
            for event in &events {
                if let Event::Preview { prompt_id, node, format, bytes } = event {
                    assert_eq!(prompt_id.as_deref(), Some(prompt.as_str()), "{file}");
                    assert_eq!(node.as_deref(), Some("3"));
                    assert_eq!(*format, ImageFormat::Jpeg);
                    assert_eq!(&bytes[..3], b"\xff\xd8\xff");
                    previews += 1;
                }
            }
            assert!(previews >= 2, "{version} {file}");
        }
    }
}

#[test]
fn pictures_sent_over_the_socket_are_png() {
    for version in VERSIONS {
        let misc = fixtures::json(&format!("{version}/misc.json"));
        let mut decoder = Decoder::new();
        for binary in misc["SaveImageWebsocket_with_metadata_flag"].as_array().unwrap() {
            let Event::Preview { prompt_id, format, bytes, .. } = decoder.binary(frame(binary)) else { panic!() };
            assert_eq!((prompt_id.is_some(), format), (true, ImageFormat::Png));
            assert_eq!(&bytes[..4], b"\x89PNG");
        }
    }
}

#[test]
fn text_frames_and_broken_frames_are_handled() {
    let mut decoder = Decoder::new();
    let frame = [&3_u32.to_be_bytes()[..], &4_u32.to_be_bytes(), b"57:8", "50 % done".as_bytes()].concat();
    assert_eq!(decoder.binary(frame.into()), Event::Text { node: "57:8".to_owned(), text: "50 % done".to_owned() });
    assert_eq!(decoder.unknown_count(), 0);

    let broken: [&[u8]; 8] = [
        b"",
        b"\0\0\0",
        b"\0\0\0\x01",
        b"\0\0\0\x01\0\0\0\x09x",
        b"\0\0\0\x03\xff\xff\xff\xffx",
        b"\0\0\0\x04\0\0\0\x02{}",
        b"\0\0\0\x02",
        b"\0\0\0\x63abc",
    ];
    for bytes in broken {
        assert!(matches!(decoder.binary(Bytes::copy_from_slice(bytes)), Event::Unknown { .. }), "{bytes:?}");
    }
    for text in [
        "",
        "null",
        "{}",
        "[1]",
        r#"{"type": 5}"#,
        r#"{"type": "status"}"#,
        r#"{"type": "progress", "data": {"value": "x"}}"#,
    ] {
        assert!(matches!(decoder.text(text), Event::Unknown { .. }), "{text}");
    }
    assert_eq!(decoder.unknown_count(), 15);
    assert_eq!(
        decoder.text(r#"{"type": "crystools.monitor", "data": {"cpu": 1}}"#),
        Event::Unknown { kind: "crystools.monitor".to_owned() }
    );
}

#[test]
fn python_numbers_in_an_event_are_tolerated() {
    let text = r#"{"type": "execution_error", "data": {"prompt_id": "p", "node_id": "3", "node_type": "KSampler", "current_inputs": {"cfg": [NaN]},
        "exception_type": "torch.OutOfMemoryError", "exception_message": "Allocation on device"}}"#;
    let mut decoder = Decoder::new();
    let Event::ExecutionError(error) = decoder.text(text) else { panic!() };
    assert!(is_out_of_memory(&error));
    assert_eq!(error.summary(), "KSampler (node 3) failed: OutOfMemoryError: Allocation on device");
}

#[test]
fn only_memory_errors_count_as_out_of_memory() {
    let error = |kind: &str, message: &str| ExecutionError {
        prompt_id: String::new(),
        node_id: "1".to_owned(),
        node_type: "X".to_owned(),
        exception_type: kind.to_owned(),
        exception_message: message.to_owned(),
    };
    for (kind, message, expected) in [
        ("torch.cuda.OutOfMemoryError", "", true),
        ("OOMError", "", true),
        ("RuntimeError", "CUDA error: Out of memory", true),
        ("RuntimeError", "mat1 and mat2 shapes cannot be multiplied", false),
        ("ValueError", "", false),
    ] {
        assert_eq!(is_out_of_memory(&error(kind, message)), expected, "{kind} {message}");
    }
}
