//! Everything that proves who somebody is, in one place.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use hub_core::{clock::SharedClock, error::UserError};
use hub_engine::Engine;
use hub_store::{Store, StoreError};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    account::{self, Setup},
    keys::{Bearer, Keyring},
    oauth::{Oauth, OauthConfig, TokenRefusal},
    password::Passwords,
    rate::Rates,
    secret::same,
    throttle::Throttle,
};

/// Credentials of the configuration.
#[derive(Debug, Clone, Default)]
pub struct AccessConfig {
    /// A key with every right; none when empty.
    pub api_key: Option<SecretString>,
    /// Password of the first account, when there is none yet.
    pub admin_password: Option<SecretString>,
    /// The authorization server whose access tokens are taken.
    pub oauth: Option<OauthConfig>,
}

/// Who may come in. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    pub(crate) parts: Arc<Parts>,
}

pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) api_key: Option<SecretString>,
    pub(crate) keyring: RwLock<Arc<Keyring>>,
    pub(crate) has_account: AtomicBool,
    pub(crate) passwords: Passwords,
    pub(crate) logins: Throttle,
    pub(crate) rates: Rates,
    pub(crate) setup: Setup,
    pub(crate) oauth: Option<Oauth>,
}

impl Access {
    /// Reads accounts and keys, and makes the first account when its password is configured.
    ///
    /// # Errors
    /// `storage`; `bad_argument` for a configured password that is too short.
    pub async fn open(engine: Engine, config: AccessConfig) -> Result<Self, UserError> {
        let given = |secret: Option<SecretString>| secret.filter(|secret| !secret.expose_secret().is_empty());
        let parts = Parts {
            api_key: given(config.api_key),
            keyring: RwLock::default(),
            has_account: AtomicBool::new(false),
            passwords: Passwords::default(),
            logins: Throttle::default(),
            rates: Rates::default(),
            setup: Setup::new()?,
            oauth: config.oauth.map(Oauth::new),
            engine,
        };
        let access = Self { parts: Arc::new(parts) };
        let exists = access.store().admin_any().await.map_err(|error| storage(&error))?.is_some();
        access.note_account(exists);
        if let Some(password) = given(config.admin_password).filter(|_| !exists) {
            access.make_account(password).await?;
            tracing::info!("the admin account was made with the configured password");
        }
        access.reload_keys().await?;
        Ok(access)
    }

    /// Whether strangers are kept out: as soon as there is any credential.
    pub fn is_closed(&self) -> bool {
        self.parts.api_key.is_some() || self.parts.oauth.is_some() || self.has_account() || self.keyring().has_any()
    }

    /// The authorization server whose tokens are taken.
    pub fn oauth(&self) -> Option<&OauthConfig> {
        self.parts.oauth.as_ref().map(Oauth::config)
    }

    /// Who holds this access token; `None` where none are taken, or it does not look like one.
    ///
    /// # Errors
    /// See [`TokenRefusal`].
    pub async fn token_bearer(&self, token: &str) -> Result<Option<Bearer>, TokenRefusal> {
        // A JWT has three parts; no key of the hub's has a dot, and a configured one is known.
        let Some(oauth) = self.parts.oauth.as_ref().filter(|_| token.matches('.').count() == 2) else {
            return Ok(None);
        };
        if self.parts.api_key.as_ref().is_some_and(|key| same(key.expose_secret(), token)) {
            return Ok(None);
        }
        let now = self.clock().now();
        let bearer = oauth.bearer(token, now).await?;
        if let Some(rights) = &bearer.rights {
            if let Some(per_minute) = rights.rate_per_minute {
                let turn = self.parts.rates.take(&bearer.caller, per_minute, now);
                turn.map_err(|wait_s| TokenRefusal::TooOften { wait_s, per_minute })?;
            }
            self.parts.engine.grant(&bearer.caller, rights);
        }
        Ok(Some(bearer))
    }

    /// Whether somebody can log in.
    pub fn has_account(&self) -> bool {
        self.parts.has_account.load(Ordering::Relaxed)
    }

    /// The token with which the first account is made; none when there is an account.
    pub fn setup_token(&self) -> Option<SecretString> {
        (!self.has_account()).then(|| self.parts.setup.token())
    }

    pub(crate) fn note_account(&self, exists: bool) {
        self.parts.has_account.store(exists, Ordering::Relaxed);
    }

    pub(crate) fn store(&self) -> &Store {
        self.parts.engine.store()
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        self.store().clock()
    }

    pub(crate) fn keyring(&self) -> Arc<Keyring> {
        self.parts.keyring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn make_account(&self, password: SecretString) -> Result<(), UserError> {
        account::make(self, password).await.map(drop)
    }
}

/// A failure of the store, in words for the caller.
pub(crate) fn storage(error: &StoreError) -> UserError {
    tracing::error!(%error, "the database failed where it was asked who comes in");
    UserError::new(hub_core::error::ErrorCode::Storage, "The hub's database did not answer.").with_retry_after_s(2)
}
