//! Render types.

use hub_core::{catalogue::RenderType, ids::RenderTypeId};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, EntityTrait, ExprTrait, IntoActiveModel, Iterable, QuerySelect,
    sea_query::{Expr, OnConflict, Query},
};

use crate::{
    entity::render_type,
    error::Result,
    pool::Store,
    swap::{Swapped, swapped},
};

/// Tries to become the default of a mode before giving up; each failure means that another did.
const DEFAULT_TRIES: u32 = 4;

impl Store {
    /// Adds a render type, or changes the one of its id. One that is the default of its mode takes
    /// that from the others.
    ///
    /// # Errors
    /// [`crate::StoreError::NameTaken`].
    pub async fn render_type_save(&self, render_type: &RenderType) -> Result<()> {
        let mut tries = 1;
        loop {
            match self.save_once(render_type).await.map_err(|error| error.naming(&render_type.name)) {
                Err(error) if error.is_conflict() && tries < DEFAULT_TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn save_once(&self, render_type: &RenderType) -> Result<()> {
        let tx = self.begin().await?;
        save(&tx, render_type).await?;
        Ok(tx.commit().await?)
    }

    /// Stores `after` in place of `before`, unless the row is not (any more) as `before` says. One
    /// that is the default of its mode takes that from the others.
    ///
    /// # Errors
    /// [`crate::StoreError::NameTaken`].
    pub async fn render_type_swap(&self, before: &RenderType, after: &RenderType) -> Result<Swapped> {
        let tx = self.begin().await?;
        let row = render_type::Entity::find_by_id(before.id.as_uuid()).lock_exclusive().one(&tx).await?;
        let found = row.map(RenderType::try_from).transpose()?;
        swapped(tx, found.as_ref(), before, async |tx| save(tx, after).await)
            .await
            .map_err(|error| error.naming(&after.name))
    }

    /// Deletes a render type; jobs keep its name. Answers whether it existed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn render_type_delete(&self, id: RenderTypeId) -> Result<bool> {
        Ok(render_type::Entity::delete_by_id(id.as_uuid()).exec(self.writer()).await?.rows_affected > 0)
    }

    /// All render types, by name.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn render_type_list(&self) -> Result<Vec<RenderType>> {
        let rows = render_type::Entity::find().all(self.reader()).await?;
        let mut render_types = rows.into_iter().map(RenderType::try_from).collect::<Result<Vec<_>>>()?;
        render_types.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(render_types)
    }
}

/// Writes a row, new or known by its id.
pub(crate) async fn save(db: &impl ConnectionTrait, render_type: &RenderType) -> Result<()> {
    let row = render_type::Model::of(render_type)?.into_active_model().reset_all();
    if render_type.is_default {
        let clear = Query::update()
            .table(render_type::Entity)
            .value(render_type::Column::IsDefault, false)
            .and_where(Expr::col(render_type::Column::Mode).eq(render_type.mode.as_str()))
            .and_where(Expr::col(render_type::Column::Id).ne(render_type.id.as_uuid()))
            .and_where(Expr::col(render_type::Column::IsDefault).eq(true))
            .take();
        db.execute(&clear).await?;
    }
    render_type::Entity::insert(row).on_conflict(replace()).exec_without_returning(db).await?;
    Ok(())
}

fn replace() -> OnConflict {
    OnConflict::column(render_type::Column::Id)
        .update_columns(render_type::Column::iter().filter(|column| !matches!(column, render_type::Column::Id)))
        .to_owned()
}
