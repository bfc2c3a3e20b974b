//! The admin's account: made once, logged into with a password.

use std::{net::IpAddr, time::Instant};

use hub_core::error::{ErrorCode, UserError};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    Access,
    door::storage,
    password::{PasswordError, acceptable},
    secret::{NoRandomness, same, token},
    session::{self, LoggedIn},
};

/// Name of the account.
const NAME: &str = "admin";

/// The token that shows who may make the first account: who reads the hub's log. New at each start.
pub(crate) struct Setup(SecretString);

impl Setup {
    pub(crate) fn new() -> Result<Self, UserError> {
        token("").map(Self).map_err(|error| no_randomness(&error))
    }

    pub(crate) fn token(&self) -> SecretString {
        self.0.clone()
    }
}

pub(crate) fn no_randomness(error: &NoRandomness) -> UserError {
    tracing::error!(%error, "no token can be made");
    UserError::new(ErrorCode::Internal, "The hub cannot make secrets; its log has the details.")
}

/// Why somebody was not logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The password is not the account's.
    #[error("This is not the password.")]
    Wrong,
    /// Too many wrong passwords came before.
    #[error("Too many wrong passwords. Try again in {0} s.")]
    Wait(u32),
    /// The hub failed.
    #[error(transparent)]
    Failed(#[from] UserError),
}

/// Why the first account was not made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The token is not the one in the log.
    #[error("This is not the setup token. The hub prints it when it starts.")]
    Wrong,
    /// Too many wrong tokens came before.
    #[error("Too many wrong tokens. Try again in {0} s.")]
    Wait(u32),
    /// There is an account.
    #[error("There is an account already; log in.")]
    Done,
    /// The password cannot be used, or the hub failed.
    #[error(transparent)]
    Failed(#[from] UserError),
}

impl Access {
    /// Logs in from an address.
    ///
    /// # Errors
    /// See [`LoginError`]. A wrong password takes as long as a right one, and as one where there is no account.
    pub async fn login(&self, password: SecretString, from: Option<IpAddr>) -> Result<LoggedIn, LoginError> {
        let throttle = &self.parts.logins;
        if let Some(wait) = throttle.wait(from, Instant::now()) {
            return Err(LoginError::Wait(wait));
        }
        let account = self.store().admin_by_name(NAME).await.map_err(|error| storage(&error))?;
        let stored = account.as_ref().map(|account| account.password.clone());
        let right = match self.parts.passwords.check(stored, password).await {
            Ok(right) => right,
            Err(PasswordError::Busy) => return Err(LoginError::Wait(1)),
            Err(error) => return Err(hash_failed(&error).into()),
        };
        let Some(account) = account.filter(|_| right) else {
            throttle.wrong(from, Instant::now());
            return Err(LoginError::Wrong);
        };
        throttle.right(from);
        Ok(session::begin(self, account.id).await?)
    }

    /// Makes the first account and logs in. The token is asked for unless the hub is open to everybody.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub async fn set_up(
        &self,
        given: &str,
        password: SecretString,
        from: Option<IpAddr>,
    ) -> Result<LoggedIn, SetupError> {
        let throttle = &self.parts.logins;
        if self.has_account() {
            return Err(SetupError::Done);
        }
        if self.is_closed() {
            if let Some(wait) = throttle.wait(from, Instant::now()) {
                return Err(SetupError::Wait(wait));
            }
            if !same(self.parts.setup.token().expose_secret(), given.trim()) {
                throttle.wrong(from, Instant::now());
                return Err(SetupError::Wrong);
            }
        }
        if !make(self, password).await? {
            return Err(SetupError::Done);
        }
        let account = self.store().admin_by_name(NAME).await.map_err(|error| storage(&error))?;
        let account = account.ok_or(SetupError::Done)?;
        Ok(session::begin(self, account.id).await?)
    }

    /// Gives the account another password; everybody who is logged in is logged out.
    ///
    /// # Errors
    /// `bad_argument` for a password that is too short; `not_found` without an account; `storage`.
    pub async fn set_password(&self, password: SecretString) -> Result<(), UserError> {
        acceptable(&password)?;
        let account = self.store().admin_by_name(NAME).await.map_err(|error| storage(&error))?;
        let Some(account) = account else {
            return Err(UserError::new(ErrorCode::NotFound, "There is no admin account yet."));
        };
        let hash = self.parts.passwords.hash(password).await.map_err(|error| hash_failed(&error))?;
        self.store().admin_set_password(account.id, &hash).await.map_err(|error| storage(&error)).map(drop)
    }
}

/// Makes the account; `false` when there is one.
pub(crate) async fn make(access: &Access, password: SecretString) -> Result<bool, UserError> {
    acceptable(&password)?;
    let hash = access.parts.passwords.hash(password).await.map_err(|error| hash_failed(&error))?;
    let made = access.store().admin_insert(NAME, &hash).await.map_err(|error| storage(&error))?;
    access.note_account(true);
    Ok(made)
}

fn hash_failed(error: &PasswordError) -> UserError {
    tracing::error!(%error, "a password was not checked");
    UserError::new(ErrorCode::Internal, "The hub could not check the password; its log has the details.")
}
