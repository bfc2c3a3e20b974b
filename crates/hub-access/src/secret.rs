//! Tokens: made from the system's randomness, kept as hashes.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rand::{TryRngCore as _, rngs::OsRng};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

/// Bytes of randomness in a token: more than anybody can try.
const TOKEN_BYTES: usize = 32;

/// The system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub(crate) struct NoRandomness;

/// A new token as text that needs no escaping anywhere.
pub(crate) fn token(prefix: &str) -> Result<SecretString, NoRandomness> {
    let mut bytes = [0_u8; TOKEN_BYTES];
    OsRng.try_fill_bytes(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(SecretString::from(format!("{prefix}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))))
}

/// What is stored of a token. A fast hash is enough: nobody guesses 256 random bits.
pub(crate) fn digest(token: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

/// Compares digests, so that the time taken tells nothing about the secret.
pub(crate) fn same(secret: &str, given: &str) -> bool {
    Sha256::digest(secret) == Sha256::digest(given)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn tokens_differ_and_their_digest_tells_nothing_of_them() {
        let (one, two) = (token("gih_").expect("random"), token("gih_").expect("random"));
        assert_ne!(one.expose_secret(), two.expose_secret());
        assert_eq!(one.expose_secret().len(), 4 + 43);
        assert!(!digest(one.expose_secret()).contains(&one.expose_secret()[4..12]));
        assert!(same("a", "a") && !same("a", "b"));
    }
}
