//! The accounts of people who run the hub.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, prelude::Uuid, sea_query::OnConflict,
};

use crate::{
    entity::{admin, session},
    error::Result,
    pool::Store,
};

/// Id of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminId(pub(crate) Uuid);

/// One account.
#[derive(Clone, PartialEq, Eq)]
pub struct Admin {
    /// Its id.
    pub id: AdminId,
    /// Name to log in with.
    pub name: String,
    /// The password's hash, with how it was made (PHC string).
    pub password: String,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Store {
    /// The first account, if there is any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn admin_any(&self) -> Result<Option<Admin>> {
        let row = admin::Entity::find().order_by_asc(admin::Column::CreatedAt).one(self.reader()).await?;
        Ok(row.map(Admin::from))
    }

    /// The account of that name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn admin_by_name(&self, name: &str) -> Result<Option<Admin>> {
        let row = admin::Entity::find().filter(admin::Column::Name.eq(name)).one(self.reader()).await?;
        Ok(row.map(Admin::from))
    }

    /// Makes the first account. Answers `false`, and writes nothing, when there is one of that name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn admin_insert(&self, name: &str, password: &str) -> Result<bool> {
        let now = self.now_ms();
        let row = admin::ActiveModel {
            id: Set(Uuid::now_v7()),
            name: Set(name.to_owned()),
            password: Set(password.to_owned()),
            created_at: Set(now),
            updated_at: Set(now),
        };
        let keep = OnConflict::column(admin::Column::Name).do_nothing().to_owned();
        let inserted = admin::Entity::insert(row).on_conflict(keep).exec_without_returning(self.writer()).await?;
        Ok(inserted > 0)
    }

    /// Gives an account another password and ends its sessions. Answers whether it exists.
    ///
    /// # Errors
    /// When the database fails; then nothing has changed.
    pub async fn admin_set_password(&self, id: AdminId, password: &str) -> Result<bool> {
        let tx = self.begin().await?;
        let change = admin::ActiveModel {
            password: Set(password.to_owned()),
            updated_at: Set(self.now_ms()),
            ..<admin::ActiveModel as Default>::default()
        };
        let updated = admin::Entity::update_many().set(change).filter(admin::Column::Id.eq(id.0)).exec(&tx).await?;
        session::Entity::delete_many().filter(session::Column::AdminId.eq(id.0)).exec(&tx).await?;
        tx.commit().await?;
        Ok(updated.rows_affected > 0)
    }
}

impl From<admin::Model> for Admin {
    fn from(row: admin::Model) -> Self {
        Self { id: AdminId(row.id), name: row.name, password: row.password }
    }
}
