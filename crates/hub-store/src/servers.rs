//! ComfyUI servers.

use std::collections::BTreeMap;

use hub_core::{
    ids::ServerId,
    server::{DEFAULT_RUN_LIMIT_S, DEFAULT_STALL_LIMIT_S, NewServer, Server},
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
};

impl Store {
    /// Adds a server with default limits, enabled.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], [`StoreError::UrlTaken`]: by a server that is not deleted.
    pub async fn server_insert(&self, new: &NewServer) -> Result<Server> {
        let server = Server {
            id: ServerId::new(),
            name: new.name.clone(),
            base_url: new.base_url.clone(),
            auth: new.auth.clone(),
            origin: None,
            ca: None,
            weight: 1.0,
            group: None,
            max_in_flight: new.max_in_flight,
            run_limit_s: DEFAULT_RUN_LIMIT_S,
            stall_limit_s: DEFAULT_STALL_LIMIT_S,
            enabled: true,
            draining: false,
            created_at: cut(self.clock().now()),
        };
        let row = server::Model::of(&server)?.into_active_model().reset_all();
        server::Entity::insert(row)
            .exec_without_returning(self.writer())
            .await
            .map_err(|error| taken(error.into(), &server))?;
        Ok(server)
    }

    /// Stores a server as it is now; when it was added stays. Answers whether it exists.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], [`StoreError::UrlTaken`].
    pub async fn server_update(&self, server: &Server) -> Result<bool> {
        let mut row = server::Model::of(server)?.into_active_model().reset_all();
        row.id = NotSet;
        row.created_at = NotSet;
        row.deleted_at = NotSet;
        let updated = server::Entity::update_many()
            .set(row)
            .filter(server::Column::Id.eq(server.id.as_uuid()))
            .filter(server::Column::DeletedAt.is_null())
            .exec(self.writer())
            .await
            .map_err(|error| taken(error.into(), server))?;
        Ok(updated.rows_affected > 0)
    }

    /// Deletes a server. Its name stays known to [`Store::server_names`], so that history can tell
    /// where a job ran, and is free for another. Answers whether it existed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn server_delete(&self, id: ServerId) -> Result<bool> {
        // Secrets and addresses have no use in history.
        let update = Query::update()
            .table(server::Entity)
            .value(server::Column::DeletedAt, self.now_ms())
            .value(server::Column::Auth, r#"{"kind":"none"}"#)
            .value(server::Column::Ca, None::<String>)
            .and_where(Expr::col(server::Column::Id).eq(id.as_uuid()))
            .and_where(Expr::col(server::Column::DeletedAt).is_null())
            .take();
        let deleted = self.writer().execute(&update).await?.rows_affected() > 0;
        // Left behind by a crash in between, they speak of nothing that exists.
        self.server_overrides_clear(id).await?;
        Ok(deleted)
    }

    /// The server of that id, unless it was deleted.
    ///
    /// # Errors
    /// When the database fails or the row does not decode.
    pub async fn server_get(&self, id: ServerId) -> Result<Option<Server>> {
        self.server_where(server::Column::Id.eq(id.as_uuid())).await
    }

    /// The server of that name, unless it was deleted.
    ///
    /// # Errors
    /// When the database fails or the row does not decode.
    pub async fn server_by_name(&self, name: &str) -> Result<Option<Server>> {
        self.server_where(server::Column::Name.eq(name)).await
    }

    async fn server_where(&self, condition: Expr) -> Result<Option<Server>> {
        server::Entity::find()
            .filter(condition)
            .filter(server::Column::DeletedAt.is_null())
            .one(self.reader())
            .await?
            .map(Server::try_from)
            .transpose()
    }

    /// All servers that are not deleted, by name.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn server_list(&self) -> Result<Vec<Server>> {
        let rows = server::Entity::find().filter(server::Column::DeletedAt.is_null()).all(self.reader()).await?;
        let mut servers = rows.into_iter().map(Server::try_from).collect::<Result<Vec<_>>>()?;
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

fn taken(error: StoreError, server: &Server) -> StoreError {
    error.naming(&server.name).addressing(&server.base_url.to_string())
}
