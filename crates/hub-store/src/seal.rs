//! Secrets of other servers lie encrypted in their rows, under a key that is not in the database.
//!
//! The cipher is XChaCha20-Poly1305. Each text is bound to its table, column and row, so that whoever can write
//! the database cannot move one elsewhere. Rows of before there was a key are read as they are.

use std::{fmt, sync::Arc};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use rand::{TryRngCore as _, rngs::OsRng};
use sea_orm::prelude::Uuid;
use sha2::{Digest as _, Sha256};

use crate::error::{Result, StoreError};

/// How a sealed text begins.
const MARK: &str = "sealed:1:";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// Characters of a key's name.
const NAME_CHARS: usize = 8;

/// Keys for secrets at rest: the first one seals, all of them open.
#[derive(Clone, Default)]
pub struct SecretKeys(Arc<Vec<Key>>);

struct Key {
    name: String,
    bytes: [u8; KEY_BYTES],
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.name)).finish()
    }
}

/// Why a text holds no keys. Quotes none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret key is 32 bytes in base64 (44 characters); several are separated by commas or lines, the newest first"
)]
pub struct InvalidSecretKey;

impl SecretKeys {
    /// Reads keys as they are written: base64, separated by commas or lines, the newest first.
    ///
    /// # Errors
    /// [`InvalidSecretKey`].
    pub fn parse(text: &str) -> std::result::Result<Self, InvalidSecretKey> {
        let words = text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty() && !word.starts_with('#'));
        let keys: Vec<Key> = words
            .map(|word| {
                let bytes = BASE64_STANDARD.decode(word).map_err(|_| InvalidSecretKey)?;
                <[u8; KEY_BYTES]>::try_from(bytes).map(Key::new).map_err(|_| InvalidSecretKey)
            })
            .collect::<std::result::Result<_, _>>()?;
        if keys.is_empty() { Err(InvalidSecretKey) } else { Ok(Self(Arc::new(keys))) }
    }

    /// A new key, as it is written.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate() -> std::io::Result<String> {
        let mut bytes = [0_u8; KEY_BYTES];
        OsRng.try_fill_bytes(&mut bytes).map_err(std::io::Error::other)?;
        Ok(BASE64_STANDARD.encode(bytes))
    }

    fn newest(&self) -> Option<&Key> {
        self.0.first()
    }

    /// Whether the text is to be sealed (anew).
    pub(crate) fn is_behind(&self, text: &str) -> bool {
        self.newest().is_some_and(|key| !text.starts_with(&format!("{MARK}{}:", key.name)))
    }

    /// The text as it is stored; as it is, without a key.
    pub(crate) fn close(&self, at: Place, text: &str) -> Result<String> {
        let Some(key) = self.newest() else { return Ok(text.to_owned()) };
        let cannot = |reason: &str| StoreError::Unstorable { column: at.column, reason: reason.to_owned() };
        let mut nonce = [0_u8; NONCE_BYTES];
        OsRng.try_fill_bytes(&mut nonce).map_err(|_| cannot("the system gives no random numbers"))?;
        let cipher = XChaCha20Poly1305::new(&key.bytes.into());
        let bound = at.bound();
        let payload = Payload { msg: text.as_bytes(), aad: bound.as_bytes() };
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| cannot("it cannot be encrypted"))?;
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed);
        Ok(format!("{MARK}{}:{}", key.name, BASE64_STANDARD.encode(bytes)))
    }

    /// The text itself.
    pub(crate) fn open(&self, at: Place, stored: String) -> Result<String> {
        let Some(rest) = stored.strip_prefix(MARK) else { return Ok(stored) };
        let (name, data) = rest.split_once(':').ok_or_else(|| at.wrong("it is cut short"))?;
        let key = self.0.iter().find(|key| key.name == name).ok_or_else(|| {
            at.wrong(
                "it is encrypted with a secret key that is not here; restore secret.key or set GENIMAGE_SECRET_KEY",
            )
        })?;
        let bytes = BASE64_STANDARD.decode(data).map_err(|_| at.wrong("it is damaged"))?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(|| at.wrong("it is cut short"))?;
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).map_err(|_| at.wrong("it is cut short"))?;
        let bound = at.bound();
        let payload = Payload { msg: sealed, aad: bound.as_bytes() };
        let opened = XChaCha20Poly1305::new(&key.bytes.into()).decrypt(&XNonce::from(nonce), payload);
        let opened = opened.map_err(|_| at.wrong("it was altered, or belongs elsewhere"))?;
        String::from_utf8(opened).map_err(|_| at.wrong("it is no text"))
    }
}

impl Key {
    fn new(bytes: [u8; KEY_BYTES]) -> Self {
        // Tells which key without telling anything of it.
        let digest = Sha256::digest([b"genimage-key-name".as_slice(), &bytes].concat());
        let name = BASE64_URL_SAFE_NO_PAD.encode(digest).chars().take(NAME_CHARS).collect();
        Self { name, bytes }
    }
}

/// Where a sealed text lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    pub(crate) row: Uuid,
}

impl Place {
    fn bound(self) -> String {
        format!("{}.{}/{}", self.table, self.column, self.row)
    }

    fn wrong(self, reason: &str) -> StoreError {
        StoreError::Inconsistency {
            table: self.table,
            column: self.column,
            row: self.row.to_string(),
            reason: reason.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(row: u128) -> Place {
        Place { table: "servers", column: "auth", row: Uuid::from_u128(row) }
    }

    fn keys(count: usize) -> SecretKeys {
        let text: Vec<String> = (0..count).map(|_| SecretKeys::generate().expect("random")).collect();
        SecretKeys::parse(&text.join(",")).expect("keys")
    }

    #[test]
    fn a_text_opens_with_its_key_in_its_place_alone() {
        let one = keys(1);
        let sealed = one.close(place(1), "hunter2").expect("sealed");
        assert!(sealed.starts_with(MARK) && !sealed.contains("hunter2"), "{sealed}");
        assert_ne!(sealed, one.close(place(1), "hunter2").expect("sealed"), "no nonce twice");
        assert_eq!(one.open(place(1), sealed.clone()).expect("opened"), "hunter2");
        assert!(one.open(place(2), sealed.clone()).is_err(), "another row");
        let error = keys(1).open(place(1), sealed.clone()).expect_err("another key").to_string();
        assert!(error.contains("GENIMAGE_SECRET_KEY"), "{error}");
        let altered = format!("{}A", &sealed[..sealed.len() - 1]);
        assert!(one.open(place(1), altered).is_err());
        assert!(one.open(place(1), MARK.to_owned()).is_err());
        assert!(!format!("{one:?}").contains("hunter2"));
    }

    #[test]
    fn older_keys_open_and_the_newest_seals() {
        let both = keys(2);
        let old = SecretKeys(Arc::new(vec![Key::new(both.0[1].bytes)]));
        let sealed = old.close(place(1), "x").expect("sealed");
        assert!(both.is_behind(&sealed) && !old.is_behind(&sealed));
        assert_eq!(both.open(place(1), sealed).expect("opened"), "x");
        assert!(!both.is_behind(&both.close(place(1), "x").expect("sealed")));
    }

    #[test]
    fn without_a_key_texts_are_as_they_are() {
        let none = SecretKeys::default();
        assert_eq!(none.close(place(1), "x").expect("kept"), "x");
        assert_eq!(none.open(place(1), "x".to_owned()).expect("kept"), "x");
        assert!(!none.is_behind("x"));
        for wrong in ["", "#only a comment", "abc", "AAAA"] {
            assert!(SecretKeys::parse(wrong).is_err(), "{wrong}");
        }
    }
}
