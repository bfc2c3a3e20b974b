//! Workflows: what is stored, and importing one.

mod detail;
mod difference;
mod drawing;
mod picking;
mod slots;
mod trial;

#[cfg(test)]
pub(crate) use self::{detail::WorkflowPage, trial::TrialLive};
pub(crate) use self::{
    detail::{download, remove, restore, show as show_one},
    slots::choose as choose_slots,
    trial::{follow, recheck, run as try_one},
};

use axum::{
    extract::{Request, State},
    response::{Html, Response},
};
use hub_core::{catalogue::Workflow, error::UserError};
use serde::Serialize;

use super::{
    Frame,
    form::{Done, Fault, FormFields, refused},
    html, see_other,
};
use crate::{
    api,
    error::WebError,
    language::{self, apart},
    render::Page,
    router::App,
    said,
};

/// Longest text of a file that a page brings back.
const FILE_KEPT_MAX_BYTES: usize = 1024 * 1024;
/// Fields that a fault can stand beside.
const FIELDS: [&str; 3] = ["name", "graph", "description"];

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct WorkflowsPage {
    frame: Frame,
    workflows: Vec<ShownWorkflow>,
    typed: Typed,
    fault: Option<Fault>,
}

#[derive(Debug, Serialize)]
struct ShownWorkflow {
    name: String,
    path: String,
    version: u32,
    description: String,
    slots: Vec<String>,
    problems: usize,
    render_types: Vec<String>,
    /// Servers that cannot run it, with what they lack.
    lacking: Vec<ShownLack>,
}

/// A server that cannot run a workflow.
#[derive(Debug, Serialize)]
struct ShownLack {
    server: String,
    why: String,
}

/// The import form as typed. A file does not come back, browsers do not allow it: what it holds comes as text.
#[derive(Debug, Default, Serialize)]
struct Typed {
    name: String,
    description: String,
    graph: String,
    /// The file holds too much to come back.
    not_kept: bool,
}

pub(crate) async fn show(State(app): State<App>, done: Done) -> Result<Html<String>, WebError> {
    let mut page = page(&app).await?;
    page.frame.flash = done.flash();
    html(&app, &page)
}

/// Stores what was dropped, chosen or pasted, and shows what was found in it.
pub(crate) async fn import(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    let form = FormFields::read(request, &app).await?;
    match import_of(&app, &form).await {
        Ok(workflow) => Ok(see_other(&format!("/workflows/{}?done=workflow-imported", workflow.id))),
        Err(error) => {
            let mut page = page(&app).await?;
            page.typed = Typed::of(&app, &form);
            page.fault = Some(Fault::of(&error).elsewhere(&FIELDS));
            refused(&app, &error, &page)
        }
    }
}

async fn import_of(app: &App, form: &FormFields) -> Result<Workflow, UserError> {
    let pasted = form.first("graph");
    let file = form.file("file");
    let bytes = match file {
        Some(file) => file.bytes.to_vec(),
        None if pasted.trim().is_empty() => {
            return Err(UserError::argument("graph", said!("Choose a file, or paste the workflow's JSON.")));
        }
        None => pasted.into_bytes(),
    };
    let name = api::parse_name(&name_in(form))?;
    let description = form.first("description").split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(app.engine.workflow_import(&name, &bytes, &description).await?.workflow)
}

impl Typed {
    /// With the workflow of the file as text, so that it need not be chosen again; unless it is very long.
    fn of(app: &App, form: &FormFields) -> Self {
        let text = form.file("file").and_then(|file| app.engine.workflow_text(&file.bytes));
        let not_kept = text.as_ref().is_some_and(|text| text.len() > FILE_KEPT_MAX_BYTES);
        let kept = text.filter(|_| !not_kept);
        Self {
            not_kept,
            name: if kept.is_some() { name_in(form) } else { form.first("name") },
            description: form.first("description"),
            graph: kept.unwrap_or_else(|| form.first("graph")),
        }
    }
}

/// The name that was typed, or the file's.
fn name_in(form: &FormFields) -> String {
    let given = form.first("name");
    if given.trim().is_empty() { name_of(form.file("file").map(|file| file.name.as_str())) } else { given }
}

/// `portrait` from `portrait.json`; empty when there is no name.
fn name_of(file: Option<&str>) -> String {
    let file = file.unwrap_or_default();
    let file = file.rsplit(['/', '\\']).next().unwrap_or(file);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem).trim().to_owned()
}

async fn page(app: &App) -> Result<WorkflowsPage, WebError> {
    let stored = app.engine.store().workflow_list().await?;
    let workflows = stored.into_iter().map(|workflow| ShownWorkflow::of(app, workflow)).collect();
    Ok(WorkflowsPage {
        frame: Frame::new("workflows", said!("Workflows")),
        workflows,
        typed: Typed::default(),
        fault: None,
    })
}

impl ShownWorkflow {
    fn of(app: &App, workflow: Workflow) -> Self {
        let view = app.engine.workflow_view(workflow);
        let catalogue = app.engine.catalogue();
        let name = &view.workflow.name;
        let mut slots: Vec<String> = view.slots.iter().map(|slot| slot_title(&slot.kind)).collect();
        slots.dedup();
        Self {
            path: format!("/workflows/{}", view.workflow.id),
            version: view.workflow.version,
            description: view.workflow.description.clone(),
            slots,
            problems: view.problems.len(),
            render_types: catalogue
                .render_types
                .iter()
                .filter(|kind| kind.workflow == *name)
                .map(|kind| kind.title.clone())
                .collect(),
            lacking: lacking(app, name),
            name: name.clone(),
        }
    }
}

/// Servers that cannot run a workflow of this name, as far as is known.
fn lacking(app: &App, name: &str) -> Vec<ShownLack> {
    let mut found = Vec::new();
    for view in app.engine.servers() {
        for row in view.live.workflows.iter().filter(|row| row.workflow == name && !row.compatible) {
            let mut why: Vec<String> = Vec::new();
            if !row.lack.nodes.is_empty() {
                why.push(said!("no node {names}", names = apart::list(&row.lack.nodes, ", ")));
            }
            if !row.lack.files.is_empty() {
                why.push(said!("no file {names}", names = apart::list(&row.lack.files, ", ")));
            }
            if row.said == Some(false) {
                why.push(said!("switched off by hand").to_string());
            }
            if why.is_empty() && row.refused {
                why.push(said!("it refused a run").to_string());
            }
            // Both stand in one line of a tip, which takes no markup.
            let server = apart::apart(&view.server.name).into_owned();
            found.push(ShownLack { server, why: why.join("; ") });
        }
    }
    found
}

/// A kind of slot for people: `Input image` from `input_image`.
fn slot_title(kind: &str) -> String {
    let words = kind.replace('_', " ");
    let mut chars = words.chars();
    let title: String = chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default();
    language::here(&title)
}

impl Page for WorkflowsPage {
    const TEMPLATE: &'static str = "pages/workflows.html";

    #[cfg(test)]
    fn sample() -> Self {
        let text = || super::shown::sample::HOSTILE.to_owned();
        let workflow = ShownWorkflow {
            name: text(),
            path: "/workflows/wf_1".to_owned(),
            version: 3,
            description: text(),
            slots: vec!["Prompt".to_owned()],
            problems: 1,
            render_types: vec![text()],
            lacking: vec![ShownLack { server: text(), why: text() }],
        };
        Self {
            frame: Frame::new("workflows", said!("Workflows")),
            workflows: vec![workflow],
            typed: Typed { name: text(), description: text(), graph: text(), not_kept: true },
            fault: Some(Fault { field: "graph".to_owned(), text: text(), changed: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_is_named_after_its_file_unless_it_has_a_name() {
        assert_eq!(name_of(Some("portrait v2.json")), "portrait v2");
        assert_eq!(name_of(Some("C:\\x\\a.b.png")), "a.b");
        assert_eq!(name_of(None), "");
        assert_eq!(slot_title("input_image"), "Input image");
    }
}
