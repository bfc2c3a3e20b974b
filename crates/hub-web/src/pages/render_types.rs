//! Render types: what each tool offers, and what stands behind it.

mod csv;
mod edit;
mod flags;

#[cfg(test)]
pub(crate) use self::edit::RenderTypePage;
pub(crate) use self::{
    csv::{download, upload},
    edit::{add, create, make_picture, remove, save, show as show_one},
    flags::set_flags,
};

use axum::{extract::State, response::Html};
use hub_core::catalogue::{Mode, RenderType};
use hub_engine::ShowcaseIndex;
use serde::Serialize;

use super::{
    Frame,
    form::{Done, Fault},
    html,
    shown::{ShownShowcase, tool_title},
    table::ShownImport,
};
use crate::{error::WebError, language::Said, render::Page, router::App, said};

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct RenderTypesPage {
    frame: Frame,
    groups: Vec<Group>,
    fault: Option<Fault>,
    report: Option<ShownImport>,
}

/// The render types of one tool.
#[derive(Debug, Serialize)]
struct Group {
    title: Said,
    tool: &'static str,
    render_types: Vec<ShownRenderType>,
}

#[derive(Debug, Serialize)]
struct ShownRenderType {
    name: String,
    title: String,
    path: String,
    description: String,
    workflow: String,
    /// Set when a version is pinned.
    version: Option<u32>,
    ratios: Vec<&'static str>,
    is_default: bool,
    visible: bool,
    /// Servers that can run it, of those that are on.
    able: usize,
    servers: usize,
    showcase: ShownShowcase,
}

impl ShownRenderType {
    fn of(app: &App, row: &RenderType, showcases: &ShowcaseIndex) -> Self {
        let servers = app.engine.servers();
        let on: Vec<_> = servers.iter().filter(|view| view.server.enabled).collect();
        let unable = |view: &&&hub_engine::ServerView| {
            view.live.workflows.iter().any(|known| known.workflow == row.workflow && !known.compatible)
        };
        Self {
            name: row.name.clone(),
            title: row.title.clone(),
            path: format!("/render-types/{}", row.id),
            description: row.description.clone(),
            workflow: row.workflow.clone(),
            version: row.workflow_version,
            ratios: row.sizes.keys().map(|ratio| ratio.as_str()).collect(),
            is_default: row.is_default,
            visible: row.visible,
            able: on.len() - on.iter().filter(unable).count(),
            servers: on.len(),
            showcase: ShownShowcase::of(&showcases.of_render_type(row)),
        }
    }
}

pub(crate) async fn show(State(app): State<App>, done: Done) -> Result<Html<String>, WebError> {
    html(&app, &page(&app, &done).await?)
}

async fn page(app: &App, done: &Done) -> Result<RenderTypesPage, WebError> {
    let catalogue = app.engine.catalogue();
    let showcases = app.engine.showcases().await?;
    let groups = Mode::ALL.into_iter().map(|mode| Group {
        title: tool_title(mode.tool()),
        tool: mode.tool(),
        render_types: catalogue
            .render_types
            .iter()
            .filter(|row| row.mode == mode)
            .map(|row| ShownRenderType::of(app, row, &showcases))
            .collect(),
    });
    let mut frame = Frame::new("render_types", said!("Render types"));
    frame.flash = done.flash();
    let groups = groups.filter(|group| !group.render_types.is_empty()).collect();
    Ok(RenderTypesPage { frame, groups, fault: None, report: None })
}

impl Page for RenderTypesPage {
    const TEMPLATE: &'static str = "pages/render_types.html";

    #[cfg(test)]
    fn sample() -> Self {
        let text = || super::shown::sample::HOSTILE.to_owned();
        let row = ShownRenderType {
            name: text(),
            title: text(),
            path: "/render-types/rt_1".to_owned(),
            description: text(),
            workflow: text(),
            version: Some(2),
            ratios: vec!["1:1"],
            is_default: true,
            visible: false,
            able: 1,
            servers: 2,
            showcase: ShownShowcase::sample(),
        };
        Self {
            frame: Frame::new("render_types", said!("Render types")),
            groups: vec![Group { title: said!("Generate"), tool: "generate_image", render_types: vec![row] }],
            fault: Some(Fault { field: "file".to_owned(), text: text(), changed: false }),
            report: Some(ShownImport::sample()),
        }
    }
}
