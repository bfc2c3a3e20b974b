//! What the servers can make, and what is missing for the rest: said so that a person can fetch it.

use std::collections::HashMap;

use hub_core::catalogue::{Catalogue, Mode, RenderType};
use hub_engine::{InventoryState, Lack, ModelSource, ServerView};
use serde::Serialize;

use super::Choice;

/// Shipped render types of which a checkpoint can take another's place: how their families are called.
const FAMILIES: [(&str, &str); 3] =
    [("sdxl", "SDXL, Pony, Illustrious"), ("sd15", "Stable Diffusion 1.5"), ("sd35", "Stable Diffusion 3.5")];

/// Where models come from, by the last part of their names.
pub(super) struct Sources(HashMap<String, ModelSource>);

impl Sources {
    pub(super) fn new(known: Vec<ModelSource>) -> Self {
        Self(known.into_iter().map(|model| (model.name.clone(), model)).collect())
    }
}

/// A way to make a picture from words.
#[derive(Debug, Serialize)]
pub(crate) struct ShownType {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) title: String,
    description: String,
    pub(super) is_default: bool,
    /// Some server can run it, as far as is known.
    pub(super) ready: bool,
    /// Those servers.
    servers: Vec<String>,
    /// What the server that lacks least lacks.
    on: String,
    files: Vec<MissingFile>,
    nodes: Vec<String>,
    /// All that is missing, in units of 10⁹ bytes, when it is known.
    size_gb: Option<String>,
}

/// A model file that is missing.
#[derive(Debug, Serialize)]
struct MissingFile {
    name: String,
    /// Where it belongs, below the server's folder.
    folder: Option<String>,
    size_gb: Option<String>,
    /// Where to get it.
    source: Option<String>,
    note: String,
}

/// All of a mode that makes pictures from nothing but words: those that can be made first, the default among them.
pub(super) fn shown(catalogue: &Catalogue, servers: &[ServerView], sources: &Sources) -> Vec<ShownType> {
    let of_mode = catalogue.render_types.iter().filter(|row| row.mode == Mode::Generate);
    let mut rows: Vec<ShownType> = of_mode.map(|row| ShownType::of(row, servers, sources)).collect();
    rows.sort_by_key(|row| (!row.ready, !row.is_default));
    rows
}

/// The families that a model file may be of.
pub(super) fn likes(types: &[ShownType], chosen: &str) -> Vec<Choice> {
    FAMILIES
        .iter()
        .filter_map(|(name, title)| {
            let row = types.iter().find(|row| row.name == *name)?;
            Some(Choice { id: row.id.clone(), title: (*title).to_owned(), chosen: row.id == chosen })
        })
        .collect()
}

fn gb(size: f64) -> String {
    if size < 1.0 { format!("{:.0} MB", size * 1000.0) } else { format!("{size:.1} GB") }
}

impl ShownType {
    fn of(row: &RenderType, servers: &[ServerView], sources: &Sources) -> Self {
        let mut able = Vec::new();
        let mut least: Option<(&str, &Lack)> = None;
        for view in servers.iter().filter(|view| view.state.takes_work()) {
            let known = view.live.workflows.iter().find(|known| known.workflow == row.workflow && !known.compatible);
            match known {
                None if view.live.inventory.state != InventoryState::Unknown => able.push(view.server.name.clone()),
                None => {}
                Some(known) => {
                    let count = |lack: &Lack| lack.files.len() + lack.nodes.len();
                    if least.is_none_or(|(_, lack)| count(&known.lack) < count(lack)) {
                        least = Some((&view.server.name, &known.lack));
                    }
                }
            }
        }
        let least = least.filter(|_| able.is_empty());
        let missing = least.map(|(_, lack)| lack.files.as_slice()).unwrap_or_default();
        let files: Vec<&ModelSource> = missing.iter().filter_map(|name| sources.0.get(name)).collect();
        let all: f64 = files.iter().map(|model| model.size_gb).sum();
        Self {
            id: row.id.to_string(),
            name: row.name.clone(),
            title: row.title.clone(),
            description: row.description.clone(),
            is_default: row.is_default,
            ready: !able.is_empty(),
            servers: able,
            on: least.map(|(name, _)| name.to_owned()).unwrap_or_default(),
            size_gb: (!missing.is_empty() && files.len() == missing.len()).then(|| gb(all)),
            files: missing.iter().map(|name| MissingFile::of(name, sources)).collect(),
            nodes: least.map(|(_, lack)| lack.nodes.clone()).unwrap_or_default(),
        }
    }

    #[cfg(test)]
    pub(super) fn sample(ready: bool) -> Self {
        let text = || super::super::shown::sample::HOSTILE.to_owned();
        let file = MissingFile {
            name: text(),
            folder: Some(text()),
            size_gb: Some("6.9 GB".to_owned()),
            source: Some(text()),
            note: text(),
        };
        Self {
            id: "rt_1".to_owned(),
            name: text(),
            title: text(),
            description: text(),
            is_default: true,
            ready,
            servers: vec![text()],
            on: text(),
            files: if ready { Vec::new() } else { vec![file] },
            nodes: vec![text()],
            size_gb: Some("6.9 GB".to_owned()),
        }
    }
}

impl MissingFile {
    fn of(name: &str, sources: &Sources) -> Self {
        let known = sources.0.get(name);
        Self {
            name: name.to_owned(),
            folder: known.map(|model| format!("models/{}", model.folder)),
            size_gb: known.map(|model| gb(model.size_gb)),
            source: known.map(|model| model.source.clone()),
            note: known.map(|model| model.note.clone()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        assert_eq!((gb(0.052), gb(6.9), gb(24.0)), ("52 MB".to_owned(), "6.9 GB".to_owned(), "24.0 GB".to_owned()));
    }
}
