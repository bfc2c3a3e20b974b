//! What administrators say about a server and a workflow, against what the server's inventory says.

use std::collections::BTreeMap;

use hub_core::ids::ServerId;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, SqlErr,
    sea_query::OnConflict,
};

use crate::{
    entity::server_override,
    error::{Result, StoreError},
    pool::Store,
};

impl Store {
    /// Says that a server can (`true`) or cannot run the workflow of that name, whatever its version;
    /// `None` takes back what was said.
    ///
    /// # Errors
    /// [`crate::StoreError::Gone`] when there is no such server.
    pub async fn server_override_set(&self, server: ServerId, workflow: &str, compatible: Option<bool>) -> Result<()> {
        set(self.writer(), server, workflow, compatible).await
    }

    /// Everything that was said, by server and workflow.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn server_overrides(&self) -> Result<BTreeMap<ServerId, BTreeMap<String, bool>>> {
        let mut said: BTreeMap<ServerId, BTreeMap<String, bool>> = BTreeMap::new();
        for row in server_override::Entity::find().all(self.reader()).await? {
            said.entry(ServerId::from_uuid(row.server_id)).or_default().insert(row.workflow, row.compatible);
        }
        Ok(said)
    }
}

/// See [`Store::server_override_set`].
pub(crate) async fn set(
    db: &impl ConnectionTrait,
    server: ServerId,
    workflow: &str,
    compatible: Option<bool>,
) -> Result<()> {
    let key = (server.as_uuid(), workflow.to_owned());
    let Some(compatible) = compatible else {
        server_override::Entity::delete_by_id(key).exec(db).await?;
        return Ok(());
    };
    let (server_id, workflow) = key;
    let row = server_override::Model { server_id, workflow, compatible };
    let replace = OnConflict::columns([server_override::Column::ServerId, server_override::Column::Workflow])
        .update_column(server_override::Column::Compatible)
        .to_owned();
    let inserted = server_override::Entity::insert(row.into_active_model().reset_all())
        .on_conflict(replace)
        .exec_without_returning(db)
        .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))) => {
            Err(StoreError::Gone { what: "the server" })
        }
        Err(error) => Err(error.into()),
    }
}

/// Forgets what was said about a server.
pub(crate) async fn clear(db: &impl ConnectionTrait, server: ServerId) -> Result<()> {
    server_override::Entity::delete_many()
        .filter(server_override::Column::ServerId.eq(server.as_uuid()))
        .exec(db)
        .await?;
    Ok(())
}
