//! Many changes of the configuration at once: all of them are stored, or none.

use std::collections::{BTreeMap, BTreeSet};

use hub_core::{
    catalogue::{RenderType, Style, Workflow},
    ids::ServerId,
    server::{LlmAssignment, LlmRole, LlmServer, Server},
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, Query},
};
use serde_json::Value;

use crate::{
    decode::Row,
    entity::{llm_assignment, llm_server, render_type, server, server_override, setting, style, workflow},
    error::Result,
    llm_servers,
    past::{self, PastJob},
    pool::Store,
    render_types,
    seal::SecretKeys,
    server_overrides, servers, settings, styles,
    swap::Swapped,
    workflows,
};

/// What happens to things of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Edits<T> {
    /// As they were read; they go.
    pub removed: Vec<T>,
    /// As they were read, and what they become.
    pub changed: Vec<(T, T)>,
    /// New ones.
    pub added: Vec<T>,
}

impl<T> Default for Edits<T> {
    fn default() -> Self {
        Self { removed: Vec::new(), changed: Vec::new(), added: Vec::new() }
    }
}

impl<T> Edits<T> {
    /// What is expected to be as it was read.
    fn expected(&self) -> impl Iterator<Item = &T> {
        self.removed.iter().chain(self.changed.iter().map(|(before, _)| before))
    }

    /// What is there afterwards.
    fn written(&self) -> impl Iterator<Item = &T> {
        self.changed.iter().map(|(_, after)| after).chain(&self.added)
    }
}

/// What is said by hand about a server, by workflow.
type Said = BTreeMap<String, bool>;

/// A change of the configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigChange {
    /// ComfyUI servers.
    pub servers: Edits<Server>,
    /// Everything that is said by hand about these servers, by workflow: as it was read, and what it becomes.
    pub server_overrides: BTreeMap<ServerId, (Said, Said)>,
    /// LLM servers.
    pub llm_servers: Edits<LlmServer>,
    /// Who plays these roles: as it was read, and who shall. Those of an LLM server that goes are among them.
    pub llm_roles: BTreeMap<LlmRole, (Option<LlmAssignment>, Option<LlmAssignment>)>,
    /// New versions of workflows.
    pub workflows: Vec<Workflow>,
    /// Render types.
    pub render_types: Edits<RenderType>,
    /// Styles.
    pub styles: Edits<Style>,
    /// Settings by key: as they were read, and what they become; `None`: not set.
    pub settings: BTreeMap<String, (Option<Value>, Option<Value>)>,
    /// What another system did before; those whose key is there already are left out.
    pub past_jobs: Vec<PastJob>,
}

impl Store {
    /// Stores a change in one transaction. [`Swapped::Changed`] when something that it changes or
    /// removes is not (any more) as it was read; nothing is written then.
    ///
    /// # Errors
    /// [`crate::StoreError::NameTaken`], [`crate::StoreError::UrlTaken`] by something that was added
    /// meanwhile, [`crate::StoreError::Gone`]; nothing is written then.
    pub async fn config_apply(&self, change: &ConfigChange) -> Result<Swapped> {
        let (tx, now_ms) = (self.begin().await?, self.now_ms());
        let keys = self.secret_keys();
        if !is_as_read(&tx, keys, change).await? {
            return Ok(Swapped::Changed);
        }
        remove(&tx, change, now_ms).await?;
        write_servers(&tx, keys, change).await?;
        for (_, after) in &change.llm_servers.changed {
            llm_servers::update(&tx, keys, after).await?;
        }
        for added in &change.llm_servers.added {
            llm_servers::insert(&tx, keys, added, now_ms).await?;
        }
        for (role, (before, after)) in &change.llm_roles {
            if !write_role(&tx, *role, before.as_ref(), after.as_ref()).await? {
                return Ok(Swapped::Changed);
            }
        }
        for version in &change.workflows {
            workflows::insert(&tx, version, now_ms).await?;
        }
        // The defaults last: each takes that from the others.
        for is_default in [false, true] {
            for row in change.render_types.written().filter(|row| row.is_default == is_default) {
                render_types::save(&tx, row).await.map_err(|error| error.naming(&row.name))?;
            }
        }
        for row in change.styles.written() {
            styles::save(&tx, row).await?;
        }
        for (key, (before, after)) in &change.settings {
            if !write_setting(&tx, key, before.as_ref(), after.as_ref(), now_ms).await? {
                return Ok(Swapped::Changed);
            }
        }
        for job in &change.past_jobs {
            past::insert(&tx, job).await?;
        }
        tx.commit().await?;
        Ok(Swapped::Done)
    }
}

async fn is_as_read(tx: &DatabaseTransaction, keys: &SecretKeys, change: &ConfigChange) -> Result<bool> {
    for expected in change.servers.expected() {
        let found = server::Entity::find_by_id(expected.id.as_uuid())
            .filter(server::Column::DeletedAt.is_null())
            .lock_exclusive()
            .one(tx)
            .await?;
        if found.map(|row| servers::of_row(keys, row)).transpose()?.as_ref() != Some(expected) {
            return Ok(false);
        }
    }
    for expected in change.llm_servers.expected() {
        let found = llm_server::Entity::find_by_id(expected.id.as_uuid()).lock_exclusive().one(tx).await?;
        if found.map(|row| llm_servers::of_row(keys, row)).transpose()?.as_ref() != Some(expected) {
            return Ok(false);
        }
    }
    for expected in change.render_types.expected() {
        let found = render_type::Entity::find_by_id(expected.id.as_uuid()).lock_exclusive().one(tx).await?;
        if found.map(RenderType::try_from).transpose()?.as_ref() != Some(expected) {
            return Ok(false);
        }
    }
    for expected in change.styles.expected() {
        let found = style::Entity::find_by_id(expected.id.as_uuid()).lock_exclusive().one(tx).await?;
        if found.map(Style::try_from).transpose()?.as_ref() != Some(expected) {
            return Ok(false);
        }
    }
    // After the servers: while their rows are locked, nobody says something new about them or gives them a role.
    Ok(overrides_are_as_read(tx, change).await?
        && roles_are_as_read(tx, change).await?
        && settings_are_as_read(tx, change).await?
        && workflows_are_free(tx, change).await?)
}

async fn overrides_are_as_read(tx: &DatabaseTransaction, change: &ConfigChange) -> Result<bool> {
    let new: BTreeSet<ServerId> = change.servers.added.iter().map(|server| server.id).collect();
    for (id, (expected, _)) in change.server_overrides.iter().filter(|(id, _)| !new.contains(*id)) {
        let server = server::Entity::find_by_id(id.as_uuid())
            .filter(server::Column::DeletedAt.is_null())
            .lock_exclusive()
            .one(tx)
            .await?;
        let said = server_override::Entity::find()
            .filter(server_override::Column::ServerId.eq(id.as_uuid()))
            .lock_exclusive()
            .all(tx)
            .await?;
        let said: Said = said.into_iter().map(|row| (row.workflow, row.compatible)).collect();
        if server.is_none() || said != *expected {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn roles_are_as_read(tx: &DatabaseTransaction, change: &ConfigChange) -> Result<bool> {
    if change.llm_roles.is_empty() && change.llm_servers.removed.is_empty() {
        return Ok(true);
    }
    let rows = llm_assignment::Entity::find().lock_exclusive().all(tx).await?;
    let played: BTreeMap<String, LlmAssignment> =
        rows.into_iter().map(|row| (row.role.clone(), LlmAssignment::from(row))).collect();
    let as_read = change.llm_roles.iter().all(|(role, (before, _))| played.get(role.as_str()) == before.as_ref());
    // A server that goes takes its roles with it, so it must not have got one meanwhile.
    let planned: BTreeSet<&str> = change.llm_roles.keys().map(|role| role.as_str()).collect();
    let goes = |to: &LlmAssignment| change.llm_servers.removed.iter().any(|server| server.id == to.server);
    let lost = played.iter().any(|(role, to)| goes(to) && !planned.contains(role.as_str()));
    Ok(as_read && !lost)
}

async fn settings_are_as_read(tx: &DatabaseTransaction, change: &ConfigChange) -> Result<bool> {
    for (key, (expected, _)) in &change.settings {
        let row = setting::Entity::find_by_id(key).lock_exclusive().one(tx).await?;
        let found: Option<Value> =
            row.map(|row| Row::new("settings", &row.key).json("value", &row.value)).transpose()?;
        if found != *expected {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether no version of theirs was added meanwhile.
async fn workflows_are_free(tx: &DatabaseTransaction, change: &ConfigChange) -> Result<bool> {
    for new in &change.workflows {
        let taken = workflow::Entity::find()
            .select_only()
            .column(workflow::Column::Id)
            .filter(workflow::Column::Name.eq(&new.name))
            .filter(workflow::Column::Version.eq(i64::from(new.version)))
            .into_tuple::<sea_orm::prelude::Uuid>()
            .one(tx)
            .await?;
        if taken.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn remove(tx: &DatabaseTransaction, change: &ConfigChange, now_ms: i64) -> Result<()> {
    for gone in &change.servers.removed {
        servers::delete(tx, gone.id, now_ms).await?;
        server_overrides::clear(tx, gone.id).await?;
    }
    for gone in &change.llm_servers.removed {
        llm_server::Entity::delete_by_id(gone.id.as_uuid()).exec(tx).await?;
    }
    for gone in &change.render_types.removed {
        render_type::Entity::delete_by_id(gone.id.as_uuid()).exec(tx).await?;
    }
    for gone in &change.styles.removed {
        style::Entity::delete_by_id(gone.id.as_uuid()).exec(tx).await?;
    }
    Ok(())
}

async fn write_servers(tx: &DatabaseTransaction, keys: &SecretKeys, change: &ConfigChange) -> Result<()> {
    // Servers that swap their addresses would break the unique index halfway, so all that move leave
    // theirs first.
    for (before, after) in change.servers.changed.iter().filter(|(before, after)| before.base_url != after.base_url) {
        let leave = Query::update()
            .table(server::Entity)
            .value(server::Column::BaseUrl, format!("http://moving.invalid/{}", after.id))
            .and_where(Expr::col(server::Column::Id).eq(before.id.as_uuid()))
            .take();
        tx.execute(&leave).await?;
    }
    for (_, after) in &change.servers.changed {
        servers::update(tx, keys, after).await?;
    }
    for added in &change.servers.added {
        servers::insert(tx, keys, added).await?;
    }
    for (server, (_, said)) in &change.server_overrides {
        server_overrides::clear(tx, *server).await?;
        for (workflow, compatible) in said {
            server_overrides::set(tx, *server, workflow, Some(*compatible)).await?;
        }
    }
    Ok(())
}

/// Gives a role, and answers whether nobody was quicker: a row that is not there cannot be locked, so of two who give a
/// role that nobody plays, the one whose row comes first has it.
async fn write_role(
    tx: &DatabaseTransaction,
    role: LlmRole,
    before: Option<&LlmAssignment>,
    after: Option<&LlmAssignment>,
) -> Result<bool> {
    if let (None, Some(to)) = (before, after) {
        return llm_servers::assign_free(tx, role, to).await;
    }
    llm_servers::assign(tx, role, after).await?;
    Ok(true)
}

/// Sets or unsets a setting, and answers whether nobody was quicker, as [`write_role`] does.
async fn write_setting(
    tx: &DatabaseTransaction,
    key: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    now_ms: i64,
) -> Result<bool> {
    match (before, after) {
        (None, Some(value)) => return settings::set_first(tx, key, value, now_ms).await,
        (Some(_), Some(value)) => settings::set(tx, key, value, now_ms).await?,
        (_, None) => {
            setting::Entity::delete_by_id(key).exec(tx).await?;
        }
    }
    Ok(true)
}
