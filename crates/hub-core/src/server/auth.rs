//! How the hub proves itself to a server, and how a server proves itself to the hub.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where a secret comes from. Written `env:NAME`, `file:PATH`, or the secret itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum SecretSource {
    /// The secret itself, as stored.
    Literal(String),
    /// An environment variable, read at use.
    Env(String),
    /// The first line of a file, read at use.
    File(String),
}

impl From<String> for SecretSource {
    fn from(text: String) -> Self {
        if let Some(name) = text.strip_prefix("env:") {
            Self::Env(name.to_owned())
        } else if let Some(path) = text.strip_prefix("file:") {
            Self::File(path.to_owned())
        } else {
            Self::Literal(text)
        }
    }
}

impl From<SecretSource> for String {
    fn from(source: SecretSource) -> Self {
        match source {
            SecretSource::Literal(secret) => secret,
            SecretSource::Env(name) => format!("env:{name}"),
            SecretSource::File(path) => format!("file:{path}"),
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("Literal(***)"),
            Self::Env(name) => write!(f, "Env({name})"),
            Self::File(path) => write!(f, "File({path})"),
        }
    }
}

/// How the hub proves itself to a server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ServerAuth {
    /// Not at all.
    #[default]
    None,
    /// HTTP basic.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: SecretSource,
    },
    /// `Authorization: Bearer …`; also the token of ComfyUI-Login.
    Bearer {
        /// The token.
        token: SecretSource,
    },
    /// One header of any name, e.g. `X-API-Key`.
    ApiKey {
        /// Header name.
        header: String,
        /// Header value.
        key: SecretSource,
    },
    /// Several headers.
    Headers {
        /// Name and value of each.
        headers: Vec<(String, SecretSource)>,
    },
}

/// Where the certificates lie that a server is trusted by, beside those of the system: its own when it
/// is self-signed, or those of its authority. Written as PEM text, or `file:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CaSource {
    /// The certificates themselves, in PEM.
    Pem(String),
    /// A PEM file on the hub's machine, read when a connection is made.
    File(String),
}

/// Why a text names no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the CA is neither a PEM certificate (`-----BEGIN CERTIFICATE-----` …) nor `file:PATH`")]
pub struct InvalidCa;

impl FromStr for CaSource {
    type Err = InvalidCa;

    fn from_str(text: &str) -> Result<Self, InvalidCa> {
        let text = text.trim();
        match text.strip_prefix("file:").map(str::trim) {
            Some("") => Err(InvalidCa),
            Some(path) => Ok(Self::File(path.to_owned())),
            None if text.contains("-----BEGIN CERTIFICATE-----") => Ok(Self::Pem(text.to_owned())),
            None => Err(InvalidCa),
        }
    }
}

impl TryFrom<String> for CaSource {
    type Error = InvalidCa;

    fn try_from(text: String) -> Result<Self, InvalidCa> {
        text.parse()
    }
}

impl From<CaSource> for String {
    fn from(ca: CaSource) -> Self {
        match ca {
            CaSource::Pem(pem) => pem,
            CaSource::File(path) => format!("file:{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_is_pem_or_a_file() {
        let pem = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----";
        assert_eq!(pem.parse(), Ok(CaSource::Pem(pem.to_owned())));
        assert_eq!("file:/etc/ca.pem".parse(), Ok(CaSource::File("/etc/ca.pem".to_owned())));
        for bad in ["", "file:", "/etc/ca.pem", "-----BEGIN PRIVATE KEY-----"] {
            assert_eq!(bad.parse::<CaSource>(), Err(InvalidCa), "{bad}");
        }
    }

    #[test]
    fn a_literal_secret_never_prints() {
        let auth = ServerAuth::Bearer { token: SecretSource::from("hunter2".to_owned()) };
        assert!(!format!("{auth:?}").contains("hunter2"));
    }
}
