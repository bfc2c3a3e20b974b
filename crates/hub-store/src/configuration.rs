//! Many changes of the configuration at once: all of them are stored, or none.

use std::collections::BTreeMap;

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
    entity::{llm_server, render_type, server, setting, style, workflow},
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

/// A change of the configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigChange {
    /// ComfyUI servers.
    pub servers: Edits<Server>,
    /// Everything that is said by hand about these servers, by workflow.
    pub server_overrides: BTreeMap<ServerId, BTreeMap<String, bool>>,
    /// LLM servers.
    pub llm_servers: Edits<LlmServer>,
    /// Roles and who shall play them.
    pub llm_roles: Vec<(LlmRole, Option<LlmAssignment>)>,
    /// New versions of workflows.
    pub workflows: Vec<Workflow>,
    /// Render types.
    pub render_types: Edits<RenderType>,
    /// Styles.
    pub styles: Edits<Style>,
    /// Settings by key; `None` unsets one.
    pub settings: Vec<(String, Option<Value>)>,
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
        for (role, to) in &change.llm_roles {
            llm_servers::assign(&tx, *role, to.as_ref()).await?;
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
        for (key, value) in &change.settings {
            match value {
                Some(value) => settings::set(&tx, key, value, now_ms).await?,
                None => {
                    setting::Entity::delete_by_id(key).exec(&tx).await?;
                }
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
    workflows_are_free(tx, change).await
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
    for (server, said) in &change.server_overrides {
        server_overrides::clear(tx, *server).await?;
        for (workflow, compatible) in said {
            server_overrides::set(tx, *server, workflow, Some(*compatible)).await?;
        }
    }
    Ok(())
}
