//! Keys of programs: made, found by their hash, changed, revoked.
//!
//! All keys are held in memory, so that a request costs no query; whoever changes one reads them anew.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use hub_core::{
    access::{ApiKey, KeyRights, RESERVED_NAMES, Scope, parse_key_name},
    caller::Caller,
    error::{ErrorCode, UserError},
    ids::KeyId,
};
use hub_store::{StoreError, Swapped};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    Access,
    account::no_randomness,
    door::storage,
    secret::{digest, same, token},
};

/// What every key begins with, so that scanners of source code know one.
const PREFIX: &str = "gih_";
/// Characters of a key that are kept to recognise it by.
const SHOWN_CHARS: usize = 10;
/// How exactly the last use is noted: a write for each would cost more than it tells.
const USED_EVERY: TimeDelta = TimeDelta::minutes(1);
/// Most keys that are not revoked.
const KEYS_MAX: usize = 1000;
/// Tries of one change; each failure means that another editor was quicker.
const EDIT_TRIES: usize = 5;
/// Name of the caller with the configured key.
const CONFIGURED: &str = RESERVED_NAMES[1];

/// All keys, by hash.
#[derive(Debug, Default)]
pub(crate) struct Keyring {
    by_hash: HashMap<String, ApiKey>,
}

impl Keyring {
    /// Whether any key was ever made: who revokes the last one does not mean to let everybody in.
    pub(crate) fn has_any(&self) -> bool {
        !self.by_hash.is_empty()
    }
}

/// Who holds a key.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// The caller that jobs belong to.
    pub caller: Caller,
    /// What the key allows; `None` = everything.
    pub rights: Option<KeyRights>,
}

impl Bearer {
    /// Whether the key is good for `scope`.
    pub fn has(&self, scope: Scope) -> bool {
        self.rights.as_ref().is_none_or(|rights| rights.has(scope))
    }
}

/// Why a key was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRefusal {
    /// There is no such key.
    Unknown,
    /// It was revoked.
    Revoked,
    /// It expired then.
    Expired(DateTime<Utc>),
    /// It was used too often: seconds to wait.
    TooOften {
        /// Seconds after which it is taken again.
        wait_s: u32,
        /// What it may do per minute.
        per_minute: u32,
    },
}

/// A new key, shown once.
#[derive(Debug)]
pub struct NewKey {
    /// What is stored of it.
    pub key: ApiKey,
    /// The key itself.
    pub secret: SecretString,
}

impl Access {
    /// Who holds this key.
    ///
    /// # Errors
    /// See [`KeyRefusal`].
    pub fn bearer(&self, given: &str) -> Result<Bearer, KeyRefusal> {
        if self.parts.api_key.as_ref().is_some_and(|key| same(key.expose_secret(), given)) {
            return Ok(Bearer { caller: Caller::named(CONFIGURED), rights: None });
        }
        let keyring = self.keyring();
        let key = keyring.by_hash.get(&digest(given)).ok_or(KeyRefusal::Unknown)?;
        let now = self.clock().now();
        if key.revoked_at.is_some() {
            return Err(KeyRefusal::Revoked);
        }
        if let Some(end) = key.expires_at.filter(|end| *end <= now) {
            return Err(KeyRefusal::Expired(end));
        }
        if let Some(per_minute) = key.rights.rate_per_minute {
            let taken = self.parts.rates.take(&key.caller(), per_minute, now);
            taken.map_err(|wait_s| KeyRefusal::TooOften { wait_s, per_minute })?;
        }
        self.note_use(key, now);
        Ok(Bearer { caller: key.caller(), rights: Some(key.rights.clone()) })
    }

    /// All keys, revoked ones included, oldest first.
    ///
    /// # Errors
    /// `storage`.
    pub async fn keys(&self) -> Result<Vec<ApiKey>, UserError> {
        let keys = self.store().api_key_list().await.map_err(|error| storage(&error))?;
        Ok(keys.into_iter().map(|(key, _)| key).collect())
    }

    /// Makes a key.
    ///
    /// # Errors
    /// `bad_argument` naming the field; `conflict` when the name is or was a key's; `storage`.
    pub async fn key_add(
        &self,
        name: &str,
        rights: KeyRights,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<NewKey, UserError> {
        let name = parse_key_name(name)?;
        rights.check()?;
        let now = self.clock().now();
        check_end(expires_at, now)?;
        if self.keyring().by_hash.values().filter(|key| key.revoked_at.is_none()).count() >= KEYS_MAX {
            let message = format!("There are {KEYS_MAX} keys already.");
            return Err(UserError::new(ErrorCode::Conflict, message).with_hint("Revoke those that nobody uses."));
        }
        let secret = token(PREFIX).map_err(|error| no_randomness(&error))?;
        let key = ApiKey {
            id: KeyId::new(),
            name,
            prefix: secret.expose_secret().chars().take(SHOWN_CHARS).collect(),
            rights,
            created_at: now,
            expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        let stored = self.store().api_key_insert(&key, &digest(secret.expose_secret())).await;
        match stored {
            Ok(()) => {}
            Err(StoreError::NameTaken { name }) => return Err(self.name_taken(&name).await?),
            Err(other) => return Err(storage(&other)),
        }
        self.reload_keys().await?;
        if let Some(token) = self.setup_token() {
            // It closed the hub to everybody without a key, people included.
            let token = token.expose_secret();
            tracing::warn!("nobody can log in yet: make the admin account at /setup with the token {token}");
        }
        Ok(NewKey { key, secret })
    }

    /// Why a new key cannot have this name.
    async fn name_taken(&self, name: &str) -> Result<UserError, UserError> {
        let holder = self.keys().await?.into_iter().find(|key| key.name == name);
        let mut taken = match holder.and_then(|key| key.revoked_at) {
            Some(revoked) => UserError::new(
                ErrorCode::Conflict,
                format!(
                    "`{name}` was the name of a key that was revoked on {}; the jobs and pictures of that key are still \
                     of this name, and the new one would see them.",
                    revoked.format("%Y-%m-%d"),
                ),
            )
            .with_hint("Take another name."),
            None => UserError::new(ErrorCode::Conflict, format!("There is a key `{name}` already.")),
        };
        taken.argument = Some("name".to_owned());
        Ok(taken)
    }

    /// Changes what a key allows and until when: `edit` makes both of the key as it is stored, and is asked again when
    /// somebody changed it meanwhile.
    ///
    /// # Errors
    /// Those of `edit`; `bad_argument` naming the field; `conflict` for a revoked key, or when others change it all the
    /// time; `not_found`; `storage`.
    pub async fn key_edit(
        &self,
        id: KeyId,
        edit: impl Fn(&ApiKey) -> Result<(KeyRights, Option<DateTime<Utc>>), UserError>,
    ) -> Result<ApiKey, UserError> {
        for _ in 0..EDIT_TRIES {
            let before = self.key(id).await?;
            let (rights, expires_at) = edit(&before)?;
            rights.check()?;
            if expires_at != before.expires_at {
                check_end(expires_at, self.clock().now())?;
            }
            let after = ApiKey { rights, expires_at, ..before.clone() };
            match self.store().api_key_swap(&before, &after).await.map_err(|error| storage(&error))? {
                Swapped::Done => {
                    self.reload_keys().await?;
                    return Ok(after);
                }
                Swapped::Changed => {}
                Swapped::Gone => {
                    let message = format!("The key `{}` is revoked.", before.name);
                    return Err(UserError::new(ErrorCode::Conflict, message).with_hint("Make a new one."));
                }
            }
        }
        Err(UserError::new(ErrorCode::Conflict, "Others change it all the time; nothing was written.")
            .with_retry_after_s(1))
    }

    /// Revokes a key: it is not taken any more. Its jobs stay, and with them its name.
    ///
    /// # Errors
    /// `not_found`; `storage`.
    pub async fn key_revoke(&self, id: KeyId) -> Result<ApiKey, UserError> {
        self.key(id).await?;
        self.store().api_key_revoke(id).await.map_err(|error| storage(&error))?;
        self.reload_keys().await?;
        self.key(id).await
    }

    /// One key.
    ///
    /// # Errors
    /// `not_found`; `storage`.
    pub async fn key(&self, id: KeyId) -> Result<ApiKey, UserError> {
        let found = self.keys().await?.into_iter().find(|key| key.id == id);
        found.ok_or_else(|| UserError::new(ErrorCode::NotFound, format!("There is no key {id}.")))
    }

    /// Reads all keys anew and tells the engine what their callers may do.
    ///
    /// # Errors
    /// `storage`.
    pub(crate) async fn reload_keys(&self) -> Result<(), UserError> {
        let keys = self.store().api_key_list().await.map_err(|error| storage(&error))?;
        // Revoked keys too: jobs that they began may still wait. In databases of before, two keys may have had one
        // name; the newest speaks for it.
        let callers = keys.iter().map(|(key, _)| (key.caller(), key.rights.clone())).collect();
        self.parts.engine.set_callers(callers).await?;
        let by_hash = keys.into_iter().map(|(key, hash)| (hash, key)).collect();
        *self.parts.keyring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Keyring { by_hash });
        Ok(())
    }

    /// Notes in the background when a key was used; what fails is tried again with the next use.
    fn note_use(&self, key: &ApiKey, now: DateTime<Utc>) {
        if !self.parts.rates.is_news(key.id, key.last_used_at, now, USED_EVERY) {
            return;
        }
        let (access, id) = (self.clone(), key.id);
        tokio::spawn(async move {
            if let Err(error) = access.store().api_key_used(id, now).await {
                tracing::warn!(%error, key = %id, "the use of a key was not noted");
            }
        });
    }
}

fn check_end(end: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), UserError> {
    match end {
        Some(end) if end <= now => {
            Err(UserError::argument("expires_at", format!("`expires_at` is {end}, which has passed.")))
        }
        _ => Ok(()),
    }
}
