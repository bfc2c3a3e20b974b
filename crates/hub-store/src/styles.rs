//! Styles.

use hub_core::{catalogue::Style, ids::StyleId};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Iterable, QuerySelect, sea_query::OnConflict,
};

use crate::{
    entity::style,
    error::{Result, StoreError},
    pool::Store,
    swap::{Swapped, swapped},
};

impl Store {
    /// Adds a style, or changes the one of its id.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`].
    pub async fn style_save(&self, style: &Style) -> Result<()> {
        save(self.writer(), style).await
    }

    /// Stores `after` in place of `before`, unless the row is not (any more) as `before` says.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`].
    pub async fn style_swap(&self, before: &Style, after: &Style) -> Result<Swapped> {
        let tx = self.begin().await?;
        let row = style::Entity::find_by_id(before.id.as_uuid()).lock_exclusive().one(&tx).await?;
        let found = row.map(Style::try_from).transpose()?;
        swapped(tx, found.as_ref(), before, async |tx| save(tx, after).await).await
    }

    /// Deletes a style. Answers whether it existed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn style_delete(&self, id: StyleId) -> Result<bool> {
        Ok(style::Entity::delete_by_id(id.as_uuid()).exec(self.writer()).await?.rows_affected > 0)
    }

    /// All styles, by category and name.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn style_list(&self) -> Result<Vec<Style>> {
        let rows = style::Entity::find().all(self.reader()).await?;
        let mut styles = rows.into_iter().map(Style::try_from).collect::<Result<Vec<_>>>()?;
        styles.sort_by(|a, b| (&a.category, &a.name).cmp(&(&b.category, &b.name)));
        Ok(styles)
    }
}

/// Writes a row, new or known by its id.
pub(crate) async fn save(db: &impl ConnectionTrait, style: &Style) -> Result<()> {
    let row = style::Model::of(style)?.into_active_model().reset_all();
    let replace = OnConflict::column(style::Column::Id)
        .update_columns(style::Column::iter().filter(|column| !matches!(column, style::Column::Id)))
        .to_owned();
    let saved = style::Entity::insert(row).on_conflict(replace).exec_without_returning(db).await;
    saved.map(drop).map_err(|error| StoreError::from(error).naming(&style.name))
}
