//! Access tokens of an authorization server: the hub as an OAuth 2.1 resource server, by configuration.
//!
//! A token is a JWT (RFC 9068) signed with a key of the issuer's key set (JWKS, RFC 7517). Only asymmetric algorithms are
//! taken: with a shared secret anybody who checks could sign, and `none` proves nothing. Keys are held in memory, fetched anew
//! when they are old or a token names an unknown one, at most once a minute, so that forged tokens cannot make the hub hammer
//! the issuer. What a token allows are the hub's own scopes, named with a prefix.

mod keys;
mod verify;

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use hub_core::{
    access::{KeyRights, Scope, TOKEN_CALLERS},
    caller::Caller,
};
use jsonwebtoken::{Algorithm, Header, TokenData, Validation, decode, decode_header};
use serde::Deserialize;
use url::Url;

use self::keys::KeySet;
use crate::{keys::Bearer, secret::digest};

/// What is taken.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// Longest token, in bytes.
const TOKEN_MAX_BYTES: usize = 16 * 1024;
/// Longest subject that names a caller as it is, in characters; of longer ones the digest does.
const SUBJECT_MAX_CHARS: usize = 60;

/// The authorization server.
#[derive(Debug, Clone)]
pub struct OauthConfig {
    /// Its identifier, as tokens name it (`iss`).
    pub issuer: String,
    /// Where its keys are.
    pub jwks_url: Url,
    /// What tokens must be made for (`aud`): the hub's own address, as clients know it.
    pub audience: String,
    /// What the hub's scopes are prefixed with in tokens.
    pub scope_prefix: String,
    /// How far the clocks may differ.
    pub skew: Duration,
    /// What each subject may have; its scopes are those of its token.
    pub each: TokenLimits,
}

/// How much each subject with tokens may have, all its tokens together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenLimits {
    /// Requests per minute; none = any number.
    pub rate_per_minute: Option<u32>,
    /// Pictures per day (UTC); none = any number.
    pub images_per_day: Option<u32>,
    /// Seconds on GPUs per day (UTC); none = any number.
    pub gpu_seconds_per_day: Option<u32>,
}

/// Why a token was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// It is none, is for others, or its time is not now.
    #[error("the access token {0}")]
    Invalid(&'static str),
    /// The issuer's keys cannot be had.
    #[error("the authorization server's keys cannot be fetched")]
    NoKeys,
    /// Its subject asks too often.
    #[error("{per_minute} requests per minute are allowed")]
    TooOften {
        /// Seconds after which it is taken again.
        wait_s: u32,
        /// Requests that are allowed per minute.
        per_minute: u32,
    },
}

/// Checks tokens of one issuer.
pub(crate) struct Oauth {
    config: OauthConfig,
    keys: KeySet,
}

/// What is read of a token.
#[derive(Debug, Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    /// RFC 9068: separated by spaces.
    scope: Option<String>,
    /// As some servers say it.
    scp: Option<Words>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

impl Oauth {
    pub(crate) fn new(config: OauthConfig) -> Self {
        verify::install();
        Self { keys: KeySet::new(config.jwks_url.clone()), config }
    }

    pub(crate) fn config(&self) -> &OauthConfig {
        &self.config
    }

    /// Who holds this token.
    pub(crate) async fn bearer(&self, token: &str, now: DateTime<Utc>) -> Result<Bearer, TokenRefusal> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(TokenRefusal::Invalid("is too long"));
        }
        let header = decode_header(token).map_err(|_| TokenRefusal::Invalid("is no JWT of a known algorithm"))?;
        refuse_header(&header)?;
        let key = self.keys.find(&header, now).await?;
        let claims: TokenData<Claims> =
            decode(token, &key, &self.validation(header.alg)).map_err(|error| refused(&error))?;
        self.admit(claims.claims, now)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // By the hub's own clock, below.
        validation.validate_exp = false;
        validation
    }

    fn admit(&self, claims: Claims, now: DateTime<Utc>) -> Result<Bearer, TokenRefusal> {
        let skew = TimeDelta::from_std(self.config.skew).unwrap_or_default().num_seconds() as f64;
        let now = now.timestamp() as f64;
        let end = claims.exp.ok_or(TokenRefusal::Invalid("has no end"))?;
        // Numbers of JSON are finite.
        if end + skew <= now {
            return Err(TokenRefusal::Invalid("has expired"));
        }
        if claims.nbf.is_some_and(|begin| begin - skew > now) {
            return Err(TokenRefusal::Invalid("is not valid yet"));
        }
        let subject = claims.sub.filter(|subject| !subject.is_empty());
        let subject = subject.ok_or(TokenRefusal::Invalid("names nobody"))?;
        let mut scopes: BTreeSet<Scope> = BTreeSet::new();
        let words = claims.scp.map(|words| match words {
            Words::One(words) => vec![words],
            Words::Many(words) => words,
        });
        for word in claims.scope.iter().chain(words.iter().flatten()).flat_map(|words| words.split(' ')) {
            let own: Option<Scope> =
                word.strip_prefix(self.config.scope_prefix.as_str()).and_then(|name| name.parse().ok());
            scopes.extend(own);
        }
        let TokenLimits { rate_per_minute, images_per_day, gpu_seconds_per_day } = self.config.each;
        let rights = KeyRights { scopes, rate_per_minute, images_per_day, gpu_seconds_per_day, ..KeyRights::default() };
        Ok(Bearer { caller: caller(&subject), rights: Some(rights) })
    }
}

/// The caller of a subject; never that of another subject.
fn caller(subject: &str) -> Caller {
    let plain = subject.chars().count() <= SUBJECT_MAX_CHARS && !subject.chars().any(char::is_control);
    let name = if plain { subject.to_owned() } else { format!("#{}", digest(subject)) };
    Caller::named(&format!("{TOKEN_CALLERS}{name}"))
}

fn refuse_header(header: &Header) -> Result<(), TokenRefusal> {
    if !ALGORITHMS.contains(&header.alg) {
        return Err(TokenRefusal::Invalid("is signed with an algorithm that is not taken"));
    }
    if header.crit.is_some() {
        return Err(TokenRefusal::Invalid("asks for extensions that are not known"));
    }
    // Tokens that mean something else, such as a logout, say so.
    let kind = header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
    match kind.strip_prefix("application/").unwrap_or(&kind) {
        "jwt" | "at+jwt" => Ok(()),
        _ => Err(TokenRefusal::Invalid("is of another kind")),
    }
}

fn refused(error: &jsonwebtoken::errors::Error) -> TokenRefusal {
    use jsonwebtoken::errors::ErrorKind;
    TokenRefusal::Invalid(match error.kind() {
        ErrorKind::InvalidSignature => "has a wrong signature",
        ErrorKind::InvalidIssuer => "is of another issuer",
        ErrorKind::InvalidAudience => "is for somebody else (audience)",
        ErrorKind::MissingRequiredClaim(_) => "lacks exp, iss, aud or sub",
        ErrorKind::InvalidAlgorithm => "is signed with another algorithm than its key's",
        _ => "cannot be read",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_of_different_subjects_differ() {
        let (long, longer) = ("x".repeat(200), "x".repeat(201));
        assert_eq!(caller("alice").as_str(), "oauth:alice");
        assert_ne!(caller(&long), caller(&longer));
        assert_ne!(caller("a\nb"), caller("a b"));
    }
}
