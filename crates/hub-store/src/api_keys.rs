//! Keys of programs. Rows hold a key's hash, never the key.

use chrono::{DateTime, Utc};
use hub_core::{access::ApiKey, ids::KeyId};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::{
    decode::{json, ms},
    entity::api_key,
    error::{Result, StoreError},
    pool::Store,
    swap::{Swapped, swapped},
};

impl Store {
    /// Adds a key.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], also by a key that is revoked: what its caller made is still of that name, and
    /// would become the new key's.
    pub async fn api_key_insert(&self, key: &ApiKey, hash: &str) -> Result<()> {
        let row = api_key::ActiveModel {
            id: Set(key.id.as_uuid()),
            name: Set(key.name.clone()),
            prefix: Set(key.prefix.clone()),
            hash: Set(hash.to_owned()),
            rights: Set(json("rights", &key.rights)?),
            created_at: Set(ms(key.created_at)),
            expires_at: Set(key.expires_at.map(ms)),
            last_used_at: Set(None),
            revoked_at: Set(None),
        };
        let tx = self.begin().await?;
        let holder = api_key::Entity::find().filter(api_key::Column::Name.eq(&key.name)).one(&tx).await?;
        if holder.is_some() {
            return Err(StoreError::NameTaken { name: key.name.clone() });
        }
        let inserted = api_key::Entity::insert(row).exec_without_returning(&tx).await;
        inserted.map_err(|error| StoreError::from(error).naming(&key.name))?;
        Ok(tx.commit().await?)
    }

    /// All keys with their hashes, revoked ones included, oldest first.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn api_key_list(&self) -> Result<Vec<(ApiKey, String)>> {
        let rows = api_key::Entity::find()
            .order_by_asc(api_key::Column::CreatedAt)
            .order_by_asc(api_key::Column::Id)
            .all(self.reader())
            .await?;
        rows.into_iter()
            .map(|row| {
                let hash = row.hash.clone();
                Ok((ApiKey::try_from(row)?, hash))
            })
            .collect()
    }

    /// Changes what a key allows, and until when, if it still allows what was read. A revoked one is gone.
    ///
    /// # Errors
    /// When the database fails or the row does not decode.
    pub async fn api_key_swap(&self, read: &ApiKey, key: &ApiKey) -> Result<Swapped> {
        let tx = self.begin().await?;
        let row = api_key::Entity::find_by_id(key.id.as_uuid())
            .filter(api_key::Column::RevokedAt.is_null())
            .lock_exclusive()
            .one(&tx)
            .await?;
        // That it is used meanwhile is no change.
        let found = row.map(ApiKey::try_from).transpose()?.map(|found| (found.rights, found.expires_at));
        let expected = (read.rights.clone(), read.expires_at);
        let change = api_key::ActiveModel {
            rights: Set(json("rights", &key.rights)?),
            expires_at: Set(key.expires_at.map(ms)),
            ..<api_key::ActiveModel as Default>::default()
        };
        let id = key.id.as_uuid();
        swapped(tx, found.as_ref(), &expected, async |tx| {
            api_key::Entity::update_many().set(change).filter(api_key::Column::Id.eq(id)).exec(tx).await?;
            Ok(())
        })
        .await
    }

    /// Revokes a key. Answers whether it was one that was not revoked before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_key_revoke(&self, id: KeyId) -> Result<bool> {
        let change = api_key::ActiveModel {
            revoked_at: Set(Some(self.now_ms())),
            ..<api_key::ActiveModel as Default>::default()
        };
        let updated = api_key::Entity::update_many()
            .set(change)
            .filter(api_key::Column::Id.eq(id.as_uuid()))
            .filter(api_key::Column::RevokedAt.is_null())
            .exec(self.writer())
            .await?;
        Ok(updated.rows_affected > 0)
    }

    /// Notes when a key was last used.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_key_used(&self, id: KeyId, at: DateTime<Utc>) -> Result<()> {
        let change =
            api_key::ActiveModel { last_used_at: Set(Some(ms(at))), ..<api_key::ActiveModel as Default>::default() };
        api_key::Entity::update_many()
            .set(change)
            .filter(api_key::Column::Id.eq(id.as_uuid()))
            .exec(self.writer())
            .await?;
        Ok(())
    }
}
