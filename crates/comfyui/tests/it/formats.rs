//! What people upload.

use comfyui::WorkflowError;
use comfyui::workflow::{Found, Source, detect_and_unwrap, format::find, format::unwrap_value, node_order};
use serde_json::{Value, json};

use crate::fixtures;

fn api() -> Value {
    fixtures::json("graphs/ui_vs_api_format.json")["api_format"].clone()
}

#[test]
fn api_format_and_its_wrappers_give_the_same_graph() {
    let ui = json!({"nodes": [], "id": "u"});
    let wrapped = [
        json!({"prompt": api(), "client_id": "c", "extra_data": {"extra_pnginfo": {"workflow": ui}}}),
        json!({"output": api(), "workflow": ui}),
        json!([7, "id", api(), {"extra_pnginfo": {"workflow": ui}}, ["3"]]),
        json!({"id": {"prompt": [7, "id", api(), {"extra_pnginfo": {"workflow": ui}}, ["3"]], "outputs": {}, "status": {}}}),
        json!({"prompt": api().to_string(), "workflow": ui}),
    ];
    let plain = unwrap_value(api()).unwrap();
    assert_eq!((plain.source, &plain.ui), (Source::Api, &None));
    assert_eq!(plain.graph.to_value(), api());
    for value in wrapped {
        let found = unwrap_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"));
        assert_eq!(found.source, Source::Wrapped);
        assert_eq!(found.graph, plain.graph);
        assert_eq!(found.ui.map(Value::Object), Some(ui.clone()));
    }
}

#[test]
fn the_editors_format_is_refused_with_the_way_out() {
    let ui = fixtures::json("graphs/ui_vs_api_format.json")["ui_format"].clone();
    for value in [ui.clone(), json!({"workflow": ui})] {
        let error = unwrap_value(value).unwrap_err();
        assert_eq!(error, WorkflowError::UiFormat);
        assert!(error.to_string().contains("File > Export (API)"));
    }
}

#[test]
fn the_editors_format_is_handed_back_for_conversion() {
    let ui = fixtures::json("graphs/ui_vs_api_format.json")["ui_format"].clone();
    let text = [b"workflow\0", ui.to_string().as_bytes()].concat();
    let picture = png(&[(b"IHDR", &[0; 13]), (b"tEXt", &text), (b"IEND", &[])]);
    for bytes in [ui.to_string().into_bytes(), json!({"workflow": ui}).to_string().into_bytes(), picture] {
        assert_eq!(find(&bytes), Ok(Found::Ui(ui.clone())));
    }
    let both = json!({"prompt": api(), "workflow": ui}).to_string();
    assert!(matches!(find(both.as_bytes()), Ok(Found::Api(_))), "a graph that came along is taken as it is");
}

#[test]
fn a_saved_picture_carries_its_graph() {
    let found = detect_and_unwrap(&fixtures::bytes("sample_output_with_metadata.png")).unwrap();
    assert_eq!(found.source, Source::Picture);
    assert!(found.graph.nodes().any(|(_, node)| node.class_type == "SaveImage"));
    assert!(found.ui.is_some());
}

fn png(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in chunks {
        bytes.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(*kind);
        bytes.extend_from_slice(data);
        bytes.extend([0; 4]);
    }
    bytes
}

#[test]
fn international_text_and_python_numbers_are_read() {
    let graph = r#"{"1": {"class_type": "Ünïcode", "inputs": {"x": NaN}}}"#;
    let text = [b"prompt\0\0\0\0\0", graph.as_bytes()].concat();
    let found = detect_and_unwrap(&png(&[(b"IHDR", &[0; 13]), (b"iTXt", &text), (b"IEND", &[])])).unwrap();
    let node = found.graph.node("1").unwrap();
    assert_eq!((node.class_type.as_str(), &node.inputs["x"]), ("Ünïcode", &Value::Null));
}

#[test]
fn webp_carries_its_graph_in_exif() {
    let exif = format!("II*\0....workflow:{{\"nodes\": []}}\0prompt:{}\0", api());
    let mut bytes = b"RIFF\0\0\0\0WEBPVP8 \x03\0\0\0abc\0EXIF".to_vec();
    bytes.extend(u32::try_from(exif.len()).unwrap().to_le_bytes());
    bytes.extend(exif.as_bytes());
    let found = detect_and_unwrap(&bytes).unwrap();
    assert_eq!(found.graph.to_value(), api());
    assert!(found.ui.is_some());
}

#[test]
fn pictures_without_a_graph_say_so() {
    assert!(matches!(
        detect_and_unwrap(&png(&[(b"IHDR", &[0; 13]), (b"IEND", &[])])),
        Err(WorkflowError::NoMetadata(_))
    ));
    assert!(matches!(detect_and_unwrap(b"\xff\xd8\xff\xe0rest"), Err(WorkflowError::NoMetadata(_))));
    let mut cut = png(&[(b"tEXt", b"prompt\0{}")]);
    cut.truncate(20);
    assert!(matches!(detect_and_unwrap(&cut), Err(WorkflowError::NoMetadata(_))));
    let ui_only = png(&[(b"tEXt", b"workflow\0{\"nodes\": []}")]);
    assert_eq!(detect_and_unwrap(&ui_only), Err(WorkflowError::UiFormat));
}

#[test]
fn broken_json_names_the_place() {
    let Err(WorkflowError::Json { line, column, .. }) = detect_and_unwrap(b"{\n  \"1\": {,}\n}") else { panic!() };
    assert_eq!((line, column), (2, 9));
    assert!(
        detect_and_unwrap(b"\xef\xbb\xbf{\"1\": {\"class_type\": \"A\", \"inputs\": {}}}").is_ok(),
        "a byte order mark is skipped"
    );
}

#[test]
fn nodes_that_cannot_run_are_named() {
    for (value, problem) in [
        (json!({"1": {"class_type": "A", "inputs": {}}, "2": {"inputs": {}}}), "node 2 has no class_type"),
        (json!({"1": {"class_type": "A", "inputs": []}}), "node 1 has inputs that are not an object"),
        (json!({"1": {"class_type": 5, "inputs": {}}}), "node 1 has an unusable class_type"),
        (json!({"1": {"class_type": "A"}, "note": 5}), "node note is not an object"),
        (json!({}), "this is not a ComfyUI workflow: no node with a class_type was found"),
        (json!([1, 2]), "this is not a ComfyUI workflow: it is a list"),
    ] {
        assert_eq!(unwrap_value(value).unwrap_err().to_string(), problem);
    }
}

#[test]
fn ids_are_ordered_as_people_do() {
    let mut ids = ["10", "9", "57:10", "57:3", "57:3:2", "a", "100"];
    ids.sort_by(|a, b| node_order(a, b));
    assert_eq!(ids, ["9", "10", "57:3", "57:3:2", "57:10", "100", "a"]);
}
