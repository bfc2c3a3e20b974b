//! One version of a workflow: its drawing, its slots and how to correct them, its other versions.

use axum::{
    extract::{Path, RawQuery, State},
    response::{Html, Response},
};
use hub_core::{
    catalogue::Workflow,
    error::UserError,
    ids::{JobId, WorkflowId},
};
use hub_engine::{ImportedWorkflow, InputHolds, NodeView};
use serde::Serialize;

use super::{
    super::{
        Frame,
        form::{Done, Fault, refused},
        html, see_other,
        shown::shorten,
    },
    difference::Differences,
    drawing::Drawing,
    picking::{self, Asked, Graph, Panel, Picking},
    slot_title,
    slots::{self, Row},
    trial::Trial,
};
use crate::{api, attachment, error::WebError, language::apart, lookup, render::Page, router::App, said};

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
    /// Number of the row that was just given a place, which is not saved.
    given: Option<usize>,
    kinds: Vec<Kind>,
    places: Vec<Place>,
    /// The places that fit, by kind of slot.
    offers: Vec<Offer>,
    /// The places that each kind could have, to make offers of.
    #[serde(skip)]
    fitting: Vec<(String, Vec<String>)>,
    drawing: Drawing,
    picking: Option<Picking>,
    panel: Option<Panel>,
    versions: Vec<Version>,
    /// Against the version before; `None` of the first.
    changed: Option<Differences>,
    render_types: Vec<String>,
    pub(super) trial: Trial,
    pub(super) fault: Option<Fault>,
}

#[derive(Debug, Serialize)]
struct Kind {
    name: String,
    title: String,
}

/// An input that can be a slot.
#[derive(Debug, Clone, Serialize)]
struct Place {
    address: String,
    text: String,
}

/// The places that fit a kind of slot.
#[derive(Debug, Serialize)]
struct Offer {
    kind: String,
    places: Vec<Place>,
}

#[derive(Debug, Serialize)]
struct Version {
    number: u32,
    path: String,
    current: bool,
    restore_path: Option<String>,
    nodes: usize,
}

pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    done: Done,
) -> Result<Html<String>, WebError> {
    let asked: Asked = serde_html_form::from_str(query.as_deref().unwrap_or_default())
        .map_err(|error| UserError::argument("pick", said!("The address cannot be read: {error}.", error)))?;
    let workflow = lookup::workflow(&app, &id).await?;
    let mut page = page_of(&app, workflow, &asked).await?;
    page.frame.flash = done.flash();
    html(&app, &page)
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
            let mut page = page(&app, workflow).await?;
            page.fault = Some(Fault::of(&UserError { argument: None, ..error.clone() }));
            refused(&app, &error, &page)
        }
    }
}

/// The graph in API format, as a file.
pub(crate) async fn download(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let workflow = lookup::workflow(&app, &id).await?;
    let text = serde_json::to_string_pretty(&workflow.graph).map_err(|error| WebError::internal(&error))?;
    let name = format!("{}-v{}.json", workflow.name, workflow.version);
    Ok(attachment::answer(&name, attachment::JSON, text))
}

/// The page as it is without anything asked for, with a test run.
pub(super) async fn page(app: &App, workflow: Workflow) -> Result<WorkflowPage, WebError> {
    page_of(app, workflow, &Asked::default()).await
}

async fn page_of(app: &App, workflow: Workflow, asked: &Asked) -> Result<WorkflowPage, WebError> {
    let run: Option<JobId> = asked.run.as_deref().map(api::parse_id).transpose()?;
    let trial = Trial::load(app, &workflow, run).await?;
    let versions = app.engine.store().workflow_versions(&workflow.name).await?;
    let newest = versions.first().map_or(workflow.id, |newest| newest.id);
    let nodes = app.engine.workflow_nodes(&workflow);
    let fitting = app.engine.slot_places(&workflow);
    let ImportedWorkflow { workflow, problems, slots, .. } = app.engine.workflow_view(workflow);
    let is_newest = newest == workflow.id;
    let stored = slots::stored(&slots);
    let view = asked.view(&Graph { id: workflow.id, nodes: &nodes, rows: stored, places: &fitting, is_newest });
    let before = versions.iter().find(|version| version.version + 1 == workflow.version);
    let changed = before.map(|before| Differences::between(before.version, &before.graph, &workflow.graph));
    let catalogue = app.engine.catalogue();
    let places = all_places(&nodes);
    Ok(WorkflowPage {
        changed,
        frame: Frame::new("workflows", said!("Workflow {name}", name = workflow.name)),
        path: format!("/workflows/{}", workflow.id),
        is_newest,
        newest_path: format!("/workflows/{newest}"),
        offers: offers(&view.rows, &fitting, &places),
        rows: view.rows,
        given: view.given,
        kinds: app.engine.slot_kinds().into_iter().map(|name| Kind { title: slot_title(&name), name }).collect(),
        places,
        fitting,
        drawing: view.drawing,
        picking: view.picking,
        panel: view.panel,
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

impl WorkflowPage {
    /// Shows these rows instead of the stored ones.
    pub(super) fn show_rows(&mut self, rows: Vec<Row>) {
        self.offers = offers(&rows, &self.fitting, &self.places);
        self.rows = rows;
    }
}

/// Every input that holds a value, and every node as an output, with what to call it.
fn all_places(nodes: &[NodeView]) -> Vec<Place> {
    let of_node = |node: &NodeView| {
        let title = picking::title_of(node).to_owned();
        let output = Place { address: node.id.clone(), text: said!("{title} as an output", title) };
        let inputs = node.inputs.iter().map(|input| Place {
            address: format!("{}.{}", node.id, input.name),
            text: match &input.holds {
                InputHolds::Value(value) => {
                    let value = shorten(value, picking::VALUE_SHOWN_CHARS);
                    format!("{}: {}", apart::apart(&title), apart::apart(&value))
                }
                InputHolds::Link(_) => title.clone(),
            },
        });
        inputs.chain([output]).collect::<Vec<_>>()
    };
    nodes.iter().flat_map(of_node).collect()
}

/// For each kind that has a row: the places that fit it.
fn offers(rows: &[Row], fitting: &[(String, Vec<String>)], all: &[Place]) -> Vec<Offer> {
    let mut kinds: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let places = |kind: &str| {
        let fit = picking::places_of(fitting, kind);
        all.iter().filter(|place| fit.contains(&place.address)).cloned().collect()
    };
    kinds.into_iter().map(|kind| Offer { kind: kind.to_owned(), places: places(kind) }).collect()
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
        let slot = hub_engine::SlotView {
            kind: "prompt".to_owned(),
            targets: vec!["1.text".to_owned()],
            source: "trace".to_owned(),
            confidence: "guess".to_owned(),
        };
        let view = picking::View::sample(&text(), Row::of(&slot, "1.text"));
        let place = || Place { address: text(), text: text() };
        Self {
            frame: Frame::new("workflows", text()),
            name: text(),
            number: 2,
            path: "/workflows/wf_2".to_owned(),
            is_newest: true,
            newest_path: "/workflows/wf_2".to_owned(),
            description: text(),
            problems: vec![text()],
            rows: view.rows,
            given: view.given,
            kinds: vec![Kind { name: "prompt".to_owned(), title: "Prompt".to_owned() }],
            places: vec![place()],
            offers: vec![Offer { kind: text(), places: vec![place()] }],
            fitting: Vec::new(),
            drawing: view.drawing,
            picking: view.picking,
            panel: view.panel,
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
            fault: Some(Fault { field: "target-2".to_owned(), text: text(), changed: false }),
        }
    }
}
