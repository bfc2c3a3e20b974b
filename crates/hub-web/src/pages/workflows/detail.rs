//! One version of a workflow: its drawing, its slots and how to correct them, its other versions.

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderValue, header},
    response::{Html, IntoResponse as _, Response},
};
use hub_core::{
    catalogue::Workflow,
    error::UserError,
    ids::{JobId, WorkflowId},
};
use hub_engine::{ImportedWorkflow, InputHolds, NodeView, SlotView};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        Frame,
        form::{Done, Fault, Sent, refused},
        html, see_other,
        shown::shorten,
    },
    difference::Differences,
    drawing::{self, Drawing},
    slot_title,
    trial::Trial,
};
use crate::{api, error::WebError, language::Said, lookup, render::Page, router::App, said};

/// Longest value in the list of inputs, in characters.
const VALUE_SHOWN_CHARS: usize = 60;

/// The page of one version.
#[derive(Debug, Serialize)]
pub(crate) struct WorkflowPage {
    frame: Frame,
    name: String,
    /// Not `version`: templates have the program's under that name.
    number: u32,
    path: String,
    is_newest: bool,
    newest_path: String,
    description: String,
    problems: Vec<String>,
    rows: Vec<Row>,
    kinds: Vec<Kind>,
    places: Vec<Place>,
    drawing: Drawing,
    versions: Vec<Version>,
    /// Against the version before; `None` of the first.
    changed: Option<Differences>,
    render_types: Vec<String>,
    pub(super) trial: Trial,
    fault: Option<Fault>,
}

/// One slot in one place.
#[derive(Debug, Serialize)]
struct Row {
    kind: String,
    title: String,
    target: String,
    /// How it was found, in a word; empty while it is being typed.
    source: Option<Said>,
    tone: &'static str,
    /// How sure that is, in a word.
    sure: Option<Said>,
}

#[derive(Debug, Serialize)]
struct Kind {
    name: String,
    title: String,
}

/// An input that can be a slot.
#[derive(Debug, Serialize)]
struct Place {
    address: String,
    text: String,
}

#[derive(Debug, Serialize)]
struct Version {
    number: u32,
    path: String,
    current: bool,
    restore_path: Option<String>,
    nodes: usize,
}

/// The slots as a person chose them: lists of the same length.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Chosen {
    #[serde(default)]
    kind: Vec<String>,
    #[serde(default)]
    target: Vec<String>,
}

impl Chosen {
    /// The rows that have a place, as they were typed.
    fn typed(self) -> Vec<Row> {
        let rows = self.kind.into_iter().zip(self.target).filter(|(_, target)| !target.trim().is_empty());
        rows.map(|(kind, target)| Row::typed(kind, target)).collect()
    }

    /// Rows without a place are left out: that is how one is removed.
    fn pairs(&self) -> Result<Vec<(String, String)>, UserError> {
        let given = self.kind.iter().zip(&self.target).map(|(kind, target)| (kind.trim(), target.trim()));
        given
            .filter(|(_, target)| !target.is_empty())
            .map(|(kind, target)| {
                // The list offers `6.text — a red fox`; only the address counts.
                let place = target.split_whitespace().next().unwrap_or(target);
                if kind.is_empty() {
                    let fault = format!("`{place}` has no kind: choose what the hub shall put there.");
                    return Err(UserError::argument("slots", fault));
                }
                Ok((kind.to_owned(), place.to_owned()))
            })
            .collect()
    }
}

/// Which test run to show.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PageQuery {
    run: Option<String>,
}

pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Result<Query<PageQuery>, QueryRejection>,
    done: Done,
) -> Result<Html<String>, WebError> {
    let Query(query) = query?;
    let run = query.run.as_deref().map(api::parse_id).transpose()?;
    let mut page = page(&app, lookup::workflow(&app, &id).await?, run).await?;
    page.frame.flash = done.flash();
    html(&app, &page)
}

pub(crate) async fn choose_slots(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(chosen): Sent<Chosen>,
) -> Result<Response, WebError> {
    let workflow = lookup::workflow(&app, &id).await?;
    let stored = match chosen.pairs() {
        Ok(pairs) => app.engine.workflow_choose_slots(workflow.id, &pairs).await,
        Err(error) => Err(error),
    };
    match stored {
        Ok(stored) => Ok(see_other(&format!("/workflows/{}?done=workflow-slots", stored.workflow.id))),
        Err(error) => {
            let mut page = page(&app, workflow, None).await?;
            page.rows = chosen.typed();
            page.fault = Some(Fault::of(&error));
            refused(&app, &error, &page)
        }
    }
}

pub(crate) async fn restore(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let workflow = lookup::workflow(&app, &id).await?;
    let stored = app.engine.workflow_restore(&workflow.name, workflow.version).await?;
    Ok(see_other(&format!("/workflows/{}?done=workflow-restored", stored.workflow.id)))
}

pub(crate) async fn remove(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let workflow = lookup::workflow(&app, &id).await?;
    match app.engine.workflow_delete(&workflow.name).await {
        Ok(()) => Ok(see_other("/workflows?done=workflow-deleted")),
        Err(error) => {
            let mut page = page(&app, workflow, None).await?;
            page.fault = Some(Fault::of(&UserError { argument: None, ..error.clone() }));
            refused(&app, &error, &page)
        }
    }
}

/// The graph in API format, as a file.
pub(crate) async fn download(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let workflow = lookup::workflow(&app, &id).await?;
    let text = serde_json::to_string_pretty(&workflow.graph).map_err(|error| WebError::internal(&error))?;
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Names may hold what no header may: the file is named by what surely fits.
    let plain: String =
        workflow.name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let disposition = format!("attachment; filename=\"{plain}-v{}.json\"", workflow.version);
    if let Ok(value) = HeaderValue::try_from(disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

pub(super) async fn page(app: &App, workflow: Workflow, run: Option<JobId>) -> Result<WorkflowPage, WebError> {
    let trial = Trial::load(app, &workflow, run).await?;
    let versions = app.engine.store().workflow_versions(&workflow.name).await?;
    let newest = versions.first().map_or(workflow.id, |newest| newest.id);
    let nodes = app.engine.workflow_nodes(&workflow);
    let view = app.engine.workflow_view(workflow);
    let pairs = pairs_of(&view);
    let catalogue = app.engine.catalogue();
    let ImportedWorkflow { workflow, problems, slots, .. } = view;
    let rows = slots.iter().flat_map(|slot| slot.targets.iter().map(|target| Row::of(slot, target)));
    let before = versions.iter().find(|version| version.version + 1 == workflow.version);
    let changed = before.map(|before| Differences::between(before.version, &before.graph, &workflow.graph));
    Ok(WorkflowPage {
        changed,
        frame: Frame::new("workflows", said!("Workflow {name}", name = workflow.name)),
        path: format!("/workflows/{}", workflow.id),
        is_newest: newest == workflow.id,
        newest_path: format!("/workflows/{newest}"),
        rows: rows.collect(),
        kinds: app.engine.slot_kinds().into_iter().map(|name| Kind { title: slot_title(&name), name }).collect(),
        places: nodes.iter().flat_map(places_of).collect(),
        drawing: drawing::draw(&nodes, &pairs),
        versions: versions.iter().map(|version| Version::of(version, workflow.id, newest)).collect(),
        render_types: catalogue
            .render_types
            .iter()
            .filter(|kind| kind.workflow == workflow.name)
            .map(|kind| kind.title.clone())
            .collect(),
        trial,
        number: workflow.version,
        name: workflow.name,
        description: workflow.description,
        problems,
        fault: None,
    })
}

fn pairs_of(view: &ImportedWorkflow) -> Vec<(String, String)> {
    let pairs =
        view.slots.iter().flat_map(|slot| slot.targets.iter().map(|target| (slot_title(&slot.kind), target.clone())));
    pairs.collect()
}

fn places_of(node: &NodeView) -> Vec<Place> {
    let title = node.title.as_deref().unwrap_or(&node.class);
    let inputs = node.inputs.iter().filter_map(|input| match &input.holds {
        InputHolds::Value(value) => Some(Place {
            address: format!("{}.{}", node.id, input.name),
            text: format!("{title}: {}", shorten(value, VALUE_SHOWN_CHARS)),
        }),
        InputHolds::Link(_) => None,
    });
    // A node alone can be an output.
    inputs.chain([Place { address: node.id.clone(), text: said!("{title} as an output", title) }]).collect()
}

impl Row {
    fn of(slot: &SlotView, target: &str) -> Self {
        let source = match slot.source.as_str() {
            "title" => said!("by its title"),
            "hand" => said!("chosen by hand"),
            "class" => said!("by its class"),
            _ => said!("by its links"),
        };
        let (sure, tone) = match slot.confidence.as_str() {
            "certain" => (said!("sure"), "good"),
            "likely" => (said!("likely"), "info"),
            _ => (said!("look at it"), "wait"),
        };
        Self {
            title: slot_title(&slot.kind),
            kind: slot.kind.clone(),
            target: target.to_owned(),
            source: Some(source),
            tone,
            sure: Some(sure),
        }
    }

    fn typed(kind: String, target: String) -> Self {
        Self { title: slot_title(&kind), kind, target, source: None, tone: "off", sure: None }
    }
}

impl Version {
    fn of(version: &Workflow, shown: WorkflowId, newest: WorkflowId) -> Self {
        Self {
            number: version.version,
            path: format!("/workflows/{}", version.id),
            current: version.id == shown,
            restore_path: (version.id != newest).then(|| format!("/workflows/{}/restore", version.id)),
            nodes: version.graph.as_object().map_or(0, serde_json::Map::len),
        }
    }
}

impl Page for WorkflowPage {
    const TEMPLATE: &'static str = "pages/workflow.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::difference::Difference;
        let text = || super::super::shown::sample::HOSTILE.to_owned();
        let slot = SlotView {
            kind: "prompt".to_owned(),
            targets: vec!["1.text".to_owned()],
            source: "trace".to_owned(),
            confidence: "guess".to_owned(),
        };
        let node = NodeView { id: "1".to_owned(), class: text(), title: Some(text()), inputs: Vec::new() };
        Self {
            frame: Frame::new("workflows", text()),
            name: text(),
            number: 2,
            path: "/workflows/wf_2".to_owned(),
            is_newest: true,
            newest_path: "/workflows/wf_2".to_owned(),
            description: text(),
            problems: vec![text()],
            rows: vec![Row::of(&slot, "1.text"), Row::typed(text(), text())],
            kinds: vec![Kind { name: "prompt".to_owned(), title: "Prompt".to_owned() }],
            places: vec![Place { address: text(), text: text() }],
            drawing: drawing::draw(&[node], &[(text(), "1.text".to_owned())]),
            versions: vec![Version {
                number: 1,
                path: "/workflows/wf_1".to_owned(),
                current: false,
                restore_path: Some("/workflows/wf_1/restore".to_owned()),
                nodes: 7,
            }],
            changed: Some(Differences { from: 1, rows: vec![Difference::sample()], more: 1 }),
            render_types: vec![text()],
            trial: Trial::sample(),
            fault: Some(Fault { field: "slots".to_owned(), text: text(), changed: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_place_is_one_that_is_removed() {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        let pairs = |kinds: &[&str], places: &[&str]| Chosen { kind: list(kinds), target: list(places) }.pairs();
        let left = pairs(&["prompt", "seed", ""], &["6.text fox", " ", ""]).expect("whole");
        assert_eq!(left, [("prompt".to_owned(), "6.text".to_owned())]);
        let error = pairs(&["prompt", ""], &["6.text", "3.cfg"]).expect_err("a place for nothing");
        assert!(error.message.contains("`3.cfg` has no kind"), "{}", error.message);
    }
}
