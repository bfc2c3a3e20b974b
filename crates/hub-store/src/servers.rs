//! ComfyUI servers.

use std::collections::BTreeMap;

use hub_core::{
    ids::ServerId,
    server::{NewServer, Server},
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::NotSet,
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter, QuerySelect,
    prelude::Uuid,
    sea_query::{Expr, Query},
};

use crate::{
    decode::cut,
    entity::server,
    error::{Result, StoreError},
    pool::Store,
    seal::{Place, SecretKeys},
    server_overrides,
    swap::{Swapped, swapped},
};

/// No proof of identity, as it is stored.
const NO_AUTH: &str = r#"{"kind":"none"}"#;

impl Store {
    /// Adds a server.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], [`StoreError::UrlTaken`]: by a server that is not deleted.
    pub async fn server_insert(&self, new: &NewServer) -> Result<Server> {
        let server = new.clone().into_server(ServerId::new(), cut(self.clock().now()));
        insert(self.writer(), self.secret_keys(), &server).await?;
        Ok(server)
    }

    /// Stores a server as it is now; when it was added stays. Answers whether it exists.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], [`StoreError::UrlTaken`].
    pub async fn server_update(&self, server: &Server) -> Result<bool> {
        update(self.writer(), self.secret_keys(), server).await
    }

    /// Stores `after` in place of `before`, unless the row is not (any more) as `before` says.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], [`StoreError::UrlTaken`].
    pub async fn server_swap(&self, before: &Server, after: &Server) -> Result<Swapped> {
        let tx = self.begin().await?;
        let row = server::Entity::find_by_id(before.id.as_uuid())
            .filter(server::Column::DeletedAt.is_null())
            .lock_exclusive()
            .one(&tx)
            .await?;
        let keys = self.secret_keys();
        let found = row.map(|row| of_row(keys, row)).transpose()?;
        swapped(tx, found.as_ref(), before, async |tx| update(tx, keys, after).await.map(drop)).await
    }

    /// Deletes a server. Its name stays known to [`Store::server_names`], so that history can tell
    /// where a job ran, and is free for another. Answers whether it existed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn server_delete(&self, id: ServerId) -> Result<bool> {
        let deleted = delete(self.writer(), id, self.now_ms()).await?;
        // Left behind by a crash in between, they speak of nothing that exists.
        server_overrides::clear(self.writer(), id).await?;
        Ok(deleted)
    }

    /// The server of that id, unless it was deleted.
    ///
    /// # Errors
    /// When the database fails or the row does not decode.
    pub async fn server_get(&self, id: ServerId) -> Result<Option<Server>> {
        server::Entity::find()
            .filter(server::Column::Id.eq(id.as_uuid()))
            .filter(server::Column::DeletedAt.is_null())
            .one(self.reader())
            .await?
            .map(|row| of_row(self.secret_keys(), row))
            .transpose()
    }

    /// All servers that are not deleted, by name.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn server_list(&self) -> Result<Vec<Server>> {
        let rows = server::Entity::find().filter(server::Column::DeletedAt.is_null()).all(self.reader()).await?;
        let mut servers = rows.into_iter().map(|row| of_row(self.secret_keys(), row)).collect::<Result<Vec<_>>>()?;
        servers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(servers)
    }

    /// The name of every server there ever was, deleted ones included: for history.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn server_names(&self) -> Result<BTreeMap<ServerId, String>> {
        let rows: Vec<(Uuid, String)> = server::Entity::find()
            .select_only()
            .columns([server::Column::Id, server::Column::Name])
            .into_tuple()
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().map(|(id, name)| (ServerId::from_uuid(id), name)).collect())
    }
}

/// Where a server's secrets lie.
pub(crate) fn place(row: Uuid) -> Place {
    Place { table: "servers", column: "auth", row }
}

/// Whether there is anything to hide: who needs no proof has no secret.
pub(crate) fn holds_secret(auth: &str) -> bool {
    auth != NO_AUTH
}

/// The server of a row.
pub(crate) fn of_row(keys: &SecretKeys, mut row: server::Model) -> Result<Server> {
    row.auth = keys.open(place(row.id), row.auth)?;
    Server::try_from(row)
}

fn row_of(keys: &SecretKeys, server: &Server) -> Result<server::Model> {
    let mut row = server::Model::of(server)?;
    if holds_secret(&row.auth) {
        row.auth = keys.close(place(row.id), &row.auth)?;
    }
    Ok(row)
}

/// Writes a new row.
pub(crate) async fn insert(db: &impl ConnectionTrait, keys: &SecretKeys, server: &Server) -> Result<()> {
    let row = row_of(keys, server)?.into_active_model().reset_all();
    let inserted = server::Entity::insert(row).exec_without_returning(db).await;
    inserted.map(drop).map_err(|error| taken(error.into(), server))
}

/// Writes a row as it is now; answers whether it exists.
pub(crate) async fn update(db: &impl ConnectionTrait, keys: &SecretKeys, server: &Server) -> Result<bool> {
    let mut row = row_of(keys, server)?.into_active_model().reset_all();
    row.id = NotSet;
    row.created_at = NotSet;
    row.deleted_at = NotSet;
    let updated = server::Entity::update_many()
        .set(row)
        .filter(server::Column::Id.eq(server.id.as_uuid()))
        .filter(server::Column::DeletedAt.is_null())
        .exec(db)
        .await
        .map_err(|error| taken(error.into(), server))?;
    Ok(updated.rows_affected > 0)
}

/// Marks a row as deleted; answers whether it existed.
pub(crate) async fn delete(db: &impl ConnectionTrait, id: ServerId, now_ms: i64) -> Result<bool> {
    // Secrets and addresses have no use in history.
    let update = Query::update()
        .table(server::Entity)
        .value(server::Column::DeletedAt, now_ms)
        .value(server::Column::Auth, NO_AUTH)
        .value(server::Column::Ca, None::<String>)
        .and_where(Expr::col(server::Column::Id).eq(id.as_uuid()))
        .and_where(Expr::col(server::Column::DeletedAt).is_null())
        .take();
    Ok(db.execute(&update).await?.rows_affected() > 0)
}

fn taken(error: StoreError, server: &Server) -> StoreError {
    error.naming(&server.name).addressing(&server.base_url.to_string())
}
