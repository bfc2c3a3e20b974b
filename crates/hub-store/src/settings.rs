//! Settings: one JSON value per key. What keys there are is their owners' business.

use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, sea_query::OnConflict};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    decode::{Row, json},
    entity::setting,
    error::Result,
    pool::Store,
};

impl Store {
    /// The value of a key; `None` when it was never set.
    ///
    /// # Errors
    /// [`crate::StoreError::Inconsistency`] when the value is no `T`.
    pub async fn setting_get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let row = setting::Entity::find_by_id(key).one(self.reader()).await?;
        row.map(|row| Row::new("settings", &row.key).json("value", &row.value)).transpose()
    }

    /// Sets a key's value.
    ///
    /// # Errors
    /// [`crate::StoreError::Unstorable`] when the value has no JSON form.
    pub async fn setting_set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        set(self.writer(), key, value, self.now_ms()).await
    }
}

/// Sets a key's value.
pub(crate) async fn set<T: Serialize + ?Sized>(
    db: &impl ConnectionTrait,
    key: &str,
    value: &T,
    now_ms: i64,
) -> Result<()> {
    let row =
        setting::ActiveModel { key: Set(key.to_owned()), value: Set(json("value", value)?), updated_at: Set(now_ms) };
    let replace = OnConflict::column(setting::Column::Key)
        .update_columns([setting::Column::Value, setting::Column::UpdatedAt])
        .to_owned();
    setting::Entity::insert(row).on_conflict(replace).exec_without_returning(db).await?;
    Ok(())
}
