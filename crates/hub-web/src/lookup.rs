//! What a path names: things of the catalogue and servers, by id or by name, for API and pages alike.

use std::str::FromStr;

use hub_core::{
    catalogue::{RenderType, Style, Workflow},
    ids::WorkflowId,
    server::LlmServer,
};
use hub_engine::ServerView;

use crate::{error::WebError, router::App};

pub(crate) fn style(app: &App, given: &str) -> Result<Style, WebError> {
    among("style", given, &app.engine.catalogue().styles, |style| (style.id, &style.name))
}

pub(crate) fn render_type(app: &App, given: &str) -> Result<RenderType, WebError> {
    among("render type", given, &app.engine.catalogue().render_types, |row| (row.id, &row.name))
}

pub(crate) fn server(app: &App, given: &str) -> Result<ServerView, WebError> {
    among("server", given, &app.engine.servers(), |view| (view.id(), &view.server.name))
}

pub(crate) async fn llm_server(app: &App, given: &str) -> Result<LlmServer, WebError> {
    let servers = app.engine.store().llm_server_list().await?;
    among("LLM server", given, &servers, |server| (server.id, &server.name))
}

/// That version of a workflow; by its name the newest one.
pub(crate) async fn workflow(app: &App, given: &str) -> Result<Workflow, WebError> {
    let store = app.engine.store();
    let found = match given.parse::<WorkflowId>() {
        Ok(id) => store.workflow_get(id).await?,
        Err(_) => store.workflow_latest(given).await?,
    };
    if let Some(workflow) = found {
        return Ok(workflow);
    }
    let known = store.workflow_list().await?;
    Err(WebError::missing_among("workflow", given, known.iter().map(|workflow| workflow.name.as_str())))
}

fn among<'rows, T: Clone, Id: FromStr + PartialEq>(
    what: &str,
    given: &str,
    rows: &'rows [T],
    named: impl Fn(&'rows T) -> (Id, &'rows String),
) -> Result<T, WebError> {
    let wanted: Option<Id> = given.parse().ok();
    let is = |row: &&'rows T| {
        let (id, name) = named(row);
        wanted.as_ref() == Some(&id) || name == given
    };
    let found = rows.iter().find(is);
    found.cloned().ok_or_else(|| WebError::missing_among(what, given, rows.iter().map(|row| named(row).1.as_str())))
}
