//! Secrets of an exported configuration, encrypted with a passphrase.
//!
//! The key comes from the passphrase by Argon2id, the cipher is XChaCha20-Poly1305. The costs stand in
//! the file, so that they can be raised later; what a file may demand is bounded, so that a hostile one
//! cannot exhaust the machine.

use std::collections::BTreeMap;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hub_core::error::{ErrorCode, UserError};
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// Shortest passphrase, in characters.
pub(crate) const PASSPHRASE_MIN_CHARS: usize = 8;
/// Memory that the key takes, in KiB: OWASP's advice for Argon2id, times three.
const MEMORY_KIB: u32 = 64 * 1024;
/// Passes over that memory.
const PASSES: u32 = 3;
/// Most memory that a file may demand, in KiB.
const MEMORY_MAX_KIB: u32 = 256 * 1024;
/// Most passes that a file may demand.
const PASSES_MAX: u32 = 10;
/// Bound into every text, so that another file's part does not fit.
const CONTEXT: &[u8] = b"genimage-config/1";
const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;

/// Secrets by what they belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secrets {
    /// By server and field (`password`, `token`, `key`, `header:NAME`).
    #[serde(default)]
    pub(crate) servers: BTreeMap<String, BTreeMap<String, String>>,
    /// Keys by LLM server.
    #[serde(default)]
    pub(crate) llm_servers: BTreeMap<String, String>,
    /// Values of settings, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) settings: BTreeMap<String, String>,
}

/// Encrypted secrets as they stand in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sealed {
    cipher: String,
    kdf: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
    nonce: String,
    data: String,
}

const CIPHER: &str = "xchacha20poly1305";
const KDF: &str = "argon2id";

/// Encrypts. Takes a tenth of a second of one core: not for an async thread.
///
/// # Errors
/// `bad_argument` when the passphrase is too short.
pub(crate) fn seal(secrets: &Secrets, passphrase: &SecretString) -> Result<Sealed, UserError> {
    let chars = passphrase.expose_secret().chars().count();
    if chars < PASSPHRASE_MIN_CHARS {
        return Err(UserError::argument(
            "passphrase",
            format!("The passphrase has {chars} characters, but must have at least {PASSPHRASE_MIN_CHARS}."),
        ));
    }
    let (mut salt, mut nonce) = ([0_u8; SALT_BYTES], [0_u8; NONCE_BYTES]);
    rand::rng().fill(&mut salt);
    rand::rng().fill(&mut nonce);
    let text = serde_json::to_vec(secrets).expect("texts by texts have a JSON form");
    let cipher = cipher(passphrase, &salt, MEMORY_KIB, PASSES).ok_or_else(cannot)?;
    let data = cipher.encrypt(&XNonce::from(nonce), Payload { msg: &text, aad: CONTEXT }).map_err(|_| cannot())?;
    Ok(Sealed {
        cipher: CIPHER.to_owned(),
        kdf: KDF.to_owned(),
        memory_kib: MEMORY_KIB,
        passes: PASSES,
        salt: BASE64_STANDARD.encode(salt),
        nonce: BASE64_STANDARD.encode(nonce),
        data: BASE64_STANDARD.encode(data),
    })
}

/// Decrypts. Takes a tenth of a second of one core: not for an async thread.
///
/// # Errors
/// `bad_argument` naming the part that does not fit, or the passphrase.
pub(crate) fn open(sealed: &Sealed, passphrase: &SecretString) -> Result<Secrets, UserError> {
    let fault = |field: &str, message: &str| UserError::argument(&format!("secrets.{field}"), message);
    if sealed.cipher != CIPHER {
        return Err(
            fault("cipher", "The secrets are encrypted in a way that this hub does not know.").with_valid([CIPHER])
        );
    }
    if sealed.kdf != KDF {
        return Err(
            fault("kdf", "The key of the secrets is made in a way that this hub does not know.").with_valid([KDF])
        );
    }
    if sealed.memory_kib > MEMORY_MAX_KIB || sealed.passes > PASSES_MAX {
        return Err(fault("memory_kib", "The secrets demand more memory or passes than this hub spends on a key."));
    }
    let salt = bytes(&sealed.salt).filter(|salt| salt.len() == SALT_BYTES);
    let salt = salt.ok_or_else(|| fault("salt", "`secrets.salt` is damaged."))?;
    let nonce = bytes(&sealed.nonce).and_then(|nonce| <[u8; NONCE_BYTES]>::try_from(nonce).ok());
    let nonce = nonce.ok_or_else(|| fault("nonce", "`secrets.nonce` is damaged."))?;
    let data = bytes(&sealed.data).ok_or_else(|| fault("data", "`secrets.data` is damaged."))?;
    let cipher = cipher(passphrase, &salt, sealed.memory_kib, sealed.passes)
        .ok_or_else(|| fault("memory_kib", "The costs of the key are out of range."))?;
    let text = cipher.decrypt(&XNonce::from(nonce), Payload { msg: &data, aad: CONTEXT }).map_err(|_| {
        UserError::argument("passphrase", "The passphrase does not open the secrets, or they were altered.")
            .with_hint("Give the passphrase with which the file was exported, or remove `secrets` from it.")
    })?;
    serde_json::from_slice(&text).map_err(|_| fault("data", "The secrets are of a form that this hub does not know."))
}

fn cipher(passphrase: &SecretString, salt: &[u8], memory_kib: u32, passes: u32) -> Option<XChaCha20Poly1305> {
    let params = Params::new(memory_kib, passes, 1, Some(KEY_BYTES)).ok()?;
    let mut key = [0_u8; KEY_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose_secret().as_bytes(), salt, &mut key)
        .ok()?;
    Some(XChaCha20Poly1305::new(&key.into()))
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

fn cannot() -> UserError {
    UserError::new(ErrorCode::Internal, "The secrets could not be encrypted.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_open_with_their_passphrase_alone_and_only_unaltered() {
        let secrets =
            Secrets { llm_servers: BTreeMap::from([("o".to_owned(), "hunter2".to_owned())]), ..Secrets::default() };
        let passphrase = SecretString::from("correct horse");
        let sealed = seal(&secrets, &passphrase).expect("sealed");
        assert!(!serde_json::to_string(&sealed).expect("serialises").contains("hunter2"));
        assert_eq!(open(&sealed, &passphrase), Ok(secrets.clone()));
        let wrong = open(&sealed, &SecretString::from("correct house")).expect_err("another passphrase");
        assert_eq!(wrong.argument.as_deref(), Some("passphrase"));
        let mut altered = sealed.clone();
        altered.data.replace_range(0..1, if altered.data.starts_with('A') { "B" } else { "A" });
        assert_eq!(open(&altered, &passphrase).expect_err("altered").argument.as_deref(), Some("passphrase"));
        assert_ne!(seal(&secrets, &passphrase).expect("sealed").data, sealed.data, "each has a salt of its own");
        assert!(seal(&secrets, &SecretString::from("short")).is_err());
    }

    #[test]
    fn a_file_that_demands_too_much_is_refused_before_any_work() {
        let passphrase = SecretString::from("correct horse");
        let sealed = seal(&Secrets::default(), &passphrase).expect("sealed");
        for (bad, field) in [
            (Sealed { memory_kib: u32::MAX, ..sealed.clone() }, "secrets.memory_kib"),
            (Sealed { passes: 4_000_000, ..sealed.clone() }, "secrets.memory_kib"),
            (Sealed { memory_kib: 0, ..sealed.clone() }, "secrets.memory_kib"),
            (Sealed { salt: "=".to_owned(), ..sealed.clone() }, "secrets.salt"),
            (Sealed { nonce: String::new(), ..sealed.clone() }, "secrets.nonce"),
            (Sealed { cipher: "rot13".to_owned(), ..sealed.clone() }, "secrets.cipher"),
            (Sealed { kdf: "md5".to_owned(), ..sealed.clone() }, "secrets.kdf"),
        ] {
            assert_eq!(open(&bad, &passphrase).expect_err(field).argument.as_deref(), Some(field));
        }
    }
}
