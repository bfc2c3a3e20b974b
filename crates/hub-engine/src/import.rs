//! Workflow import: from a file to a stored version with its slots, and what a mode needs of a workflow.
//! Saved workflows are converted first, see [`saved`].
//!
//! Reading and slot detection are the `comfyui` crate's; here is only what the hub makes of them.

pub(crate) mod saved;

use comfyui::workflow::{Found, Graph, SlotKind, Slots, Target, WorkflowError, format, slots};
use hub_core::{
    catalogue::{Mode, Workflow},
    error::{ErrorCode, UserError},
};
use hub_store::Store;
use serde_json::Value;

use crate::{ImportedWorkflow, SlotView, refusal::storage};

/// Reads a graph out of a file's bytes: API JSON, its wrappers, or a picture that carries one. The editor's
/// format is refused: this is for files that ship with the hub.
///
/// # Errors
/// `workflow_invalid` saying what to do.
pub(crate) fn read(bytes: &[u8]) -> Result<Graph, UserError> {
    format::detect_and_unwrap(bytes).map(|found| found.graph).map_err(|error| refuse(&error))
}

/// Finds the workflow in a file's bytes, in whichever format it is.
///
/// # Errors
/// `workflow_invalid` saying what to do.
pub(crate) fn find(bytes: &[u8]) -> Result<Found, UserError> {
    format::find(bytes).map_err(|error| refuse(&error))
}

/// The workflow that a file holds, as text that can be imported again; `None` where there is none.
pub(crate) fn text_of(bytes: &[u8]) -> Option<String> {
    let value = match find(bytes).ok()? {
        Found::Api(found) => found.graph.to_value(),
        Found::Ui(ui) => ui,
    };
    // A file of JSON stays as its author wrote it.
    let written = std::str::from_utf8(bytes).ok().map(str::to_owned);
    written.or_else(|| serde_json::to_string_pretty(&value).ok())
}

/// Finds the workflow in JSON, in whichever format it is.
///
/// # Errors
/// `workflow_invalid` saying what to do.
pub(crate) fn find_in_value(value: &Value) -> Result<Found, UserError> {
    format::find_in_value(value.clone()).map_err(|error| refuse(&error))
}

/// Stores a graph as the next version of `name`.
///
/// # Errors
/// `storage`.
pub(crate) async fn store(
    store: &Store,
    name: &str,
    graph: &Graph,
    slots: &Slots,
    description: &str,
) -> Result<ImportedWorkflow, UserError> {
    let slots_json = serde_json::to_value(slots).map_err(|error| {
        tracing::error!(error = %error, "slots cannot be written as JSON");
        UserError::new(ErrorCode::Internal, "The workflow's slots could not be stored.")
    })?;
    let workflow = store.workflow_insert(name, &graph.to_value(), &slots_json, description).await.map_err(storage)?;
    Ok(imported(workflow, slots))
}

/// Slots of a graph.
pub(crate) fn detect(graph: &Graph) -> Slots {
    slots::detect(graph)
}

/// A workflow with its slots and problems in words.
pub(crate) fn imported(workflow: Workflow, slots: &Slots) -> ImportedWorkflow {
    let problems = slots
        .problems
        .iter()
        .map(|problem| match &problem.node {
            Some(node) => format!("{} (node {node})", problem.message),
            None => problem.message.clone(),
        })
        .collect();
    let views = slots
        .slots
        .iter()
        .map(|slot| SlotView {
            kind: word(slot.kind),
            targets: slot.targets.iter().map(address).collect(),
            source: word(slot.source),
            confidence: word(slot.confidence),
        })
        .collect();
    ImportedWorkflow { workflow, slots: views, problems, converted: None }
}

/// `node.input`, or the node alone where there is no input to set.
fn address(target: &Target) -> String {
    if target.input.is_empty() { target.node_id.clone() } else { format!("{}.{}", target.node_id, target.input) }
}

/// Slots as a person chose them: pairs of kind and `node.input`, or the node alone.
///
/// # Errors
/// `bad_argument` for `slots`, naming the kind and what it takes.
pub(crate) fn chosen(graph: &Graph, before: &Slots, pairs: &[(String, String)]) -> Result<Slots, UserError> {
    let mut kinds: Vec<(SlotKind, Vec<Target>)> = Vec::new();
    for (kind, address) in pairs {
        let parsed: SlotKind = serde_json::from_value(Value::String(kind.clone())).map_err(|_| {
            UserError::argument("slots", format!("`{kind}` is no kind of slot.")).with_valid(slot_kinds())
        })?;
        let (node_id, input) = address.split_once('.').unwrap_or((address.as_str(), ""));
        let target = Target { node_id: node_id.trim().to_owned(), input: input.trim().to_owned() };
        match kinds.iter_mut().find(|(known, _)| *known == parsed && !has_many(parsed)) {
            Some((_, targets)) => targets.push(target),
            None => kinds.push((parsed, vec![target])),
        }
    }
    slots::confirm(graph, before, kinds).map_err(|(kind, why)| {
        UserError::argument("slots", format!("The slot `{}` cannot be there: {why}.", word(kind)))
    })
}

/// Kinds of which a workflow has one slot for each place; the others set all their places to one value.
fn has_many(kind: SlotKind) -> bool {
    matches!(kind, SlotKind::Lora | SlotKind::InputImage | SlotKind::Mask)
}

/// The places that each kind of slot could have in a graph: the kind's word, and `node.input` of each.
pub(crate) fn places(graph: &Graph) -> Vec<(String, Vec<String>)> {
    let places = |kind: SlotKind| slots::fitting(graph, kind).iter().map(address).collect();
    SlotKind::ALL.into_iter().map(|kind| (word(kind), places(kind))).collect()
}

/// Every kind of slot, as it is stored.
pub(crate) fn slot_kinds() -> Vec<String> {
    SlotKind::ALL.into_iter().map(word).collect()
}

/// The word under which a kind is stored.
fn word(kind: impl serde::Serialize) -> String {
    match serde_json::to_value(kind) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Checks that a workflow has what requests of a mode need.
///
/// # Errors
/// `workflow_invalid` naming what is missing.
pub(crate) fn check_mode(workflow: &Workflow, slots: &Slots, mode: Mode) -> Result<(), UserError> {
    // A prompt is no need: there are workflows that draw without one, and a call's warnings say so.
    let needs: &[(SlotKind, &str)] = if mode.needs_input() {
        &[(SlotKind::InputImage, "an input picture"), (SlotKind::Output, "an output")]
    } else {
        &[(SlotKind::Output, "an output")]
    };
    let missing: Vec<&str> = needs.iter().filter(|(kind, _)| !slots.has(*kind)).map(|(_, what)| *what).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut error = UserError::new(
        ErrorCode::WorkflowInvalid,
        format!(
            "The workflow `{}` (version {}) cannot serve `{}`: it has no slot for {}.",
            workflow.name,
            workflow.version,
            mode.tool(),
            missing.join(" and ")
        ),
    )
    .with_hint(
        "Title the nodes MCP_INPUT_IMAGE and MCP_OUTPUT_IMAGE in ComfyUI, export it in API format, and import it again.",
    );
    error.argument = Some("workflow".to_owned());
    Err(error)
}

fn refuse(error: &WorkflowError) -> UserError {
    let mut told = UserError::new(ErrorCode::WorkflowInvalid, format!("The workflow is not accepted: {error}."));
    told.argument = Some("graph".to_owned());
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures::{text_to_image, upscaler};

    fn workflow(graph: Value) -> (Workflow, Slots) {
        let Ok(Found::Api(found)) = find_in_value(&graph) else { panic!("a workflow") };
        let slots = detect(&found.graph);
        let workflow = Workflow {
            id: hub_core::ids::WorkflowId::new(),
            name: "w".to_owned(),
            version: 1,
            graph,
            slots: Value::Null,
            description: String::new(),
        };
        (workflow, slots)
    }

    #[test]
    fn a_mode_is_refused_naming_the_slots_that_are_missing() {
        let (upscale, slots) = workflow(upscaler());
        assert_eq!(check_mode(&upscale, &slots, Mode::Upscale), Ok(()));
        let (generate, slots) = workflow(text_to_image());
        assert_eq!(check_mode(&generate, &slots, Mode::Generate), Ok(()));
        let error = check_mode(&generate, &slots, Mode::Edit).expect_err("no input picture");
        assert!(error.message.contains("an input picture") && !error.message.contains("output"), "{}", error.message);
    }
}
