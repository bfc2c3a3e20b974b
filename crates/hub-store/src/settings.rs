//! Settings: one JSON value per key. What keys there are is their owners' business.

use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, QuerySelect as _, sea_query::OnConflict};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    decode::{Row, json},
    entity::setting,
    error::Result,
    pool::Store,
    swap::{Swapped, swapped},
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

    /// Sets a key's value to `after`, unless it is not (any more) `before`; `None`: it was never set. Answers whether
    /// it was set.
    ///
    /// # Errors
    /// [`crate::StoreError::Inconsistency`] when the value is no `T`; [`crate::StoreError::Unstorable`] when `after`
    /// has no JSON form.
    pub async fn setting_swap<T>(&self, key: &str, before: Option<&T>, after: &T) -> Result<bool>
    where
        T: DeserializeOwned + PartialEq + Serialize,
    {
        let now_ms = self.now_ms();
        let Some(before) = before else {
            return set_first(self.writer(), key, after, now_ms).await;
        };
        let tx = self.begin().await?;
        let found = setting::Entity::find_by_id(key).lock_exclusive().one(&tx).await?;
        let found = found.map(|row| Row::new("settings", &row.key).json("value", &row.value)).transpose()?;
        let swapped = swapped(tx, found.as_ref(), before, async |tx| set(tx, key, after, now_ms).await).await?;
        Ok(swapped == Swapped::Done)
    }

    /// Sets a key's value to `after` where it is no `T`. Answers whether it was set; a value that can be read stays.
    ///
    /// # Errors
    /// [`crate::StoreError::Unstorable`] when `after` has no JSON form.
    pub async fn setting_mend<T: DeserializeOwned + Serialize>(&self, key: &str, after: &T) -> Result<bool> {
        let tx = self.begin().await?;
        let found = setting::Entity::find_by_id(key).lock_exclusive().one(&tx).await?;
        let broken = found.is_some_and(|row| Row::new("settings", &row.key).json::<T>("value", &row.value).is_err());
        if broken {
            set(&tx, key, after, self.now_ms()).await?;
            tx.commit().await?;
        }
        Ok(broken)
    }
}

fn row<T: Serialize + ?Sized>(key: &str, value: &T, now_ms: i64) -> Result<setting::ActiveModel> {
    Ok(setting::ActiveModel { key: Set(key.to_owned()), value: Set(json("value", value)?), updated_at: Set(now_ms) })
}

/// Sets the value of a key that has none. Nobody can lock a row that is not there: the one whose row comes first has it.
/// Answers whether this one was.
pub(crate) async fn set_first<T: Serialize + ?Sized>(
    db: &impl ConnectionTrait,
    key: &str,
    value: &T,
    now_ms: i64,
) -> Result<bool> {
    let first = OnConflict::column(setting::Column::Key).do_nothing().to_owned();
    let insert = setting::Entity::insert(row(key, value, now_ms)?).on_conflict(first);
    Ok(insert.exec_without_returning(db).await? > 0)
}

/// Sets a key's value.
pub(crate) async fn set<T: Serialize + ?Sized>(
    db: &impl ConnectionTrait,
    key: &str,
    value: &T,
    now_ms: i64,
) -> Result<()> {
    let row = row(key, value, now_ms)?;
    let replace = OnConflict::column(setting::Column::Key)
        .update_columns([setting::Column::Value, setting::Column::UpdatedAt])
        .to_owned();
    setting::Entity::insert(row).on_conflict(replace).exec_without_returning(db).await?;
    Ok(())
}
