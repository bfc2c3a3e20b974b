//! The whole configuration as a file: exporting it, and importing one.
//!
//! An import reads the file whole, holds it against what is stored, and writes what differs in one
//! transaction, or nothing. Works on a store alone, so that it does without a running engine; the
//! engine's own methods tell the background afterwards. Never touches jobs, pictures or keys of callers.

mod document;
mod entries;
pub mod legacy;
mod older;
mod plan;
mod sealed;

use std::collections::{BTreeMap, BTreeSet};

use hub_core::{
    catalogue::RenderType,
    error::{ErrorCode, UserError},
    server::{LlmAssignment, LlmRole},
};
use hub_store::{ConfigChange, Store, StoreError, Swapped};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use self::{
    document::{
        Document, FORMAT, Kind, LlmServerEntry, RenderTypeEntry, RoleEntry, ServerEntry, SettingsEntry, StyleEntry,
        VERSION, WorkflowEntry,
    },
    sealed::Secrets,
};
use crate::{describe, engine::weights::WEIGHTS_SETTING, plan::enhance, prompt_generator, refusal::storage, settings};

/// Tries of one import; each failure means that somebody changed something meanwhile.
const IMPORT_TRIES: usize = 3;

/// What goes into an export.
#[derive(Debug, Clone, Default)]
pub struct ExportOptions {
    /// The parts of the configuration. Default: everything.
    pub parts: ExportParts,
    /// Secrets that are stored here, encrypted with this passphrase. Default: none.
    pub passphrase: Option<SecretString>,
}

/// The parts of the configuration that an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportParts {
    /// All there are.
    #[default]
    Everything,
    /// All but the workflows, whose graphs are most of a file.
    WithoutWorkflows,
    /// The servers and LLM servers, and nothing else: neither roles nor settings.
    ServersOnly,
}

/// What an import does with what the file does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportMode {
    /// Leaves it.
    #[default]
    Merge,
    /// Removes it, within the sections that the file has. Workflows stay: their versions are history.
    Replace,
}

/// How to import.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// What happens to what the file does not name.
    pub mode: ImportMode,
    /// Only tell what would happen.
    pub dry_run: bool,
    /// Opens the secrets in the file.
    pub passphrase: Option<SecretString>,
}

/// What an import did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ImportReport {
    /// How it was done.
    pub mode: ImportMode,
    /// Nothing was written.
    pub dry_run: bool,
    /// What differs, section by section.
    pub changes: Vec<ImportChange>,
    /// Things that are in the file as they are here.
    pub unchanged: u32,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ImportChange {
    /// `servers`, `llm_servers`, `llm_roles`, `workflows`, `render_types`, `styles` or `settings`.
    pub section: &'static str,
    /// What happens.
    pub action: ImportAction,
    /// To what, by name.
    pub name: String,
    /// What is other than before, of something that is changed; never a value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub fields: Vec<String>,
}

/// What happens to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportAction {
    /// It is new.
    Added,
    /// It becomes another.
    Changed,
    /// It goes.
    Removed,
}

/// The configuration as a file: pretty JSON, the same for the same configuration except for encrypted
/// secrets.
///
/// # Errors
/// `bad_argument` when the passphrase is too short; `storage`.
pub async fn export(store: &Store, options: ExportOptions) -> Result<String, UserError> {
    let mut secrets = Secrets::default();
    let mut document = read(store, options.parts, &mut secrets).await?;
    if let Some(passphrase) = options.passphrase {
        let sealed = tokio::task::spawn_blocking(move || sealed::seal(&secrets, &passphrase)).await;
        document.secrets = Some(sealed.map_err(|_| unexpected())??);
    }
    let mut text = serde_json::to_string_pretty(&document).map_err(|_| unexpected())?;
    text.push('\n');
    Ok(text)
}

/// The parts that are asked for, without the encrypted secrets.
async fn read(store: &Store, parts: ExportParts, secrets: &mut Secrets) -> Result<Document, UserError> {
    let mut document = Document { format: FORMAT.to_owned(), version: VERSION, ..Document::default() };
    // Others add things meanwhile. Each list is read once, and before those of the things that it names: what it names
    // is then in the file too, without which the file could not be imported.
    let said = store.server_overrides().await.map_err(storage)?;
    let mut roles = Vec::new();
    if parts != ExportParts::ServersOnly {
        document.settings = Some(settings_part(store, secrets).await?);
        let styles = store.style_list().await.map_err(storage)?;
        document.styles = Some(styles.iter().map(StyleEntry::of).collect());
        let render_types = store.render_type_list().await.map_err(storage)?;
        document.render_types = Some(render_types.iter().map(RenderTypeEntry::of).collect());
        if parts == ExportParts::Everything {
            document.workflows = Some(workflows_part(store, &render_types).await?);
        }
        roles = roles_played(store).await?;
    }
    let servers = store.server_list().await.map_err(storage)?;
    document.servers = Some(servers.iter().map(|row| ServerEntry::of(row, said.get(&row.id), secrets)).collect());
    let llm_servers = store.llm_server_list().await.map_err(storage)?;
    document.llm_servers = Some(llm_servers.iter().map(|row| LlmServerEntry::of(row, secrets)).collect());
    if parts != ExportParts::ServersOnly {
        // A server that is gone by now took its roles with it.
        let entry = |(role, assignment): (LlmRole, Option<LlmAssignment>)| {
            let assignment = assignment?;
            let server = llm_servers.iter().find(|server| server.id == assignment.server)?;
            Some((role, RoleEntry { server: server.name.clone(), model: assignment.model }))
        };
        document.llm_roles = Some(roles.into_iter().filter_map(entry).collect());
    }
    Ok(document)
}

/// Every role, and who plays it.
async fn roles_played(store: &Store) -> Result<Vec<(LlmRole, Option<LlmAssignment>)>, UserError> {
    let mut played = Vec::with_capacity(LlmRole::ALL.len());
    for role in LlmRole::ALL {
        played.push((role, store.llm_assignment(role).await.map_err(storage)?));
    }
    Ok(played)
}

/// The newest version of each workflow, and those that `render_types` are pinned to.
async fn workflows_part(store: &Store, render_types: &[RenderType]) -> Result<Vec<WorkflowEntry>, UserError> {
    let mut all = store.workflow_list().await.map_err(storage)?;
    let known: BTreeSet<(String, u32)> = all.iter().map(|row| (row.name.clone(), row.version)).collect();
    let pinned: BTreeSet<(String, u32)> =
        render_types.iter().filter_map(|row| Some((row.workflow.clone(), row.workflow_version?))).collect();
    for (name, version) in pinned.difference(&known) {
        all.extend(store.workflow_version(name, *version).await.map_err(storage)?);
    }
    all.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
    Ok(all.into_iter().map(WorkflowEntry::of).collect())
}

async fn settings_part(store: &Store, secrets: &mut Secrets) -> Result<SettingsEntry, UserError> {
    Ok(SettingsEntry {
        describe_templates: store.setting_get(describe::TEMPLATES_SETTING).await.map_err(storage)?,
        enhance_templates: store.setting_get(enhance::TEMPLATES_SETTING).await.map_err(storage)?,
        caller_weights: store.setting_get(WEIGHTS_SETTING).await.map_err(storage)?,
        prompt_generator: store.setting_get(prompt_generator::SETTING).await.map_err(storage)?,
        values: Some(open_values(store, secrets).await?),
    })
}

/// The changed settings by key; what may hold a secret goes to `secrets`.
async fn open_values(store: &Store, secrets: &mut Secrets) -> Result<BTreeMap<String, Value>, UserError> {
    let mut values: BTreeMap<String, Value> =
        store.setting_get(settings::STORED).await.map_err(storage)?.unwrap_or_default();
    for (key, value) in &mut values {
        if settings::is_secret(key) {
            let text = value.as_str().unwrap_or_default().to_owned();
            secrets.settings.insert(key.clone(), text);
            *value = Value::Null;
        }
    }
    Ok(values)
}

/// Imports a file: one of ours, or the older system's `comfyui-servers` or `comfyui-settings`.
///
/// # Errors
/// `bad_argument` by JSON path; `conflict` when others change the configuration all the time; `storage`.
/// Nothing is written then.
pub async fn import(store: &Store, bytes: &[u8], options: &ImportOptions) -> Result<ImportReport, UserError> {
    let (document, mut notes) = match document::kind(bytes)? {
        Kind::Ours => (document::read(bytes)?, Vec::new()),
        Kind::OlderServers => older::list(bytes)?,
        Kind::OlderServer => older::single(bytes)?,
    };
    let secrets = secrets_of(&document, options.passphrase.clone(), &mut notes).await?;
    apply(store, &document, &secrets, notes, options, |_| Ok(())).await
}

/// Plans and writes `document`; `more` adds what is written with it.
async fn apply(
    store: &Store,
    document: &Document,
    secrets: &Secrets,
    notes: Vec<String>,
    options: &ImportOptions,
    mut more: impl FnMut(&mut ConfigChange) -> Result<(), UserError>,
) -> Result<ImportReport, UserError> {
    for _ in 0..IMPORT_TRIES {
        let mut planned = plan::plan(store, document, secrets, options.mode).await?;
        more(&mut planned.change)?;
        let report = || ImportReport {
            mode: options.mode,
            dry_run: options.dry_run,
            changes: planned.changes.clone(),
            unchanged: planned.unchanged,
            notes: notes.iter().cloned().chain(planned.notes.clone()).collect(),
        };
        if options.dry_run {
            return Ok(report());
        }
        match store.config_apply(&planned.change).await {
            Ok(Swapped::Done) => return Ok(report()),
            // Somebody changed something between the reading and the writing.
            Ok(Swapped::Changed | Swapped::Gone)
            | Err(StoreError::NameTaken { .. } | StoreError::UrlTaken { .. } | StoreError::Gone { .. }) => {}
            Err(error) => return Err(storage(error)),
        }
    }
    let message = "Others change the configuration all the time; nothing was imported.";
    Err(UserError::new(ErrorCode::Conflict, message).with_retry_after_s(1))
}

async fn secrets_of(
    document: &Document,
    passphrase: Option<SecretString>,
    notes: &mut Vec<String>,
) -> Result<Secrets, UserError> {
    match (document.secrets.clone(), passphrase) {
        (Some(sealed), Some(passphrase)) => {
            tokio::task::spawn_blocking(move || sealed::open(&sealed, &passphrase)).await.map_err(|_| unexpected())?
        }
        (Some(_), None) => Err(UserError::argument("passphrase", "The file holds encrypted secrets.")
            .with_hint("Give the passphrase with which it was exported, or remove `secrets` from it.")),
        (None, Some(_)) => {
            notes.push("The file holds no encrypted secrets; the passphrase was not needed.".to_owned());
            Ok(Secrets::default())
        }
        (None, None) => Ok(Secrets::default()),
    }
}

fn unexpected() -> UserError {
    UserError::new(ErrorCode::Internal, "The configuration could not be written.")
}

/// The parts of a JSON object that differ, by name.
fn differing(before: &impl Serialize, after: &impl Serialize) -> Vec<String> {
    let (Ok(Value::Object(before)), Ok(Value::Object(after))) =
        (serde_json::to_value(before), serde_json::to_value(after))
    else {
        return Vec::new();
    };
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests;
