//! What an import would change: the file held against what is stored. Writes nothing.
//!
//! Everything is checked as if it came through the API, and told by its JSON path. Invariant: the
//! planned change, applied, leaves names and addresses unique and every render type with a workflow
//! that serves its mode.

mod catalogue;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use hub_core::{
    catalogue::{RenderType, Style},
    error::UserError,
    server::{LlmAssignment, LlmServer, SecretSource, Server, ServerAuth},
};
use hub_store::{ConfigChange, Edits, Store};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    ImportAction, ImportChange, ImportMode, differing,
    document::{Document, LlmServerEntry, ServerEntry, SettingsEntry},
    sealed::Secrets,
};
use crate::{
    describe,
    engine::{checks, weights::WEIGHTS_SETTING},
    plan::enhance,
    prompt_generator,
    refusal::storage,
    seed,
};

/// A planned import.
pub(super) struct Plan {
    pub(super) change: ConfigChange,
    pub(super) changes: Vec<ImportChange>,
    pub(super) unchanged: u32,
    pub(super) notes: Vec<String>,
}

/// Plans the import of `document`.
///
/// # Errors
/// `bad_argument` by JSON path; `storage`.
pub(super) async fn plan(
    store: &Store,
    document: &Document,
    secrets: &Secrets,
    mode: ImportMode,
) -> Result<Plan, UserError> {
    let mut planner = Planner {
        store,
        secrets,
        mode,
        plan: Plan { change: ConfigChange::default(), changes: Vec::new(), unchanged: 0, notes: Vec::new() },
    };
    if let Some(servers) = &document.servers {
        planner.servers(servers).await?;
    }
    planner.llm(document).await?;
    let pins = planner.workflows(document.workflows.as_deref().unwrap_or_default()).await?;
    if let Some(render_types) = &document.render_types {
        planner.render_types(render_types, &pins).await?;
    }
    if let Some(styles) = &document.styles {
        planner.styles(styles).await?;
    }
    if let Some(settings) = &document.settings {
        planner.settings(settings).await?;
        planner.values(settings).await?;
    }
    let catalogue = document.styles.is_some() || document.render_types.is_some() || document.workflows.is_some();
    if mode == ImportMode::Replace && catalogue {
        // A fresh hub would otherwise add the shipped catalogue at its first start.
        let before = store.setting_get(seed::SEEDED_SETTING).await.map_err(storage)?;
        planner.set(seed::SEEDED_SETTING, before, Some(Value::Bool(true)));
    }
    Ok(planner.plan)
}

/// Which version of a workflow stands for the one that the file names.
type Pins = BTreeMap<(String, u32), u32>;

struct Planner<'a> {
    store: &'a Store,
    secrets: &'a Secrets,
    mode: ImportMode,
    plan: Plan,
}

/// A thing that has a name.
trait Named: PartialEq + Clone + Serialize {
    fn name(&self) -> &str;
}

impl Named for Server {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for LlmServer {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for RenderType {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for Style {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Planner<'_> {
    async fn servers(&mut self, entries: &[ServerEntry]) -> Result<(), UserError> {
        unique("servers", "name", entries.iter().map(|entry| entry.name.as_str()))?;
        let addresses: Vec<String> = entries.iter().map(|entry| entry.base_url.to_string()).collect();
        unique("servers", "base_url", addresses.iter().map(String::as_str))?;
        let stored = self.store.server_list().await.map_err(storage)?;
        let said = self.store.server_overrides().await.map_err(storage)?;
        let now = self.store.clock().now();
        let mut wanted = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let at = |error: UserError| below(&format!("servers[{index}]"), error);
            let known = stored.iter().find(|row| row.name == entry.name);
            let server = entry.server(known, self.secrets, now);
            checked_name(&server.name).map_err(at)?;
            checks::server(&server).map_err(at)?;
            let holder = stored.iter().find(|row| row.base_url == server.base_url && row.name != server.name);
            if let Some(holder) = holder
                && self.mode == ImportMode::Merge
                && !entries.iter().any(|entry| entry.name == holder.name)
            {
                let message = format!("The address {} belongs to the server `{}`.", server.base_url, holder.name);
                return Err(at(UserError::argument("base_url", message).with_hint(
                    "Rename one of them, or import with replace, which removes what the file does not name.",
                )));
            }
            self.note_secrets(&server);
            let before = known.and_then(|known| said.get(&known.id)).cloned().unwrap_or_default();
            if before != entry.workflows {
                self.plan.change.server_overrides.insert(server.id, (before, entry.workflows.clone()));
                if known == Some(&server) {
                    self.tell("servers", ImportAction::Changed, &server.name, vec!["workflows".to_owned()]);
                }
            }
            wanted.push(server);
        }
        let edits = self.edits("servers", stored, wanted);
        self.plan.change.servers = edits;
        Ok(())
    }

    /// Says which secrets are missing, and which are read from this machine.
    fn note_secrets(&mut self, server: &Server) {
        let sources: Vec<&SecretSource> = match &server.auth {
            ServerAuth::None => Vec::new(),
            ServerAuth::Basic { password: secret, .. }
            | ServerAuth::Bearer { token: secret }
            | ServerAuth::ApiKey { key: secret, .. } => vec![secret],
            ServerAuth::Headers { headers } => headers.iter().map(|(_, secret)| secret).collect(),
        };
        let name = &server.name;
        for source in sources {
            match source {
                SecretSource::Literal(text) if text.is_empty() => {
                    self.plan
                        .notes
                        .push(format!("The server `{name}` has no secret yet: the file holds none. Set it."));
                }
                SecretSource::Literal(_) => {}
                SecretSource::Env(place) => {
                    self.plan
                        .notes
                        .push(format!("The server `{name}` is sent the variable `{place}` of this machine."));
                }
                SecretSource::File(place) => {
                    self.plan.notes.push(format!("The server `{name}` is sent the file `{place}` of this machine."));
                }
            }
        }
    }

    async fn llm(&mut self, document: &Document) -> Result<(), UserError> {
        // Before the servers: a role of a server that is added meanwhile would seem to be that of one that is gone.
        let played = super::roles_played(self.store).await?;
        let stored = self.store.llm_server_list().await.map_err(storage)?;
        let mut after = stored.clone();
        if let Some(entries) = &document.llm_servers {
            after = self.llm_servers(entries, stored.clone())?;
        }
        for (role, present) in played {
            let word = json!(role).as_str().unwrap_or_default().to_owned();
            let entry = document.llm_roles.as_ref().map(|roles| roles.get(&role));
            let wanted = match entry {
                Some(Some(entry)) => {
                    let server = after.iter().find(|row| row.name == entry.server).ok_or_else(|| {
                        UserError::argument(
                            &format!("llm_roles.{word}.server"),
                            format!("There is no LLM server `{}`.", entry.server),
                        )
                        .with_valid(after.iter().map(|row| row.name.as_str()))
                    })?;
                    Some(LlmAssignment { server: server.id, model: entry.model.clone() })
                }
                Some(None) if self.mode == ImportMode::Replace => None,
                // Its server may go, and the role with it.
                _ => present.clone().filter(|role| after.iter().any(|row| row.id == role.server)),
            };
            let action = match (&present, &wanted) {
                (before, after) if before == after => {
                    self.plan.unchanged += u32::from(matches!(entry, Some(Some(_))));
                    continue;
                }
                (None, _) => ImportAction::Added,
                (_, None) => ImportAction::Removed,
                _ => ImportAction::Changed,
            };
            self.tell("llm_roles", action, &word, Vec::new());
            self.plan.change.llm_roles.insert(role, (present, wanted));
        }
        Ok(())
    }

    fn llm_servers(&mut self, entries: &[LlmServerEntry], stored: Vec<LlmServer>) -> Result<Vec<LlmServer>, UserError> {
        unique("llm_servers", "name", entries.iter().map(|entry| entry.name.as_str()))?;
        let mut wanted = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let at = |error: UserError| below(&format!("llm_servers[{index}]"), error);
            checked_name(&entry.name).map_err(at)?;
            let server = entry.server(stored.iter().find(|row| row.name == entry.name), self.secrets);
            checks::llm_server(&server).map_err(at)?;
            match &server.api_key {
                Some(SecretSource::Literal(key)) if key.is_empty() => {
                    self.plan
                        .notes
                        .push(format!("The LLM server `{}` has no key yet: the file holds none. Set it.", server.name));
                }
                Some(SecretSource::Env(place) | SecretSource::File(place)) => {
                    self.plan
                        .notes
                        .push(format!("The LLM server `{}` is sent `{place}` of this machine.", server.name));
                }
                _ => {}
            }
            wanted.push(server);
        }
        let kept = stored
            .iter()
            .filter(|row| self.mode == ImportMode::Merge && !wanted.iter().any(|new| new.name == row.name));
        let after = kept.cloned().chain(wanted.iter().cloned()).collect();
        let edits = self.edits("llm_servers", stored, wanted);
        self.plan.change.llm_servers = edits;
        Ok(after)
    }

    async fn settings(&mut self, entry: &SettingsEntry) -> Result<(), UserError> {
        let wanted = [
            (WEIGHTS_SETTING, entry.caller_weights.as_ref().map(|weights| json!(weights))),
            (describe::TEMPLATES_SETTING, entry.describe_templates.as_ref().map(|templates| json!(templates))),
            (enhance::TEMPLATES_SETTING, entry.enhance_templates.as_ref().map(|templates| json!(templates))),
            (prompt_generator::SETTING, entry.prompt_generator.as_ref().map(|settings| json!(settings))),
        ];
        for (key, value) in wanted {
            if let Some(Value::Object(texts)) = value.as_ref().filter(|_| key != WEIGHTS_SETTING) {
                for (name, text) in texts {
                    checks::text(name, text.as_str().unwrap_or_default())
                        .map_err(|error| below(&format!("settings.{key}"), error))?;
                }
            }
            let before: Option<Value> = self.store.setting_get(key).await.map_err(storage)?;
            let action = match (&before, &value) {
                (before, value) if before == value => {
                    self.plan.unchanged += u32::from(value.is_some());
                    continue;
                }
                (_, None) if self.mode == ImportMode::Merge => continue,
                (None, _) => ImportAction::Added,
                (_, None) => ImportAction::Removed,
                _ => ImportAction::Changed,
            };
            self.tell("settings", action, key, Vec::new());
            self.set(key, before, value);
        }
        Ok(())
    }

    /// Plans a setting, unless it is so already.
    fn set(&mut self, key: &str, before: Option<Value>, after: Option<Value>) {
        if before != after {
            self.plan.change.settings.insert(key.to_owned(), (before, after));
        }
    }

    /// Sorts `wanted` against `stored`, by name.
    fn edits<T: Named>(&mut self, section: &'static str, stored: Vec<T>, wanted: Vec<T>) -> Edits<T> {
        let mut edits = Edits::default();
        let names: BTreeSet<String> = wanted.iter().map(|new| new.name().to_owned()).collect();
        for after in wanted {
            match stored.iter().find(|row| row.name() == after.name()) {
                None => {
                    self.tell(section, ImportAction::Added, after.name(), Vec::new());
                    edits.added.push(after);
                }
                Some(before) if *before == after => self.plan.unchanged += 1,
                Some(before) => {
                    self.tell(section, ImportAction::Changed, after.name(), differing(before, &after));
                    edits.changed.push((before.clone(), after));
                }
            }
        }
        if self.mode == ImportMode::Replace {
            for gone in stored.into_iter().filter(|row| !names.contains(row.name())) {
                self.tell(section, ImportAction::Removed, gone.name(), Vec::new());
                edits.removed.push(gone);
            }
        }
        edits
    }

    fn tell(&mut self, section: &'static str, action: ImportAction, name: &str, fields: Vec<String>) {
        self.plan.changes.push(ImportChange { section, action, name: name.to_owned(), fields });
    }
}

/// A name that is stored as it stands.
fn checked_name(name: &str) -> Result<(), UserError> {
    if checks::name(name)? == name {
        return Ok(());
    }
    Err(UserError::argument("name", format!("`{name}` begins or ends with a space.")))
}

fn unique<'a>(section: &str, field: &str, values: impl Iterator<Item = &'a str>) -> Result<(), UserError> {
    let mut seen = BTreeMap::new();
    for (index, value) in values.enumerate() {
        if let Some(first) = seen.insert(value, index) {
            let shown: String = value.chars().take(120).collect();
            return Err(UserError::argument(
                &format!("{section}[{index}].{field}"),
                format!("`{shown}` stands in {section}[{first}] already."),
            ));
        }
    }
    Ok(())
}

/// The error with the way to it.
fn below(path: &str, mut error: UserError) -> UserError {
    error.argument = Some(match error.argument.take() {
        Some(field) => format!("{path}.{field}"),
        None => path.to_owned(),
    });
    error
}
