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

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use jsonwebtoken::Algorithm;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// An issuer that tells what it is set to tell: names of keys, or nothing but a failure.
    #[derive(Clone, Default)]
    struct Issuer {
        keys: Arc<Mutex<Option<Vec<&'static str>>>>,
        asked: Arc<AtomicUsize>,
    }

    impl Issuer {
        async fn start(&self) -> KeySet {
            // Another test of this process may have installed it.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}/jwks", listener.local_addr().expect("an address"));
            let issuer = self.clone();
            tokio::spawn(async move {
                while let Ok((mut socket, _)) = listener.accept().await {
                    let mut head = [0; 2048];
                    let _ = socket.read(&mut head).await;
                    let answer = issuer.answer();
                    let _ = socket.write_all(answer.as_bytes()).await;
                }
            });
            KeySet::new(url.parse().expect("a URL"))
        }

        fn tell(&self, keys: &[&'static str]) {
            *self.keys.lock().expect("unpoisoned") = Some(keys.to_vec());
        }

        fn answer(&self) -> String {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let Some(keys) = self.keys.lock().expect("unpoisoned").clone() else {
                return "HTTP/1.1 503 Sorry\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned();
            };
            let key =
                |name: &&str| format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{name}","x":"{}"}}"#, "A".repeat(43));
            let keys: Vec<String> = keys.iter().map(key).collect();
            let body = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    fn signed_with(name: &str) -> Header {
        Header { kid: Some(name.to_owned()), ..Header::new(Algorithm::EdDSA) }
    }

    #[tokio::test]
    async fn keys_that_are_rotated_are_found_and_withdrawn_ones_are_not() {
        let (issuer, start) = (Issuer::default(), DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
        issuer.tell(&["one"]);
        let keys = issuer.start().await;
        let find = async |name: &str, after: TimeDelta| keys.find(&signed_with(name), start + after).await.map(drop);
        let unknown = Err(TokenRefusal::Invalid("is signed with an unknown key"));

        assert_eq!(find("one", TimeDelta::zero()).await, Ok(()));
        issuer.tell(&["one", "two"]);
        assert_eq!(find("two", TimeDelta::seconds(30)).await, unknown, "not asked again so soon");
        assert_eq!(issuer.asked(), 1);
        assert_eq!(find("two", TimeDelta::seconds(61)).await, Ok(()));
        assert_eq!(
            (find("one", TimeDelta::seconds(62)).await, issuer.asked()),
            (Ok(()), 2),
            "both, while they overlap"
        );
        issuer.tell(&["two"]);
        assert_eq!(find("one", TimeDelta::minutes(59)).await, Ok(()), "not old yet");
        assert_eq!(find("one", TimeDelta::minutes(63)).await, unknown, "withdrawn");
        assert_eq!((find("two", TimeDelta::minutes(63)).await, issuer.asked()), (Ok(()), 3));
    }

    #[tokio::test]
    async fn old_keys_serve_while_the_issuer_is_away_but_not_for_ever() {
        let (issuer, start) = (Issuer::default(), DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
        let keys = issuer.start().await;
        let find = async |after: TimeDelta| keys.find(&signed_with("one"), start + after).await.map(drop);
        assert_eq!(find(TimeDelta::zero()).await, Err(TokenRefusal::NoKeys));
        issuer.tell(&["one"]);
        assert_eq!(find(TimeDelta::minutes(2)).await, Ok(()));
        *issuer.keys.lock().expect("unpoisoned") = None;
        assert_eq!(find(TimeDelta::hours(23)).await, Ok(()), "the issuer is away");
        assert_eq!(find(TimeDelta::hours(25)).await, Err(TokenRefusal::NoKeys), "they may have been withdrawn");
        issuer.tell(&["one"]);
        assert_eq!(find(TimeDelta::hours(26)).await, Ok(()));
    }
}
