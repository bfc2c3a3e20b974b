//! The issuer's keys: fetched when needed, kept, and fetched anew within bounds.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{
    DecodingKey, Header,
    jwk::{Jwk, JwkSet, PublicKeyUse},
};
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use super::TokenRefusal;

/// Keys of this age are fetched anew.
const FRESH_FOR: TimeDelta = TimeDelta::hours(1);
/// Keys of this age are not used any more, although no newer ones can be had: the issuer may have withdrawn them.
const USED_FOR: TimeDelta = TimeDelta::hours(24);
/// Shortest time between two fetches.
const FETCH_EVERY: TimeDelta = TimeDelta::minutes(1);
/// Longest time for a fetch.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest key set, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// The keys.
pub(super) struct KeySet {
    url: Url,
    client: OnceCell<reqwest::Client>,
    /// Held while they are fetched: one fetch serves all who wait.
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    keys: Vec<Jwk>,
    fetched_at: Option<DateTime<Utc>>,
    tried_at: Option<DateTime<Utc>>,
}

impl KeySet {
    pub(super) fn new(url: Url) -> Self {
        Self { url, client: OnceCell::new(), held: Mutex::default() }
    }

    /// The key that a token's header names.
    pub(super) async fn find(&self, header: &Header, now: DateTime<Utc>) -> Result<DecodingKey, TokenRefusal> {
        let mut held = self.held.lock().await;
        let age = |at: Option<DateTime<Utc>>| at.map_or(TimeDelta::MAX, |at| (now - at).abs());
        let known = held.key_of(header);
        if (known.is_none() || age(held.fetched_at) > FRESH_FOR) && age(held.tried_at) > FETCH_EVERY {
            held.tried_at = Some(now);
            match self.fetch().await {
                Ok(keys) => {
                    held.keys = keys;
                    held.fetched_at = Some(now);
                }
                Err(error) => {
                    tracing::warn!(%error, url = %self.url, "the authorization server's keys were not fetched");
                }
            }
        }
        if held.fetched_at.is_none() || age(held.fetched_at) > USED_FOR {
            return Err(TokenRefusal::NoKeys);
        }
        let key = held.key_of(header).ok_or(TokenRefusal::Invalid("is signed with an unknown key"))?;
        DecodingKey::from_jwk(key).map_err(|_| TokenRefusal::Invalid("is signed with a key that cannot be used"))
    }

    async fn fetch(&self) -> Result<Vec<Jwk>, FetchError> {
        // Redirects are not followed: the operator named the place.
        let client = self
            .client
            .get_or_try_init(async || {
                reqwest::Client::builder()
                    .redirect(reqwest::redirect::Policy::none())
                    .timeout(TIMEOUT)
                    .connect_timeout(TIMEOUT)
                    .build()
            })
            .await?;
        let mut answer = client.get(self.url.clone()).send().await?;
        if !answer.status().is_success() {
            return Err(FetchError::Status(answer.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            if bytes.len() + piece.len() > MAX_BYTES {
                return Err(FetchError::TooLarge);
            }
            bytes.extend_from_slice(&piece);
        }
        let keys: JwkSet = serde_json::from_slice(&bytes).map_err(|_| FetchError::NoKeySet)?;
        Ok(keys.keys)
    }
}

impl Held {
    /// The key of this name that is for signatures of this algorithm; where tokens name none, the only one.
    fn key_of(&self, header: &Header) -> Option<&Jwk> {
        let fits = |key: &&Jwk| {
            let named = header.kid.is_none() || key.common.key_id == header.kid;
            let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
            let algorithm =
                key.common.key_algorithm.is_none_or(|stated| stated.to_string() == format!("{:?}", header.alg));
            named && signs && algorithm
        };
        let mut fitting = self.keys.iter().filter(fits);
        let first = fitting.next()?;
        (header.kid.is_some() || fitting.next().is_none()).then_some(first)
    }
}

/// Why keys were not fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the answer is no key set")]
    NoKeySet,
}
