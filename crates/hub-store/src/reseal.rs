//! Brings all secrets under the newest key: at the first start with a key, and when one is replaced.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use crate::{
    entity::{llm_server, server},
    error::Result,
    llm_servers,
    pool::Store,
    servers,
};

impl Store {
    /// Encrypts what is not yet encrypted with the newest key. Answers how many rows that were. Nothing is done
    /// without a key.
    ///
    /// # Errors
    /// [`crate::StoreError::Inconsistency`] for a row whose key is not here; then nothing has changed.
    pub async fn secrets_reseal(&self) -> Result<usize> {
        let keys = self.secret_keys();
        let tx = self.begin().await?;
        let mut changed = 0;
        for row in server::Entity::find().filter(server::Column::DeletedAt.is_null()).all(&tx).await? {
            if !servers::holds_secret(&row.auth) || !keys.is_behind(&row.auth) {
                continue;
            }
            let (id, place) = (row.id, servers::place(row.id));
            let auth = keys.close(place, &keys.open(place, row.auth)?)?;
            let change = server::ActiveModel { auth: Set(auth), ..<server::ActiveModel as Default>::default() };
            server::Entity::update_many().set(change).filter(server::Column::Id.eq(id)).exec(&tx).await?;
            changed += 1;
        }
        for row in llm_server::Entity::find().all(&tx).await? {
            let Some(key) = row.api_key.filter(|key| keys.is_behind(key)) else { continue };
            let place = llm_servers::place(row.id);
            let key = keys.close(place, &keys.open(place, key)?)?;
            let change =
                llm_server::ActiveModel { api_key: Set(Some(key)), ..<llm_server::ActiveModel as Default>::default() };
            llm_server::Entity::update_many().set(change).filter(llm_server::Column::Id.eq(row.id)).exec(&tx).await?;
            changed += 1;
        }
        tx.commit().await?;
        Ok(changed)
    }
}
