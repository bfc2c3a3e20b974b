//! Workflows, render types and styles of an import.

use std::collections::BTreeMap;

use comfyui::workflow::{Graph, Slots};
use hub_core::{
    catalogue::{RenderType, Workflow},
    error::{ErrorCode, UserError},
    ids::{RenderTypeId, StyleId, WorkflowId},
};
use serde::Deserialize as _;
use serde_json::json;

use super::{
    super::{
        ImportAction, ImportMode,
        document::{RenderTypeEntry, StyleEntry, WorkflowEntry},
    },
    Pins, Planner, below, checked_name, unique,
};
use crate::{catalogue::Runnable, engine::checks, import, refusal::storage};

impl Planner<'_> {
    /// Versions of one workflow are history and stay; the newest one of the file becomes the newest one
    /// here. Answers which version stands for which.
    pub(super) async fn workflows(&mut self, entries: &[WorkflowEntry]) -> Result<Pins, UserError> {
        let mut pins = Pins::new();
        let mut of_name: BTreeMap<&str, Vec<(usize, &WorkflowEntry)>> = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            checked_name(&entry.name).map_err(|error| below(&format!("workflows[{index}]"), error))?;
            of_name.entry(&entry.name).or_default().push((index, entry));
        }
        for (name, mut entries) in of_name {
            entries.sort_by_key(|(_, entry)| entry.version);
            if let Some(twice) = entries.windows(2).find(|pair| pair[0].1.version == pair[1].1.version) {
                let path = format!("workflows[{}].version", twice[1].0);
                let message = format!("`{name}` has version {} twice.", twice[1].1.version);
                return Err(UserError::argument(&path, message));
            }
            let mut present = self.store.workflow_versions(name).await.map_err(storage)?;
            present.sort_by_key(|row| row.version);
            let newest = entries.len() - 1;
            for (place, (index, entry)) in entries.into_iter().enumerate() {
                let wanted = read_workflow(entry).map_err(|error| below(&format!("workflows[{index}]"), error))?;
                let same = |row: &&Workflow| {
                    (&row.graph, &row.slots, &row.description) == (&wanted.graph, &wanted.slots, &wanted.description)
                };
                let top = present.last().map_or(0, |row| row.version);
                let known = if place == newest {
                    present.last().filter(same)
                } else {
                    present
                        .iter()
                        .find(|row| row.version == entry.version && same(row))
                        .or_else(|| present.iter().find(same))
                };
                if let Some(known) = known {
                    pins.insert((name.to_owned(), entry.version), known.version);
                    self.plan.unchanged += 1;
                    continue;
                }
                let taken = present.iter().any(|row| row.version == entry.version);
                let late = place == newest && entry.version <= top;
                let version = if taken || late || entry.version == 0 { top + 1 } else { entry.version };
                pins.insert((name.to_owned(), entry.version), version);
                self.tell("workflows", ImportAction::Added, &format!("{name} version {version}"), Vec::new());
                let added = Workflow { version, ..wanted };
                self.plan.change.workflows.push(added.clone());
                present.push(added);
                present.sort_by_key(|row| row.version);
            }
        }
        Ok(pins)
    }

    pub(super) async fn render_types(&mut self, entries: &[RenderTypeEntry], pins: &Pins) -> Result<(), UserError> {
        unique("render_types", "name", entries.iter().map(|entry| entry.name.as_str()))?;
        let stored = self.store.render_type_list().await.map_err(storage)?;
        let mut wanted: Vec<RenderType> = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let at = |error: UserError| below(&format!("render_types[{index}]"), error);
            let known = stored.iter().find(|row| row.name == entry.name);
            let mut row = entry.render_type(known.map_or_else(RenderTypeId::new, |known| known.id));
            row.workflow_version =
                row.workflow_version.map(|version| *pins.get(&(row.workflow.clone(), version)).unwrap_or(&version));
            checked_name(&row.name).map_err(at)?;
            checks::render_type(&row).map_err(at)?;
            let runnable = self.runnable(&row).await?.ok_or_else(|| {
                let version = row.workflow_version.map(|version| format!(" version {version}")).unwrap_or_default();
                let message =
                    format!("There is no workflow `{}`{version}, neither here nor in the file.", row.workflow);
                at(UserError::argument("workflow", message))
            })?;
            // Of a running hub it would be the hub's workflow that is at fault; here it is the file.
            import::check_mode(&runnable.workflow, &runnable.slots, row.mode)
                .map_err(|error| at(UserError { code: ErrorCode::BadArgument, ..error }))?;
            if let Some(twin) = wanted.iter().find(|other| row.is_default && other.is_default && other.mode == row.mode)
            {
                let message = format!("`{}` is the default for {} already.", twin.name, row.mode.as_str());
                return Err(at(UserError::argument("is_default", message)));
            }
            wanted.push(row);
        }
        for row in stored.iter().filter(|row| row.is_default && !wanted.iter().any(|new| new.name == row.name)) {
            if self.mode == ImportMode::Merge && wanted.iter().any(|new| new.is_default && new.mode == row.mode) {
                // Storing the new default takes it from this one.
                self.tell("render_types", ImportAction::Changed, &row.name, vec!["is_default".to_owned()]);
            }
        }
        let edits = self.edits("render_types", stored, wanted);
        self.plan.change.render_types = edits;
        Ok(())
    }

    /// The workflow that a render type will run.
    async fn runnable(&self, row: &RenderType) -> Result<Option<Runnable>, UserError> {
        let added = self.plan.change.workflows.iter().filter(|new| new.name == row.workflow);
        let added = match row.workflow_version {
            Some(version) => added.clone().find(|new| new.version == version),
            None => added.max_by_key(|new| new.version),
        };
        let stored = match row.workflow_version {
            Some(version) => self.store.workflow_version(&row.workflow, version).await,
            None => self.store.workflow_latest(&row.workflow).await,
        };
        let stored = stored.map_err(storage)?;
        let newest = stored.into_iter().chain(added.cloned()).max_by_key(|workflow| workflow.version);
        Ok(newest.map(Runnable::new))
    }

    pub(super) async fn styles(&mut self, entries: &[StyleEntry]) -> Result<(), UserError> {
        unique("styles", "name", entries.iter().map(|entry| entry.name.as_str()))?;
        let stored = self.store.style_list().await.map_err(storage)?;
        let mut wanted = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let at = |error: UserError| below(&format!("styles[{index}]"), error);
            let known = stored.iter().find(|row| row.name == entry.name);
            let style = entry.style(known.map_or_else(StyleId::new, |known| known.id));
            checked_name(&style.name).map_err(at)?;
            checks::style(&style).map_err(at)?;
            wanted.push(style);
        }
        let edits = self.edits("styles", stored, wanted);
        self.plan.change.styles = edits;
        Ok(())
    }
}

/// A workflow as it would be stored, with slots that lie in its graph.
fn read_workflow(entry: &WorkflowEntry) -> Result<Workflow, UserError> {
    let graph = Graph::parse(&entry.graph)
        .map_err(|error| UserError::argument("graph", format!("The graph is not accepted: {error}.")))?;
    let slots = match &entry.slots {
        None => import::detect(&graph),
        Some(slots) => {
            let slots = Slots::deserialize(slots)
                .map_err(|error| UserError::argument("slots", format!("The slots do not read: {error}.")))?;
            let strays = slots.slots.iter().flat_map(|slot| &slot.targets);
            if let Some(stray) = strays.into_iter().find(|target| graph.node(&target.node_id).is_none()) {
                let message = format!("A slot names the node `{}`, which the graph does not have.", stray.node_id);
                return Err(UserError::argument("slots", message));
            }
            slots
        }
    };
    Ok(Workflow {
        id: WorkflowId::new(),
        name: entry.name.clone(),
        version: entry.version,
        graph: graph.to_value(),
        slots: json!(slots),
        description: entry.description.clone(),
    })
}
