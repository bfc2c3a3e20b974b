//! Passwords: argon2id, off the async threads, a few at a time.

use std::{sync::Arc, time::Duration};

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version};
use hub_core::error::UserError;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::Semaphore, time::Instant};

/// Shortest password, in characters.
pub const PASSWORD_MIN_CHARS: usize = 10;
/// Longest one, in bytes: what is longer is an attempt to keep the hub busy.
const PASSWORD_MAX_BYTES: usize = 1024;
/// Memory of one hash, in KiB: three times OWASP's advice.
const MEMORY_KIB: u32 = 64 * 1024;
/// Passes over that memory.
const PASSES: u32 = 3;
/// Hashes computed at the same time: bounds memory and leaves cores for others.
const PARALLEL: usize = 2;
/// Checks that may wait for their turn.
const WAITING_MAX: usize = 16;
/// Shortest time of a check, right or wrong, account or none.
pub(crate) const CHECK_TIME: Duration = Duration::from_millis(250);

/// Hashes passwords and checks them.
#[derive(Clone)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// Why a password was not checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// Too many are being checked.
    #[error("too many passwords are being checked")]
    Busy,
    /// The hash could not be computed, or what is stored is none.
    #[error("a password cannot be hashed: {0}")]
    Hash(String),
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(PARALLEL)), waiting: Arc::new(Semaphore::new(WAITING_MAX)) }
    }
}

impl Passwords {
    /// The hash of a password, with its salt and costs (PHC string).
    pub(crate) async fn hash(&self, password: SecretString) -> Result<String, PasswordError> {
        self.off_thread(move || {
            hasher()?
                .hash_password(password.expose_secret().as_bytes())
                .map(|hash| hash.to_string())
                .map_err(|error| PasswordError::Hash(error.to_string()))
        })
        .await
    }

    /// Whether the password is the one of `stored`. Takes the same time for all answers; without `stored`
    /// a hash is computed all the same, and the answer is no.
    pub(crate) async fn check(&self, stored: Option<String>, given: SecretString) -> Result<bool, PasswordError> {
        let begun = Instant::now();
        let checked = self
            .off_thread(move || {
                let given = given.expose_secret().as_bytes();
                if given.len() > PASSWORD_MAX_BYTES {
                    return Ok(false);
                }
                match stored {
                    Some(stored) => {
                        let stored =
                            PasswordHash::new(&stored).map_err(|error| PasswordError::Hash(error.to_string()))?;
                        Ok(hasher()?.verify_password(given, &stored).is_ok())
                    }
                    None => hasher()?
                        .hash_password(given)
                        .map(|_| false)
                        .map_err(|error| PasswordError::Hash(error.to_string())),
                }
            })
            .await;
        tokio::time::sleep_until(begun + CHECK_TIME).await;
        checked
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = self.waiting.clone().try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        let worked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        worked.await.map_err(|error| PasswordError::Hash(error.to_string()))?
    }
}

fn hasher() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|error| PasswordError::Hash(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Refuses a password that is too short or absurdly long.
///
/// # Errors
/// `bad_argument` for the field `password`.
pub(crate) fn acceptable(password: &SecretString) -> Result<(), UserError> {
    let chars = password.expose_secret().chars().count();
    if chars < PASSWORD_MIN_CHARS {
        let message = format!("The password has {chars} characters, but must have at least {PASSWORD_MIN_CHARS}.");
        return Err(UserError::argument("password", message));
    }
    if password.expose_secret().len() > PASSWORD_MAX_BYTES {
        return Err(UserError::argument(
            "password",
            format!("The password is longer than {PASSWORD_MAX_BYTES} bytes."),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn right_and_wrong_and_unknown_take_the_same_long_time() {
        let passwords = Passwords::default();
        let stored = passwords.hash(SecretString::from("correct horse")).await.expect("hashed");
        assert!(stored.starts_with("$argon2id$"), "{stored}");
        for (stored, given, expected) in [
            (Some(stored.clone()), "correct horse", true),
            (Some(stored), "correct house", false),
            (None, "correct horse", false),
        ] {
            let begun = std::time::Instant::now();
            assert_eq!(passwords.check(stored, SecretString::from(given)).await.expect("checked"), expected);
            assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
        }
    }

    #[tokio::test]
    async fn a_flood_of_checks_is_refused_instead_of_queued() {
        let passwords = Passwords::default();
        let checks = (0..40).map(|_| {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.check(None, SecretString::from("x")).await })
        });
        let checks: Vec<_> = checks.collect();
        let mut busy = 0;
        for check in checks {
            busy += usize::from(matches!(check.await.expect("no panic"), Err(PasswordError::Busy)));
        }
        assert_eq!(busy, 40 - WAITING_MAX);
    }

    #[test]
    fn short_passwords_are_refused() {
        assert!(acceptable(&SecretString::from("123456789")).is_err());
        assert!(acceptable(&SecretString::from("1234567890")).is_ok());
        assert!(acceptable(&SecretString::from("x".repeat(2000))).is_err());
    }
}
