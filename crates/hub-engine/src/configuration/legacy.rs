//! The database of the older system, MCP_GenImage, becomes configuration and history.
//!
//! Its rows become the file that [`super::import`] reads, so that they are checked, compared and written like one: in one
//! transaction or not at all, and a second time nothing. What has no counterpart, or cannot be taken, is told.

mod history;
mod rows;
mod settings;

use std::{collections::BTreeMap, path::Path};

use hub_core::{
    catalogue::{Mode, RenderDefaults, Workflow},
    error::{ErrorCode, UserError},
    ids::{ServerId, WorkflowId},
    server::{BaseUrl, LlmDialect, LlmRole, Server},
};
use hub_store::{Store, StoreError, legacy_read};
use serde_json::{Value, json};

use self::rows::{Row, Rows};
use super::{
    ImportMode, ImportOptions, ImportReport,
    document::{
        Document, FORMAT, LlmServerEntry, RenderTypeEntry, RoleEntry, ServerEntry, StyleEntry, VERSION, WorkflowEntry,
    },
};
use crate::{import as graphs, refusal::storage};

/// Largest workflow file that is read, in bytes.
const WORKFLOW_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Denoise of upscaling where the older system's settings name none.
const UPSCALE_DENOISE: f64 = 0.2;

/// What came of an import.
#[derive(Debug, Clone)]
pub struct LegacyReport {
    /// Of the configuration.
    pub configuration: ImportReport,
    /// Jobs of the history that are new here.
    pub history_added: usize,
    /// Jobs of the history that were here already.
    pub history_known: usize,
}

/// Imports the database at `file`, with the workflow files that its render types name from `workflows`. With `dry_run`
/// nothing is written.
///
/// # Errors
/// `bad_argument` when the file is damaged or something else, or a value in it cannot be; `storage`. Nothing is written then.
pub async fn import(
    store: &Store,
    file: &Path,
    workflows: Option<&Path>,
    dry_run: bool,
) -> Result<LegacyReport, UserError> {
    let read = legacy_read(file).await.map_err(|error| match error {
        StoreError::Corrupt { detail } => {
            UserError::new(ErrorCode::BadArgument, format!("The file is not read: {detail}."))
        }
        other => UserError::new(ErrorCode::BadArgument, format!("The file cannot be read: {other}.")),
    })?;
    let rows = Rows::new(read)?;
    let stored = store.server_list().await.map_err(storage)?;
    let mut reading = Reading { rows: &rows, notes: rows.left_out(), stored };
    let graphs = reading.workflows(store, workflows).await?;
    let document = reading.document(graphs)?;
    let notes = reading.notes;
    let known = store.job_keys_of(&history::caller()).await.map_err(storage)?;
    let options = ImportOptions { mode: ImportMode::Merge, dry_run, passphrase: None };
    let mut counts = (0, 0);
    let configuration = super::apply(store, &document, &super::Secrets::default(), notes, &options, |change| {
        // Servers have their ids by now, new ones too.
        let servers: BTreeMap<&str, ServerId> = (reading.stored.iter())
            .chain(change.servers.added.iter())
            .map(|server| (server.name.as_str(), server.id))
            .collect();
        let past = history::jobs(&rows, &servers)?;
        let all = past.len();
        change.past_jobs = past
            .into_iter()
            .filter(|job| job.new.idempotency_key.as_ref().is_none_or(|key| !known.contains(key)))
            .collect();
        counts = (change.past_jobs.len(), all - change.past_jobs.len());
        Ok(())
    })
    .await?;
    Ok(LegacyReport { configuration, history_added: counts.0, history_known: counts.1 })
}

struct Reading<'a> {
    rows: &'a Rows,
    notes: Vec<String>,
    stored: Vec<Server>,
}

/// Workflow files by their name without extension.
type Graphs = BTreeMap<String, Option<Value>>;

impl Reading<'_> {
    /// The graphs that render types name: from files, or `None` where the hub has one of that name. Those that are
    /// missing, or do not serve, are told and left out.
    async fn workflows(&mut self, store: &Store, folder: Option<&Path>) -> Result<Graphs, UserError> {
        let mut graphs = Graphs::new();
        for row in self.rows.of("render_types") {
            let (name, file) = (row.text("name")?, row.text("workflow_filename")?);
            let stem = stem(file);
            let refusal = match folder.map(|folder| read_graph(folder, file)) {
                Some(Ok(graph)) => match serves(&stem, &graph, mode_of(row)?) {
                    Ok(()) => {
                        graphs.insert(stem, Some(graph));
                        continue;
                    }
                    Err(error) => error,
                },
                Some(Err(error)) => error,
                None => "give the folder of the workflow files with --workflows DIR".to_owned(),
            };
            if store.workflow_latest(&stem).await.map_err(storage)?.is_some() {
                graphs.entry(stem).or_insert(None);
                continue;
            }
            self.notes.push(format!("The render type `{name}` is left out: its workflow `{file}`: {refusal}."));
        }
        Ok(graphs)
    }

    fn document(&mut self, graphs: Graphs) -> Result<Document, UserError> {
        let render_types = self.render_types(&graphs)?;
        let servers = self.servers(&render_types)?;
        let (llm_servers, llm_roles) = self.llm()?;
        let styles = self.styles()?;
        let settings = self.settings()?;
        let workflows = graphs.into_iter().filter_map(|(name, graph)| {
            let description = "From MCP_GenImage".to_owned();
            Some(WorkflowEntry { name, version: 1, description, graph: graph?, slots: None })
        });
        Ok(Document {
            format: FORMAT.to_owned(),
            version: VERSION,
            servers: Some(servers),
            llm_servers: Some(llm_servers),
            llm_roles: Some(llm_roles),
            workflows: Some(workflows.collect()),
            render_types: Some(render_types),
            styles: Some(styles),
            settings: Some(settings),
            secrets: None,
        })
    }

    fn render_types(&mut self, graphs: &Graphs) -> Result<Vec<RenderTypeEntry>, UserError> {
        let denoise = self.rows.setting("DEFAULT_UPSCALE_DENOISE").and_then(|text| text.parse().ok());
        let denoise: f64 = denoise.filter(|value| (0.0..=1.0).contains(value)).unwrap_or(UPSCALE_DENOISE);
        let mut entries = Vec::new();
        for row in self.rows.of("render_types") {
            let workflow = stem(row.text("workflow_filename")?);
            if !graphs.contains_key(&workflow) {
                continue;
            }
            let mode = mode_of(row)?;
            let default = if mode == Mode::Upscale { "is_default_for_upscale" } else { "is_default_for_generation" };
            let examples = row.text_opt("prompt_examples").unwrap_or_default();
            let name = row.text("name")?.trim().to_owned();
            entries.push(RenderTypeEntry {
                title: name.clone(),
                name,
                description: String::new(),
                workflow,
                workflow_version: None,
                mode,
                visible: row.flag("is_visible", true),
                is_default: row.flag(default, row.flag("is_default", false) && mode == Mode::Generate),
                sizes: history::sizes(mode),
                limits: hub_core::catalogue::SizeLimits::default(),
                defaults: RenderDefaults {
                    denoise: (mode == Mode::Upscale).then_some(denoise),
                    ..RenderDefaults::default()
                },
                prompt_guide: String::new(),
                prompt_examples: examples
                    .lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty())
                    .map(str::to_owned)
                    .collect(),
            });
        }
        Ok(entries)
    }

    /// A server that took only some render types is kept from the workflows of the others.
    fn servers(&mut self, render_types: &[RenderTypeEntry]) -> Result<Vec<ServerEntry>, UserError> {
        let names = self.rows.names("render_types")?;
        let pairs = self.rows.pairs("comfyui_render_type_association", "comfyui_instance_id", "render_type_id")?;
        // The first schemas had no such table: every server took everything.
        let everything = !self.rows.has("comfyui_render_type_association");
        let mut entries: Vec<ServerEntry> = Vec::new();
        for row in self.rows.of("comfyui_instances") {
            let (id, name) = (row.id()?, row.text("name")?.trim());
            let Some(base_url) = self.address(name, row.text("base_url")?) else { continue };
            let holder = self.stored.iter().find(|server| server.base_url == base_url && server.name != name);
            if let Some(holder) = holder {
                self.notes.push(format!(
                    "The server `{name}` is here already as `{}`; that one stays as it is.",
                    holder.name
                ));
                continue;
            }
            let takes: Vec<&str> = pairs
                .iter()
                .filter(|(of, _)| *of == id)
                .filter_map(|(_, to)| names.get(to).map(String::as_str))
                .collect();
            let mut said: BTreeMap<String, bool> = BTreeMap::new();
            if !everything && !takes.is_empty() {
                for entry in render_types.iter().filter(|entry| !takes.contains(&entry.name.as_str())) {
                    said.insert(entry.workflow.clone(), false);
                }
                for entry in render_types.iter().filter(|entry| takes.contains(&entry.name.as_str())) {
                    said.remove(&entry.workflow);
                }
            }
            let mut enabled = row.flag("is_active", true);
            if enabled && !everything && takes.is_empty() {
                enabled = false;
                self.notes
                    .push(format!("The server `{name}` served no render type and is off; switch it on to use it."));
            }
            let entry = json!({ "name": name, "base_url": base_url, "enabled": enabled, "workflows": said });
            entries.push(serde_json::from_value(entry).map_err(|error| refused(&error))?);
        }
        Ok(entries)
    }

    fn llm(&mut self) -> Result<(Vec<LlmServerEntry>, BTreeMap<LlmRole, RoleEntry>), UserError> {
        let mut entries = Vec::new();
        let mut by_id = BTreeMap::new();
        for row in self.rows.of("ollama_instances") {
            let name = row.text("name")?.trim();
            let Some(base_url) = self.address(name, row.text("base_url")?) else { continue };
            by_id.insert(row.id()?, name.to_owned());
            entries.push(LlmServerEntry {
                name: name.to_owned(),
                base_url,
                dialect: LlmDialect::Ollama,
                needs_api_key: false,
                api_key: None,
                gpu: None,
                enabled: row.flag("is_active", true),
            });
        }
        let mut roles = BTreeMap::new();
        let mut assign = |role: LlmRole, server: Option<i64>, model: Option<String>| {
            let model = model.filter(|model| !model.trim().is_empty());
            if let (Some(server), Some(model)) = (server.and_then(|id| by_id.get(&id)), model) {
                roles.insert(role, RoleEntry { server: server.clone(), model: Some(model) });
            }
        };
        let id = self.rows.setting("PROMPT_ENHANCEMENT_OLLAMA_INSTANCE_ID").and_then(|text| text.trim().parse().ok());
        for role in [LlmRole::Enhance, LlmRole::PromptGenerator] {
            assign(role, id, self.rows.setting("PROMPT_ENHANCEMENT_MODEL_NAME").map(str::to_owned));
        }
        if let Some(row) = self.rows.of("description_settings").first() {
            assign(LlmRole::Describe, row.number("ollama_instance_id"), row.text_opt("model_name").map(str::to_owned));
        }
        Ok((entries, roles))
    }

    fn styles(&mut self) -> Result<Vec<StyleEntry>, UserError> {
        let names = self.rows.names("render_types")?;
        let pairs = self.rows.pairs("style_render_type_association", "style_id", "render_type_id")?;
        let mut entries = Vec::new();
        for row in self.rows.of("styles") {
            let id = row.id()?;
            let preferred = row.number("default_render_type_id").or_else(|| row.number("recommended_render_type_id"));
            let render_types = pairs.iter().filter(|(of, _)| *of == id).filter_map(|(_, to)| names.get(to).cloned());
            entries.push(StyleEntry {
                name: row.text("name")?.trim().to_owned(),
                category: row.text("category")?.trim().to_owned(),
                description: String::new(),
                prompt_template: row.text("prompt_template")?.to_owned(),
                negative_template: row.text_opt("negative_prompt_template").unwrap_or_default().to_owned(),
                render_types: render_types.collect(),
                preferred_render_type: preferred.and_then(|id| names.get(&id).cloned()),
                is_default: row.flag("is_default", false),
                enabled: row.flag("is_active", true),
            });
        }
        Ok(entries)
    }

    fn address(&mut self, name: &str, url: &str) -> Option<BaseUrl> {
        match url.trim().parse() {
            Ok(url) => Some(url),
            Err(error) => {
                self.notes
                    .push(format!("The server `{name}` is left out: its address `{url}` is not accepted: {error}."));
                None
            }
        }
    }
}

fn refused(error: &serde_json::Error) -> UserError {
    UserError::new(ErrorCode::BadArgument, format!("A row of the file is not accepted: {error}."))
}

/// The name of a workflow: that of its file, without extension.
fn stem(file: &str) -> String {
    file.trim().strip_suffix(".json").unwrap_or(file.trim()).to_owned()
}

fn mode_of(row: &Row) -> Result<Mode, UserError> {
    match row.text_opt("generation_mode").unwrap_or("image_generation") {
        "image_generation" => Ok(Mode::Generate),
        "upscale" => Ok(Mode::Upscale),
        other => {
            let shown: String = other.chars().take(60).collect();
            Err(UserError::new(ErrorCode::BadArgument, format!("A render type has the unknown mode `{shown}`.")))
        }
    }
}

/// A workflow file of the folder; the name alone leads to it.
fn read_graph(folder: &Path, file: &str) -> Result<Value, String> {
    let plain = Path::new(file).file_name().is_some_and(|name| name == file) && !file.contains('\\');
    if !plain {
        return Err("its name is a path".to_owned());
    }
    let path = folder.join(file);
    let size = std::fs::metadata(&path).map_err(|error| error.to_string())?.len();
    if size > WORKFLOW_MAX_BYTES {
        return Err(format!("it is larger than {WORKFLOW_MAX_BYTES} bytes"));
    }
    let text = std::fs::read(&path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

/// Whether a graph can serve the mode.
fn serves(name: &str, graph: &Value, mode: Mode) -> Result<(), String> {
    let graph = comfyui::workflow::Graph::parse(graph).map_err(|error| error.to_string())?;
    let slots = graphs::detect(&graph);
    let workflow = Workflow {
        id: WorkflowId::new(),
        name: name.to_owned(),
        version: 1,
        graph: graph.to_value(),
        slots: json!(slots),
        description: String::new(),
    };
    graphs::check_mode(&workflow, &slots, mode).map_err(|error| error.message.trim_end_matches('.').to_owned())
}
