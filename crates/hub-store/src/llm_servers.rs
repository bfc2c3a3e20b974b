//! LLM servers and the roles they play. The prompt templates are settings and know no server, so that
//! deleting one loses none of them.

use hub_core::{
    ids::LlmServerId,
    server::{LlmAssignment, LlmRole, LlmServer},
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QuerySelect, SqlErr,
    prelude::Uuid,
    sea_query::{Expr, OnConflict, Query},
};

use crate::{
    decode::name,
    entity::{llm_assignment, llm_server},
    error::{Result, StoreError},
    pool::Store,
    seal::{Place, SecretKeys},
    swap::{Swapped, swapped},
};

impl Store {
    /// Adds an LLM server.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`].
    pub async fn llm_server_insert(&self, server: &LlmServer) -> Result<()> {
        insert(self.writer(), self.secret_keys(), server, self.now_ms()).await
    }

    /// Stores an LLM server as it is now. Answers whether it exists.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`].
    pub async fn llm_server_update(&self, server: &LlmServer) -> Result<bool> {
        update(self.writer(), self.secret_keys(), server).await
    }

    /// Stores `after` in place of `before`, unless the row is not (any more) as `before` says.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`].
    pub async fn llm_server_swap(&self, before: &LlmServer, after: &LlmServer) -> Result<Swapped> {
        let tx = self.begin().await?;
        let row = llm_server::Entity::find_by_id(before.id.as_uuid()).lock_exclusive().one(&tx).await?;
        let keys = self.secret_keys();
        let found = row.map(|row| of_row(keys, row)).transpose()?;
        swapped(tx, found.as_ref(), before, async |tx| update(tx, keys, after).await.map(drop)).await
    }

    /// Deletes an LLM server; roles that it played are then played by none. Answers whether it
    /// existed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn llm_server_delete(&self, id: LlmServerId) -> Result<bool> {
        Ok(llm_server::Entity::delete_by_id(id.as_uuid()).exec(self.writer()).await?.rows_affected > 0)
    }

    /// All LLM servers, by name.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn llm_server_list(&self) -> Result<Vec<LlmServer>> {
        let rows = llm_server::Entity::find().all(self.reader()).await?;
        let mut servers = rows.into_iter().map(|row| of_row(self.secret_keys(), row)).collect::<Result<Vec<_>>>()?;
        servers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(servers)
    }

    /// Who plays a role.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn llm_assignment(&self, role: LlmRole) -> Result<Option<LlmAssignment>> {
        let row = llm_assignment::Entity::find_by_id(name("role", &role)?).one(self.reader()).await?;
        Ok(row.map(LlmAssignment::from))
    }

    /// Gives a role to an LLM server and model, or to none, unless it is not (any more) played as `before` says.
    /// Answers whether it was given.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when the server does not exist.
    pub async fn llm_assignment_swap(
        &self,
        role: LlmRole,
        before: Option<&LlmAssignment>,
        after: Option<&LlmAssignment>,
    ) -> Result<bool> {
        let tx = self.begin().await?;
        let row = llm_assignment::Entity::find_by_id(name("role", &role)?).lock_exclusive().one(&tx).await?;
        if row.map(LlmAssignment::from).as_ref() != before {
            return Ok(false);
        }
        let written = if let (None, Some(to)) = (before, after) {
            assign_free(&tx, role, to).await?
        } else {
            assign(&tx, role, after).await?;
            true
        };
        tx.commit().await?;
        Ok(written)
    }
}

fn row_of_role(role: LlmRole, to: &LlmAssignment) -> Result<llm_assignment::ActiveModel> {
    Ok(llm_assignment::ActiveModel {
        role: Set(name("role", &role)?),
        server_id: Set(to.server.as_uuid()),
        llm: Set(to.model.clone()),
    })
}

/// The database's word for a server that does not exist.
fn gone<T>(written: std::result::Result<T, DbErr>) -> Result<T> {
    written.map_err(|error| match error.sql_err() {
        Some(SqlErr::ForeignKeyConstraintViolation(_)) => StoreError::Gone { what: "the LLM server" },
        _ => error.into(),
    })
}

/// Gives a role that nobody plays. Two may find it so: the one whose row comes first has it. Answers whether this one was.
pub(crate) async fn assign_free(db: &impl ConnectionTrait, role: LlmRole, to: &LlmAssignment) -> Result<bool> {
    let first = OnConflict::column(llm_assignment::Column::Role).do_nothing().to_owned();
    let insert = llm_assignment::Entity::insert(row_of_role(role, to)?).on_conflict(first);
    Ok(gone(insert.exec_without_returning(db).await)? > 0)
}

/// Gives a role to an LLM server and model, or to none.
pub(crate) async fn assign(db: &impl ConnectionTrait, role: LlmRole, to: Option<&LlmAssignment>) -> Result<()> {
    let Some(to) = to else {
        let role = name("role", &role)?;
        let delete = Query::delete()
            .from_table(llm_assignment::Entity)
            .and_where(Expr::col(llm_assignment::Column::Role).eq(role))
            .take();
        db.execute(&delete).await?;
        return Ok(());
    };
    let replace = OnConflict::column(llm_assignment::Column::Role)
        .update_columns([llm_assignment::Column::ServerId, llm_assignment::Column::Llm])
        .to_owned();
    gone(llm_assignment::Entity::insert(row_of_role(role, to)?).on_conflict(replace).exec_without_returning(db).await)
        .map(drop)
}

/// Where an LLM server's key lies.
pub(crate) fn place(row: Uuid) -> Place {
    Place { table: "llm_servers", column: "api_key", row }
}

/// The LLM server of a row.
pub(crate) fn of_row(keys: &SecretKeys, mut row: llm_server::Model) -> Result<LlmServer> {
    row.api_key = row.api_key.map(|key| keys.open(place(row.id), key)).transpose()?;
    LlmServer::try_from(row)
}

/// Writes a new row.
pub(crate) async fn insert(
    db: &impl ConnectionTrait,
    keys: &SecretKeys,
    server: &LlmServer,
    now_ms: i64,
) -> Result<()> {
    let mut row = row_of(keys, server)?;
    row.id = Set(server.id.as_uuid());
    row.created_at = Set(now_ms);
    let inserted = llm_server::Entity::insert(row).exec_without_returning(db).await;
    inserted.map(drop).map_err(|error| StoreError::from(error).naming(&server.name))
}

/// Writes a row as it is now; answers whether it exists.
pub(crate) async fn update(db: &impl ConnectionTrait, keys: &SecretKeys, server: &LlmServer) -> Result<bool> {
    let updated = llm_server::Entity::update_many()
        .set(row_of(keys, server)?)
        .filter(llm_server::Column::Id.eq(server.id.as_uuid()))
        .exec(db)
        .await
        .map_err(|error| StoreError::from(error).naming(&server.name))?;
    Ok(updated.rows_affected > 0)
}

/// The columns that can change.
fn row_of(keys: &SecretKeys, server: &LlmServer) -> Result<llm_server::ActiveModel> {
    let key = server.api_key.clone().map(String::from);
    let key = key.map(|key| keys.close(place(server.id.as_uuid()), &key)).transpose()?;
    Ok(llm_server::ActiveModel {
        name: Set(server.name.clone()),
        base_url: Set(server.base_url.to_string()),
        dialect: Set(name("dialect", &server.dialect)?),
        api_key: Set(key),
        gpu: Set(server.gpu.clone()),
        enabled: Set(server.enabled),
        ..<llm_server::ActiveModel as Default>::default()
    })
}
