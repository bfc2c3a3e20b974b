//! The keys that were made a moment ago.
//!
//! A key is shown once. Whoever presses the button twice without script sees the answer to the second press only: that
//! must be the key too, and not that its name is taken.

use std::{
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::Arc,
    time::Duration,
};

use hub_access::NewKey;
use hub_core::{caller::Caller, error::UserError};
use tokio::{sync::Mutex, time::Instant};

/// How long a second press counts as the same one.
const MOMENT: Duration = Duration::from_secs(3);

/// The newest keys, for a moment; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct MadeKeys(Arc<Mutex<Vec<Made>>>);

struct Made {
    /// Of who sent which form.
    form: u64,
    at: Instant,
    key: NewKey,
}

/// Whether a press was the one that did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Press {
    First,
    Again,
}

impl MadeKeys {
    /// What `make` makes, unless `caller` had the same form make a key a moment ago: then that key, which `shown` reads.
    /// Presses that come together wait for each other.
    pub(super) async fn once<T>(
        &self,
        (caller, form): (&Caller, impl Hash),
        make: impl Future<Output = Result<NewKey, UserError>>,
        shown: impl FnOnce(&NewKey) -> T,
    ) -> Result<(T, Press), UserError> {
        let mut hasher = DefaultHasher::new();
        (caller, form).hash(&mut hasher);
        let form = hasher.finish();
        let mut newest = self.0.lock().await;
        if let Some(made) = newest.iter().find(|made| made.form == form && made.at.elapsed() < MOMENT) {
            return Ok((shown(&made.key), Press::Again));
        }
        let key = make.await?;
        let answer = shown(&key);
        newest.push(Made { form, at: Instant::now(), key });
        drop(newest);
        self.forget_later();
        Ok((answer, Press::First))
    }

    /// A secret is not kept longer than it is needed.
    fn forget_later(&self) {
        let this = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(MOMENT).await;
            this.0.lock().await.retain(|made| made.at.elapsed() < MOMENT);
        });
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use hub_core::{
        access::{ApiKey, KeyRights},
        ids::KeyId,
    };
    use secrecy::{ExposeSecret as _, SecretString};

    use super::*;

    async fn made(keys: &MadeKeys, caller: &str, form: &str, secret: &str) -> String {
        let key = ApiKey {
            id: KeyId::new(),
            name: form.to_owned(),
            prefix: String::new(),
            rights: KeyRights::default(),
            created_at: DateTime::UNIX_EPOCH,
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        let make = async { Ok(NewKey { key, secret: SecretString::from(secret) }) };
        let shown = |new: &NewKey| new.secret.expose_secret().to_owned();
        keys.once((&Caller::named(caller), form), make, shown).await.expect("a key").0
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_press_shows_the_same_key_for_a_moment_and_to_nobody_else() {
        let keys = MadeKeys::default();
        assert_eq!(made(&keys, "admin", "agent", "one").await, "one");
        assert_eq!(made(&keys, "admin", "agent", "two").await, "one");
        assert_eq!(made(&keys, "other", "agent", "three").await, "three");
        assert_eq!(made(&keys, "admin", "agent", "two").await, "one", "whatever others do between");
        assert_eq!(made(&keys, "other", "bot", "four").await, "four");
        tokio::time::sleep(MOMENT + Duration::from_millis(1)).await;
        tokio::task::yield_now().await;
        assert!(keys.0.lock().await.is_empty(), "nothing is kept");
        assert_eq!(made(&keys, "other", "bot", "five").await, "five");
    }
}
