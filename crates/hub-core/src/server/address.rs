//! Addresses of servers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;

/// A server's address: `http` or `https`, with or without a path prefix, never with a trailing
/// slash, credentials, query or fragment. Two spellings of one address are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BaseUrl(Url);

/// Why a text is no [`BaseUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a server address: {reason}; give something like http://192.0.2.7:8188")]
pub struct InvalidBaseUrl {
    given: String,
    reason: String,
}

impl BaseUrl {
    /// The URL, without trailing slash unless the path is empty.
    pub fn as_url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidBaseUrl> {
        let invalid = |reason: &str| InvalidBaseUrl { given: without_credentials(text), reason: reason.to_owned() };
        let trimmed = text.trim();
        let spelled = if trimmed.contains("://") { trimmed.to_owned() } else { format!("http://{trimmed}") };
        let mut url = Url::parse(&spelled).map_err(|error| invalid(&error.to_string()))?;
        match url.scheme() {
            "http" | "https" => {}
            "ws" => url.set_scheme("http").map_err(|()| invalid("the scheme cannot be used"))?,
            "wss" => url.set_scheme("https").map_err(|()| invalid("the scheme cannot be used"))?,
            other => return Err(invalid(&format!("the scheme `{other}` is neither http nor https"))),
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(invalid("it names no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("it holds a user name or password; give them as the server's auth"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("it has a query or fragment"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }
}

/// The start of a refused text, for a message: what stands before an `@` may be a password.
fn without_credentials(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let shown = match rest.rsplit_once('@') {
        Some((_, host)) if scheme.is_empty() => format!("***@{host}"),
        Some((_, host)) => format!("{scheme}://***@{host}"),
        None => text.to_owned(),
    };
    shown.chars().take(200).collect()
}

impl TryFrom<String> for BaseUrl {
    type Error = InvalidBaseUrl;

    fn try_from(text: String) -> Result<Self, InvalidBaseUrl> {
        text.parse()
    }
}

impl From<BaseUrl> for String {
    fn from(url: BaseUrl) -> Self {
        url.to_string()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_equal() {
        let expected: BaseUrl = "http://gpu:8188".parse().expect("valid");
        for spelling in ["http://gpu:8188/", "gpu:8188", " http://GPU:8188// ", "ws://gpu:8188"] {
            assert_eq!(spelling.parse::<BaseUrl>().as_ref(), Ok(&expected), "{spelling}");
        }
        let prefixed: BaseUrl = "https://host/comfy/".parse().expect("valid");
        assert_eq!(prefixed.to_string(), "https://host/comfy");
    }

    #[test]
    fn addresses_that_cannot_work_are_refused_with_the_reason() {
        for (given, reason) in [
            ("ftp://x", "scheme"),
            ("http://", "host"),
            ("http://user:pw@host", "auth"),
            ("http://host/?a=1", "query"),
            ("", "server address"),
        ] {
            let error = given.parse::<BaseUrl>().expect_err(given);
            assert!(error.to_string().contains(reason), "{given}: {error}");
        }
    }

    #[test]
    fn a_refused_address_is_quoted_without_its_password() {
        for given in ["http://user:hunter2@host", "user:hunter2@host:8188", "ftp://user:p@hunter2@host"] {
            let told = given.parse::<BaseUrl>().expect_err(given).to_string();
            assert!(!told.contains("hunter2") && told.contains("***@host"), "{told}");
        }
    }
}
