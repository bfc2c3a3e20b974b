//! The reference part of usage.md, written from the schemas, the error codes and the limits; and the test that
//! fails when the document says something else.

use std::{collections::BTreeSet, fmt::Write as _, path::PathBuf};

use hub_core::{
    error::{ErrorCode, UserError},
    job::JobState,
    limits,
};
use hub_engine::AnswerPolicy;
use serde_json::{Map, Value, json};

use crate::{names, result, samples, tools};

const BEGIN: &str = "<!-- generated from the schemas: begin -->\n";
const END: &str = "<!-- generated from the schemas: end -->\n";
/// How to write the document anew.
const COMMAND: &str = "INSTA_UPDATE=always cargo test -p hub-mcp --lib usage_md";

/// Members of the records in a result's `_meta`, and what they mean.
const RECORD: [(&str, &str); 27] = [
    ("job", "id of the job, `job_…`"),
    ("status", "`succeeded`, `running`, `failed`, `cancelled` or `expired`"),
    ("tool", "tool that made the job"),
    ("images", "pictures: `id`, `url`, `uri`, `width`, `height`, `mime`, `bytes`, `seed`"),
    ("files", "other outputs (video, sound), as `images`"),
    ("description", "words of `describe_image`"),
    ("prompts", "`asked`, `final` (as rendered), `negative`"),
    ("seed", "seed of the first picture"),
    ("render_type", "render type that was used"),
    ("workflow", "workflow and its version, `name@n`"),
    ("styles", "styles that were applied"),
    ("enhanced", "whether an LLM rewrote the prompt"),
    ("not_enhanced_because", "why it did not, where it was asked to"),
    ("server", "server that made it"),
    ("timings", "`created_at`, `finished_at`, `wait_ms`, `run_ms`, `total_ms`"),
    ("warnings", "what was done differently from what was asked"),
    ("state", "while running: `planning`, `queued`, `assigned`, `running` or `collecting`"),
    ("progress", "while running: 0–1"),
    ("queue_position", "while waiting: jobs before it; 0 = next"),
    ("message", "while running: one line for people; in an error: what is wrong"),
    ("code", "error: the code below"),
    ("recoverable", "error: whether the same call may work later without any change"),
    ("hint", "error: what to do, with the nearest valid name"),
    ("argument", "error: the argument at fault"),
    ("valid_values", "error: what would have been valid"),
    ("retry_after_s", "error: seconds after which trying again makes sense"),
    ("error", "in `genimage://jobs/{id}` of a failed job: the error"),
];

/// Arguments whose default is the same in all tools, and told by the first.
const SAID_ONCE: [&str; 2] = ["wait_s", "inline"];

/// What a code means, and what to do about it.
fn explain(code: ErrorCode) -> (&'static str, &'static str) {
    match code {
        ErrorCode::BadArgument => {
            ("an argument is missing, of the wrong type or out of range", "mend `argument`; see `valid_values`")
        }
        ErrorCode::UnknownTool => ("no tool of that name", "take one of `valid_values`"),
        ErrorCode::UnknownStyle => ("no style of that name", "take one of `valid_values`, or `[]` for none"),
        ErrorCode::UnknownRenderType => ("no render type of that name", "take one of `valid_values`"),
        ErrorCode::WrongMode => ("the render type belongs to another tool", "take one of `valid_values`, or that tool"),
        ErrorCode::UnknownJob => ("no job of that id", "use the id of an earlier answer"),
        ErrorCode::UnknownImage => {
            ("no stored picture of that id, or its file is gone", "use the id of an earlier answer")
        }
        ErrorCode::NotFound => ("nothing of that id or name (JSON API)", "list what there is"),
        ErrorCode::Conflict => {
            ("it contradicts what is there, as a name that another has (JSON API)", "choose another")
        }
        ErrorCode::Changed => ("somebody else changed it meanwhile (JSON API)", "read it again"),
        ErrorCode::InputImage => {
            ("an input picture cannot be fetched, read or accepted", "the message says why; give another")
        }
        ErrorCode::NotConfigured => ("the hub lacks what the tool needs", "a person must set it up"),
        ErrorCode::NoServer => ("no ComfyUI server is registered or enabled", "try later, or tell the operator"),
        ErrorCode::NoCompatibleServer => {
            ("no server has the nodes and models that this needs; the message names them", "take another render type")
        }
        ErrorCode::QueueFull => ("too many jobs wait", "try again after `retry_after_s`"),
        ErrorCode::Forbidden => ("the key does not allow it", "take one of `valid_values`, or ask the operator"),
        ErrorCode::QuotaExceeded => ("what the key allows per day is used up", "try again after `retry_after_s`"),
        ErrorCode::WorkflowInvalid => {
            ("the workflow does not run; the message names the node", "take another render type")
        }
        ErrorCode::OutOfMemory => ("the GPU ran out of memory, wherever it was tried", "ask for a smaller picture"),
        ErrorCode::NodeFailed => ("a node failed while it ran; the message names it", "other arguments may help"),
        ErrorCode::ServerLost => ("the server was lost and no other could take the job", "try again"),
        ErrorCode::TimedOut => ("a limit on waiting or running was reached", "try again later"),
        ErrorCode::Cancelled => ("the job was cancelled", "–"),
        ErrorCode::NoOutput => ("the workflow ran but made no file", "take another render type"),
        ErrorCode::LlmUnavailable => ("the LLM server does not answer, or answers nonsense", "try again later"),
        ErrorCode::IdempotencyMismatch => ("the key came before with other arguments", "use a new key"),
        ErrorCode::ShuttingDown => ("the hub is shutting down", "try again"),
        ErrorCode::Storage => ("the hub's storage failed or is full", "try again later"),
        ErrorCode::Internal => ("a defect of the hub", "its log says more"),
    }
}

/// All codes: serde names them when it is given none of them.
fn codes() -> Vec<ErrorCode> {
    let error = serde_json::from_str::<ErrorCode>("\"?\"").expect_err("no code").to_string();
    let listed = error.split_once("expected one of ").expect("serde lists the variants").1;
    let names = listed.split('`').skip(1).step_by(2);
    names.map(|name| serde_json::from_value(json!(name)).expect("a code")).collect()
}

macro_rules! line {
    ($text:expr, $($part:tt)*) => {{
        writeln!($text, $($part)*).expect("a String takes everything");
    }};
}

fn reference() -> String {
    let mut text = String::new();
    line!(text, "Written by `{COMMAND}`; do not edit by hand.\n");
    let listed = tools::list(&samples::catalogue(), limits::WAIT_DEFAULT_S);
    let mut explained = Map::new();
    for tool in &listed {
        line!(text, "#### `{}`\n", tool.name);
        line!(text, "{}\n", cell(tool.description.as_deref().unwrap_or_default()));
        add_arguments(&mut text, &tool.input_schema, &mut explained);
    }
    line!(text, "#### Records\n");
    line!(
        text,
        "In the result's `_meta`: `{}` for a job, `{}` when `isError` is true, `{}` for `list_options`.\n",
        names::RESULT_META_KEY,
        names::ERROR_META_KEY,
        names::OPTIONS_META_KEY
    );
    line!(text, "| member | meaning |\n|---|---|");
    for (name, meaning) in RECORD {
        line!(text, "| `{name}` | {meaning} |");
    }
    line!(text, "\n#### Error codes\n");
    line!(text, "| code | meaning | may work later | what to do |\n|---|---|---|---|");
    for code in codes() {
        let (meaning, advice) = explain(code);
        line!(text, "| `{code}` | {meaning} | {} | {advice} |", if code.recoverable() { "yes" } else { "no" });
    }
    add_limits(&mut text);
    text
}

/// `explained`: what was said of arguments of the same name before, which schemas do not say twice.
fn add_arguments(text: &mut String, schema: &Map<String, Value>, explained: &mut Map<String, Value>) {
    let properties = schema["properties"].as_object().expect("an object");
    if properties.is_empty() {
        line!(text, "No arguments.\n");
        return;
    }
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    line!(text, "| argument | values | default | meaning |\n|---|---|---|---|");
    for (name, given) in properties {
        let mut property = given.clone();
        let known = explained.entry(name.clone()).or_insert_with(|| json!({}));
        for member in ["description", "default"] {
            let own = given.get(member).or_else(|| known.get(member)).cloned();
            if let Some(value) = own.filter(|_| SAID_ONCE.contains(&name.as_str()) || member == "description") {
                property[member] = value.clone();
                known[member] = value;
            }
        }
        let property = &property;
        let default =
            if required.contains(&name.as_str()) { "**required**".to_owned() } else { default(name, property) };
        let meaning = property["description"].as_str().unwrap_or_default();
        line!(text, "| `{name}` | {} | {default} | {} |", values(name, property), meaning_of(name, meaning));
    }
    line!(text, "");
}

/// Names of styles and render types are each hub's own, and so are the descriptions that hold them.
fn meaning_of(name: &str, meaning: &str) -> String {
    match name {
        "width" | "height" => "in px; both sides, instead of `aspect_ratio`".to_owned(),
        "from_job" => cell("job_… of the same tool to vary: what is not given is as there, with a new seed"),
        "idempotency_key" => "a repeated call with the same key finds its job instead of making another".to_owned(),
        "styles" => "looks to apply; omitted: the default styles; `[]`: none".to_owned(),
        "enhance" => "have an LLM enrich the prompt".to_owned(),
        "description_type" => "natural: prose; optimized: keywords for a prompt".to_owned(),
        "language" => "language of the answer".to_owned(),
        _ => cell(meaning),
    }
}

fn default(name: &str, property: &Value) -> String {
    match (name, property.get("default")) {
        ("render_type", _) => "the tool's default".to_owned(),
        ("enhance", _) => "as the hub can".to_owned(),
        (_, Some(Value::String(value))) => format!("`{value}`"),
        (_, Some(value)) => format!("`{value}`"),
        (_, None) => "–".to_owned(),
    }
}

fn values(name: &str, property: &Value) -> String {
    let kind = property["type"].as_str().unwrap_or("any");
    match name {
        "styles" => return format!("list of ≤ {} names from `list_options`", limits::STYLES_MAX),
        "render_type" => return "a name from `list_options`".to_owned(),
        "width" | "height" => {
            return format!("integer {}–{}, within the render type's bounds", limits::SIDE_MIN_PX, limits::SIDE_MAX_PX);
        }
        _ => {}
    }
    if let Some(choices) = property.get("enum").and_then(Value::as_array) {
        let choices: Vec<String> =
            choices.iter().filter_map(Value::as_str).map(|choice| format!("`{choice}`")).collect();
        return choices.join(", ");
    }
    let mut text = kind.to_owned();
    match (property.get("minimum"), property.get("maximum")) {
        (Some(min), Some(max)) => write!(text, " {min}–{max}").expect("a String takes everything"),
        (Some(min), None) => write!(text, " ≥ {min}").expect("a String takes everything"),
        (None, Some(max)) => write!(text, " ≤ {max}").expect("a String takes everything"),
        (None, None) => {}
    }
    if let Some(max) = property.get("maxLength") {
        write!(text, ", ≤ {max} characters").expect("a String takes everything");
    }
    if let Some(max) = property.get("maxItems") {
        write!(text, " of ≤ {max}").expect("a String takes everything");
    }
    text
}

fn add_limits(text: &mut String) {
    let preview = AnswerPolicy::default();
    let mebi = |bytes: usize| format!("{} MiB", bytes / (1024 * 1024));
    line!(text, "\n#### Limits\n");
    line!(text, "| what | limit |\n|---|---|");
    for (what, limit) in [
        ("prompt, negative prompt", format!("{} characters", limits::PROMPT_MAX_CHARS)),
        ("styles in one call", limits::STYLES_MAX.to_string()),
        ("a name", format!("{} characters", limits::NAME_MAX_CHARS)),
        ("a side of a picture", format!("{}–{} px", limits::SIDE_MIN_PX, limits::SIDE_MAX_PX)),
        ("`wait_s`", format!("0–{}, default {}", limits::WAIT_MAX_S, limits::WAIT_DEFAULT_S)),
        ("idempotency key", format!("{} characters", limits::IDEMPOTENCY_KEY_MAX_CHARS)),
        ("input picture", mebi(limits::INPUT_IMAGE_MAX_BYTES)),
        ("input picture, decoded", format!("{} megapixels", limits::INPUT_IMAGE_MAX_PIXELS / 1_000_000)),
        ("request body", mebi(limits::BODY_MAX_BYTES)),
        (
            "previews in one answer, before base64",
            format!("{} kB in all, {} px a side", preview.preview_max_bytes / 1000, preview.preview_max_side_px),
        ),
        ("`inline: full`, before base64", "5 MB in all, 1999 px a side; larger pictures are shrunk".to_owned()),
        ("pictures shown in one answer", "16; the others are linked".to_owned()),
        ("resources followed by one session or stream", "64".to_owned()),
    ] {
        line!(text, "| {what} | {limit} |");
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn usage_md() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../usage.md"))
}

#[test]
fn usage_md_says_what_the_schemas_say() {
    let document = std::fs::read_to_string(usage_md()).expect("usage.md");
    let (before, rest) = document.split_once(BEGIN).expect("usage.md has the mark where the reference begins");
    let (written, after) = rest.split_once(END).expect("usage.md has the mark where the reference ends");
    let reference = reference();
    let unexplained: Vec<&str> = reference.lines().filter(|line| line.contains("|  |")).collect();
    assert!(unexplained.is_empty(), "these say nothing: {unexplained:#?}");
    if written == reference {
        return;
    }
    if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        std::fs::write(usage_md(), format!("{before}{BEGIN}{reference}{END}{after}")).expect("usage.md is written");
        return;
    }
    let differs = reference.lines().zip(written.lines()).find(|(new, old)| new != old);
    panic!(
        "usage.md is not what the schemas, error codes and limits say. Run:\n  {COMMAND}\nFirst difference: {differs:#?}"
    );
}

#[test]
fn usage_md_explains_every_member_of_every_record() {
    let delivery = samples::delivery();
    let error = UserError::argument("seed", "Wrong.").with_hint("x").with_valid(["x"]).with_retry_after_s(1);
    let mut described = samples::view(JobState::Succeeded, 1);
    described.job.text = Some("A fox.".to_owned());
    let mut video = samples::view(JobState::Succeeded, 1);
    video.artifacts[0].kind = hub_core::artifact::MediaKind::Video;
    let mut waiting = samples::view(JobState::Queued, 0);
    waiting.progress = Some(hub_engine::JobProgress::of(&waiting.job));
    let failed = samples::view(JobState::Failed(error.clone()), 0);
    let mut members: BTreeSet<String> = BTreeSet::new();
    for record in [
        result::record(&described, &delivery),
        result::record(&video, &delivery),
        result::running_record(&waiting),
        result::job_record(&failed, &delivery),
        result::error_record(&error),
    ] {
        members.extend(record.as_object().expect("an object").keys().cloned());
    }
    let explained: BTreeSet<String> = RECORD.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(members, explained, "mend RECORD in src/reference.rs, then run: {COMMAND}");
}

#[test]
fn all_codes_are_found() {
    let codes = codes();
    assert!(codes.len() >= 27 && codes.contains(&ErrorCode::BadArgument) && codes.contains(&ErrorCode::Internal));
}
