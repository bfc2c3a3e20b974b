//! Who is logged in: a random token in a cookie, its hash in the store.

use chrono::TimeDelta;
use hub_core::error::UserError;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    Access,
    account::no_randomness,
    door::storage,
    secret::{digest, same, token},
};

/// A session ends when nothing was asked for so long.
pub const SESSION_IDLE: TimeDelta = TimeDelta::hours(12);
/// A session ends after so long in any case.
pub const SESSION_LIFE: TimeDelta = TimeDelta::days(7);
/// How exactly the last request is noted: a write for each would cost more than it tells.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);

/// A session, as whoever holds its token sees it.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    token: SecretString,
}

impl LoggedIn {
    /// What the cookie holds.
    pub fn token(&self) -> &SecretString {
        &self.token
    }

    /// What forms must send along: only pages of this session know it, and it does not tell the token.
    pub fn form_token(&self) -> String {
        digest(&format!("form:{}", self.token.expose_secret()))
    }

    /// Whether a form sent the right token along.
    pub fn is_form_token(&self, given: &str) -> bool {
        same(&self.form_token(), given)
    }
}

/// Begins a session.
pub(crate) async fn begin(access: &Access, admin: hub_store::AdminId) -> Result<LoggedIn, UserError> {
    let clock = access.clock();
    if let (Some(begun), Some(seen)) = (clock.before(SESSION_LIFE), clock.before(SESSION_IDLE)) {
        access.store().sessions_forget(begun, seen).await.map_err(|error| storage(&error))?;
    }
    let token = token("").map_err(|error| no_randomness(&error))?;
    let hash = digest(token.expose_secret());
    access.store().session_insert(&hash, admin).await.map_err(|error| storage(&error))?;
    Ok(LoggedIn { token })
}

impl Access {
    /// The session of a cookie; `None` when there is none, or it is over.
    ///
    /// # Errors
    /// `storage`.
    pub async fn session(&self, token: &str) -> Result<Option<LoggedIn>, UserError> {
        let hash = digest(token);
        let Some(row) = self.store().session_get(&hash).await.map_err(|error| storage(&error))? else {
            return Ok(None);
        };
        let (age, idle) = (self.clock().age(row.created_at), self.clock().age(row.seen_at));
        if age > SESSION_LIFE || idle > SESSION_IDLE {
            self.store().session_delete(&hash).await.map_err(|error| storage(&error))?;
            return Ok(None);
        }
        // In either direction: a clock that was set back must not leave it seen in the future.
        if idle.abs() > SEEN_EVERY {
            self.store().session_seen(&hash).await.map_err(|error| storage(&error))?;
        }
        Ok(Some(LoggedIn { token: SecretString::from(token.to_owned()) }))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// `storage`.
    pub async fn log_out(&self, session: &LoggedIn) -> Result<(), UserError> {
        let hash = digest(session.token.expose_secret());
        self.store().session_delete(&hash).await.map_err(|error| storage(&error))
    }
}
